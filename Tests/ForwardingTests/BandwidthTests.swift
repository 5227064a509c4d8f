// The estimator, the pacer and the allocator over bad networks, against the bounds that they have to keep.
import Foundation
import NetworkSimulator
import Testing

@testable import Forwarding

@Suite("Bandwidth")
struct BandwidthTests {
    private struct Row {
        var profile: BandwidthProfile
        var seed: UInt64
        var used = 0.0
        var loss = 0.0
        var queueing = 0.0
        var audio = 0.0
        var fairness = 1.0
        var switches = 0
        var seconds = 0.0
    }

    static let meeting: [SimulatedStream] = [
        .simulcast(.surgicalField, [0.3, 0.8, 1.5]), .simulcast(.document, [0.4, 1.2, 2.5]),
        .simulcast(.camera, [0.15, 0.4, 1.2]), .simulcast(.camera, [0.15, 0.4, 1.2]),
        .simulcast(.camera, [0.15, 0.4, 1.2]), .simulcast(.camera, [0.15, 0.4, 1.2]),
    ]

    private func run(_ profile: BandwidthProfile, seed: UInt64) -> Row {
        let world = BandwidthWorld(profile.network, seed: seed)
        var row = Row(profile: profile, seed: seed)
        // Without chance on the link, runs differ by when they begin.
        let offset = Double(seed - 1) * 0.037
        switch profile.shape {
        case .elastic: world.addViewer([], after: offset)
        case .meeting: world.addViewer(BandwidthTests.meeting)
        case .fall: world.addViewer([], after: offset)
        case .meetingFalls: world.addViewer(BandwidthTests.meeting)
        case .pair:
            world.addViewer([], after: offset)
            world.addViewer([], after: 1)
        }
        switch profile.shape {
        case .elastic, .meeting:
            row.seconds = 12
            world.run(until: 4)
            world.openWindow(at: 4, until: 8)
            world.run(until: 8)
            measure(&row, world)
            if case .meeting = profile.shape {
                row.seconds = 24
                world.run(until: 24)
                row.switches = world.mostSwitches(from: 4)
            } else {
                world.run(until: 12)
            }
        case .fall, .meetingFalls:
            row.seconds = 14
            world.run(until: 9.5)
            world.openWindow(at: 9.5, until: 14)
            world.run(until: 14)
            measure(&row, world)
        case .pair:
            row.seconds = 40
            world.run(until: 15)
            world.openWindow(at: 15, until: 40)
            world.run(until: 40)
            measure(&row, world)
            row.fairness = world.fairness
        }
        row.loss = world.selfMadeLoss
        return row
    }

    private func measure(_ row: inout Row, _ world: BandwidthWorld) {
        row.used = world.delivered / 1e6 / row.profile.megabits
        row.queueing = Double(world.longestQueueing) / 1e6
        row.audio = Double(world.longestAudioQueueing) / 1e6
    }

    /// `CONSILIUM_BANDWIDTH_SEEDS` asks for more than one seed of each.
    @Test(
        "on more than sixty networks the path is used, its queue stays short and hardly anything is lost by our doing")
    func profiles() {
        let seeds = UInt64(ProcessInfo.processInfo.environment["CONSILIUM_BANDWIDTH_SEEDS"] ?? "") ?? 1
        #expect(BandwidthProfile.all.count >= 60)
        #expect(Set(BandwidthProfile.all.map(\.name)).count == BandwidthProfile.all.count)
        let clock = ContinuousClock()
        let begin = clock.now
        var seconds = 0.0
        var failures: [String] = []
        print("network                                   seed   used   loss  queue ms  audio ms  Jain  switches")
        for profile in BandwidthProfile.all {
            for seed in 1...seeds {
                let row = run(profile, seed: seed)
                seconds += row.seconds
                let name = profile.name.padding(toLength: 42, withPad: " ", startingAt: 0)
                let figures = String(
                    format: "%4d %5.1f%% %5.2f%% %8.0f %9.0f %6.3f %5d", seed, row.used * 100, row.loss * 100,
                    row.queueing, row.audio, row.fairness, row.switches)
                var faults: [String] = []
                if row.used < profile.needed { faults.append("used") }
                if row.loss > profile.largestLoss { faults.append("loss") }
                if row.queueing > profile.largestQueue { faults.append("queue") }
                if row.fairness < 0.9 { faults.append("fairness") }
                if row.switches > profile.mostSwitches { faults.append("switches") }
                print(name + figures, faults.isEmpty ? "" : "<- " + faults.joined(separator: ", "))
                if !faults.isEmpty { failures.append("\(profile.name), seed \(seed): \(faults)") }
            }
        }
        let elapsed = begin.duration(to: clock.now) / .seconds(1)
        print(String(format: "%.0f s of network time in %.1f s: %.0f x real time", seconds, elapsed, seconds / elapsed))
        #expect(failures == [])
    }
}
