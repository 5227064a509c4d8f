// Several workers on real sockets: rooms on different ones, and one room that spans two.
import Forwarding
import PacketRing
import PeerTransport
import Synchronization
import Testing
import WireFormats

@testable import MediaEngine

/// The UDP port of the answer's first candidate.
private func mediaPort(of answer: String) throws -> UInt16 {
    for line in answer.split(whereSeparator: \.isNewline) where line.hasPrefix("a=candidate:") {
        let fields = line.split(separator: " ")
        if fields.count > 5, fields[2].lowercased() == "udp", let port = UInt16(fields[5]) { return port }
    }
    throw MissingCandidate()
}

private struct MissingCandidate: Error {}

private func publish(
    _ engine: MediaEngine, room: String, peer: String, stream: String = "camera", role: String = "camera"
) async throws -> MediaClient {
    let client = try MediaClient()
    let answer = try await engine.negotiate(
        room: room, peer: peer,
        offer: PeerOffer(
            sdp: client.offer([.init(mid: "0", kind: "video", direction: "sendonly")]),
            streams: [StreamDeclaration(mid: "0", stream: stream, role: role)], maySend: true, subscription: .none))
    try client.connect(answer.sdp, port: try mediaPort(of: answer.sdp))
    return client
}

private func watch(_ engine: MediaEngine, room: String, peer: String) async throws -> (MediaClient, PeerAnswer) {
    let client = try MediaClient()
    let answer = try await engine.negotiate(
        room: room, peer: peer,
        offer: PeerOffer(
            sdp: client.offer([.init(mid: "0", kind: "video", direction: "recvonly")]), streams: [], maySend: false,
            subscription: .everything))
    try client.connect(answer.sdp, port: try mediaPort(of: answer.sdp))
    return (client, answer)
}

/// Pictures of one stream, one after the other.
private struct Film {
    var sequence: UInt16 = 65_500
    var timestamp: UInt32 = 1000
    var picture: UInt16 = 32_760
    let ssrc: UInt32

    mutating func next(
        isKey: Bool = false, mid: UInt8 = 48, rid: String? = nil, size: (UInt16, UInt16) = (640, 360)
    ) -> [UInt8] {
        defer {
            sequence &+= 1
            timestamp &+= 3000
            picture = (picture + 1) & 0x7FFF
        }
        return MediaPackets.rtp(
            payloadType: 96, sequence: sequence, timestamp: timestamp, ssrc: ssrc,
            extensions: [(id: UInt8(4), bytes: [mid])] + (rid.map { [(id: UInt8(10), bytes: Array($0.utf8))] } ?? []),
            payload: MediaPackets.vp8(
                picture: picture, isKey: isKey, width: size.0, height: size.1, fill: Int(size.0) / 2))
    }
}

@Suite("Several workers")
struct WorkersTests {
    @Test("two rooms are placed on different workers, and each is a room of its own")
    func twoRooms() async throws {
        let engine = try MediaEngine(
            configuration: MediaEngineConfiguration(bindAddress: "127.0.0.1", workers: 2))
        #expect(Set(engine.udpPorts).count == 2)
        let publishers = [
            try await publish(engine, room: "a", peer: "p"), try await publish(engine, room: "b", peer: "p"),
        ]
        #expect(engine.directory.home(of: "a") != engine.directory.home(of: "b"))
        let viewers = [
            try await watch(engine, room: "a", peer: "v").0, try await watch(engine, room: "b", peer: "v").0,
        ]
        let all = publishers + viewers
        try #require(MediaClient.run(all) { all.allSatisfy(\.isConnected) })
        for (number, publisher) in publishers.enumerated() {
            var film = Film(ssrc: 0x1000 + UInt32(number))
            publisher.send(rtp: film.next(isKey: true))
            for _ in 0..<50 { publisher.send(rtp: film.next()) }
        }
        #expect(MediaClient.run(all) { viewers.allSatisfy { $0.packets.count == 51 } })
        let statistics = await engine.statistics()
        #expect(statistics.rooms == 2)
        #expect(statistics.peers == 4)
        #expect(statistics.workers.map(\.peers) == [2, 2])
        #expect(statistics.workers.map(\.udpPort) == engine.udpPorts)
        await engine.closeRoom("a")
        #expect(engine.directory.home(of: "a") == nil)
        #expect(engine.directory.home(of: "b") != nil)
        await engine.shutdown()
    }

