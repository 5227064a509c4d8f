// The switching bench's command: seeded runs of publishers, faults and receivers, and what went wrong in which.
import ArgumentParser
import Dispatch
import ForwardingSimulation
import Foundation

@main
struct BenchSwitching: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-switching",
        abstract: "Runs layered video through the core with faults and changing wishes; every run must come out clean.",
        discussion: "Exits with 1 when any run fails. A failed run is repeated by its codec, its seed and --runs 1.")

    @Option(help: "Runs of each codec.") var runs: UInt64 = 10_000
    @Option(parsing: .upToNextOption, help: "vp8, vp9, h264, av1.") var codec = LayeredScheme.Codec.allCases
    @Option(help: "The first run's seed; the others count on from it.") var seed: UInt64 = 0
    @Option(help: "Threads.") var threads = 1
    @Option(help: "Failed runs to tell of, each codec; all are in the JSON.") var shown = 20
    @Option(help: "Where to write the figures as JSON.") var json: String?

    @Flag(help: "Tell what happens in each run.") var trace = false

    func run() throws {
        if trace { return follow() }
        var results: [CodecResult] = []
        print("codec   runs      frames   failed   seconds   × real time")
        for codec in codec {
            let result = course(codec)
            results.append(result)
            print(result.line)
            for failure in result.failures.prefix(shown) {
                print("  seed \(failure.seed), \(failure.scheme):")
                for reason in failure.reasons { print("    \(reason)") }
            }
        }
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            let report = SwitchingReport(seed: seed, runs: runs, codecs: results)
            try encoder.encode(report).write(to: URL(fileURLWithPath: json))
        }
        if results.contains(where: { !$0.failures.isEmpty }) { throw ExitCode(1) }
    }

    private func follow() {
        for codec in codec {
            for seed in seed..<(seed &+ min(runs, 10)) {
                let run = LayersRun(.scheme(codec, seed: seed), seed: seed)
                print("\(codec) seed \(seed), \(run.scheme)")
                run.trace = { print("  \($0)") }
                run.run()
                for problem in run.problems { print("! \(problem)") }
            }
        }
    }

    private func course(_ codec: LayeredScheme.Codec) -> CodecResult {
        let start = ContinuousClock.now
        let workers = max(1, threads)
        let parts = Parts(count: workers)
        let (seed, runs) = (seed, runs)
        DispatchQueue.concurrentPerform(iterations: workers) { worker in
            var part = CodecResult(codec: codec.rawValue)
            for index in stride(from: UInt64(worker), to: runs, by: workers) { part.add(codec, seed: seed &+ index) }
            parts.set(part, worker)
        }
        var whole = CodecResult(codec: codec.rawValue)
        for part in parts.all() { whole.add(part) }
        whole.failures.sort { $0.seed < $1.seed }
        whole.seconds = (ContinuousClock.now - start) / .seconds(1)
        return whole
    }
}

extension LayeredScheme.Codec: ExpressibleByArgument {}

/// One place for each thread's result.
private final class Parts: @unchecked Sendable {
    private let lock = NSLock()
    private var parts: [CodecResult?]

    init(count: Int) { parts = Array(repeating: nil, count: count) }

    func set(_ part: CodecResult, _ index: Int) { lock.withLock { parts[index] = part } }
    func all() -> [CodecResult] { lock.withLock { parts.compactMap { $0 } } }
}
