// The command: every named network for some seeds in virtual time, a table of figures, and whether a bound was broken.
import ArgumentParser
import ForwardingSimulation
import Foundation
import Glibc

@main
struct BenchNetworks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-networks",
        abstract: "Estimator, pacer and allocator over bad networks in virtual time, against the bounds of each.")

    @Option(help: "Seeded runs of each network.") var seeds: UInt64 = 3
    @Option(help: "The first seed.") var firstSeed: UInt64 = 1
    @Option(help: "Only networks whose name contains this.") var profile: String?
    @Option(help: "Also write the figures as JSON to this file.") var json: String?
    @Flag(help: "A line for every run instead of every network.") var everyRun = false
    @Flag(help: "Write what each sender thinks, line by line.") var trace = false
    @Flag(help: "What deviates from the common bounds, and why.") var exceptions = false

    func run() throws {
        let cases = NetworkCase.all.filter { profile.map($0.name.contains) ?? true }
        if exceptions { return listExceptions(cases) }
        var report = NetworkReport(everyRun: everyRun)
        print(report.head)
        for network in cases {
            let begin = processorSeconds
            let runs = (firstSeed..<(firstSeed + seeds)).map {
                NetworkRun(network, seed: $0, trace: trace ? { print($0) } : nil)
            }
            print(report.add(network, runs, elapsed: processorSeconds - begin))
        }
        let cores = CoreCase.all.filter { profile.map($0.name.contains) ?? true }
        if !cores.isEmpty { print("\n" + report.coreHead) }
        for network in cores {
            let begin = processorSeconds
            let runs = (firstSeed..<(firstSeed + seeds)).map {
                CoreRun(network, seed: $0, trace: trace ? { print($0) } : nil)
            }
            print(report.add(network, runs, elapsed: processorSeconds - begin))
        }
        print("\n" + report.summary)
        if let json {
            try report.json(firstSeed: firstSeed, seeds: seeds).write(toFile: json, atomically: true, encoding: .utf8)
        }
        if report.isBroken { throw ExitCode(1) }
    }

    /// Of this process: what else the machine does is no matter here.
    private var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func listExceptions(_ cases: [NetworkCase]) {
        for network in cases {
            for exception in network.exceptions {
                print("\(network.name): \(exception.bound.rawValue) \(exception.value). \(exception.reason)")
            }
        }
    }
}