    @Test("workers take the ports from the configured one upwards")
    func ports() throws {
        var configuration = MediaEngineConfiguration(bindAddress: "127.0.0.1", udpPort: 7000, tcpPort: 8000)
        configuration.workers = 3
        #expect((0..<3).map { configuration.ports(of: $0).udp } == [7000, 7001, 7002])
        #expect((0..<3).map { configuration.ports(of: $0).tcp } == [8000, 8001, 8002])
        configuration.tcpPort = 0
        #expect(configuration.ports(of: 2).tcp == 0)
    }
}

@Suite("A room on two workers")
struct SpanningTests {
    private let engine: MediaEngine

    /// One peer of a room fills a worker.
    init() throws {
        engine = try MediaEngine(
            configuration: MediaEngineConfiguration(bindAddress: "127.0.0.1", workers: 2, peersPerWorker: 2))
    }

    private func statistics() async -> [WorkerStatistics] { await engine.statistics().workers }

    /// The sender, a viewer on its worker and one on the other, connected.
    private func watched(_ sender: MediaClient) async throws -> [MediaClient] {
        var all = [sender]
        for peer in ["v1", "v2"] { all.append(try await watch(engine, room: "r", peer: peer).0) }
        try #require(MediaClient.run(all) { all.allSatisfy(\.isConnected) })
        return all
    }

