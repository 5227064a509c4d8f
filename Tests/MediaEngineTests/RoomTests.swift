// Rooms in a running engine: who receives what, renegotiation, restarts, refusals, recording, hostile traffic.
import CLinux
import Foundation
import Glibc
import PacketRing
import PeerTransport
import Testing
import WireFormats

@testable import MediaEngine

private let video = MediaClient.Section(mid: "0", kind: "video", direction: "sendonly")

private func makeEngine(_ change: (inout MediaEngineConfiguration) -> Void = { _ in }) throws -> MediaEngine {
    var configuration = MediaEngineConfiguration.patient
    change(&configuration)
    return try MediaEngine(configuration: configuration)
}

extension MediaEngine {
    /// Publishes one video under the given stream name.
    fileprivate func publish(_ client: MediaClient, as peer: String, stream: String = "camera") async throws
        -> PeerAnswer
    {
        try await negotiate(
            room: "r", peer: peer,
            offer: PeerOffer(
                sdp: client.offer([video]),
                streams: [StreamDeclaration(mid: "0", stream: stream, role: "camera")], maySend: true,
                subscription: .none))
    }

    fileprivate func receive(
        _ client: MediaClient, as peer: String, sections: Int, version: Int = 1,
        subscription: Subscription = .everything
    ) async throws -> PeerAnswer {
        let sections = (0..<sections).map { MediaClient.Section(mid: "\($0)", kind: "video", direction: "recvonly") }
        return try await negotiate(
            room: "r", peer: peer,
            offer: PeerOffer(
                sdp: client.offer(sections, version: version), streams: [], maySend: false, subscription: subscription))
    }

    /// The next event that the closure takes.
    fileprivate func next<Value: Sendable>(_ wanted: @Sendable (MediaEvent) -> Value?) async -> Value? {
        for await event in events { if let value = wanted(event) { return value } }
        return nil
    }
}

private func picture(_ index: UInt16, isKey: Bool, ssrc: UInt32, mid: UInt8 = 48) -> [UInt8] {
    MediaPackets.rtp(
        payloadType: 96, sequence: 1000 + index, timestamp: UInt32(index) * 3000, ssrc: ssrc, extensions: [(4, [mid])],
        payload: MediaPackets.vp8(picture: index, isKey: isKey))
}

@Suite("Rooms in the engine")
struct RoomTests {
    @Test("a section is reused by a later stream without a new negotiation, and the peer is told")
    func sectionsAreReused() async throws {
        let engine = try makeEngine()
        let (first, second, viewer) = (try MediaClient(), try MediaClient(), try MediaClient())
        let one = try await engine.publish(first, as: "p1")
        let seen = try await engine.receive(viewer, as: "viewer", sections: 1)
        #expect(seen.sections.map(\.participant) == ["p1"])
        let two = try await engine.publish(second, as: "p2")
        let grown = await engine.next { event in
            if case .sectionsChanged(_, "viewer", let sections, let needed) = event { (sections, needed) } else { nil }
        }
        #expect(grown?.0.map(\.participant) == ["p1"])
        #expect(grown?.1.video == 2)
        try first.connect(one.sdp, port: engine.udpPort)
        try second.connect(two.sdp, port: engine.udpPort)
        try viewer.connect(seen.sdp, port: engine.udpPort)
        let all = [first, second, viewer]
        #expect(MediaClient.run(all) { all.allSatisfy(\.isConnected) })
        for index in 0..<10 as Range<UInt16> { first.send(rtp: picture(index, isKey: index == 0, ssrc: 1)) }
        #expect(MediaClient.run(all) { viewer.packets.count >= 10 })
        await engine.closePeer(room: "r", peer: "p1", reason: "test")
        let moved = await engine.next { event in
            if case .sectionsChanged(_, "viewer", let sections, let needed) = event { (sections, needed) } else { nil }
        }
        #expect(moved?.0 == [SectionAssignment(mid: "0", kind: .video, participant: "p2", stream: "camera")])
        #expect(moved?.1.video == 1)
        for index in 0..<10 as Range<UInt16> { second.send(rtp: picture(index + 500, isKey: index == 0, ssrc: 2)) }
        #expect(MediaClient.run(all) { viewer.packets.count >= 20 })
        let headers = viewer.packets.compactMap(\.rtpHeader)
        #expect(Set(headers.map(\.ssrc)).count == 1)
        for (before, after) in zip(headers, headers.dropFirst()) {
            #expect(after.sequence == before.sequence &+ 1)
            #expect(Int32(bitPattern: after.timestamp &- before.timestamp) > 0)
        }
        await engine.shutdown()
    }

