// What the switching bench found, as a line of its table and as JSON.
import ForwardingSimulation
import Foundation

struct SwitchingReport: Codable {
    var seed: UInt64
    /// Of each codec.
    var runs: UInt64
    var codecs: [CodecResult]
}

struct CodecResult: Codable, Sendable {
    struct Failure: Codable, Sendable {
        var seed: UInt64
        var scheme: String
        var reasons: [String]
    }

    var codec: String
    var runs = 0
    var framesDecoded = 0
    var virtualSeconds = 0.0
    var seconds = 0.0
    var failures: [Failure] = []

    init(codec: String) { self.codec = codec }

    mutating func add(_ codec: LayeredScheme.Codec, seed: UInt64) {
        let run = LayersRun(.scheme(codec, seed: seed), seed: seed)
        run.run()
        runs += 1
        framesDecoded += run.decoded
        virtualSeconds += run.virtualSeconds
        guard !run.problems.isEmpty else { return }
        failures.append(Failure(seed: seed, scheme: "\(run.scheme)", reasons: run.problems))
    }

    mutating func add(_ other: CodecResult) {
        runs += other.runs
        framesDecoded += other.framesDecoded
        virtualSeconds += other.virtualSeconds
        failures += other.failures
    }

    var line: String {
        let name = codec.uppercased().padding(toLength: 6, withPad: " ", startingAt: 0)
        let speed = seconds > 0 ? virtualSeconds / seconds : 0
        return name
            + String(format: "%6d %11d %8d %9.1f %13.0f", runs, framesDecoded, failures.count, seconds, speed)
    }
}
