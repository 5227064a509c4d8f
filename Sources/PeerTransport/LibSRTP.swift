// One direction of libsrtp2, for where the configuration asks for it.
internal import CSRTP

struct LibSRTP: ~Copyable {
    private let session: OpaquePointer
    private let tagLength: Int
    /// libsrtp2 keeps a stream for every source it has authenticated, without limit; this table is the limit.
    private var sources = SSRCTable()

    enum Direction {
        case outbound
        case inbound
    }

    /// E flag and index, then the tag.
    private static let indexLength = 4
    private static let rtcpHeaderLength = 8

    private static let isInitialised = srtp_init() == srtp_err_status_ok

    init?(profile: SRTPProfile, masterKeyAndSalt: [UInt8], direction: Direction) {
        guard Self.isInitialised, masterKeyAndSalt.count == profile.keyLength + profile.saltLength else { return nil }
        var policy = srtp_policy_t()
        let identifier: srtp_profile_t =
            switch profile {
            case .aes128GCM: srtp_profile_aead_aes_128_gcm
            case .aes256GCM: srtp_profile_aead_aes_256_gcm
            case .aes128CMSHA1: srtp_profile_aes128_cm_sha1_80
            }
        guard srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, identifier) == srtp_err_status_ok,
            srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, identifier) == srtp_err_status_ok
        else { return nil }
        policy.ssrc.type = direction == .outbound ? ssrc_any_outbound : ssrc_any_inbound
        policy.window_size = UInt(ReplayWindow.size)
        // A retransmission without RTX repeats a packet as it was.
        policy.allow_repeat_tx = 1
        var key = masterKeyAndSalt
        var session: OpaquePointer?
        let status = key.withUnsafeMutableBufferPointer {
            policy.key = $0.baseAddress
            return srtp_create(&session, &policy)
        }
        guard status == srtp_err_status_ok, let session else { return nil }
        self.session = session
        tagLength = profile.tagLength
    }

    deinit {
        srtp_dealloc(session)
    }

    /// The caller has checked that there is a whole RTP header and room for the tag.
    mutating func protectRTP(_ packet: UnsafeMutableRawPointer, length: Int) -> Int {
        var length = Int32(length)
        return result(srtp_protect(session, packet, &length), length)
    }

    mutating func unprotectRTP(_ packet: UnsafeMutableRawPointer, length: Int, ssrc: UInt32) -> Int {
        let isKnown = sources.find(ssrc) >= 0
        var length = Int32(length)
        let result = result(srtp_unprotect(session, packet, &length), length)
        if result >= 0, !isKnown { remember(ssrc) }
        return result
    }

    mutating func protectRTCP(_ packet: UnsafeMutableRawBufferPointer, length: Int) -> Int {
        guard length >= Self.rtcpHeaderLength, let base = packet.baseAddress else { return PacketFailure.malformed }
        guard length <= packet.count - Self.indexLength - tagLength else { return PacketFailure.noRoom }
        var length = Int32(length)
        return result(srtp_protect_rtcp(session, base, &length), length)
    }

    mutating func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer) -> Int {
        guard packet.count >= Self.rtcpHeaderLength + Self.indexLength + tagLength, packet.count <= 0xFFFF,
            let base = packet.baseAddress
        else { return PacketFailure.malformed }
        let ssrc = UInt32(bigEndian: base.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let isKnown = sources.find(ssrc) >= 0
        var length = Int32(packet.count)
        let result = result(srtp_unprotect_rtcp(session, base, &length), length)
        if result >= 0, !isKnown { remember(ssrc) }
        return result
    }

    private mutating func remember(_ ssrc: UInt32) {
        if let evicted = sources.insert(ssrc).evicted {
            // libsrtp2 wants the source as it stands in the packet.
            srtp_remove_stream(session, evicted.bigEndian)
        }
    }

    private func result(_ status: srtp_err_status_t, _ length: Int32) -> Int {
        switch status {
        case srtp_err_status_ok: Int(length)
        case srtp_err_status_replay_fail, srtp_err_status_replay_old: PacketFailure.replayed
        case srtp_err_status_auth_fail, srtp_err_status_cipher_fail: PacketFailure.authenticationFailed
        default: PacketFailure.malformed
        }
    }
}
