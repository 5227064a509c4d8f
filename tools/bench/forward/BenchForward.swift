// The bench's command: what one forwarded packet costs Consilium, as a ratio to the C floor of the same run.
import ArgumentParser
import CForwardFloor
import Foundation
import Glibc
import MediaEngine

@main
struct BenchForward: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-forward",
        abstract: "CPU per forwarded 1200-byte packet over loopback: Consilium's media engine against a C floor.")

    @Option(help: "Rounds; figures are medians over them.") var rounds = 5
    @Option(help: "Seconds of a paced lap.") var seconds = 1.0
    @Option(help: "Forwarded packets of a burst lap.") var packets = 60_000
    @Option(parsing: .upToNextOption, help: "Receivers per publisher.") var fanOut = [1, 5, 30]
    @Option(help: "The processor for the server's thread.") var serverProcessor: Int32 = 0
    @Option(help: "The processor for load and sinks.") var loadProcessor: Int32 = 1
    @Flag(help: "Only the C floor.") var floorOnly = false

    func run() async throws {
        let load = LoadThread(processor: loadProcessor)
        // The engine first: libsrtp2 is initialised once per process, and the engine insists on doing it.
        let engine = floorOnly ? nil : try EngineServer(processor: serverProcessor)
        var engineCourses: [Course?] = []
        for fanOut in fanOut { engineCourses.append(try await engine?.course(fanOut: fanOut)) }
        let crypto = Crypto.measure()
        var lanes: [Lane] = []
        var floors: [FloorServer] = []
        for (fanOut, engineCourse) in zip(fanOut, engineCourses) {
            let floor = try FloorServer(crypto: crypto.faster)
            floors.append(floor)
            let floorCourse = try floor.course(fanOut: fanOut, processor: serverProcessor)
            for mode in LapMode.allCases {
                lanes.append(Lane(mode: mode, fanOut: fanOut, floor: floorCourse, engine: engineCourse))
            }
        }
        // Round 0 warms up caches, key frames and branch predictors, and is thrown away.
        for round in 0...rounds {
            for index in lanes.indices {
                // Whoever goes first alternates, so that a drift of the machine hits both.
                let isFloorFirst = (round + index) % 2 == 0
                for isFloor in isFloorFirst ? [true, false] : [false, true] {
                    guard let course = isFloor ? lanes[index].floor : lanes[index].engine else { continue }
                    let mode = lanes[index].mode
                    let (seconds, packets) = (round == 0 ? min(seconds, 0.3) : seconds, packets)
                    let result = await load.run {
                        course.keepAlive()
                        return course.lap(mode, seconds: seconds, packets: packets)
                    }
                    if round > 0 { lanes[index].add(result, isFloor: isFloor) }
                }
            }
        }
        load.stop()
        for floor in floors { floor.stop() }
        await engine?.engine.shutdown()
        let report = Report(crypto: crypto, lanes: lanes, rounds: rounds)
        print(report.table)
        print(try report.json)
        if report.isDamaged {
            FileHandle.standardError.write(Data("bench-forward: packets arrived damaged or not at all\n".utf8))
            throw ExitCode.failure
        }
    }
}

/// One thread, pinned, that runs the load's closures; results come back to the caller.
final class LoadThread: @unchecked Sendable {
    private let condition = NSCondition()
    private var work: [@Sendable () -> Void] = []
    private var isStopping = false

    init(processor: Int32) {
        Thread.detachNewThread { [self] in
            Threads.pin(floor_thread_id(), to: processor)
            while let next = take() { next() }
        }
    }

    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            condition.lock()
            work.append { continuation.resume(returning: body()) }
            condition.signal()
            condition.unlock()
        }
    }

    func stop() {
        condition.lock()
        isStopping = true
        condition.signal()
        condition.unlock()
    }

    private func take() -> (@Sendable () -> Void)? {
        condition.lock()
        defer { condition.unlock() }
        while work.isEmpty, !isStopping { condition.wait() }
        return work.isEmpty ? nil : work.removeFirst()
    }
}

/// What encrypting one packet costs on OpenSSL's EVP and on this machine's libsrtp2; the floor takes the faster.
struct Crypto {
    let evpNanoseconds: Double
    let libsrtpNanoseconds: Double

    var faster: floor_crypto { evpNanoseconds <= libsrtpNanoseconds ? FLOOR_CRYPTO_EVP : FLOOR_CRYPTO_LIBSRTP }

    /// By turns, and the least of each: a neighbour on the machine must not give the floor the slower library.
    static func measure() -> Crypto {
        var (evp, libsrtp) = (Double.infinity, Double.infinity)
        for _ in 0..<5 {
            evp = min(evp, nanoseconds(FLOOR_CRYPTO_EVP))
            libsrtp = min(libsrtp, nanoseconds(FLOOR_CRYPTO_LIBSRTP))
        }
        return Crypto(evpNanoseconds: evp, libsrtpNanoseconds: libsrtp)
    }

    private static func nanoseconds(_ crypto: floor_crypto) -> Double {
        guard let srtp = floor_srtp_create(crypto, FLOOR_SENDS, floor_key()) else { return .infinity }
        defer { floor_srtp_destroy(srtp) }
        var packet = [UInt8](repeating: 0, count: MediaShape.packetBytes + 2 * MediaShape.tagBytes)
        let payload = [UInt8](repeating: 7, count: MediaShape.payloadBytes)
        let frame = MediaShape.Frame(isKey: false, picture: 0, timestamp: 0)
        var rounds: [Double] = []
        for round in 0..<7 {
            let start = MonotonicClock.now()
            for index in 0..<5000 {
                packet.withUnsafeMutableBytes {
                    MediaShape.writeHeader(
                        $0, sequence: UInt16(truncatingIfNeeded: round * 5000 + index), transportSequence: 0, ssrc: 1,
                        frame: frame, isLast: false)
                }
                packet.withUnsafeMutableBufferPointer { out in
                    _ = floor_srtp_protect(
                        srtp, out.baseAddress, Int32(MediaShape.headerBytes), payload, Int32(MediaShape.payloadBytes),
                        out.baseAddress)
                }
            }
            rounds.append(Double(MonotonicClock.now() - start) / 5000)
        }
        return rounds.min() ?? .infinity
    }
}
