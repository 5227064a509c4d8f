// Calls through a whole engine on loopback sockets: ICE, DTLS, SRTP, forwarding, repairs, TCP.
import CLinux
import Glibc
import PacketRing
import PeerTransport
import Testing
import WireFormats

@testable import MediaEngine

/// A room with a publisher of one video and a receiver of it, connected.
private struct Call {
    let engine: MediaEngine
    let publisher: MediaClient
    let receiver: MediaClient
    static let ssrc: UInt32 = 0x1111
    var sequence: UInt16 = 65_500
    var timestamp: UInt32 = 1000
    var picture: UInt16 = 32_760

    init(way: MediaClient.Way = .udp, tcpPort: UInt16 = 0, receiverRepairs: Bool = true) async throws {
        engine = try MediaEngine(
            configuration: MediaEngineConfiguration(bindAddress: "127.0.0.1", tcpPort: tcpPort))
        publisher = try MediaClient()
        receiver = try MediaClient()
        let published = try await engine.negotiate(
            room: "r", peer: "p1",
            offer: PeerOffer(
                sdp: publisher.offer([.init(mid: "0", kind: "video", direction: "sendonly")]),
                streams: [StreamDeclaration(mid: "0", stream: "camera", role: "camera")], maySend: true,
                subscription: .none))
        #expect(published.published.map(\.stream) == ["camera"])
        let received = try await engine.negotiate(
            room: "r", peer: "p2",
            offer: PeerOffer(
                sdp: receiver.offer([
                    .init(mid: "0", kind: "video", direction: "recvonly", withRepairs: receiverRepairs)
                ]), streams: [], maySend: false, subscription: .everything))
        #expect(
            received.sections == [SectionAssignment(mid: "0", kind: .video, participant: "p1", stream: "camera")])
        #expect(received.needed == SectionsNeeded(audio: 0, video: 1))
        try publisher.connect(published.sdp, way: way, port: way == .udp ? engine.udpPort : tcpPort)
        try receiver.connect(received.sdp, way: way, port: way == .udp ? engine.udpPort : tcpPort)
        let isUp = MediaClient.run([publisher, receiver]) { [publisher, receiver] in
            publisher.isConnected && receiver.isConnected
        }
        try #require(isUp, "publisher \(publisher.isConnected), receiver \(receiver.isConnected)")
    }

    mutating func sendPicture(isKey: Bool = false) {
        publisher.send(
            rtp: MediaPackets.rtp(
                payloadType: 96, sequence: sequence, timestamp: timestamp, ssrc: Call.ssrc, extensions: [(4, [48])],
                payload: MediaPackets.vp8(picture: picture, isKey: isKey)))
        sequence &+= 1
        timestamp &+= 3000
        picture = (picture + 1) & 0x7FFF
    }

    func keyFrameRequests() -> Int {
        publisher.reports.reduce(0) { total, report in
            report.withUnsafeBytes { bytes in
                var packets = RTCPPackets(bytes)
                var count = 0
                while let packet = packets.next() {
                    if case .pictureLoss(let loss) = packet.message, loss.media == Call.ssrc { count += 1 }
                }
                return total + count
            }
        }
    }
}

private func freeTCPPort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    try SocketAddress.loopback4(port: 0).bind(descriptor)
    return try SocketAddress.local(of: descriptor).port
}

@Suite("Calls through the engine")
struct CallTests {
    @Test("a receiver gets the pictures of a publisher from its key frame on, as one stream of its own")
    func forwards() async throws {
        var call = try await Call()
        let (publisher, receiver) = (call.publisher, call.receiver)
        // Nothing before the key frame; the engine asks for one.
        call.sendPicture()
        #expect(MediaClient.run([publisher, receiver]) { call.keyFrameRequests() > 0 })
        #expect(receiver.packets.isEmpty)
        call.sendPicture(isKey: true)
        for _ in 0..<100 { call.sendPicture() }
        #expect(MediaClient.run([publisher, receiver]) { receiver.packets.count >= 101 })
        let ssrc = try #require(receiver.announcedSSRCs(mid: "0").first)
        let headers = receiver.packets.compactMap(\.rtpHeader)
        #expect(headers.count == 101)
        for (index, header) in headers.enumerated() {
            #expect(header.ssrc == ssrc)
            #expect(header.payloadType == 96)
            #expect(header.sequence == headers[0].sequence &+ UInt16(index))
            #expect(header.timestamp == headers[0].timestamp &+ UInt32(index) * 3000)
        }
        await call.engine.shutdown()
    }

