// What the runs came to: a table for people, JSON for machines.
import ForwardingSimulation
import Foundation

struct NetworkReport {
    private struct Row: Codable {
        var network: String
        var seed: UInt64
        var used: Double
        var usedNeeded: Double
        var loss: Double
        var queueMilliseconds: Double
        var audioInQueueMilliseconds: Double
        var fairness: Double
        var switches: Int
        var broken: [String]
    }

    private struct CoreRow: Codable {
        var network: String
        var seed: UInt64
        var freezeMilliseconds: Double
        var audioWaitMilliseconds: Double
        var switches: UInt64
        var broken: [String]
    }

    private struct Document: Codable {
        var bench = "networks"
        var firstSeed: UInt64
        var seeds: UInt64
        var networks: Int
        var runs: Int
        var failingRuns: Int
        var simulatedSeconds: Double
        var processorSeconds: Double
        var timesRealTime: Double
        var rows: [Row]
        var core: [CoreRow]
    }

    private let everyRun: Bool
    private var rows: [Row] = []
    private var core: [CoreRow] = []
    private var networks = 0
    private var failing = 0
    private var seconds = 0.0
    private var elapsed = 0.0
    private var slowest = (name: "", factor: Double.infinity)

    init(everyRun: Bool) { self.everyRun = everyRun }

    /// Slower than this, nobody runs many seeds.
    static let neededFactor = 100.0

    var isBroken: Bool { failing > 0 || factor < NetworkReport.neededFactor }
    private var factor: Double { elapsed > 0 ? seconds / elapsed : .infinity }

    let head =
        "network                              seeds  used %  needed  loss %  queue ms  sound ms   Jain  switches      × time"

    /// The worst figures of the runs, and those bounds that any of them broke.
    mutating func add(_ network: NetworkCase, _ runs: [NetworkRun], elapsed: Double) -> String {
        let factor = count(
            network.name, simulated: runs.reduce(0) { $0 + $1.seconds }, elapsed: elapsed,
            failing: runs.count { !$0.broken.isEmpty })
        for run in runs {
            rows.append(
                Row(
                    network: run.name, seed: run.seed, used: run.used, usedNeeded: network.limit(.used), loss: run.loss,
                    queueMilliseconds: run.queueing * 1000, audioInQueueMilliseconds: run.audioInQueue * 1000,
                    fairness: run.fairness, switches: run.switches, broken: run.broken.map(\.rawValue)))
        }
        guard everyRun else { return line(network, runs, label: String(runs.count), factor: factor) }
        return runs.map { line(network, [$0], label: "#\($0.seed)", factor: factor) }.joined(separator: "\n")
    }

    /// Into the sums of all networks; answers how much faster than real time the runs of this one were.
    private mutating func count(_ network: String, simulated: Double, elapsed: Double, failing: Int) -> Double {
        networks += 1
        self.elapsed += elapsed
        self.failing += failing
        seconds += simulated
        let factor = simulated / max(elapsed, 1e-9)
        if factor < slowest.factor { slowest = (network, factor) }
        return factor
    }

    private func line(_ network: NetworkCase, _ runs: [NetworkRun], label: String, factor: Double) -> String {
        func worst(_ figure: (NetworkRun) -> Double) -> Double { runs.map(figure).max() ?? 0 }
        let broken = NetworkCase.Bound.allCases.compactMap { bound -> String? in
            let count = runs.count { $0.broken.contains(bound) }
            return count == 0 ? nil : runs.count == 1 ? bound.rawValue : "\(bound.rawValue) \(count)×"
        }
        let isExcepted = network.exceptions.isEmpty ? " " : "*"
        return network.name.padding(toLength: 36, withPad: " ", startingAt: 0)
            + String(
                format: "%6@ %7.1f %6.0f%@ %7.2f %9.0f %9.0f %6.3f %9d %11.0f", label as NSString,
                -100 * worst { -$0.used }, 100 * network.limit(.used), isExcepted as NSString,
                100 * worst { $0.loss }, 1000 * worst { $0.queueing }, 1000 * worst { $0.audioInQueue },
                -worst { -$0.fairness }, Int(worst { Double($0.switches) }), factor)
            + (broken.isEmpty ? "" : "  <- " + broken.joined(separator: ", "))
    }

    let coreHead =
        "the whole core, simulcast, the path narrows  seeds  freeze ms, median  worst  sound waits ms  switches      × time"

    mutating func add(_ network: CoreCase, _ runs: [CoreRun], elapsed: Double) -> String {
        let broken = runs.count { !$0.broken.isEmpty }
        let factor = count(
            network.name, simulated: runs.reduce(0) { $0 + $1.seconds }, elapsed: elapsed, failing: broken)
        for run in runs {
            core.append(
                CoreRow(
                    network: run.name, seed: run.seed, freezeMilliseconds: run.freeze * 1000,
                    audioWaitMilliseconds: run.audioWait * 1000, switches: run.switches, broken: run.broken))
        }
        let freezes = runs.map(\.freeze).sorted()
        return network.name.padding(toLength: 44, withPad: " ", startingAt: 0)
            + String(
                format: "%6d %18.0f %6.0f %15.1f %9d %11.0f", runs.count,
                1000 * (freezes.isEmpty ? 0 : freezes[freezes.count / 2]), 1000 * (freezes.last ?? 0),
                1000 * (runs.map(\.audioWait).max() ?? 0), Int(runs.map(\.switches).max() ?? 0), factor)
            + (broken == 0 ? "" : "  <- \(broken)×")
    }

    var summary: String {
        String(
            format: "%d networks, %d runs, %d of them broke a bound (%.2f %%)\n"
                + "%.0f s of network time in %.1f s of CPU: %.0f × real time (slowest: %@, %.0f ×)\n"
                + "* a bound of its own; --exceptions says why",
            networks, rows.count + core.count, failing, 100 * Double(failing) / Double(max(1, rows.count + core.count)),
            seconds,
            elapsed, factor, slowest.name as NSString, slowest.factor)
    }

    func json(firstSeed: UInt64, seeds: UInt64) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let document = Document(
            firstSeed: firstSeed, seeds: seeds, networks: networks, runs: rows.count + core.count, failingRuns: failing,
            simulatedSeconds: seconds, processorSeconds: elapsed, timesRealTime: factor, rows: rows, core: core)
        return String(decoding: try encoder.encode(document), as: UTF8.self) + "\n"
    }
}
