// What a run has measured: a table for people, JSON for programs, and the bounds it must keep.
import Foundation

struct Report {
    struct Bound {
        var name: String
        var value: Double
        var limit: Double
        /// Otherwise the value must not be above it.
        var isLowest = false
        /// Bounds of correctness hold on any machine, those of speed only where nothing else runs.
        var isOfSpeed = true
        var holds: Bool { isLowest ? value >= limit : value <= limit }
    }

    let scenario: String
    var parameters: [String: any Sendable] = [:]
    var sections: [String: any Sendable] = [:]
    var bounds: [Bound] = []
    var notes: [String] = []

    init(_ scenario: String) { self.scenario = scenario }

    mutating func bound(
        _ name: String, _ value: Double, atMost limit: Double, isOfSpeed: Bool = true
    ) { bounds.append(Bound(name: name, value: value, limit: limit, isOfSpeed: isOfSpeed)) }

    mutating func bound(
        _ name: String, _ value: Double, atLeast limit: Double, isOfSpeed: Bool = true
    ) { bounds.append(Bound(name: name, value: value, limit: limit, isLowest: true, isOfSpeed: isOfSpeed)) }

    /// Writes both forms; false when a bound that counts is broken.
    func finish(_ options: ServerOptions, _ machine: MachineSpeed, table: [(String, String)]) throws -> Bool {
        let counting = bounds.filter { !options.smoke || !$0.isOfSpeed }
        let isGood = counting.allSatisfy(\.holds)
        say("\n\(scenario)")
        let width = table.map(\.0.count).max() ?? 0
        for (name, value) in table + [("machine", machine.words)] {
            say("  \(name.padding(toLength: width + 2, withPad: " ", startingAt: 0))\(value)")
        }
        say("\n  bound".padding(toLength: 62, withPad: " ", startingAt: 0) + "measured      limit")
        for bound in counting {
            let mark = bound.holds ? "ok" : "BROKEN"
            let sign = bound.isLowest ? "≥" : "≤"
            say(
                "  \(bound.name.padding(toLength: 58, withPad: " ", startingAt: 0))"
                    + "\(Report.text(bound.value).padding(toLength: 12, withPad: " ", startingAt: 0))  "
                    + "\(sign) \(Report.text(bound.limit))  \(mark)")
        }
        for note in notes { say("  \(note)") }
        if let path = options.json {
            var root: [String: any Sendable] = sections
            root["scenario"] = scenario
            root["parameters"] = parameters
            root["notes"] = notes
            root["machine"] =
                [
                    "nanoseconds_per_step": machine.nanosecondsPerStep.rounded(to: 3),
                    "gigabytes_copied_per_second": machine.gigabytesPerSecond.rounded(to: 2),
                ] as [String: any Sendable]
            root["bounds"] = counting.map { bound in
                [
                    "name": bound.name, "value": bound.value.rounded(to: 4), "limit": bound.limit,
                    "is_lowest": bound.isLowest, "holds": bound.holds,
                ] as [String: any Sendable]
            }
            root["ok"] = isGood
            let data = try JSONSerialization.data(withJSONObject: root, options: [.prettyPrinted, .sortedKeys])
            try data.write(to: URL(fileURLWithPath: path))
            say("  JSON: \(path)")
        }
        return isGood
    }

    static func text(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e9 ? String(Int(value)) : String(format: "%.3f", value)
    }
}

extension Histogram {
    var words: String {
        guard count > 0 else { return "none" }
        return String(
            format: "p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  max %.2f ms  (%llu)", milliseconds(at: 0.5),
            milliseconds(at: 0.9), milliseconds(at: 0.99), milliseconds(at: 0.999), Double(largest) / 1e6, count)
    }
}

/// A line at once, also when it goes into a file.
func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
