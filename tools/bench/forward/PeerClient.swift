// One client of the load that joins the real media engine: offer and answer, connectivity check, DTLS, SRTP.
import Glibc
import MediaEngine
import PeerTransport
import WireFormats

import struct PeerTransport.CertificateFingerprint

final class PeerClient: LoadClient {
    enum Role { case publisher(ssrc: UInt32), receiver }

    private var transport: PeerTransport
    private var slot = -1
    private let local: ICECredentials
    private let remote: ICECredentials
    private let path: PathID = 1
    private var transaction: UInt64 = 0

    /// Negotiates and shakes hands. Blocks the calling thread for the few milliseconds the handshake takes.
    static func join(
        _ engine: MediaEngine, room: String, peer: String, role: Role, certificate: DTLSCertificate, profile: Profile
    ) async throws -> PeerClient {
        let local = ICECredentials(ufrag: "b\(peer)", password: "benchbenchbenchbenchbench")
        let offer = PeerOffer(
            sdp: Self.offer(role, local, certificate.fingerprint), streams: [], maySend: true,
            subscription: .everything)
        let answer = try await engine.negotiate(room: room, peer: peer, offer: offer)
        let client = try PeerClient(
            answer: answer.sdp, local: local, certificate: certificate, profile: profile,
            server: .loopback4(port: engine.udpPort))
        try client.connect()
        if case .publisher(let ssrc) = role { client.slot = client.transport.addSendStream(ssrc: ssrc) }
        return client
    }

    private init(
        answer: String, local: ICECredentials, certificate: DTLSCertificate, profile: Profile, server: SocketAddress
    ) throws {
        func value(_ attribute: String) throws -> String {
            guard let line = answer.split(whereSeparator: \.isNewline).first(where: { $0.hasPrefix("a=\(attribute):") })
            else { throw BenchError("the answer has no a=\(attribute)") }
            return String(line.dropFirst(attribute.count + 3))
        }
        let fingerprint = try value("fingerprint").split(separator: " ")
        let bytes = (fingerprint.last ?? "").split(separator: ":").compactMap { UInt8($0, radix: 16) }
        guard let expected = CertificateFingerprint(algorithm: String(fingerprint.first ?? ""), bytes: bytes) else {
            throw BenchError("the answer's fingerprint is not usable")
        }
        self.local = local
        remote = ICECredentials(ufrag: try value("ice-ufrag"), password: try value("ice-pwd"))
        var configuration = PeerTransportConfiguration(
            local: local, remote: remote, remoteFingerprint: expected, role: .active, certificate: certificate)
        configuration.profiles = [profile.ofTransport]
        transport = try PeerTransport(now: MonotonicClock.now(), configuration: configuration)
        try super.init(server: server)
    }

    override func protect(
        _ destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int {
        transport.protectRTP(slot: slot, destination: destination, headerLength: headerLength, payload: payload)
    }

    override func unprotect(_ packet: UnsafeMutableRawBufferPointer) -> Int { transport.unprotectRTP(packet) }

    override func keepAlive() { send(check(to: remote, from: local)) }

    // MARK: Joining

    private func connect() throws {
        keepAlive()
        // The server is ICE-lite and never checks us, so our own transport, which is lite, too, is shown the check that
        // a full agent would have sent: that opens the path for DTLS.
        var opening = check(to: local, from: remote)
        feed(&opening)
        let deadline = MonotonicClock.now() + 5_000_000_000
        var batch = ReceiveBatch(capacity: 4)
        while transport.state != .connected {
            sendPending()
            let now = MonotonicClock.now()
            guard now < deadline else { throw BenchError("no handshake within 5 s: \(transport.state)") }
            if case .failed(let failure) = transport.state { throw BenchError("the handshake failed: \(failure)") }
            var ready = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&ready, 1, 20) > 0 {
                socket.receive(into: &batch)
                for index in 0..<batch.count { receive(batch[index]) }
            }
            transport.handleTimeout(now: MonotonicClock.now())
        }
        sendPending()
    }

    private func receive(_ message: ReceivedMessage) {
        var offset = 0
        while offset < message.length {
            let length = min(message.segmentSize, message.length - offset)
            let datagram = UnsafeMutableRawBufferPointer(start: message.base + offset, count: length)
            if DatagramKind.classify(UnsafeRawBufferPointer(datagram)) == .dtls {
                _ = transport.receive(
                    now: message.arrival, datagram: datagram, from: path,
                    address: TransportAddress(ipv4: 0x7F00_0001, port: server.port))
            }
            offset += length
        }
    }

    private func feed(_ datagram: inout [UInt8]) {
        datagram.withUnsafeMutableBytes { bytes in
            _ = transport.receive(
                now: MonotonicClock.now(), datagram: bytes, from: path,
                address: TransportAddress(ipv4: 0x7F00_0001, port: server.port))
        }
    }

    private func sendPending() {
        while let (_, bytes) = transport.nextTransmit() {
            // Our transport's answer to the check we made up is for nobody.
            if bytes.withUnsafeBytes({ DatagramKind.classify($0) }) == .dtls { send(bytes) }
        }
    }

    private func send(_ bytes: [UInt8]) {
        guard let space = queue.reserve(server, bytes.count) else { return }
        space.copyBytes(from: bytes)
        queue.commit(bytes.count)
        queue.flush()
    }

    private func check(to receiver: ICECredentials, from sender: ICECredentials) -> [UInt8] {
        transaction += 1
        var builder = STUNBuilder(.request, transactionID: STUN.TransactionID(high: UInt32(port), low: transaction))
        builder.add(username: "\(receiver.ufrag):\(sender.ufrag)")
        builder.add(priority: 0x6E00_1EFF)
        builder.add(iceControlling: 1)
        builder.addUseCandidate()
        builder.addIntegrity(key: HMACSHA1(key: receiver.password))
        builder.addFingerprint()
        return builder.finish()
    }

    private static func offer(
        _ role: Role, _ credentials: ICECredentials, _ fingerprint: CertificateFingerprint
    ) -> String {
        let hex = fingerprint.bytes.map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return digits.count == 1 ? "0" + digits : digits
        }
        var lines = [
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=extmap-allow-mixed",
            "m=video 9 UDP/TLS/RTP/SAVPF \(MediaShape.payloadType)", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0",
            "a=ice-ufrag:\(credentials.ufrag)", "a=ice-pwd:\(credentials.password)", "a=ice-options:trickle",
            "a=fingerprint:\(fingerprint.algorithm.rawValue) \(hex.joined(separator: ":"))", "a=setup:actpass",
            "a=mid:0", "a=rtcp-mux", "a=rtcp-rsize",
            "a=extmap:\(MediaShape.midExtension) urn:ietf:params:rtp-hdrext:sdes:mid",
            "a=extmap:\(MediaShape.transportExtension) "
                + "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            "a=rtpmap:\(MediaShape.payloadType) VP8/90000", "a=rtcp-fb:\(MediaShape.payloadType) nack",
            "a=rtcp-fb:\(MediaShape.payloadType) nack pli", "a=rtcp-fb:\(MediaShape.payloadType) ccm fir",
            "a=rtcp-fb:\(MediaShape.payloadType) transport-cc",
        ]
        switch role {
        case .publisher(let ssrc): lines += ["a=sendonly", "a=msid:bench bench", "a=ssrc:\(ssrc) cname:bench"]
        case .receiver: lines += ["a=recvonly"]
        }
        return lines.map { $0 + "\r\n" }.joined()
    }
}