    private func until(_ what: String, _ condition: () async -> Bool) async throws {
        let end = MonotonicClock.now() + 10_000_000_000
        while await !condition() {
            try #require(MonotonicClock.now() < end, "\(what) does not come about")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    @Test("viewers beyond what one worker holds are on another one, and all get every packet")
    func spans() async throws {
        let publisher = try await publish(engine, room: "r", peer: "p", stream: "field", role: "surgicalField")
        let (near, _) = try await watch(engine, room: "r", peer: "v1")
        let (far, answer) = try await watch(engine, room: "r", peer: "v2")
        let (farther, _) = try await watch(engine, room: "r", peer: "v3")
        #expect(answer.sections == [SectionAssignment(mid: "0", kind: .video, participant: "p", stream: "field")])
        #expect(["p", "v1", "v2", "v3"].map { engine.directory.worker(of: $0, in: "r") } == [0, 0, 1, 1])
        let all = [publisher, near, far, farther]
        try #require(MediaClient.run(all) { all.allSatisfy(\.isConnected) })
        var film = Film(ssrc: 0x1234)
        publisher.send(rtp: film.next(isKey: true))
        for batch in 1...20 {
            for _ in 0..<10 { publisher.send(rtp: film.next()) }
            let expected = 1 + batch * 10
            try #require(
                MediaClient.run(all) { [near, far, farther].allSatisfy { $0.packets.count >= expected } },
                "\([near, far, farther].map(\.packets.count)) of \(expected)")
        }
        for viewer in [near, far, farther] {
            let headers = viewer.packets.compactMap(\.rtpHeader)
            #expect(headers.count == 201)
            for (index, header) in headers.enumerated() {
                #expect(header.sequence == headers[0].sequence &+ UInt16(index))
                #expect(header.timestamp == headers[0].timestamp &+ UInt32(index) * 3000)
            }
            #expect(viewer.packets.map { $0.rtpPayload.suffix(300) } == near.packets.map { $0.rtpPayload.suffix(300) })
        }
        let figures = await statistics()
        #expect(figures.map(\.peers) == [2, 2])
        #expect(figures[0].packetsRelayedOut == 201)
        #expect(figures[1].packetsRelayedIn == 201)
        #expect(figures.map(\.relayDrops) == [0, 0])
        let room = await engine.statistics(room: "r")
        #expect(room.peers.map(\.peer) == ["p", "v1", "v2", "v3"])
        #expect(room.peers[0].published.map(\.receivers) == [3])
        #expect(await engine.statistics().packetsReceived == 201)
        let explained = await engine.explain(room: "r")
        #expect(explained.receivers.map(\.peer) == ["p", "v1", "v2", "v3"])
        #expect(explained.receivers[2].streams.map(\.stream) == ["field"])
        await engine.shutdown()
    }

    @Test("a key frame that a far viewer asks for is asked of the sender")
    func keyFrames() async throws {
        let publisher = try await publish(engine, room: "r", peer: "p")
        let all = try await watched(publisher)
        let far = all[2]
        var film = Film(ssrc: 0x1234)
        publisher.send(rtp: film.next(isKey: true))
        publisher.send(rtp: film.next())
        try #require(MediaClient.run(all) { far.packets.count == 2 })
        let asked = publisher.keyFrameRequests(for: 0x1234)
        let ssrc = try #require(far.announcedSSRCs(mid: "0").first)
        var buffer = [UInt8](repeating: 0, count: 200)
        let length = buffer.withUnsafeMutableBytes { raw in
            var writer = RTCPWriter(raw)
            writer.receiverReport(ssrc: 1)
            writer.pictureLoss(sender: 1, media: ssrc)
            return writer.count
        }
        far.send(rtcp: Array(buffer.prefix(length)))
        #expect(MediaClient.run(all) { publisher.keyFrameRequests(for: 0x1234) > asked })
        await engine.shutdown()
    }

    @Test(
        "what is published, muted and ended later is so for far viewers as well, also when it is published over there")
    func changes() async throws {
        let first = try await publish(engine, room: "r", peer: "p1")
        var all = try await watched(first)
        let (near, far) = (all[1], all[2])
        var film = Film(ssrc: 0x1234)
        first.send(rtp: film.next(isKey: true))
        try #require(MediaClient.run(all) { near.packets.count == 1 && far.packets.count == 1 })
        await engine.setMuted(room: "r", peer: "p1", stream: "camera", true)
        for _ in 0..<20 { first.send(rtp: film.next()) }
        _ = MediaClient.run(all, seconds: 0.2) { false }
        #expect(far.packets.count == 1)
        await engine.closePeer(room: "r", peer: "p1", reason: "left")
        try await until("the end of what p1 sent") {
            await engine.statistics(room: "r").peers.flatMap(\.received).allSatisfy { $0.participant == nil }
        }
        // A viewer of the other part begins to send: its connection stays where it is, and its stream goes the other way.
        let answer = try await engine.negotiate(
            room: "r", peer: "v2",
            offer: PeerOffer(
                sdp: far.offer(
                    [
                        .init(mid: "0", kind: "video", direction: "recvonly"),
                        .init(mid: "1", kind: "video", direction: "sendonly"),
                    ], version: 2), streams: [StreamDeclaration(mid: "1", stream: "camera", role: "camera")],
                maySend: true, subscription: .everything))
        #expect(answer.published.map(\.stream) == ["camera"])
        #expect(engine.directory.worker(of: "v2", in: "r") == 1)
        all = [near, far]
        try await until("what v2 sends") {
            await engine.statistics(room: "r").peers.first { $0.peer == "v1" }?.received.first?.participant == "v2"
        }
        let before = near.packets.count
        var reply = Film(ssrc: 0x5678)
        far.send(rtp: reply.next(isKey: true, mid: 49))
        for _ in 0..<30 { far.send(rtp: reply.next(mid: 49)) }
        #expect(MediaClient.run(all) { near.packets.count == before + 31 })
        await engine.shutdown()
    }

    @Test("a simulcast goes over with all its layers, and far viewers' wants come back to its sender")
    func simulcast() async throws {
        let publisher = try MediaClient()
        let offered = try await engine.negotiate(
            room: "r", peer: "p",
            offer: PeerOffer(
                sdp: publisher.offer([.init(mid: "0", kind: "video", direction: "sendonly", rids: ["q", "h"])]),
                streams: [StreamDeclaration(mid: "0", stream: "camera", role: "camera")], maySend: true,
                subscription: .none))
        try publisher.connect(offered.sdp, port: try mediaPort(of: offered.sdp))
        let all = try await watched(publisher)
        for viewer in ["v1", "v2"] {
            await engine.setView(
                room: "r", peer: viewer,
                PageView(streams: [.init(participant: "p", stream: "camera", width: 160, height: 90)]))
        }
        var films = [Film(ssrc: 0x10), Film(ssrc: 0x11)]
        func send(isKey: Bool) {
            for (index, rid) in ["q", "h"].enumerated() {
                publisher.send(
                    rtp: films[index].next(
                        isKey: isKey, rid: rid, size: (UInt16(320) << index, UInt16(180) << index)))
            }
        }
        // Both only show a small picture: the large one is not wanted over there, whoever else may want it.
        var count = 0
        func sendUntil(_ what: String, _ condition: () async -> Bool) async throws {
            try await until(what) {
                send(isKey: count % 10 == 0)
                count += 1
                _ = MediaClient.run(all, seconds: 0.03) { false }
                return await condition()
            }
        }
        func layers() async -> [String?] {
            await engine.explain(room: "r").receivers.filter { $0.peer != "p" }.map { $0.streams.first?.layer?.rid }
        }
        try await sendUntil("the small picture") { await layers() == ["q", "q"] }
        try await sendUntil("that it is enough") { await engine.workers[0].wantedElsewhere == [1] }
        // The far one enlarges it: that is known at once, and the large one comes.
        await engine.setView(
            room: "r", peer: "v2",
            PageView(streams: [.init(participant: "p", stream: "camera", width: 640, height: 360)]))
        try await sendUntil("that more is wanted") { await engine.workers[0].wantedElsewhere == [2] }
        try await sendUntil("the large picture") { await layers() == ["q", "h"] }
        await engine.shutdown()
    }

    @Test("the end of the room, and of one part of it, leaves nothing behind on either worker")
    func cleansUp() async throws {
        let publisher = try await publish(engine, room: "r", peer: "p")
        let all = try await watched(publisher)
        let near = all[1]
        #expect(engine.directory.parts(of: "r") == [0, 1])
        await engine.closePeer(room: "r", peer: "v2", reason: "left")
        #expect(engine.directory.parts(of: "r") == [0])
        try await until("the end of the far part") { await engine.workers[0].relaysNothing }
        #expect(await engine.workers[1].isBare)
        // It comes back, in another connection.
        let (again, answer) = try await watch(engine, room: "r", peer: "v3")
        #expect(answer.sections.first?.participant == "p")
        var film = Film(ssrc: 0x77)
        let now = [publisher, near, again]
        try #require(MediaClient.run(now) { now.allSatisfy(\.isConnected) })
        publisher.send(rtp: film.next(isKey: true))
        #expect(MediaClient.run(now) { again.packets.count == 1 })
        // The same person in a new page: the part is replaced by itself.
        let (reloaded, same) = try await watch(engine, room: "r", peer: "v3")
        #expect(same.sections.first?.participant == "p")
        let last = [publisher, near, reloaded]
        try #require(MediaClient.run(last) { reloaded.isConnected })
        publisher.send(rtp: film.next(isKey: true))
        #expect(MediaClient.run(last) { reloaded.packets.last?.rtpPayload.first == 0x90 })
        await engine.closeRoom("r")
        #expect(engine.directory.roomCount == 0)
        for worker in engine.workers { #expect(await worker.isBare) }
        try await until("the end of the room") { await engine.workers[0].relaysNothing }
        await engine.shutdown()
    }

    @Test("a recording has what is sent on either worker")
    func recording() async throws {
        let ring = await engine.startRecording(room: "r")
        let near = try await publish(engine, room: "r", peer: "p1")
        var all = try await watched(near)
        let (viewer, far) = (all[1], all[2])
        _ = try await engine.negotiate(
            room: "r", peer: "v2",
            offer: PeerOffer(
                sdp: far.offer(
                    [
                        .init(mid: "0", kind: "video", direction: "recvonly"),
                        .init(mid: "1", kind: "video", direction: "sendonly"),
                    ], version: 2), streams: [StreamDeclaration(mid: "1", stream: "camera", role: "camera")],
                maySend: true, subscription: .everything))
        all = [near, viewer, far]
        try await until("what v2 sends") {
            await engine.workers[0].holdsRelayed("v2", room: "r")
        }
        var film = Film(ssrc: 0x99)
        for number in 0..<20 { far.send(rtp: film.next(isKey: number == 0, mid: 49)) }
        try await until("the packets in the recording") {
            _ = MediaClient.run(all, seconds: 0.02) { false }
            return await engine.workers[0].statistics().workers[0].packetsRelayedIn == 20
        }
        var packets = 0
        ring.drain { if $0.kind == .packet { packets += 1 } }
        #expect(packets == 20)
        await engine.stopRecording(room: "r")
        await engine.shutdown()
    }
}

extension MediaWorker {
    fileprivate var isBare: Bool {
        rooms.isEmpty && core.forwarder.peers.count == 0 && core.forwarder.tracks.count == 0
            && core.forwarder.encodings.count == 0 && core.links.count == 0 && core.relay.peers == 0
            && core.relay.tracks.count == 0 && trackOwners.isEmpty
    }

    fileprivate var relaysNothing: Bool {
        core.relay.relayedTracks == 0 && relayState.wanted.values.allSatisfy(\.isEmpty)
    }

    fileprivate var wantedElsewhere: [Int] { relayState.wanted.values.flatMap(\.values) }

    fileprivate func holdsRelayed(_ peer: String, room: String) -> Bool { origin(of: peer, in: room) != nil }
}

extension MediaClient {
    fileprivate func keyFrameRequests(for ssrc: UInt32) -> Int {
        reports.reduce(0) { total, report in
            report.withUnsafeBytes { bytes in
                var packets = RTCPPackets(bytes)
                var count = 0
                while let packet = packets.next() {
                    if case .pictureLoss(let loss) = packet.message, loss.media == ssrc { count += 1 }
                }
                return total + count
            }
        }
    }
}

/// A load as a test wants it to be measured.
private final class InjectedLoad: Sendable {
    private let thousandths = Atomic<Int>(0)

    var value: Double {
        get { Double(thousandths.load(ordering: .relaxed)) / 1000 }
        set { thousandths.store(Int(newValue * 1000), ordering: .relaxed) }
    }
}

@Suite("A worker at its limit")
struct OverloadTests {
    private let load: InjectedLoad
    private let engine: MediaEngine

    init() throws {
        let load = InjectedLoad()
        self.load = load
        var limits = StressLimits()
        limits.rest = 300_000_000
        var configuration = MediaEngineConfiguration(bindAddress: "127.0.0.1", stress: limits)
        configuration.loadReading = { _ in load.value }
        engine = try MediaEngine(configuration: configuration)
    }

    private func offer(
        _ client: MediaClient, _ peer: String, _ sections: [MediaClient.Section], _ streams: [StreamDeclaration],
        version: Int = 1
    ) async throws -> PeerAnswer {
        try await engine.negotiate(
            room: "r", peer: peer,
            offer: PeerOffer(
                sdp: client.offer(sections, version: version), streams: streams, maySend: !streams.isEmpty,
                subscription: streams.isEmpty ? .everything : .none))
    }

    private func reach(_ state: StressState) async throws {
        let end = MonotonicClock.now() + 10_000_000_000
        while await engine.statistics().workers[0].stress != state {
            try #require(MonotonicClock.now() < end, "the worker does not get to \(state)")
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func why(_ peer: String, sees participant: String) async -> String? {
        await engine.explain(room: "r").receivers.first { $0.peer == peer }?.streams
            .first { $0.participant == participant }?.why
    }

    @Test("refuses new faces in words, then thins faces, takes sound and documents always, and recovers by itself")
    func overload() async throws {
        var events = engine.events.makeAsyncIterator()
        let (first, viewer, second, teacher, late) = (
            try MediaClient(), try MediaClient(), try MediaClient(), try MediaClient(), try MediaClient()
        )
        let watching = (0..<3).map { MediaClient.Section(mid: "\($0)", kind: "video", direction: "recvonly") }
        _ = try await offer(
            first, "p1", [.init(mid: "0", kind: "video", direction: "sendonly")],
            [StreamDeclaration(mid: "0", stream: "camera", role: "camera")])
        let before = try await offer(viewer, "v1", watching, [])
        #expect(before.sections.compactMap(\.participant) == ["p1"])
        #expect(before.refused.isEmpty)

        load.value = 0.9
        try await reach(.refusesFaces)
        let camera: [MediaClient.Section] = [
            .init(mid: "0", kind: "video", direction: "sendonly"),
            .init(mid: "1", kind: "audio", direction: "sendonly"),
        ]
        let streams = [
            StreamDeclaration(mid: "0", stream: "camera", role: "camera"),
            StreamDeclaration(mid: "1", stream: "microphone", role: "audio"),
        ]
        let refused = try await offer(second, "p2", camera, streams)
        #expect(refused.published.map(\.stream) == ["microphone"])
        #expect(refused.refused.sent == ["camera"])
        #expect(refused.refused.message.contains("at its limit"))
        let document = try await offer(
            teacher, "p3", [.init(mid: "0", kind: "video", direction: "sendonly")],
            [StreamDeclaration(mid: "0", stream: "slides", role: "document")])
        #expect(document.published.map(\.stream) == ["slides"])
        // Who sees a face already goes on seeing it; who comes now gets the document alone.
        let joined = try await offer(late, "v2", watching, [])
        #expect(joined.sections.compactMap(\.participant) == ["p3"])
        #expect(joined.needed.video == 1)
        #expect(joined.refused.received == [.init(participant: "p1", stream: "camera")])
        let seen = await engine.statistics(room: "r").peers.first { $0.peer == "v1" }?.received.map(\.participant)
        #expect(seen?.compactMap { $0 } == ["p1", "p3"])
        #expect(await why("v2", sees: "p1") == "policy")

        load.value = 0.97
        try await reach(.thinsFaces)
        #expect(await engine.worker.thinsFaces)

        load.value = 0.2
        try await reach(.relaxed)
        #expect(await !engine.worker.thinsFaces)
        let figures = await engine.statistics().workers[0]
        #expect(figures.camerasRefusedFromSenders == 1)
        #expect(figures.camerasRefusedToReceivers == 1)
        #expect(figures.timesThinned == 1)
        let restored = await engine.statistics(room: "r").peers.first { $0.peer == "v2" }?.received
        #expect(Set(restored?.compactMap(\.participant) ?? []) == ["p1", "p3"])
        // Told to offer again, the sender is taken.
        var told: [String: [RefusedCameras]] = [:]
        await engine.shutdown()
        while let event = await events.next() {
            if case .camerasRefused(_, let peer, let cameras) = event { told[peer, default: []].append(cameras) }
        }
        #expect(told["p2"] == [RefusedCameras(sent: ["camera"]), RefusedCameras()])
        #expect(
            told["v2"] == [RefusedCameras(received: [.init(participant: "p1", stream: "camera")]), RefusedCameras()])
        #expect(told["v1"] == nil)
    }

    @Test("an engine without limits takes everything")
    func withoutLimits() async throws {
        var configuration = MediaEngineConfiguration(bindAddress: "127.0.0.1")
        configuration.loadReading = { _ in 1 }
        let engine = try MediaEngine(configuration: configuration)
        try await Task.sleep(for: .milliseconds(600))
        _ = try await publish(engine, room: "r", peer: "p")
        #expect(await engine.statistics().workers[0].stress == .relaxed)
        await engine.shutdown()
    }
}

extension MediaWorker {
    fileprivate var thinsFaces: Bool { core.forwarder.thinsFaces }
}
