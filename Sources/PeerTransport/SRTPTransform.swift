// Encrypts and decrypts single RTP packets of one direction; knows keys and indices, but no streams.
internal import CIPSecMB
internal import COpenSSL

/// The key is set once; a packet only changes the initialisation vector. AEAD is libipsec-mb's where that exists: on
/// processors with wide vector instructions it takes a quarter of the time that OpenSSL 3.0 does.
struct SRTPTransform: ~Copyable {
    private let context: OpaquePointer
    private let gcm: OpaquePointer?
    let isAEAD: Bool
    let tagLength: Int
    /// The salt as big endian numbers: its first eight bytes, and the rest in the high bits.
    private let saltHigh: UInt64
    private let saltLow: UInt64
    /// HMAC-SHA1 after the key's inner and outer block (RFC 2104); copying them is cheaper than any re-initialisation.
    private let inner: SHA_CTX
    private let outer: SHA_CTX
    /// 16 bytes of vector, 20 of digest, room for the end of a cipher stream, and for a control packet's header and trailer.
    private let scratch: UnsafeMutablePointer<UInt8>

    private static let digestOffset = 16
    private static let tailOffset = 48
    private static let associatedOffset = 96
    private static let scratchLength = 128

    enum Direction {
        case encrypt
        case decrypt
    }

    /// - Parameter usesLibrary: false for OpenSSL, whatever there is
    init?(profile: SRTPProfile, keys: SRTPSessionKeys, direction: Direction, usesLibrary: Bool = true) {
        guard keys.cipherKey.count == profile.keyLength, keys.salt.count == profile.saltLength,
            let context = EVP_CIPHER_CTX_new()
        else { return nil }
        let cipher =
            switch profile {
            case .aes128GCM: EVP_aes_128_gcm()
            case .aes256GCM: EVP_aes_256_gcm()
            case .aes128CMSHA1: EVP_aes_128_ctr()
            }
        // Counter mode is its own inverse.
        let encrypts = direction == .encrypt || profile == .aes128CMSHA1
        guard EVP_CipherInit_ex(context, cipher, nil, keys.cipherKey, nil, encrypts ? 1 : 0) == 1 else {
            EVP_CIPHER_CTX_free(context)
            return nil
        }
        self.context = context
        isAEAD = profile != .aes128CMSHA1
        gcm = isAEAD && usesLibrary ? consilium_gcm_create(keys.cipherKey, keys.cipherKey.count) : nil
        tagLength = profile.tagLength
        saltHigh = keys.salt.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        let rest = keys.salt.dropFirst(8)
        saltLow = rest.reduce(0) { $0 << 8 | UInt64($1) } << UInt64(64 - 8 * rest.count)
        (inner, outer) = Self.hmacStates(key: keys.authenticationKey)
        scratch = .allocate(capacity: Self.scratchLength)
        scratch.initialize(repeating: 0, count: Self.scratchLength)
    }

    deinit {
        EVP_CIPHER_CTX_free(context)
        consilium_gcm_destroy(gcm)
        scratch.initialize(repeating: 0, count: Self.scratchLength)
        scratch.deallocate()
    }

    private static func hmacStates(key: [UInt8]) -> (SHA_CTX, SHA_CTX) {
        var states = (SHA_CTX(), SHA_CTX())
        let padded = key.prefix(64) + [UInt8](repeating: 0, count: max(0, 64 - key.count))
        SHA1_Init(&states.0)
        SHA1_Update(&states.0, padded.map { $0 ^ 0x36 }, 64)
        SHA1_Init(&states.1)
        SHA1_Update(&states.1, padded.map { $0 ^ 0x5C }, 64)
        return states
    }

