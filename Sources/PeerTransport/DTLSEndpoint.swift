// One DTLS 1.2 association over datagrams in memory: OpenSSL does the protocol, this type its time and its borders.
internal import COpenSSL

/// Handed a datagram at a time; what it wants to send lies in its output until it is taken.
struct DTLSEndpoint: ~Copyable {
    enum Event: Equatable {
        case nothing
        case established
        case closed
        case failed(PeerTransportFailure)
    }

    private enum Phase {
        case idle
        case handshaking
        case established
        case ended
    }

    let ssl: OpaquePointer
    private let io: UnsafeMutablePointer<consilium_datagram_io>
    private let scratch: UnsafeMutableRawBufferPointer
    private var phase = Phase.idle
    private var interval = Self.firstInterval
    private var seenTimerStarts: Int32 = 0
    private var seenTimerStops: Int32 = 0
    /// When the last flight is sent again.
    private(set) var deadline = UInt64.max

    /// OpenSSL's own first timer is a second, too long for a lost flight in front of a picture.
    private static let firstInterval: UInt64 = 50_000_000
    /// Later flights wait for a peer that signs and verifies. FFmpeg's WHIP muxer takes 50 ms to answer as a server, and
    /// one flight too many after that makes its socket block: it then sends one picture for each datagram it receives.
    private static let laterInterval: UInt64 = 200_000_000
    private static let longestInterval: UInt64 = 3_200_000_000
    /// A flight with certificates is under 4 KB; a retransmitted one comes with a datagram per message.
    private static let outputCapacity = 16 * 1024
    /// One datagram may carry many small records of application data.
    private static let mostReadsPerDatagram = 64

    init(
        certificate: DTLSCertificate, role: DTLSRole, fingerprint: CertificateFingerprint, profiles: [SRTPProfile],
        mtu: Int
    ) throws(DTLSError) {
        (ssl, io) = try Self.makeSession(
            certificate: certificate, fingerprint: fingerprint, profiles: profiles, mtu: mtu)
        scratch = .allocate(byteCount: 2048, alignment: 16)
        switch role {
        case .passive: SSL_set_accept_state(ssl)
        case .active: SSL_set_connect_state(ssl)
        }
    }

    private static func makeSession(
        certificate: DTLSCertificate, fingerprint: CertificateFingerprint, profiles: [SRTPProfile], mtu: Int
    ) throws(DTLSError) -> (OpaquePointer, UnsafeMutablePointer<consilium_datagram_io>) {
        guard let ssl = SSL_new(certificate.context) else { throw .openSSL("DTLS session") }
        let io = UnsafeMutablePointer<consilium_datagram_io>.allocate(capacity: 1)
        io.initialize(to: consilium_datagram_io())
        io.pointee.output = .allocate(capacity: outputCapacity)
        io.pointee.output_capacity = Int32(outputCapacity)
        io.pointee.mtu = Int32(min(max(mtu, 256), 16_000))
        io.pointee.fingerprint_digest =
            switch fingerprint.algorithm {
            case .sha256: EVP_sha256()
            case .sha384: EVP_sha384()
            case .sha512: EVP_sha512()
            }
        io.pointee.fingerprint_length = UInt32(fingerprint.bytes.count)
        withUnsafeMutableBytes(of: &io.pointee.fingerprint) { $0.copyBytes(from: fingerprint.bytes) }
        // SSL_set_tlsext_use_srtp returns 0 on success.
        let names = profiles.map(\.openSSLName).joined(separator: ":")
        guard consilium_ssl_attach(ssl, io) == 1, SSL_set_tlsext_use_srtp(ssl, names) == 0 else {
            SSL_free(ssl)
            io.pointee.output.deallocate()
            io.deallocate()
            throw .openSSL("DTLS session")
        }
        return (ssl, io)
    }

    deinit {
        SSL_free(ssl)
        io.pointee.output.deallocate()
        io.deallocate()
        scratch.deallocate()
    }

    var isIdle: Bool { phase == .idle }

    /// Begins the handshake; as a client this puts out the ClientHello.
    mutating func start(now: UInt64) -> Event {
        guard phase == .idle else { return .nothing }
        phase = .handshaking
        return advance(now: now)
    }

    mutating func receive(now: UInt64, _ datagram: UnsafeRawBufferPointer) -> Event {
        guard phase != .ended, let base = datagram.baseAddress else { return .nothing }
        if phase == .idle { phase = .handshaking }
        io.pointee.input = base.assumingMemoryBound(to: UInt8.self)
        io.pointee.input_length = Int32(clamping: datagram.count)
        defer {
            io.pointee.input = nil
            io.pointee.input_length = 0
        }
        return advance(now: now)
    }

    mutating func handleTimeout(now: UInt64) -> Event {
        guard deadline <= now, phase == .handshaking else { return .nothing }
        interval = min(interval * 2, Self.longestInterval)
        // With an OpenSSL that keeps to the wall clock nothing may have been sent; then ask again.
        deadline = now + interval
        ERR_clear_error()
        let result = consilium_dtls_retransmit(ssl, io)
        followTimer(now: now)
        return result < 0 ? fail(with: .handshakeTimeout) : .nothing
    }