    @Test("a second offer with more sections keeps the transport and fills them")
    func renegotiation() async throws {
        let engine = try makeEngine()
        let (first, second, viewer) = (try MediaClient(), try MediaClient(), try MediaClient())
        _ = try await engine.publish(first, as: "p1")
        _ = try await engine.publish(second, as: "p2", stream: "screen")
        let seen = try await engine.receive(viewer, as: "viewer", sections: 1)
        #expect(seen.needed.video == 2)
        try viewer.connect(seen.sdp, port: engine.udpPort)
        #expect(MediaClient.run([viewer]) { viewer.isConnected })
        let more = try await engine.receive(viewer, as: "viewer", sections: 2, version: 2)
        #expect(more.sections.map(\.participant) == ["p1", "p2"])
        #expect(more.sections.map(\.stream) == ["camera", "screen"])
        func credentials(_ sdp: String) -> Substring? {
            sdp.split(whereSeparator: \.isNewline).first { $0.hasPrefix("a=ice-ufrag:") }
        }
        #expect(credentials(more.sdp) == credentials(seen.sdp))
        #expect(await engine.statistics().connectedPeers == 1)
        await engine.shutdown()
    }

    @Test("who subscribes to one participant or one stream gets nothing else")
    func subscriptions() async throws {
        let engine = try makeEngine()
        _ = try await engine.publish(try MediaClient(), as: "p1", stream: "camera")
        _ = try await engine.publish(try MediaClient(), as: "p2", stream: "screen")
        let cases: [(Subscription, [String?])] = [
            (.none, [nil, nil]), (.everything, ["p1", "p2"]), (.participant("p2"), ["p2", nil]),
            (.stream(participant: "p1", stream: "camera"), ["p1", nil]),
            (.stream(participant: "p1", stream: "screen"), [nil, nil]),
        ]
        for (index, (subscription, expected)) in cases.enumerated() {
            let answer = try await engine.receive(
                try MediaClient(), as: "viewer-\(index)", sections: 2, subscription: subscription)
            #expect(answer.sections.map(\.participant) == expected, "\(subscription)")
            #expect(answer.needed.video == expected.compactMap { $0 }.count)
        }
        await engine.shutdown()
    }

    @Test("sections that nobody declared get names by kind and number; who may not send publishes nothing")
    func undeclared() async throws {
        let engine = try makeEngine()
        let sections = [
            MediaClient.Section(mid: "a", kind: "audio", direction: "sendonly"),
            MediaClient.Section(mid: "v", kind: "video", direction: "sendrecv"),
            MediaClient.Section(mid: "w", kind: "video", direction: "sendonly"),
        ]
        let answer = try await engine.negotiate(
            room: "r", peer: "encoder",
            offer: PeerOffer(
                sdp: try MediaClient().offer(sections), streams: [], maySend: true, subscription: .everything))
        #expect(answer.published.map(\.stream) == ["audio-0", "video-0", "video-1"])
        #expect(answer.published.map(\.codec) == ["opus", "VP8", "VP8"])
        #expect(answer.sections.map(\.mid) == ["v"])
        let silent = try await engine.negotiate(
            room: "r", peer: "observer",
            offer: PeerOffer(
                sdp: try MediaClient().offer(sections), streams: [], maySend: false, subscription: .everything))
        #expect(silent.published.isEmpty)
        #expect(!silent.sdp.contains("a=recvonly"))
        #expect(silent.needed == SectionsNeeded(audio: 1, video: 2))
        await engine.shutdown()
    }

