// The estimator, the pacer and the allocator over bad networks.
import NetworkSimulator
import Testing

@testable import Forwarding

@Suite("Bandwidth")
struct BandwidthTests {
    @Test("trace") func trace() {
        for (name, profile) in [
            ("10", NetworkProfile("a", both: LinkConditions(delay: .milliseconds(20), rate: .megabits(10)))),
            ("10-2", NetworkProfile("a", both: LinkConditions(delay: .milliseconds(20)).with { $0.rates = [RateStep(from: 0, rate: .megabits(10)), RateStep(from: .seconds(8), rate: .megabits(2))] })),
        ] {
            for elastic in [true, false] {
            let world = BandwidthWorld(profile, seed: 1)
            world.addViewer(elastic ? [] : [.simulcast(.surgicalField, [0.3, 0.8, 1.5]), .simulcast(.camera, [0.15, 0.4, 1.2]), .simulcast(.camera, [0.15, 0.4, 1.2]), .simulcast(.camera, [0.15, 0.4, 1.2]), .simulcast(.document, [0.5, 1.5, 3])])
            print("== \(name) \(elastic)")
            var t = 0.0
            while t < 16 {
                world.openWindow(at: t, until: t + 0.25)
                t += 0.25
                world.run(until: t)
                let b = world.viewers[0]
                if t < 2 || Int(t * 4) % 4 == 0 || (t > 8 && t < 11) {
                print(t, "est", Int(b.bandwidth.estimate / 1000), "got", Int(world.delivered / 1000), "q", Int(world.longestQueueing / 1_000_000), "rtt", Int(b.bandwidth.roundTrip * 1000), "bq", Int(b.bandwidth.queueing * 1000), "queued", b.queuedBytes, "use", b.bandwidth.trend.use, "loss", b.bandwidth.loss.bitsPerSecond.map { Int($0 / 1000) } ?? -1, "inh", b.bandwidth.loss.inherent, "lim", b.bandwidth.limit.isLimited, "probes", b.bandwidth.probing.count, b.bandwidth.probing.failures, "given", b.allocator.streams.map(\.given), "restarts", b.restarts, "starting", b.bandwidth.isStarting, "drop", world.down.statistics.droppedByQueue, "ideal", Int(b.allocator.idealBitsPerSecond/1000))
                }
            }
            print("loss", world.selfMadeLoss, "switches", world.mostSwitches(from: 0))
            }
        }
    }
}
