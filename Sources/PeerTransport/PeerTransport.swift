// One peer's transport without sockets or clocks: ICE-lite, DTLS and SRTP behind "bytes in, bytes out, call me at".
package import WireFormats

/// Control datagrams go through `receive` and come out of `nextTransmit`; media goes through the packet functions in
/// place and allocates nothing once every stream has been seen.
///
///     var transport = try PeerTransport(now: now, configuration: configuration)
///     let received = transport.receive(now: now, datagram: bytes, from: path, address: source)
///     while let (path, bytes) = transport.nextTransmit() { send(bytes, to: path) }
///     timer.set(transport.nextDeadline)
package struct PeerTransport: ~Copyable {
    package private(set) var state = PeerTransportState.new
    /// What the handshake agreed on.
    package private(set) var profile: SRTPProfile?

    private let role: DTLSRole
    private let backend: SRTPBackend
    private let consentTimeout: UInt64
    private let handshakeDeadline: UInt64
    private var agent: ICELiteAgent
    private var dtls: DTLSEndpoint
    private var srtp = SRTPSession()
    private var outbox = Outbox()
    /// When the peer last proved to be there. Media only raises a flag, so that packets need no clock.
    private var lastHeard: UInt64
    private var heardMedia = false
    private var consentCheck: UInt64

    package init(now: UInt64, configuration: PeerTransportConfiguration) throws(DTLSError) {
        role = configuration.role
        backend = configuration.srtp
        consentTimeout = max(configuration.consentTimeout, PeerTransportConfiguration.minimumConsentTimeout)
        handshakeDeadline = now &+ configuration.handshakeTimeout
        agent = ICELiteAgent(local: configuration.local)
        dtls = try DTLSEndpoint(
            certificate: configuration.certificate, role: configuration.role,
            fingerprint: configuration.remoteFingerprint, profiles: configuration.profiles, mtu: configuration.mtu)
        lastHeard = now
        consentCheck = now
    }

    // MARK: Control

    /// Takes STUN and DTLS. `address` is where the datagram came from, which a Binding response reports back.
    package mutating func receive(
        now: UInt64, datagram: UnsafeMutableRawBufferPointer, from path: PathID, address: TransportAddress
    ) -> Received {
        guard state.isAlive else { return .dropped(.unexpected) }
        let bytes = UnsafeRawBufferPointer(datagram)
        switch DatagramKind.classify(bytes) {
        case .stun:
            return receiveSTUN(now: now, bytes, from: path, address: address)
        case .dtls:
            guard agent.knows(path) else { return .dropped(.unknownPath) }
            agent.prefer(path)
            return follow(dtls.receive(now: now, bytes), now: now)
        case .rtp, .rtcp, .unknown:
            return .dropped(.notControl)
        }
    }

    private mutating func receiveSTUN(
        now: UInt64, _ datagram: UnsafeRawBufferPointer, from path: PathID, address: TransportAddress
    ) -> Received {
        switch agent.receive(now: now, datagram, from: path, address: address) {
        case .dropped(let reason):
            return .dropped(reason)
        case .refused(let answer):
            outbox.append(answer, to: path)
            return .consumed
        case .answered(let answer, let moved):
            outbox.append(answer, to: path)
            lastHeard = now
            if state == .new {
                state = .connecting
                // As a server we wait; as a client this is the moment the peer can hear us.
                if role == .active {
                    let received = follow(dtls.start(now: now), now: now)
                    if received != .consumed { return received }
                }
            }
            return moved ? .pathSelected(path) : .consumed
        }
    }

    package mutating func handleTimeout(now: UInt64) {
        guard state.isAlive else { return }
        if dtls.deadline <= now { _ = follow(dtls.handleTimeout(now: now), now: now) }
        switch state {
        case .new where now >= handshakeDeadline:
            fail(.noConnectivity)
        case .connecting where now >= handshakeDeadline:
            fail(.handshakeTimeout)
        case .connected where now >= consentCheck:
            if heardMedia {
                heardMedia = false
                lastHeard = now
            }
            if now &- lastHeard >= consentTimeout, now > lastHeard {
                fail(.consentExpired)
            } else {
                scheduleConsentCheck(now: now)
            }
        case .new, .connecting, .connected, .failed, .closed:
            break
        }
    }

    /// When `handleTimeout` wants to be called; `UInt64.max` for never.
    package var nextDeadline: UInt64 {
        switch state {
        case .new, .connecting: min(dtls.deadline, handshakeDeadline)
        case .connected: min(dtls.deadline, consentCheck)
        case .failed, .closed: .max
        }
    }

    /// The next control datagram to send. Drain until `nil` after every call that is handed `now`, and after `close`.
    package mutating func nextTransmit() -> (path: PathID, bytes: [UInt8])? {
        while let (path, bytes) = outbox.popFirst() {
            // Handshake datagrams go wherever the peer is reached now; with no path at all the timer repeats them.
            if let path = path ?? agent.selected { return (path, bytes) }
        }
        return nil
    }

    /// Where media goes.
    package var selectedPath: PathID? { agent.selected }

    /// The peer's new credentials are taken for completeness: a lite agent sends no checks that would need them.
    /// Checks with the old credentials are answered until the peer has nominated a path with the new ones.
    package mutating func restartICE(local: ICECredentials, remote: ICECredentials) {
        guard state.isAlive else { return }
        agent.restart(local: local)
    }

    /// Takes out a path whose socket is gone.
    package mutating func forget(path: PathID) {
        agent.forget(path)
    }

    /// Says goodbye (close_notify) and ends media.
    package mutating func close() {
        guard state.isAlive else { return }
        dtls.close()
        collectOutput()
        srtp.forgetKeys()
        state = .closed
    }

    // MARK: Packets

    /// Decrypts in place. Returns the packet's new length, or a `PacketFailure`.
    package mutating func unprotectRTP(_ packet: UnsafeMutableRawBufferPointer) -> Int {
        let length = srtp.unprotectRTP(packet)
        if length >= 0 { heardMedia = true }
        return length
    }

    package mutating func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer) -> Int {
        let length = srtp.unprotectRTCP(packet)
        if length >= 0 { heardMedia = true }
        return length
    }

    /// A slot for `protectRTP`, also before the handshake has ended. Retransmissions with RTX have their own source
    /// and so their own slot. The same source always gets the same slot back.
    package mutating func addSendStream(ssrc: UInt32) -> Int {
        srtp.addSendStream(ssrc: ssrc)
    }

    /// Encrypts `payload` to behind the header that is already at the start of `destination`. Returns the packet's
    /// length with tag, or a `PacketFailure`. A sequence number sent again must carry the same bytes again: anything
    /// else under the same vector would give the key stream away.
    package mutating func protectRTP(
        slot: Int, destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int {
        srtp.protectRTP(slot: slot, destination: destination, headerLength: headerLength, payload: payload)
    }

    /// Protects the `length` bytes at the start of `packet` in place; 20 more bytes are room enough for the trailer.
    package mutating func protectRTCP(_ packet: UnsafeMutableRawBufferPointer, length: Int) -> Int {
        srtp.protectRTCP(packet, length: length)
    }

    // MARK: Inside

    private mutating func follow(_ event: DTLSEndpoint.Event, now: UInt64) -> Received {
        collectOutput()
        switch event {
        case .nothing:
            return .consumed
        case .established:
            guard let material = dtls.keyingMaterial(role: role) else { return fail(.noSRTPProfile) }
            guard srtp.setKeys(material, backend: backend) else { return fail(.handshake("SRTP refused the keys")) }
            profile = material.profile
            state = .connected
            lastHeard = now
            scheduleConsentCheck(now: now)
            return .connected
        case .closed:
            srtp.forgetKeys()
            state = .closed
            return .closed
        case .failed(let failure):
            return fail(failure)
        }
    }

    @discardableResult
    private mutating func fail(_ failure: PeerTransportFailure) -> Received {
        dtls.close()
        collectOutput()
        srtp.forgetKeys()
        state = .failed(failure)
        return .failed(failure)
    }

    /// Media is only noticed at these checks, so they are closer together than the limit.
    private mutating func scheduleConsentCheck(now: UInt64) {
        consentCheck = min(lastHeard &+ consentTimeout, now &+ consentTimeout / 8)
    }

    private mutating func collectOutput() {
        dtls.takeOutput { outbox.append($0, to: nil) }
    }
}

extension PeerTransportState {
    fileprivate var isAlive: Bool {
        switch self {
        case .new, .connecting, .connected: true
        case .failed, .closed: false
        }
    }
}