    /// Writes ciphertext and tag behind the header at `packet`. `payload` may lie anywhere, also in place.
    /// There is room for `headerLength + payloadLength + tagLength` bytes at `packet`.
    func encrypt(
        _ packet: UnsafeMutableRawPointer, headerLength: Int, payload: UnsafeRawPointer, payloadLength: Int,
        ssrc: UInt32, index: UInt64
    ) -> Bool {
        let body = (packet + headerLength).assumingMemoryBound(to: UInt8.self)
        let source = payload.assumingMemoryBound(to: UInt8.self)
        let tag = body + payloadLength
        var written: Int32 = 0
        setVector(ssrc: ssrc, index: index)
        let header = packet.assumingMemoryBound(to: UInt8.self)
        if let gcm {
            consilium_gcm_seal(gcm, body, source, payloadLength, scratch, header, headerLength, tag)
            return true
        }
        guard EVP_EncryptInit_ex(context, nil, nil, nil, scratch) == 1 else { return false }
        if isAEAD {
            guard EVP_EncryptUpdate(context, nil, &written, header, Int32(headerLength)) == 1,
                EVP_EncryptUpdate(context, body, &written, source, Int32(payloadLength)) == 1,
                EVP_EncryptFinal_ex(context, scratch + Self.tailOffset, &written) == 1
            else { return false }
            return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1
        }
        guard EVP_EncryptUpdate(context, body, &written, source, Int32(payloadLength)) == 1 else { return false }
        computeTag(over: packet, length: headerLength + payloadLength, index: index)
        tag.update(from: scratch + Self.digestOffset, count: tagLength)
        return true
    }

    /// Checks the tag and decrypts in place. `length` includes the tag, and leaves a payload of at least zero.
    func decrypt(
        _ packet: UnsafeMutableRawPointer, headerLength: Int, length: Int, ssrc: UInt32, index: UInt64
    ) -> Bool {
        let body = (packet + headerLength).assumingMemoryBound(to: UInt8.self)
        let payloadLength = length - headerLength - tagLength
        let tag = body + payloadLength
        var written: Int32 = 0
        if isAEAD {
            let header = packet.assumingMemoryBound(to: UInt8.self)
            setVector(ssrc: ssrc, index: index)
            if let gcm {
                return consilium_gcm_open(gcm, body, body, payloadLength, scratch, header, headerLength, tag) == 1
            }
            return EVP_DecryptInit_ex(context, nil, nil, nil, scratch) == 1
                && EVP_DecryptUpdate(context, nil, &written, header, Int32(headerLength)) == 1
                && EVP_DecryptUpdate(context, body, &written, body, Int32(payloadLength)) == 1
                && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1
                && EVP_DecryptFinal_ex(context, scratch + Self.tailOffset, &written) == 1
        }
        computeTag(over: packet, length: length - tagLength, index: index)
        guard CRYPTO_memcmp(scratch + Self.digestOffset, tag, tagLength) == 0 else { return false }
        setVector(ssrc: ssrc, index: index)
        return EVP_EncryptInit_ex(context, nil, nil, nil, scratch) == 1
            && EVP_EncryptUpdate(context, body, &written, body, Int32(payloadLength)) == 1
    }

    // MARK: Parts, for control packets

