// The two servers that are compared, each with its courses: the C floor and Consilium's media engine.
import CForwardFloor
import Foundation
import Glibc
import MediaEngine
import PeerTransport
import Synchronization

/// How many publishers a course has, so that small fan-outs are not all idling.
func publishers(forFanOut fanOut: Int) -> Int { max(1, min(6, 15 / fanOut)) }

/// Threads of this process by kernel number.
enum Threads {
    static func all() -> Set<Int32> {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        return Set(names.compactMap { Int32($0) })
    }

    /// Voluntary context switches so far.
    static func wakeUps(_ thread: Int32) -> UInt64 {
        let status = (try? String(contentsOfFile: "/proc/self/task/\(thread)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches") }
        return line?.split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0) } ?? 0
    }

    static func pin(_ thread: Int32, to processor: Int32) { _ = floor_pin_thread(thread, processor) }
}

/// The C floor on its own thread.
final class FloorServer: @unchecked Sendable {
    private let server: OpaquePointer
    private let crypto: floor_crypto
    private let profile: Profile
    private let thread = Atomic<Int32>(0)
    private let hasEnded = Atomic<Bool>(false)

    init(crypto: floor_crypto, profile: Profile) throws {
        guard let server = floor_create(crypto, profile.ofFloor) else {
            throw BenchError("the floor did not open its socket")
        }
        self.server = server
        self.crypto = crypto
        self.profile = profile
    }

    /// Adds the clients first and starts the thread then: the floor has no locks.
    func course(fanOut: Int, processor: Int32) throws -> Course {
        let address = SocketAddress.loopback4(port: floor_port(server))
        var senders: [(LoadClient, ssrc: UInt32)] = []
        var receivers: [LoadClient] = []
        for publisher in 0..<publishers(forFanOut: fanOut) {
            let ssrc = UInt32(1000 + publisher)
            let key = randomKey()
            let sender = try FloorClient(server: address, crypto: crypto, profile: profile, sends: true, key: key)
            let index = floor_add_publisher(server, sender.port, ssrc, key)
            senders.append((sender, ssrc: ssrc))
            for receiver in 0..<fanOut {
                let key = randomKey()
                let client = try FloorClient(server: address, crypto: crypto, profile: profile, sends: false, key: key)
                let added = floor_add_receiver(
                    server, index, client.port, UInt32(5000 + publisher * 100 + receiver), key)
                guard added >= 0 else { throw BenchError("the floor takes no more receivers") }
                receivers.append(client)
            }
        }
        Thread.detachNewThread { [self] in
            thread.store(floor_thread_id(), ordering: .releasing)
            floor_run(server)
            hasEnded.store(true, ordering: .releasing)
        }
        while thread.load(ordering: .acquiring) == 0 { usleep(100) }
        let number = thread.load(ordering: .acquiring)
        Threads.pin(number, to: processor)
        return try Course(fanOut: fanOut, publishers: senders, receivers: receivers, serverThread: number)
    }

    func stop() {
        floor_stop(server)
        while !hasEnded.load(ordering: .acquiring) { usleep(1000) }
        floor_destroy(server)
    }

    private func randomKey() -> floor_key {
        var key = floor_key()
        withUnsafeMutableBytes(of: &key) { bytes in
            for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255) }
        }
        return key
    }
}

/// Consilium's engine, with a course's rooms on its one worker, or with a room that spans several.
final class EngineServer {
    let engine: MediaEngine
    let workerThreads: [Int32]
    var workerThread: Int32 { workerThreads[0] }
    let certificate: DTLSCertificate

    /// Peers of a room beyond `peersPerWorker` are on the next worker.
    init(processor: Int32, workers: Int = 1, peersPerWorker: Int = 4096) throws {
        let before = Threads.all()
        var configuration = MediaEngineConfiguration(
            bindAddress: "127.0.0.1", consentTimeout: .seconds(600), workers: workers, peersPerWorker: peersPerWorker)
        configuration.limits.peers = 4096
        engine = try MediaEngine(configuration: configuration)
        certificate = try DTLSCertificate()
        // A thread gives itself its name, a moment after its start.
        var found: [Int32] = []
        for _ in 0..<1000 where found.count < workers {
            found = Self.workers(among: Threads.all().subtracting(before))
            if found.count < workers { usleep(1000) }
        }
        guard found.count == workers else { throw BenchError("which threads are the workers'?") }
        workerThreads = found
        for thread in found { Threads.pin(thread, to: processor) }
    }

    private static func workers(among candidates: Set<Int32>) -> [Int32] {
        candidates.filter { thread in
            let name = try? String(contentsOfFile: "/proc/self/task/\(thread)/comm", encoding: .utf8)
            return name?.hasPrefix("media") == true
        }
    }

    func course(fanOut: Int, profile: Profile) async throws -> Course {
        var senders: [(LoadClient, ssrc: UInt32)] = []
        var receivers: [LoadClient] = []
        for publisher in 0..<publishers(forFanOut: fanOut) {
            let room = "bench-\(fanOut)-\(publisher)"
            let ssrc = UInt32(100_000 + fanOut * 100 + publisher)
            let sender = try await PeerClient.join(
                engine, room: room, peer: "sender", sections: [.sendingVideo(ssrc)], certificate: certificate,
                profile: profile)
            senders.append((sender, ssrc: ssrc))
            for receiver in 0..<fanOut {
                receivers.append(
                    try await PeerClient.join(
                        engine, room: room, peer: "receiver\(receiver)", sections: [.receivingVideo],
                        certificate: certificate, profile: profile))
            }
        }
        return try Course(fanOut: fanOut, publishers: senders, receivers: receivers, serverThread: workerThread)
    }
}
