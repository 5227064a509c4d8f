// Checks and makes JSON Web Tokens (RFC 7519, 7515): HS256 with our secret, ES256 and RS256 with keys of a key set.
import Foundation
import Rooms

package struct TokenVerifier: Sendable {
    package static let maximumTokenLength = 4096
    /// How far the clocks of the issuer and of this machine may be apart.
    package static let leeway: Int64 = 30

    private let secret: [UInt8]?
    private let keys: KeySet
    private let now: @Sendable () -> Int64

    /// - Parameter secret: for HS256; nil when only foreign issuers are trusted.
    package init(
        secret: [UInt8]?, keys: KeySet = KeySet(), now: @escaping @Sendable () -> Int64 = { WallClock.now().seconds }
    ) {
        self.secret = secret
        self.keys = keys
        self.now = now
    }

    private struct Header: Decodable {
        var alg: String
        var kid: String?
        var typ: String?
        var crit: [String]?
    }

    package func verify(_ token: String?) throws(TokenFault) -> AccessClaims {
        guard let token, !token.isEmpty else {
            throw TokenFault(.missing, "A token is needed: ask who invited you for a link.")
        }
        guard token.utf8.count <= Self.maximumTokenLength else {
            throw TokenFault(.malformed, "The token has more than \(Self.maximumTokenLength) bytes.")
        }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let headerBytes = Base64URL.decode(parts[0]),
            let payload = Base64URL.decode(parts[1]), let signature = Base64URL.decode(parts[2]),
            let header = try? JSONDecoder().decode(Header.self, from: Data(headerBytes))
        else { throw TokenFault(.malformed, "This is not a signed JSON Web Token.") }
        guard header.crit == nil else {
            throw TokenFault(.malformed, "The token demands extensions that are not known here.")
        }
        try check(signature, of: Array((parts[0] + "." + parts[1]).utf8), header)

        let claims: AccessClaims
        do {
            claims = try JSONDecoder().decode(AccessClaims.self, from: Data(payload))
        } catch {
            throw TokenFault(.claims, "The token needs the claims room, sub, name, role and exp; \(Self.words(error)).")
        }
        if let fault = claims.fault { throw TokenFault(.claims, "The token is not acceptable: \(fault).") }
        let now = now()
        guard claims.expires > now - Self.leeway else {
            throw TokenFault(.expired, "This link has expired; ask for a new one.")
        }
        guard claims.expires <= now + AccessClaims.maximumLifetime else {
            throw TokenFault(.claims, "The token is valid for more than a year; that is too long.")
        }
        if let notBefore = claims.notBefore, notBefore > now + Self.leeway {
            throw TokenFault(.early, "This link is not valid yet.")
        }
        return claims
    }

    /// The key decides which algorithm is possible, never the token: a public key is never used as an HMAC secret.
    private func check(_ signature: [UInt8], of message: [UInt8], _ header: Header) throws(TokenFault) {
        switch header.alg {
        case "HS256":
            guard let secret else {
                throw TokenFault(.algorithm, "Tokens signed with HS256 are not accepted here.")
            }
            guard let expected = Cryptography.hmacSHA256(key: secret, message),
                Cryptography.areEqual(expected, signature)
            else { throw TokenFault(.signature, "The token's signature is not ours.") }
        case "ES256":
            guard let encoded = DER.ecdsaSignature(fromJWS: signature),
                try keys.find(header.kid, .p256).contains(where: { $0.verifies(encoded, of: message) })
            else { throw TokenFault(.signature, "The token's signature does not fit its key.") }
        case "RS256":
            guard try keys.find(header.kid, .rsa).contains(where: { $0.verifies(signature, of: message) })
            else { throw TokenFault(.signature, "The token's signature does not fit its key.") }
        default:
            throw TokenFault(.algorithm, "The token's algorithm is not accepted: HS256, ES256 and RS256 are.")
        }
    }

    private static func words(_ error: any Error) -> String {
        switch error as? DecodingError {
        case .keyNotFound(let key, _)?: "\(key.stringValue) is missing"
        case .typeMismatch(_, let context)?, .valueNotFound(_, let context)?, .dataCorrupted(let context)?:
            "\(context.codingPath.last?.stringValue ?? "the payload") is of the wrong kind"
        default: "one of them is of the wrong kind"
        }
    }

    /// Makes a token under the HS256 secret.
    package func mint(_ claims: AccessClaims) throws(TokenFault) -> String {
        guard let secret else { throw TokenFault(.key, "There is no secret to sign with.") }
        if let fault = claims.fault { throw TokenFault(.claims, fault) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let payload = try? encoder.encode(claims) else {
            throw TokenFault(.claims, "The claims have no JSON form.")
        }
        let head = Base64URL.encode(Array(#"{"alg":"HS256","typ":"JWT"}"#.utf8))
        let message = head + "." + Base64URL.encode(payload)
        guard let signature = Cryptography.hmacSHA256(key: secret, Array(message.utf8)) else {
            throw TokenFault(.key, "The token cannot be signed.")
        }
        return message + "." + Base64URL.encode(signature)
    }
}

/// Public keys of foreign issuers, read from a JWKS file (RFC 7517).
package struct KeySet: Sendable {
    enum Kind: Sendable { case p256, rsa }

    private struct Entry: Sendable {
        var identifier: String?
        var kind: Kind
        var key: PublicKey
    }

    private var entries: [Entry] = []

    package init() {}

    package var count: Int { entries.count }

    private struct File: Decodable {
        struct Key: Decodable {
            var kty: String
            var kid: String?
            var use: String?
            var alg: String?
            var crv: String?
            var x: String?
            var y: String?
            var n: String?
            var e: String?
        }
        var keys: [Key]
    }

    package struct Fault: Error, CustomStringConvertible, Sendable {
        package var description: String
    }

    package init(json: [UInt8]) throws(Fault) {
        guard let file = try? JSONDecoder().decode(File.self, from: Data(json)) else {
            throw Fault(description: "this is no JSON Web Key Set: an object with a list \"keys\" is expected")
        }
        guard file.keys.count <= 64 else { throw Fault(description: "a key set has at most 64 keys") }
        for (index, key) in file.keys.enumerated() where key.use == nil || key.use == "sig" {
            let words = "key \(index + 1)"
            func bytes(_ text: String?) -> [UInt8] { text.flatMap { Base64URL.decode($0) } ?? [] }
            switch (key.kty, key.crv, key.alg) {
            case ("EC", "P-256", nil), ("EC", "P-256", "ES256"):
                guard let made = PublicKey.p256(x: bytes(key.x), y: bytes(key.y)) else {
                    throw Fault(description: "\(words): x and y are not a point of P-256")
                }
                entries.append(Entry(identifier: key.kid, kind: .p256, key: made))
            case ("RSA", _, nil), ("RSA", _, "RS256"):
                guard let made = PublicKey.rsa(modulus: bytes(key.n), exponent: bytes(key.e)) else {
                    throw Fault(description: "\(words): n and e are no RSA key of 2048 bits or more")
                }
                entries.append(Entry(identifier: key.kid, kind: .rsa, key: made))
            default:
                throw Fault(
                    description: "\(words): kty \(key.kty)\(key.alg.map { " with alg \($0)" } ?? "") is not supported; "
                        + "use EC P-256 (ES256) or RSA (RS256)")
            }
        }
        guard !entries.isEmpty else { throw Fault(description: "the key set has no key for signatures") }
    }

    /// The key of that name, or every key of the kind when the token names none.
    func find(_ identifier: String?, _ kind: Kind) throws(TokenFault) -> [PublicKey] {
        let found = entries.filter { $0.kind == kind && (identifier == nil || $0.identifier == identifier) }
        guard !found.isEmpty else { throw TokenFault(.key, "The token's key is not known here.") }
        return found.map(\.key)
    }
}
