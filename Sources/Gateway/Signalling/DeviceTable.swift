// The WHIP and WHEP sessions of one room: their resources, entity tags and the participants behind them.
import MediaEngine
import Rooms

/// What a device came for. An ingest name is taken by one session at a time; players are as many as come.
enum DeviceKey: Hashable {
    case ingest(participant: String, stream: String?)
    case playback(number: UInt64)
}

enum DeviceFault: Error {
    case refused(Refusal)
    case negotiation(NegotiationError)
    case gone
    case otherTag(String)
}

struct DeviceTable {
    struct Entry {
        /// The last part of the session's Location: nobody can guess it.
        var resource: String
        var participant: ParticipantID
        var key: DeviceKey
        /// The entity tag of the ICE session (RFC 9725 §4.3.1), with its quotes.
        var tag: String
    }

    static let limit = 64
    private var entries: [String: Entry] = [:]

    var count: Int { entries.count }

    mutating func insert(_ participant: ParticipantID, _ key: DeviceKey) -> Entry {
        let entry = Entry(resource: OpaqueID.random(), participant: participant, key: key, tag: Self.newTag())
        entries[entry.resource] = entry
        return entry
    }

    func entry(resource: String) -> Entry? { entries[resource] }
    func entry(for key: DeviceKey) -> Entry? { entries.values.first { $0.key == key } }
    func resource(of participant: ParticipantID) -> String? {
        entries.values.first { $0.participant == participant }?.resource
    }

    func participant(named name: String) -> ParticipantID? {
        let named = entries.values.filter { entry in
            if case .ingest(name, _) = entry.key { true } else { false }
        }
        return named.min { $0.participant < $1.participant }?.participant
    }

    mutating func renewTag(_ resource: String) -> String? {
        let tag = Self.newTag()
        entries[resource]?.tag = tag
        return entries[resource]?.tag
    }

    @discardableResult
    mutating func remove(_ resource: String) -> Entry? { entries.removeValue(forKey: resource) }

    private static func newTag() -> String { "\"\(OpaqueID.random())\"" }
}

/// Names from which nothing can be concluded.
package enum OpaqueID {
    private static let salt = Cryptography.randomBytes(32)

    /// 128 random bits.
    package static func random() -> String { Base64URL.encode(Cryptography.randomBytes(16)) }

    /// The same room has the same name as long as the process lives, and another one in the next.
    package static func of(room: String) -> String {
        let digest = Cryptography.hmacSHA256(key: salt, Array(room.utf8)) ?? salt
        return "room-" + Base64URL.encode(digest.prefix(6))
    }
}