    @Test("an ICE restart changes the names and keeps the call")
    func iceRestart() async throws {
        let engine = try makeEngine()
        let client = try MediaClient()
        let answer = try await engine.publish(client, as: "p1")
        try client.connect(answer.sdp, port: engine.udpPort)
        #expect(MediaClient.run([client]) { client.isConnected })
        let fragment =
            "a=ice-ufrag:newname\r\na=ice-pwd:anotherPasswordOfTheClient\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
        let reply = try await engine.restartICE(room: "r", peer: "p1", fragment: fragment)
        let parsed = try TrickleFragment(parsing: reply)
        let ufrag = try #require(parsed.ufrag)
        #expect(!answer.sdp.contains("a=ice-ufrag:\(ufrag)"))
        #expect(!parsed.candidates.isEmpty)
        client.useCredentials(ufrag: ufrag, password: try #require(parsed.pwd))
        // Another address, as when the network changed, which the new name proves.
        try client.openSocket(port: engine.udpPort)
        _ = MediaClient.run([client], seconds: 0.3) { false }
        client.send(rtp: picture(0, isKey: true, ssrc: 5))
        var received: UInt64 = 0
        for _ in 0..<100 where received == 0 {
            _ = MediaClient.run([client], seconds: 0.02) { false }
            received = await engine.statistics().packetsReceived
        }
        #expect(received == 1)
        #expect(try await engine.restartICE(room: "r", peer: "p1", fragment: fragment) == "")
        await engine.shutdown()
    }

    @Test("a page that was replaced is another peer connection under the same name")
    func replaced() async throws {
        let engine = try makeEngine()
        let (old, new) = (try MediaClient(), try MediaClient())
        let first = try await engine.publish(old, as: "p1")
        try old.connect(first.sdp, port: engine.udpPort)
        #expect(MediaClient.run([old]) { old.isConnected })
        let second = try await engine.publish(new, as: "p1")
        try new.connect(second.sdp, port: engine.udpPort)
        #expect(MediaClient.run([old, new]) { new.isConnected })
        #expect(await engine.statistics().peers == 1)
        await engine.shutdown()
    }

    @Test("a certificate that the description did not promise ends the peer, with the reason")
    func wrongFingerprint() async throws {
        let engine = try makeEngine()
        let (promised, other) = (try MediaClient(sessionID: 7), try MediaClient(sessionID: 7))
        let answer = try await engine.publish(promised, as: "p1")
        try other.connect(answer.sdp, port: engine.udpPort)
        _ = MediaClient.run([other], seconds: 0.5) { false }
        let reason = await engine.next { event in
            if case .disconnected(_, "p1", let reason) = event { reason } else { nil }
        }
        #expect(reason == "fingerprint_mismatch")
        #expect(await engine.statistics().peers == 0)
        await engine.shutdown()
    }

    @Test("refused offers say why and leave nothing behind")
    func refusals() async throws {
        let engine = try makeEngine()
        let client = try MediaClient()
        let good = client.offer([video])
        func refusal(_ sdp: String, _ streams: [StreamDeclaration] = []) async -> NegotiationError? {
            do throws(NegotiationError) {
                _ = try await engine.negotiate(
                    room: "r", peer: "p",
                    offer: PeerOffer(sdp: sdp, streams: streams, maySend: true, subscription: .everything))
                return nil
            } catch {
                return error
            }
        }
        #expect(await refusal("hello")?.httpStatus == 400)
        let withoutFingerprint = good.split(separator: "\r\n").filter { !$0.hasPrefix("a=fingerprint") }
        #expect(await refusal(withoutFingerprint.joined(separator: "\r\n") + "\r\n")?.code == "missing_fingerprint")
        #expect(await refusal(good.replacingOccurrences(of: "VP8", with: "theora"))?.httpStatus == 406)
        #expect(await refusal(String(repeating: "x", count: 300_000))?.code == "sdp_too_large")
        let many = (0..<9).map { MediaClient.Section(mid: "\($0)", kind: "video", direction: "sendonly") }
        #expect(await refusal(client.offer(many))?.code == "too_many_sections")
        let twice = ["0", "1"].map { StreamDeclaration(mid: $0, stream: "camera", role: "camera") }
        #expect(await refusal(good, twice)?.code == "duplicate_stream")
        #expect(
            await refusal(good, [StreamDeclaration(mid: "0", stream: "a b", role: "camera")])?.code == "stream_name")
        let statistics = await engine.statistics()
        #expect(statistics.peers == 0)
        #expect(statistics.rooms == 0)
        await engine.shutdown()
    }

