// Tokens: what opens the door and, above all, what does not.
import Foundation
import Gateway
import Rooms
import Testing

@Suite("A token") struct TokenTests {
    static let now: Int64 = 1_800_000_000
    static let secret = Array("0123456789abcdef0123456789abcdef".utf8)
    static let claims = AccessClaims(
        room: "board", identity: "u-17", name: "Dr. Ada Example", role: .chair, expires: now + 3600, kind: .mdt,
        title: "Tuesday board")

    static func verifier(secret: [UInt8]? = secret, keys: KeySet = KeySet()) -> TokenVerifier {
        TokenVerifier(secret: secret, keys: keys, now: { now })
    }

    /// Signs any header and payload under our secret.
    static func sign(header: String, payload: String) throws -> String {
        let message = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(payload.utf8))
        // The verifier's own HMAC, reached by minting the same text, is not accessible: use the openssl-free identity
        // that a token is accepted exactly when it was signed here.
        return message + "." + Base64URL.encode(try #require(TestCryptography.hmacSHA256(secret, Array(message.utf8))))
    }

    static let goodPayload = #"{"room":"board","sub":"u","name":"N","role":"chair","exp":1800000100}"#
    static let goodHeader = #"{"alg":"HS256","typ":"JWT"}"#

    @Test("that we minted is accepted with its claims")
    func roundTrip() throws {
        let token = try Self.verifier().mint(Self.claims)
        #expect(try Self.verifier().verify(token) == Self.claims)
    }

    @Test("signed elsewhere with our secret is accepted, with times that have fractions")
    func foreignForm() throws {
        let payload = #"{"room":"*","sub":"u","name":"Zoë 花","role":"device","exp":1800000100.5,"iat":1,"aud":"x"}"#
        let claims = try Self.verifier().verify(try Self.sign(header: Self.goodHeader, payload: payload))
        #expect(claims.room == "*")
        #expect(claims.name == "Zoë 花")
        #expect(claims.allows(room: "any"))
    }

