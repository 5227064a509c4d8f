// The keys of SRTP: what DTLS exports, and the session keys derived from it (RFC 3711 section 4.3, RFC 7714).
internal import COpenSSL

extension SRTPProfile {
    var keyLength: Int { self == .aes256GCM ? 32 : 16 }
    var saltLength: Int { self == .aes128CMSHA1 ? 14 : 12 }
    /// What protection adds to a packet.
    var tagLength: Int { self == .aes128CMSHA1 ? 10 : 16 }
}

/// Master key followed by master salt, for each direction.
struct SRTPKeyingMaterial {
    let profile: SRTPProfile
    let local: [UInt8]
    let remote: [UInt8]
}

/// The session keys of one direction, for RTP or for RTCP.
struct SRTPSessionKeys {
    let cipherKey: [UInt8]
    let salt: [UInt8]
    /// Empty with AEAD.
    let authenticationKey: [UInt8]

    /// Labels of RFC 3711 section 4.3.2; those of SRTCP are three higher.
    private enum Label: UInt8 {
        case encryption = 0
        case authentication = 1
        case salt = 2
    }

    enum Use: UInt8 {
        case media = 0
        case control = 3
    }

    init?(profile: SRTPProfile, masterKeyAndSalt master: [UInt8], for use: Use = .media) {
        guard master.count == profile.keyLength + profile.saltLength else { return nil }
        let key = Array(master[..<profile.keyLength])
        let salt = Array(master[profile.keyLength...])
        let authenticationLength = profile == .aes128CMSHA1 ? 20 : 0
        guard let cipherKey = Self.derive(.encryption, length: profile.keyLength, key: key, salt: salt, use),
            let sessionSalt = Self.derive(.salt, length: profile.saltLength, key: key, salt: salt, use),
            let authenticationKey = Self.derive(
                .authentication, length: authenticationLength, key: key, salt: salt, use)
        else { return nil }
        self.cipherKey = cipherKey
        self.salt = sessionSalt
        self.authenticationKey = authenticationKey
    }

    init(cipherKey: [UInt8], salt: [UInt8], authenticationKey: [UInt8] = []) {
        self.cipherKey = cipherKey
        self.salt = salt
        self.authenticationKey = authenticationKey
    }

    /// AES in counter mode over zeros, the counter starting at (label ‖ 0) ⊕ salt. The 96-bit salt of AEAD profiles
    /// is used as if followed by two zero bytes (RFC 7714 section 11).
    private static func derive(
        _ label: Label, length: Int, key: [UInt8], salt: [UInt8], _ use: Use
    ) -> [UInt8]? {
        guard length > 0 else { return [] }
        guard let context = EVP_CIPHER_CTX_new() else { return nil }
        defer { EVP_CIPHER_CTX_free(context) }
        var counter = salt + [UInt8](repeating: 0, count: 16 - salt.count)
        counter[7] ^= label.rawValue + use.rawValue
        let zeros = [UInt8](repeating: 0, count: length)
        var output = [UInt8](repeating: 0, count: length + 16)
        var written: Int32 = 0
        let cipher = key.count == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr()
        guard EVP_EncryptInit_ex(context, cipher, nil, key, counter) == 1,
            EVP_EncryptUpdate(context, &output, &written, zeros, Int32(length)) == 1, written == length
        else { return nil }
        return Array(output.prefix(length))
    }
}
