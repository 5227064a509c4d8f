// One client of the load that joins the real media engine: offer and answer, connectivity check, DTLS, SRTP.
import Glibc
import MediaEngine
import PeerTransport
import WireFormats

import struct PeerTransport.CertificateFingerprint

final class PeerClient: LoadClient {
    private var transport: PeerTransport
    /// The transport's numbers for what it sends, in the order of the offer.
    private var slots: [Int] = []
    private let local: ICECredentials
    private let remote: ICECredentials
    private let path: PathID = 1
    private var transaction: UInt64 = 0

    /// Negotiates and shakes hands. Blocks the calling thread for the few milliseconds the handshake takes.
    static func join(
        _ engine: MediaEngine, room: String, peer: String, sections: [OfferedSection], certificate: DTLSCertificate,
        profile: Profile
    ) async throws -> PeerClient {
        let local = ICECredentials(ufrag: "b\(peer)", password: "benchbenchbenchbenchbench")
        let offer = PeerOffer(
            sdp: OfferText.make(sections, local, certificate.fingerprint), streams: [],
            maySend: !sections.flatMap(\.ssrcs).isEmpty,
            subscription: .everything)
        let answer = try await engine.negotiate(room: room, peer: peer, offer: offer)
        let client = try PeerClient(
            answer: answer.sdp, local: local, certificate: certificate, profile: profile,
            server: .loopback4(port: try port(in: answer.sdp)))
        try client.connect()
        client.slots = sections.flatMap(\.ssrcs).map { client.transport.addSendStream(ssrc: $0) }
        return client
    }

    /// Of its first candidate, which is the worker's that has the peer.
    private static func port(in answer: String) throws -> UInt16 {
        let candidate = answer.split(whereSeparator: \.isNewline).first { $0.hasPrefix("a=candidate:") }
        let words = (candidate ?? "").split(separator: " ")
        guard words.count > 5, let port = UInt16(words[5]) else { throw BenchError("the answer has no candidate") }
        return port
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
        protect(stream: 0, destination, headerLength: headerLength, payload: payload)
    }

    /// A stream by its place among the sources of the offer.
    func protect(
        stream: Int, _ destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int {
        transport.protectRTP(
            slot: slots[stream], destination: destination, headerLength: headerLength, payload: payload)
    }

    override func unprotect(_ packet: UnsafeMutableRawBufferPointer) -> Int { transport.unprotectRTP(packet) }

    func unprotectControl(_ packet: UnsafeMutableRawBufferPointer) -> Int { transport.unprotectRTCP(packet) }

    /// Encrypts a control packet and queues it.
    func sendControl(_ packet: UnsafeRawBufferPointer) {
        guard let space = queue.reserve(server, packet.count + 2 * MediaShape.tagBytes) else { return }
        space.copyMemory(from: packet)
        queue.commit(transport.protectRTCP(space, length: packet.count))
    }

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
}
