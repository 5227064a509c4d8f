// What a token says: which room, who, with which role, until when. The bounds of every claim are here.
package import Rooms

package struct AccessClaims: Sendable, Equatable {
    /// The room, or `*` for every room.
    package var room: String
    /// The stable identity within the hospital (`sub`).
    package var identity: String
    package var name: String
    package var role: Role
    /// Seconds since 1970.
    package var expires: Int64
    package var notBefore: Int64?
    package var kind: RoomKind?
    package var title: String?

    package init(
        room: String, identity: String, name: String, role: Role, expires: Int64, notBefore: Int64? = nil,
        kind: RoomKind? = nil, title: String? = nil
    ) {
        self.room = room
        self.identity = identity
        self.name = name
        self.role = role
        self.expires = expires
        self.notBefore = notBefore
        self.kind = kind
        self.title = title
    }

    package func allows(room: String) -> Bool { self.room == "*" || self.room == room }

    package static let maximumNameLength = 100
    package static let maximumIdentityLength = 128
    package static let maximumTitleLength = 200
    /// A token that never ends is a password; a year is the longest.
    package static let maximumLifetime: Int64 = 366 * 24 * 3600

    /// Why these claims are no good, or `nil`.
    package var fault: String? {
        if room != "*", !Name.isValid(room) { return "the claim room is 1 to 64 of A-Z a-z 0-9 . _ - (or *)" }
        if !Self.isText(identity, Self.maximumIdentityLength) {
            return "the claim sub is 1 to \(Self.maximumIdentityLength) characters without control characters"
        }
        if !Self.isText(name, Self.maximumNameLength) {
            return "the claim name is 1 to \(Self.maximumNameLength) characters without control characters"
        }
        if let title, !Self.isText(title, Self.maximumTitleLength) {
            return "the claim title is 1 to \(Self.maximumTitleLength) characters without control characters"
        }
        return nil
    }

    private static func isText(_ text: String, _ limit: Int) -> Bool {
        guard !text.isEmpty, text.count <= limit, text.utf8.count <= limit * 4 else { return false }
        return !text.unicodeScalars.contains { scalar in
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator: true
            // Marks that reverse the direction of text let a name look like another.
            case .format: (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
            default: false
            }
        }
    }
}

extension AccessClaims: Codable {
    private enum CodingKeys: String, CodingKey {
        case room, sub, name, role, exp, nbf, kind, title
    }

    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        room = try c.decode(String.self, forKey: .room)
        identity = try c.decode(String.self, forKey: .sub)
        name = try c.decode(String.self, forKey: .name)
        role = try c.decode(Role.self, forKey: .role)
        expires = try Self.time(c, .exp)
        notBefore = c.contains(.nbf) ? try Self.time(c, .nbf) : nil
        kind = try c.decodeIfPresent(RoomKind.self, forKey: .kind)
        title = try c.decodeIfPresent(String.self, forKey: .title)
    }

    /// A NumericDate may have a fraction (RFC 7519 §2).
    private static func time(_ c: KeyedDecodingContainer<CodingKeys>, _ key: CodingKeys) throws -> Int64 {
        let value = try c.decode(Double.self, forKey: key)
        guard value.isFinite, value > 0, value < 1e11 else {
            throw DecodingError.dataCorruptedError(forKey: key, in: c, debugDescription: "not a time")
        }
        return Int64(value)
    }

    package func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(room, forKey: .room)
        try c.encode(identity, forKey: .sub)
        try c.encode(name, forKey: .name)
        try c.encode(role, forKey: .role)
        try c.encode(expires, forKey: .exp)
        try c.encodeIfPresent(notBefore, forKey: .nbf)
        try c.encodeIfPresent(kind, forKey: .kind)
        try c.encodeIfPresent(title, forKey: .title)
    }
}

/// Why a token opens no door. The message is for people; it never repeats the token.
package struct TokenFault: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        case missing = "token_missing"
        case malformed = "token_malformed"
        case algorithm = "token_algorithm"
        case key = "token_key"
        case signature = "token_signature"
        case expired = "token_expired"
        case early = "token_not_yet_valid"
        case claims = "token_claims"
        case foreignRoom = "token_other_room"
        case role = "token_role"
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