    /// AEAD in place, with what lies before and behind as associated data; the tag goes right behind `body`.
    func seal(
        _ body: UnsafeMutableRawPointer, count: Int, ssrc: UInt32, index: UInt64, header: UnsafeRawPointer,
        headerLength: Int, trailer: UnsafeRawPointer, trailerLength: Int
    ) -> Bool {
        let bytes = body.assumingMemoryBound(to: UInt8.self)
        var written: Int32 = 0
        setVector(ssrc: ssrc, index: index)
        if let gcm {
            let (data, length) = associate(header, headerLength, trailer, trailerLength)
            consilium_gcm_seal(gcm, bytes, bytes, count, scratch, data, length, bytes + count)
            return true
        }
        return EVP_EncryptInit_ex(context, nil, nil, nil, scratch) == 1
            && EVP_EncryptUpdate(context, nil, &written, header, Int32(headerLength)) == 1
            && EVP_EncryptUpdate(context, nil, &written, trailer, Int32(trailerLength)) == 1
            && EVP_EncryptUpdate(context, bytes, &written, bytes, Int32(count)) == 1
            && EVP_EncryptFinal_ex(context, scratch + Self.tailOffset, &written) == 1
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagLength), body + count) == 1
    }

    /// The reverse of `seal`.
    func open(
        _ body: UnsafeMutableRawPointer, count: Int, ssrc: UInt32, index: UInt64, header: UnsafeRawPointer,
        headerLength: Int, trailer: UnsafeRawPointer, trailerLength: Int
    ) -> Bool {
        let bytes = body.assumingMemoryBound(to: UInt8.self)
        var written: Int32 = 0
        setVector(ssrc: ssrc, index: index)
        if let gcm {
            let (data, length) = associate(header, headerLength, trailer, trailerLength)
            return consilium_gcm_open(gcm, bytes, bytes, count, scratch, data, length, bytes + count) == 1
        }
        return EVP_DecryptInit_ex(context, nil, nil, nil, scratch) == 1
            && EVP_DecryptUpdate(context, nil, &written, header, Int32(headerLength)) == 1
            && EVP_DecryptUpdate(context, nil, &written, trailer, Int32(trailerLength)) == 1
            && EVP_DecryptUpdate(context, bytes, &written, bytes, Int32(count)) == 1
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagLength), body + count) == 1
            && EVP_DecryptFinal_ex(context, scratch + Self.tailOffset, &written) == 1
    }

    /// Counter mode in place, either way.
    func encryptCounted(_ body: UnsafeMutableRawPointer, count: Int, ssrc: UInt32, index: UInt64) -> Bool {
        let bytes = body.assumingMemoryBound(to: UInt8.self)
        var written: Int32 = 0
        setVector(ssrc: ssrc, index: index)
        return EVP_EncryptInit_ex(context, nil, nil, nil, scratch) == 1
            && EVP_EncryptUpdate(context, bytes, &written, bytes, Int32(count)) == 1
    }

    func tag(_ bytes: UnsafeRawPointer, count: Int, into tag: UnsafeMutableRawPointer) -> Bool {
        digest(bytes, count: count, rollover: nil)
        tag.copyMemory(from: scratch + Self.digestOffset, byteCount: tagLength)
        return true
    }

    func verify(_ bytes: UnsafeRawPointer, count: Int, tag: UnsafeRawPointer) -> Bool {
        digest(bytes, count: count, rollover: nil)
        return CRYPTO_memcmp(scratch + Self.digestOffset, tag, tagLength) == 0
    }

    // MARK: Inside

    /// Both parts of the associated data in one place, as one call wants them.
    private func associate(
        _ header: UnsafeRawPointer, _ headerLength: Int, _ trailer: UnsafeRawPointer, _ trailerLength: Int
    ) -> (UnsafeMutablePointer<UInt8>, Int) {
        let place = scratch + Self.associatedOffset
        UnsafeMutableRawPointer(place).copyMemory(from: header, byteCount: headerLength)
        UnsafeMutableRawPointer(place + headerLength).copyMemory(from: trailer, byteCount: trailerLength)
        return (place, headerLength + trailerLength)
    }

    private func setVector(ssrc: UInt32, index: UInt64) {
        let vector = UnsafeMutableRawPointer(scratch)
        if isAEAD {
            // RFC 7714 section 8.1: 00 00 ‖ SSRC ‖ ROC ‖ SEQ, exclusive-or the salt.
            vector.storeBytes(of: (saltHigh ^ (UInt64(ssrc) << 16 | index >> 32)).bigEndian, as: UInt64.self)
            vector.storeBytes(of: (saltLow ^ index << 32).bigEndian, toByteOffset: 8, as: UInt64.self)
        } else {
            // RFC 3711 section 4.1.1: (salt · 2^16) ⊕ (SSRC · 2^64) ⊕ (index · 2^16).
            vector.storeBytes(of: (saltHigh ^ UInt64(ssrc)).bigEndian, as: UInt64.self)
            vector.storeBytes(of: (saltLow ^ index << 16).bigEndian, toByteOffset: 8, as: UInt64.self)
        }
    }

    /// HMAC-SHA1 over the packet and the rollover counter, into the scratch.
    private func computeTag(over packet: UnsafeRawPointer, length: Int, index: UInt64) {
        digest(packet, count: length, rollover: UInt32(truncatingIfNeeded: index >> 16).bigEndian)
    }

    @inline(__always)
    private func digest(_ bytes: UnsafeRawPointer, count: Int, rollover: UInt32?) {
        let digest = scratch + Self.digestOffset
        var hash = inner
        SHA1_Update(&hash, bytes, count)
        if var rollover { SHA1_Update(&hash, &rollover, 4) }
        SHA1_Final(digest, &hash)
        hash = outer
        SHA1_Update(&hash, digest, 20)
        SHA1_Final(digest, &hash)
    }
}