    /// Puts out a close_notify.
    mutating func close() {
        guard phase != .ended else { return }
        ERR_clear_error()
        if phase == .established { SSL_shutdown(ssl) }
        end()
    }

    /// Hands out what there is to send, a datagram at a time. OpenSSL repeats a flight with a datagram per message;
    /// as many records as fit travel together, so that one lost datagram is one chance in one and not in five.
    mutating func takeOutput(_ send: ([UInt8]) -> Void) {
        let output = UnsafeRawBufferPointer(start: io.pointee.output, count: Int(io.pointee.output_length))
        var datagram: [UInt8] = []
        var offset = 0
        while offset + 2 <= output.count {
            let length = Int(output.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
            guard offset + 2 + length <= output.count else { break }
            if !datagram.isEmpty, datagram.count + length > Int(io.pointee.mtu) {
                send(datagram)
                datagram = []
            }
            datagram += output[offset + 2..<offset + 2 + length]
            offset += 2 + length
        }
        if !datagram.isEmpty { send(datagram) }
        io.pointee.output_length = 0
    }

    /// The keys of the negotiated profile, once established; `nil` without a common profile.
    borrowing func keyingMaterial(role: DTLSRole) -> SRTPKeyingMaterial? {
        guard phase == .established, io.pointee.fingerprint_verified == 1,
            let selected = SSL_get_selected_srtp_profile(ssl),
            let profile = SRTPProfile(rawValue: UInt16(truncatingIfNeeded: selected.pointee.id))
        else { return nil }
        let keyLength = profile.keyLength
        let saltLength = profile.saltLength
        var material = [UInt8](repeating: 0, count: 2 * (keyLength + saltLength))
        let label = "EXTRACTOR-dtls_srtp"
        guard SSL_export_keying_material(ssl, &material, material.count, label, label.utf8.count, nil, 0, 0) == 1 else {
            return nil
        }
        // RFC 5764: client's key, server's key, client's salt, server's salt.
        let client = material[..<keyLength] + material[(2 * keyLength)..<(2 * keyLength + saltLength)]
        let server = material[keyLength..<(2 * keyLength)] + material[(2 * keyLength + saltLength)...]
        return switch role {
        case .passive: SRTPKeyingMaterial(profile: profile, local: Array(server), remote: Array(client))
        case .active: SRTPKeyingMaterial(profile: profile, local: Array(client), remote: Array(server))
        }
    }

    var cipherName: String { consilium_cipher_name(ssl).map { String(cString: $0) } ?? "none" }

    // MARK: Inside

    private mutating func advance(now: UInt64) -> Event {
        ERR_clear_error()
        var event = Event.nothing
        if phase == .handshaking {
            let result = SSL_do_handshake(ssl)
            if result == 1 {
                guard io.pointee.fingerprint_verified == 1 else { return fail(with: .fingerprintMismatch) }
                phase = .established
                event = .established
            } else if SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ {
                return fail(with: handshakeFailure())
            }
        }
        if phase == .established { event = readApplicationData(otherwise: event) }
        followTimer(now: now)
        return event
    }

    /// Takes application data off the association and forgets it. Reading is also what answers a peer that sends its
    /// last flight again, and what sees its close_notify.
    private mutating func readApplicationData(otherwise event: Event) -> Event {
        for _ in 0..<Self.mostReadsPerDatagram {
            let result = SSL_read(ssl, scratch.baseAddress, Int32(scratch.count))
            if result > 0 { continue }
            switch SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
                return event
            case SSL_ERROR_ZERO_RETURN:
                SSL_shutdown(ssl)
                end()
                return .closed
            default:
                return fail(with: .handshake(openSSLReason()))
            }
        }
        return event
    }

    private func handshakeFailure() -> PeerTransportFailure {
        io.pointee.fingerprint_refused == 1 ? .fingerprintMismatch : .handshake(openSSLReason())
    }

    private mutating func fail(with failure: PeerTransportFailure) -> Event {
        end()
        return .failed(failure)
    }

    private mutating func end() {
        ERR_clear_error()
        phase = .ended
        deadline = .max
    }

    /// Follows OpenSSL's timer: a stop means the flight was answered, a start that one was sent.
    private mutating func followTimer(now: UInt64) {
        if io.pointee.timer_stops != seenTimerStops {
            seenTimerStops = io.pointee.timer_stops
            interval = Self.laterInterval
        }
        if io.pointee.timer_armed == 0 {
            deadline = .max
        } else if io.pointee.timer_starts != seenTimerStarts {
            deadline = now + interval
        }
        seenTimerStarts = io.pointee.timer_starts
    }
}

extension SRTPProfile {
    fileprivate var openSSLName: String {
        switch self {
        case .aes128GCM: "SRTP_AEAD_AES_128_GCM"
        case .aes256GCM: "SRTP_AEAD_AES_256_GCM"
        case .aes128CMSHA1: "SRTP_AES128_CM_SHA1_80"
        }
    }
}
