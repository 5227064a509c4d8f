// The bench's command: what one forwarded packet costs Consilium, as a ratio to the C floor of the same run.
import AllocationCounter
import ArgumentParser
import CForwardFloor
import Dispatch
import Foundation
import Glibc
import MediaEngine
import PeerTransport
import Synchronization

@main
struct BenchForward: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-forward",
        abstract: "CPU per forwarded 1200-byte packet over loopback: Consilium's media engine against a C floor.")

    @Option(help: "Rounds; figures are medians over them.") var rounds = 5
    @Option(help: "Seconds of a paced lap.") var seconds = 1.0
    @Option(help: "Forwarded packets of a burst lap.") var packets = 60_000
    @Option(parsing: .upToNextOption, help: "Receivers per publisher.") var fanOut = [1, 5, 30]
    @Option(parsing: .upToNextOption, help: "Protection: gcm, cm.") var profile = Profile.allCases
    @Option(parsing: .upToNextOption, help: "How packets come: paced, burst.") var mode = LapMode.allCases
    @Option(help: "Who runs: both, floor, consilium.") var side = Side.both
    @Option(help: "The floor's library: faster (of evp and libsrtp2), evp, libsrtp2, ipsec-mb.")
    var floorCrypto = FloorCrypto.faster
    @Flag(help: "Count the worker's heap allocations instead; any per packet is a failure.") var allocations = false
    @Option(help: "A ratio above this is a failure.") var limit: Double?
    @Option(help: "Writes the figures as JSON to this file.") var json: String?
    @Option(help: "The processor for the server's thread.") var serverProcessor: Int32 = 0
    @Option(help: "The processor for load and sinks.") var loadProcessor: Int32 = 1

    enum FloorCrypto: String, ExpressibleByArgument {
        case faster, evp, libsrtp2
        case ipsecMB = "ipsec-mb"
    }

    enum Side: String, ExpressibleByArgument { case both, floor, consilium }

    /// The main thread waits: left to the concurrency runtime it would end, which profilers do not survive.
    func run() throws {
        let outcome = Mutex<Result<Void, any Error>?>(nil)
        let isDone = DispatchSemaphore(value: 0)
        Task.detached {
            do {
                try await measure()
            } catch {
                outcome.withLock { $0 = .failure(error) }
            }
            isDone.signal()
        }
        isDone.wait()
        try outcome.withLock { $0 }?.get()
    }

    private func measure() async throws {
        if allocations { return try await countAllocations() }
        let load = LoadThread(processor: loadProcessor)
        var report = Report(rounds: rounds)
        for profile in profile {
            let crypto = Crypto.measure(profile, floor: floorCrypto)
            report.add(crypto)
            for fanOut in fanOut { report.add(try await lanes(fanOut, profile, crypto, load)) }
        }
        load.stop()
        print(report.table)
        if let json { try report.json.write(toFile: json, atomically: true, encoding: .utf8) }
        var faults = report.isDamaged ? ["packets arrived damaged or not at all"] : []
        if let limit { faults += report.rows(above: limit).map { "\($0) is above \(limit)" } }
        guard faults.isEmpty else {
            FileHandle.standardError.write(Data("bench-forward: \(faults.joined(separator: ", "))\n".utf8))
            throw ExitCode.failure
        }
    }

    private func countAllocations() async throws {
        guard allocation_counter_works() == 1 else { return print("skipped: a sanitizer has the allocator") }
        var hasFailed = false
        for (fanOut, isRelayed) in fanOut.map({ ($0, false) }) + [(5, true)] {
            let outcome = try await AllocationGate.run(
                fanOut: fanOut, isRelayed: isRelayed, seconds: 4 * seconds, processor: serverProcessor)
            print(outcome.line)
            if outcome.windows.isEmpty || outcome.median > 0 { hasFailed = true }
        }
        if hasFailed { throw ExitCode.failure }
    }

    /// All modes at one fan-out, by servers that have nothing else to do.
    private func lanes(
        _ fanOut: Int, _ profile: Profile, _ crypto: Crypto, _ load: LoadThread
    ) async throws -> [Lane] {
        let engine = side == .floor ? nil : try EngineServer(processor: serverProcessor)
        let floor = side == .consilium ? nil : try FloorServer(crypto: crypto.ofFloor, profile: profile)
        let engineCourse = try await engine?.course(fanOut: fanOut, profile: profile)
        let floorCourse = try floor?.course(fanOut: fanOut, processor: serverProcessor)
        var lanes = mode.map { Lane(mode: $0, fanOut: fanOut, profile: profile) }
        // Round 0 warms up caches, key frames and branch predictors, and is thrown away.
        for round in 0...rounds {
            for index in lanes.indices {
                // Whoever goes first alternates, so that a drift of the machine hits both.
                let isFloorFirst = (round + index) % 2 == 0
                for isFloor in isFloorFirst ? [true, false] : [false, true] {
                    guard let course = isFloor ? floorCourse : engineCourse else { continue }
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
        floor?.stop()
        await engine?.engine.shutdown()
        return lanes
    }
}

/// The two profiles that browsers negotiate.
enum Profile: String, Codable, CaseIterable, ExpressibleByArgument {
    case gcm, cm

    var name: String {
        switch self {
        case .gcm: "AEAD_AES_128_GCM"
        case .cm: "AES_CM_128_HMAC_SHA1_80"
        }
    }

    var ofFloor: floor_profile {
        switch self {
        case .gcm: FLOOR_PROFILE_GCM
        case .cm: FLOOR_PROFILE_CM
        }
    }

    var ofTransport: SRTPProfile {
        switch self {
        case .gcm: .aes128GCM
        case .cm: .aes128CMSHA1
        }
    }
}

extension LapMode: ExpressibleByArgument {}

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

/// What encrypting one packet costs by library. The floor takes the faster of EVP and libsrtp2, unless told otherwise.
struct Crypto: Codable {
    let profile: Profile
    let evpNanoseconds: Double
    let libsrtpNanoseconds: Double
    /// As EVP where the library has not got the profile.
    let ipsecMBNanoseconds: Double
    let floorUses: String

    var ofFloor: floor_crypto {
        switch floorUses {
        case "libsrtp2": FLOOR_CRYPTO_LIBSRTP
        case "ipsec-mb": FLOOR_CRYPTO_IPSEC_MB
        default: FLOOR_CRYPTO_EVP
        }
    }

    /// By turns, and the least of each: a neighbour on the machine must not give the floor the slower library.
    static func measure(_ profile: Profile, floor: BenchForward.FloorCrypto) -> Crypto {
        var (evp, libsrtp, ipsecMB) = (Double.infinity, Double.infinity, Double.infinity)
        for _ in 0..<5 {
            evp = min(evp, nanoseconds(FLOOR_CRYPTO_EVP, profile))
            libsrtp = min(libsrtp, nanoseconds(FLOOR_CRYPTO_LIBSRTP, profile))
            ipsecMB = min(ipsecMB, nanoseconds(FLOOR_CRYPTO_IPSEC_MB, profile))
        }
        let faster = evp <= libsrtp ? BenchForward.FloorCrypto.evp : .libsrtp2
        return Crypto(
            profile: profile, evpNanoseconds: evp, libsrtpNanoseconds: libsrtp, ipsecMBNanoseconds: ipsecMB,
            floorUses: (floor == .faster ? faster : floor).rawValue)
    }

    private static func nanoseconds(_ crypto: floor_crypto, _ profile: Profile) -> Double {
        guard let srtp = floor_srtp_create(crypto, profile.ofFloor, FLOOR_SENDS, floor_key()) else { return .infinity }
        defer { floor_srtp_destroy(srtp) }
        var packet = [UInt8](repeating: 0, count: MediaShape.packetBytes + 2 * MediaShape.tagBytes)
        let payload = [UInt8](repeating: 7, count: MediaShape.payloadBytes)
        let frame = MediaShape.Frame(isKey: false, picture: 0, timestamp: 0)
        var best = Double.infinity
        for round in 0..<7 {
            let start = MonotonicClock.now()
            for index in 0..<1000 {
                packet.withUnsafeMutableBytes {
                    MediaShape.writeHeader(
                        $0, sequence: UInt16(truncatingIfNeeded: round * 1000 + index), transportSequence: 0, ssrc: 1,
                        frame: frame, isLast: false)
                }
                packet.withUnsafeMutableBufferPointer { out in
                    _ = floor_srtp_protect(
                        srtp, out.baseAddress, Int32(MediaShape.headerBytes), payload, Int32(MediaShape.payloadBytes),
                        out.baseAddress)
                }
            }
            best = min(best, Double(MonotonicClock.now() - start) / 1000)
        }
        return best
    }
}