    @Test("what a receiver missed comes again on the repair stream")
    func repairs() async throws {
        var call = try await Call()
        let (publisher, receiver) = (call.publisher, call.receiver)
        var lost: [UInt16] = []
        receiver.loses = { header in
            guard lost.count < 3, header.payloadType == 96, header.sequence % 7 == 3, !lost.contains(header.sequence)
            else { return false }
            lost.append(header.sequence)
            return true
        }
        call.sendPicture(isKey: true)
        for _ in 0..<50 { call.sendPicture() }
        #expect(MediaClient.run([publisher, receiver]) { receiver.packets.count >= 48 })
        #expect(lost.count == 3)
        let ssrcs = receiver.announcedSSRCs(mid: "0")
        try #require(ssrcs.count == 2)
        var buffer = [UInt8](repeating: 0, count: 200)
        let length = buffer.withUnsafeMutableBytes { raw in
            var writer = RTCPWriter(raw)
            writer.receiverReport(ssrc: 1)
            writer.negativeAcknowledgement(sender: 1, media: ssrcs[0], sequences: lost)
            return writer.count
        }
        receiver.send(rtcp: Array(buffer.prefix(length)))
        func repaired() -> [[UInt8]] { receiver.packets.filter { $0.rtpHeader?.ssrc == ssrcs[1] } }
        #expect(MediaClient.run([publisher, receiver]) { repaired().count >= 3 })
        let originals = repaired().map { UInt16($0.rtpPayload[0]) << 8 | UInt16($0.rtpPayload[1]) }
        #expect(originals == lost)
        #expect(repaired().allSatisfy { $0.rtpHeader?.payloadType == 97 })
        await call.engine.shutdown()
    }

    @Test("a packet that the engine missed is asked for, and forwarded when it comes as a repair")
    func asksThePublisher() async throws {
        var call = try await Call()
        let (publisher, receiver) = (call.publisher, call.receiver)
        call.sendPicture(isKey: true)
        let missing = MediaPackets.rtp(
            payloadType: 97, sequence: 9, timestamp: call.timestamp, ssrc: 0x2222,
            extensions: [(4, [48])],
            payload: [UInt8(call.sequence >> 8), UInt8(call.sequence & 0xFF)]
                + MediaPackets.vp8(picture: call.picture, isKey: false))
        let sequence = call.sequence
        call.sequence &+= 1
        call.timestamp &+= 3000
        call.picture += 1
        call.sendPicture()
        let isAsked = MediaClient.run([publisher, receiver]) {
            publisher.reports.contains { report in
                report.withUnsafeBytes { bytes in
                    var packets = RTCPPackets(bytes)
                    while let packet = packets.next() {
                        if case .negativeAcknowledgement(let nack) = packet.message,
                            Array(nack.sequences).contains(sequence)
                        {
                            return true
                        }
                    }
                    return false
                }
            }
        }
        #expect(isAsked)
        publisher.send(rtp: missing)
        #expect(MediaClient.run([publisher, receiver]) { receiver.packets.count >= 3 })
        let first = try #require(receiver.packets.first?.rtpHeader?.sequence)
        #expect(receiver.packets.compactMap(\.rtpHeader).map { $0.sequence &- first } == [0, 2, 1])
        await call.engine.shutdown()
    }

    @Test("a call works over ICE-TCP alone")
    func overTCP() async throws {
        let port = try freeTCPPort()
        var call = try await Call(way: .tcp, tcpPort: port)
        let (publisher, receiver) = (call.publisher, call.receiver)
        call.sendPicture(isKey: true)
        for _ in 0..<50 { call.sendPicture() }
        #expect(MediaClient.run([publisher, receiver]) { receiver.packets.count >= 51 })
        let statistics = await call.engine.statistics()
        #expect(statistics.tcpConnections == 2)
        await call.engine.shutdown()
    }
}
