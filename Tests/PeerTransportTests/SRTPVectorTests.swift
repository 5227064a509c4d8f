// SRTP against the published vectors of RFC 3711 and RFC 7714, and recorded packets over a rollover.
import Testing

@testable import PeerTransport

@Suite("SRTP vectors") struct SRTPVectorTests {
    private func vector(_ name: String) -> [String: Any]? {
        guard let vector = TestData.json("crypto/srtp.json")?[name] as? [String: Any] else {
            print("skipped: no crypto/srtp.json in CONSILIUM_TEST_DATA")
            return nil
        }
        return vector
    }

    private func bytes(_ vector: [String: Any], _ key: String) throws -> [UInt8] {
        Array(hex: try #require(vector[key] as? String))
    }

    @Test("session keys are derived as in RFC 3711 B.3")
    func derivation() throws {
        guard let vector = vector("rfc3711-B.3") else { return }
        let master = try bytes(vector, "master_key") + bytes(vector, "master_salt")
        let keys = try #require(SRTPSessionKeys(profile: .aes128CMSHA1, masterKeyAndSalt: master))
        #expect(keys.cipherKey == (try bytes(vector, "srtp_encr_key")))
        #expect(keys.salt == (try bytes(vector, "srtp_salt")))
        #expect(keys.authenticationKey == Array(try bytes(vector, "srtp_auth_key_94").prefix(20)))
        let control = try #require(SRTPSessionKeys(profile: .aes128CMSHA1, masterKeyAndSalt: master, for: .control))
        #expect(control.cipherKey == (try bytes(vector, "srtcp_encr_key")))
        #expect(control.salt == (try bytes(vector, "srtcp_salt")))
        #expect(control.authenticationKey == (try bytes(vector, "srtcp_auth_key_20")))
    }

    @Test(
        "AEAD packets are those of RFC 7714 section 16, on either library",
        arguments: [SRTPProfile.aes128GCM, .aes256GCM], [true, false])
    func aead(profile: SRTPProfile, usesLibrary: Bool) throws {
        guard let vector = vector("rfc7714-16-rtp") else { return }
        let suffix = profile == .aes128GCM ? "128" : "256"
        let keys = SRTPSessionKeys(cipherKey: try bytes(vector, "key" + suffix), salt: try bytes(vector, "salt"))
        let plain = try bytes(vector, "plain_rtp")
        let expected = try bytes(vector, "srtp" + suffix)
        guard
            let encryptor = SRTPTransform(
                profile: profile, keys: keys, direction: .encrypt, usesLibrary: usesLibrary),
            let decryptor = SRTPTransform(
                profile: profile, keys: keys, direction: .decrypt, usesLibrary: usesLibrary)
        else {
            Issue.record("no transform")
            return
        }
        var packet = plain + [UInt8](repeating: 0, count: 16)
        packet.withUnsafeMutableBytes { packet in
            guard let base = packet.baseAddress else { return }
            let done = encryptor.encrypt(
                base, headerLength: 12, payload: base + 12, payloadLength: plain.count - 12, ssrc: 0x5501_A0B2,
                index: 0xF17B)
            #expect(done)
        }
        #expect(packet == expected)
        packet.withUnsafeMutableBytes { packet in
            guard let base = packet.baseAddress else { return }
            let done = decryptor.decrypt(base, headerLength: 12, length: packet.count, ssrc: 0x5501_A0B2, index: 0xF17B)
            #expect(done)
        }
        #expect(Array(packet.prefix(plain.count)) == plain)
    }

    @Test("AEAD control packets are those of RFC 7714 section 17")
    func aeadControl() throws {
        guard let vector = vector("rfc7714-17-rtcp"), let salt = self.vector("rfc7714-16-rtp") else { return }
        let keys = SRTPSessionKeys(cipherKey: try bytes(vector, "key128"), salt: try bytes(salt, "salt"))
        let plain = try bytes(vector, "plain_rtcp")
        let expected = try bytes(vector, "srtcp128_encrypted")
        guard let encryptor = SRTCPTransform(profile: .aes128GCM, keys: keys, direction: .encrypt),
            let decryptor = SRTCPTransform(profile: .aes128GCM, keys: keys, direction: .decrypt)
        else {
            Issue.record("no transform")
            return
        }
        var packet = plain + [UInt8](repeating: 0, count: encryptor.trailerLength)
        packet.withUnsafeMutableBytes { packet in
            guard let base = packet.baseAddress else { return }
            let done = encryptor.encrypt(base, length: plain.count, index: 0x5D4)
            #expect(done)
        }
        #expect(packet == expected)
        packet.withUnsafeMutableBytes { packet in
            guard let base = packet.baseAddress else { return }
            let index = decryptor.index(of: base, length: packet.count)
            #expect(index == 0x5D4)
            let ssrc = UInt32(bigEndian: base.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            let done = decryptor.decrypt(base, length: packet.count, ssrc: ssrc, index: 0x5D4)
            #expect(done)
        }
        #expect(Array(packet.prefix(plain.count)) == plain)
    }

    @Test(
        "AES_CM_128_HMAC_SHA1_80 packets over a rollover are the recorded ones",
        arguments: [SRTPBackend.native, .libsrtp2])
    func counterMode(backend: SRTPBackend) throws {
        guard let vector = vector("srtp-aes128cm-sha1-80") else { return }
        let master = try bytes(vector, "master_key") + bytes(vector, "master_salt")
        let material = SRTPKeyingMaterial(profile: .aes128CMSHA1, local: master, remote: master)
        let first = TestSession()
        try #require(first.setKeys(material, backend: backend))
        let plain = try bytes(vector, "rtp")
        let slot = first.addSendStream(ssrc: 0xCAFE_BABE)
        #expect(first.protect(slot: slot, plain, headerLength: 12) == (try bytes(vector, "srtp")))
        #expect(first.unprotect(try bytes(vector, "srtp")) == .success(plain))

        let session = TestSession()
        try #require(session.setKeys(material, backend: backend))
        let other = session.addSendStream(ssrc: 0xCAFE_BABE)
        for step in try #require(vector["rollover"] as? [[String: Any]]) {
            let plain = try bytes(step, "rtp")
            let expected = try bytes(step, "srtp")
            #expect(session.protect(slot: other, plain, headerLength: 12) == expected)
            #expect(session.unprotect(expected) == .success(plain))
        }
        #expect(session.protectControl(try bytes(vector, "rtcp")) == (try bytes(vector, "srtcp")))
        #expect(session.unprotectControl(try bytes(vector, "srtcp")) == .success(try bytes(vector, "rtcp")))
    }
}