    @Test("the recorder gets every packet as it was sent, with declarations, sender reports and ends")
    func recording() async throws {
        let engine = try makeEngine()
        let client = try MediaClient()
        let ring = await engine.startRecording(room: "r")
        let answer = try await engine.publish(client, as: "p1")
        try client.connect(answer.sdp, port: engine.udpPort)
        #expect(MediaClient.run([client]) { client.isConnected })
        let sent = (0..<5 as Range<UInt16>).map { picture($0, isKey: $0 == 0, ssrc: 9) }
        for packet in sent { client.send(rtp: packet) }
        var report = [UInt8](repeating: 0, count: 100)
        let length = report.withUnsafeMutableBytes { raw in
            var writer = RTCPWriter(raw)
            writer.senderReport(ssrc: 9, ntp: 77 << 32, rtp: 12_000, packetCount: 5, octetCount: 5)
            return writer.count
        }
        client.send(rtcp: Array(report.prefix(length)))
        var kinds: [PacketRecordKind] = []
        var packets: [[UInt8]] = []
        var declared: TrackDeclaration?
        var clock: SenderReportClock?
        func drain() {
            _ = ring.drain { record in
                kinds.append(record.kind)
                switch record.kind {
                case .packet: packets.append(Array(record.payload))
                case .trackDeclared:
                    declared = try? JSONDecoder().decode(TrackDeclaration.self, from: Data(record.payload))
                case .senderReport: clock = record.senderReport
                default: break
                }
            }
        }
        #expect(
            MediaClient.run([client]) {
                drain()
                return packets.count >= 5 && clock != nil
            })
        #expect(packets == sent)
        #expect(declared?.participant == "p1")
        #expect(declared?.stream == "camera")
        #expect(declared?.codec == "VP8")
        #expect(clock == SenderReportClock(ssrc: 9, ntp: 77 << 32, rtp: 12_000))
        // The recorder wants a key frame.
        client.reports = []
        #expect(ring.requestKeyFrame(track: declared?.track ?? 0))
        let isAsked = MediaClient.run([client]) {
            client.reports.contains { report in
                report.withUnsafeBytes { bytes in
                    var packets = RTCPPackets(bytes)
                    while let packet = packets.next() { if case .pictureLoss = packet.message { return true } }
                    return false
                }
            }
        }
        #expect(isAsked)
        await engine.closePeer(room: "r", peer: "p1", reason: "test")
        await engine.stopRecording(room: "r")
        drain()
        #expect(Array(kinds.suffix(2)) == [.trackEnded, .end])
        await engine.shutdown()
    }

    @Test("muting stops a stream at the server")
    func muting() async throws {
        let engine = try makeEngine()
        let (client, viewer) = (try MediaClient(), try MediaClient())
        let answer = try await engine.publish(client, as: "p1")
        let seen = try await engine.receive(viewer, as: "viewer", sections: 1)
        try client.connect(answer.sdp, port: engine.udpPort)
        try viewer.connect(seen.sdp, port: engine.udpPort)
        #expect(MediaClient.run([client, viewer]) { client.isConnected && viewer.isConnected })
        client.send(rtp: picture(0, isKey: true, ssrc: 9))
        #expect(MediaClient.run([client, viewer]) { viewer.packets.count == 1 })
        await engine.setMuted(room: "r", peer: "p1", stream: "camera", true)
        for index in 1..<20 as Range<UInt16> { client.send(rtp: picture(index, isKey: true, ssrc: 9)) }
        await engine.setMuted(room: "r", peer: "p1", stream: "camera", false)
        var statistics = await engine.statistics()
        for _ in 0..<200 where statistics.packetsReceived < 20 {
            _ = MediaClient.run([client, viewer], seconds: 0.01) { false }
            statistics = await engine.statistics()
        }
        client.send(rtp: picture(20, isKey: true, ssrc: 9))
        #expect(MediaClient.run([client, viewer]) { viewer.packets.last?.rtpPayload.last == 20 })
        await engine.shutdown()
    }

    @Test("strangers get no answer: random bytes, checks with wrong names, media without a handshake, replays")
    func strangers() async throws {
        let engine = try makeEngine()
        let (client, viewer, stranger) = (try MediaClient(), try MediaClient(), try MediaClient())
        let answer = try await engine.publish(client, as: "p1")
        let seen = try await engine.receive(viewer, as: "viewer", sections: 1)
        try client.connect(answer.sdp, port: engine.udpPort)
        try viewer.connect(seen.sdp, port: engine.udpPort)
        #expect(MediaClient.run([client, viewer]) { client.isConnected && viewer.isConnected })

        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = engine.udpPort.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(connected == 0)
        func throwAt(_ bytes: [UInt8]) {
            _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT)) }
        }
        for _ in 0..<300 {
            throwAt((0..<Int.random(in: 1...200)).map { _ in UInt8.random(in: 0...255) })
            throwAt(
                stranger.check(to: .init(ufrag: "nobody00", password: "x"), from: .init(ufrag: "me", password: "y")))
            throwAt(picture(1, isKey: true, ssrc: 1))
        }
        let good = client.protect(rtp: picture(0, isKey: true, ssrc: 9))
        for _ in 0..<50 { client.transmit(good) }
        #expect(MediaClient.run([client, viewer]) { viewer.packets.count == 1 })
        var statistics = await engine.statistics()
        for _ in 0..<200 where (statistics.refused["srtp_replay"] ?? 0) < 49 {
            _ = MediaClient.run([client, viewer], seconds: 0.01) { false }
            statistics = await engine.statistics()
        }
        #expect(statistics.refused["srtp_replay"] == 49)
        #expect((statistics.refused["unknown_ufrag"] ?? 0) > 0)
        #expect((statistics.refused["unknown_address"] ?? 0) > 0)
        #expect(viewer.packets.count == 1)
        #expect(statistics.peers == 2)
        #expect(statistics.paths == 2)
        var buffer = [UInt8](repeating: 0, count: 2000)
        #expect(recv(descriptor, &buffer, 2000, Int32(MSG_DONTWAIT)) < 0)
        await engine.shutdown()
    }
}
