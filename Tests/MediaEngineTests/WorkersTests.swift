// Several workers on real sockets: rooms on different ones, and one room that spans two.
import Forwarding
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

    mutating func next(isKey: Bool = false) -> [UInt8] {
        defer {
            sequence &+= 1
            timestamp &+= 3000
            picture = (picture + 1) & 0x7FFF
        }
        return MediaPackets.rtp(
            payloadType: 96, sequence: sequence, timestamp: timestamp, ssrc: ssrc, extensions: [(4, [48])],
            payload: MediaPackets.vp8(picture: picture, isKey: isKey))
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