    @Test(
        "is refused with the right reason",
        arguments: [
            ("", "", TokenFault.Code.missing),
            (#"{"alg":"none"}"#, goodPayload, .algorithm),
            (#"{"alg":"None"}"#, goodPayload, .algorithm),
            (#"{"alg":"HS384"}"#, goodPayload, .algorithm),
            (#"{"alg":"hs256"}"#, goodPayload, .algorithm),
            (#"{"alg":"ES256"}"#, goodPayload, .signature),
            (#"{"alg":"RS256"}"#, goodPayload, .key),
            (#"{"alg":"HS256","crit":["exp"]}"#, goodPayload, .malformed),
            ("{", goodPayload, .malformed),
            (#"{"typ":"JWT"}"#, goodPayload, .malformed),
            (goodHeader, "{}", .claims),
            (goodHeader, "[]", .claims),
            (goodHeader, #"{"room":"board","sub":"u","name":"N","role":"chair"}"#, .claims),
            (goodHeader, #"{"room":"board","sub":"u","name":"N","role":"chair","exp":"tomorrow"}"#, .claims),
            (goodHeader, #"{"room":"board","sub":"u","name":"N","role":"king","exp":1800000100}"#, .claims),
            (goodHeader, #"{"room":"a b","sub":"u","name":"N","role":"chair","exp":1800000100}"#, .claims),
            (goodHeader, #"{"room":"","sub":"u","name":"N","role":"chair","exp":1800000100}"#, .claims),
            (goodHeader, #"{"room":"a","sub":"","name":"N","role":"chair","exp":1800000100}"#, .claims),
            (goodHeader, #"{"room":"a","sub":"u","name":"N\nM","role":"chair","exp":1800000100}"#, .claims),
            (goodHeader, #"{"room":"a","sub":"u","name":"N\u202eM","role":"chair","exp":1800000100}"#, .claims),
            (goodHeader, #"{"room":"a","sub":"u","name":"N","role":"chair","exp":1799999969}"#, .expired),
            (goodHeader, #"{"room":"a","sub":"u","name":"N","role":"chair","exp":1e300}"#, .claims),
            (goodHeader, #"{"room":"a","sub":"u","name":"N","role":"chair","exp":2800000000}"#, .claims),
            (
                goodHeader, #"{"room":"a","sub":"u","name":"N","role":"chair","exp":1800000100,"nbf":1800000050}"#,
                .early
            ),
        ])
    func refused(header: String, payload: String, code: TokenFault.Code) throws {
        let keys = try KeySet(json: Array(TestKeys.jwks(p256Only: true).utf8))
        let token = header.isEmpty ? nil : try Self.sign(header: header, payload: payload)
        let fault = #expect(throws: TokenFault.self) { try Self.verifier(keys: keys).verify(token) }
        #expect(fault?.code == code)
        #expect(fault?.message.contains("eyJ") == false)
    }

    @Test("with any byte of its text changed is refused")
    func tampered() throws {
        let token = try Self.verifier().mint(Self.claims)
        for index in token.indices {
            var changed = token
            let other: Character = token[index] == "A" ? "B" : "A"
            changed.replaceSubrange(index...index, with: String(other))
            #expect(throws: TokenFault.self) { try Self.verifier().verify(changed) }
        }
    }

    @Test("is accepted within the leeway of clocks and no longer")
    func leeway() throws {
        let payload = #"{"room":"a","sub":"u","name":"N","role":"chair","exp":1799999971,"nbf":1800000030}"#
        #expect(try Self.verifier().verify(try Self.sign(header: Self.goodHeader, payload: payload)).room == "a")
    }

    @Test("longer than 4096 bytes is refused unread")
    func tooLong() throws {
        let fault = #expect(throws: TokenFault.self) {
            try Self.verifier().verify(String(repeating: "a", count: 5000))
        }
        #expect(fault?.code == .malformed)
    }

    @Test("is never checked with a public key as an HMAC secret")
    func algorithmConfusion() throws {
        // The classic attack: sign with HS256 under the text of the public key.
        let keys = try KeySet(json: Array(TestKeys.jwks().utf8))
        let message =
            Base64URL.encode(Array(Self.goodHeader.utf8)) + "." + Base64URL.encode(Array(Self.goodPayload.utf8))
        let signature = try #require(TestCryptography.hmacSHA256(Array(TestKeys.jwks().utf8), Array(message.utf8)))
        let token = message + "." + Base64URL.encode(signature)
        #expect(throws: TokenFault.self) { try Self.verifier(keys: keys).verify(token) }
        let withoutSecret = #expect(throws: TokenFault.self) {
            try Self.verifier(secret: nil, keys: keys).verify(token)
        }
        #expect(withoutSecret?.code == .algorithm)
    }

    @Test("of another issuer is accepted by the keys of a key set", arguments: ["ES256", "RS256"])
    func publicKeys(algorithm: String) throws {
        let keys = try KeySet(json: Array(TestKeys.jwks().utf8))
        let token = try TestKeys.token(algorithm: algorithm, payload: Self.goodPayload)
        #expect(try Self.verifier(secret: nil, keys: keys).verify(token).identity == "u")
        let parts = token.split(separator: ".")
        let otherPayload = Base64URL.encode(Array(Self.goodPayload.replacing("\"u\"", with: "\"v\"").utf8))
        let forged = "\(parts[0]).\(otherPayload).\(parts[2])"
        let fault = #expect(throws: TokenFault.self) { try Self.verifier(secret: nil, keys: keys).verify(forged) }
        #expect(fault?.code == .signature)
        let unknown = try TestKeys.token(algorithm: algorithm, payload: Self.goodPayload, identifier: "other")
        let noKey = #expect(throws: TokenFault.self) { try Self.verifier(secret: nil, keys: keys).verify(unknown) }
        #expect(noKey?.code == .key)
    }

    @Test(
        "key sets that are no good are refused in words",
        arguments: [
            "{}", "[]", "", #"{"keys":[]}"#, #"{"keys":[{"kty":"oct","k":"AAAA"}]}"#,
            #"{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}"#,
            #"{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}"#,
            #"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
        ])
    func badKeySets(text: String) {
        #expect(throws: KeySet.Fault.self) { try KeySet(json: Array(text.utf8)) }
    }
}

@Suite("Base64url") struct Base64URLTests {
    @Test("takes back exactly what it gave, for every short length")
    func roundTrip() {
        for count in 0..<70 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        }
    }

    @Test("refuses padding, other alphabets and left-over bits", arguments: ["A", "AB", "AA==", "A+", "A/AA", "AAB"])
    func strict(text: String) { #expect(Base64URL.decode(text) == nil) }
}

@Suite("A secret file") struct SecretFileTests {
    @Test("is made with mode 0600 at the first start and kept; one that others can read stops the start")
    func life() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("secret-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let first = try SecretFile.tokenSecret(path)
        #expect(first.count == 64)
        #expect(try SecretFile.tokenSecret(path) == first)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        let fault = #expect(throws: SecretFile.Fault.self) { try SecretFile.tokenSecret(path) }
        #expect(fault?.description.contains("chmod 600") == true)
    }
}
