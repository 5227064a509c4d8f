// Several workers on real sockets: rooms on different ones, and one room that spans two.
import PeerTransport
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
