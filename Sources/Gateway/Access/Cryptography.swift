// The few OpenSSL calls that tokens need: HMAC, signatures under a public key, random bytes.
import COpenSSL

enum Cryptography {
    static func hmacSHA256(key: [UInt8], _ message: [UInt8]) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 32
        let result = HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, &digest, &length)
        return result == nil || length != 32 ? nil : digest
    }

    /// Compares in a time that does not depend on where the difference is.
    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }

    static func randomBytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let result = RAND_bytes(&bytes, Int32(count))
        // Without randomness no secret is safe; going on would be worse than stopping.
        precondition(result == 1, "the system's random generator failed")
        return bytes
    }
}

/// A public key of a key set. Immutable after creation; OpenSSL reads it from any thread.
final class PublicKey: @unchecked Sendable {
    private let key: OpaquePointer

    private init(_ key: OpaquePointer) { self.key = key }

    deinit { EVP_PKEY_free(key) }

    /// Coordinates of a point on P-256. OpenSSL refuses a point that is not on the curve.
    static func p256(x: [UInt8], y: [UInt8]) -> PublicKey? {
        guard x.count == 32, y.count == 32 else { return nil }
        let prefix: [UInt8] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
            0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
        ]
        return fromSubjectPublicKeyInfo(prefix + x + y)
    }

    static func rsa(modulus: [UInt8], exponent: [UInt8]) -> PublicKey? {
        guard (256...1024).contains(modulus.count), (1...8).contains(exponent.count) else { return nil }
        let numbers = DER.sequence(DER.unsigned(modulus) + DER.unsigned(exponent))
        let algorithm: [UInt8] = [
            0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
        ]
        return fromSubjectPublicKeyInfo(DER.sequence(algorithm + DER.tagged(0x03, [0] + numbers)))
    }

    private static func fromSubjectPublicKeyInfo(_ bytes: [UInt8]) -> PublicKey? {
        bytes.withUnsafeBufferPointer { buffer in
            var position = buffer.baseAddress
            guard let key = d2i_PUBKEY(nil, &position, buffer.count) else {
                ERR_clear_error()
                return nil
            }
            return PublicKey(key)
        }
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, or ECDSA with SHA-256 and a DER signature.
    func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        guard EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}

/// Just enough DER to hand OpenSSL a key or a signature.
enum DER {
    static func tagged(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        switch content.count {
        case 0..<0x80: [tag, UInt8(content.count)] + content
        case 0x80..<0x100: [tag, 0x81, UInt8(content.count)] + content
        default:
            [tag, 0x82, UInt8(truncatingIfNeeded: content.count >> 8), UInt8(truncatingIfNeeded: content.count)]
                + content
        }
    }

    static func sequence(_ content: [UInt8]) -> [UInt8] { tagged(0x30, content) }

    static func unsigned(_ bytes: [UInt8]) -> [UInt8] {
        var digits = Array(bytes.drop { $0 == 0 })
        if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
        return tagged(0x02, digits)
    }

    /// The signature of JWS (RFC 7518 §3.4: r and s, 32 bytes each) in the form OpenSSL checks.
    static func ecdsaSignature(fromJWS signature: [UInt8]) -> [UInt8]? {
        guard signature.count == 64 else { return nil }
        return sequence(unsigned(Array(signature[..<32])) + unsigned(Array(signature[32...])))
    }
}
