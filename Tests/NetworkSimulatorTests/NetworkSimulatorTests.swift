// The simulator does what its numbers say, the same way every time.
import NetworkSimulator
import Testing

@Suite("NetworkSimulator")
struct NetworkSimulatorTests {
    /// Sends `count` numbered packets of 1200 bytes at a steady pace and returns what arrives.
    private func run(
        _ conditions: LinkConditions, seed: UInt64 = 1, count: Int = 10_000, every interval: Nanoseconds = 1_000_000
    ) -> (deliveries: [Delivery<Int>], statistics: LinkStatistics) {
        var link = SimulatedLink<Int>(conditions, seed: seed)
        var deliveries: [Delivery<Int>] = []
        for number in 0..<count {
            let now = Nanoseconds(number) * interval
            while let delivery = link.receive(now: now) { deliveries.append(delivery) }
            link.send(number, bytes: 1200, now: now)
        }
        while let delivery = link.receive(now: .max) { deliveries.append(delivery) }
        return (deliveries, link.statistics)
    }

    @Test("the same seed gives the same run, another seed another", arguments: NetworkProfile.all)
    func determinism(profile: NetworkProfile) {
        let first = run(profile.up, seed: 42).deliveries.map { [UInt64($0.payload), $0.arrival] }
        let again = run(profile.up, seed: 42).deliveries.map { [UInt64($0.payload), $0.arrival] }
        let other = run(profile.up, seed: 43).deliveries.map { [UInt64($0.payload), $0.arrival] }
        #expect(first == again)
        if profile.name != "perfect" { #expect(first != other) }
    }

    @Test("the first numbers of seed 1 never change")
    func generator() {
        var random = SeededRandom(seed: 1)
        #expect(random.next() == 0x910A_2DEC_8902_5CC1)
        var sum = 0.0
        var squares = 0.0
        for _ in 0..<100_000 {
            let value = random.normal()
            sum += value
            squares += value * value
        }
        #expect(abs(sum / 100_000) < 0.02)
        #expect(abs(squares / 100_000 - 1) < 0.02)
    }

    @Test("everything sent is delivered, lost or dropped", arguments: NetworkProfile.all)
    func conservation(profile: NetworkProfile) {
        let statistics = run(profile.up, count: 20_000).statistics
        let accounted =
            statistics.delivered - statistics.duplicated + statistics.lost + statistics.droppedByQueue
            + statistics.droppedByMTU
        #expect(accounted == statistics.sent)
    }

    @Test("without conditions every packet arrives after the delay")
    func delay() {
        let result = run(LinkConditions(delay: .milliseconds(20)))
        #expect(result.deliveries.count == 10_000)
        #expect(result.deliveries.allSatisfy { $0.arrival == $0.sent + 20_000_000 })
    }

    @Test("jitter adds, never subtracts, and keeps the order unless told otherwise")
    func jitter() {
        let ordered = run(LinkConditions(delay: .milliseconds(20), jitter: .milliseconds(5)))
        #expect(ordered.deliveries.allSatisfy { $0.arrival >= $0.sent + 20_000_000 })
        #expect(ordered.deliveries.map(\.payload) == Array(0..<10_000))
        let free = run(
            LinkConditions(delay: .milliseconds(20), jitter: .milliseconds(5)).with { $0.keepsOrder = false })
        #expect(free.deliveries.map(\.payload) != Array(0..<10_000))
        let mean = free.deliveries.map { Double($0.arrival - $0.sent) }.reduce(0, +) / 10_000
        // The mean of |normal| is √(2/π) deviations.
        #expect(abs(mean - (20e6 + 5e6 * 0.798)) < 0.2e6)
    }

    @Test("the rate is honoured to one percent", arguments: [0.5, 1, 5, 8])
    func rate(megabits: Double) {
        let conditions = LinkConditions(delay: .milliseconds(10), rate: .megabits(megabits))
        let result = run(conditions)
        let first = result.deliveries.first?.arrival ?? 0
        let last = result.deliveries.last?.arrival ?? 0
        let bits = Double((result.deliveries.count - 1) * 1228 * 8)
        let measured = bits / (Double(last - first) / 1e9)
        #expect(abs(measured - megabits * 1e6) < megabits * 1e4, "measured \(measured) bit/s")
        #expect(result.statistics.droppedByQueue > 0)
    }

    @Test("the queue bounds the waiting: what does not fit is dropped at the tail")
    func queue() {
        let conditions = LinkConditions(delay: 0, rate: .megabits(1)).with { $0.queueBytes = 50_000 }
        let result = run(conditions)
        // 50,000 bytes at one megabit are 400 ms.
        #expect(result.statistics.longestQueueing <= 400_000_000)
        #expect(result.statistics.longestQueueing > 380_000_000)
    }

    @Test("a rate that changes changes what arrives")
    func rateSteps() {
        let conditions = LinkConditions(delay: 0).with {
            $0.rates = [RateStep(from: 0, rate: .megabits(4)), RateStep(from: .seconds(5), rate: .megabits(1))]
            $0.queueBytes = 20_000
        }
        let deliveries = run(conditions).deliveries
        let early = deliveries.count { $0.arrival < .seconds(5) }
        let late = deliveries.count { $0.arrival >= .seconds(5) && $0.arrival < .seconds(10) }
        #expect(abs(Double(early) / Double(late) - 4) < 0.3, "\(early) then \(late)")
    }

    @Test("random loss loses its share, each packet on its own")
    func randomLoss() {
        let statistics = run(LinkConditions(delay: 0, loss: .random(0.02)), count: 100_000).statistics
        #expect(abs(Double(statistics.lost) / 100_000 - 0.02) < 0.002)
    }

    @Test("bursts lose the same share in runs of the given length")
    func bursts() {
        let loss = LossModel.bursts(average: 0.02, burst: 6)
        #expect(abs(loss.average - 0.02) < 1e-9)
        let result = run(LinkConditions(delay: 0, loss: loss), count: 300_000)
        #expect(abs(Double(result.statistics.lost) / 300_000 - 0.02) < 0.003)
        var gaps = 0
        var previous = -1
        for delivery in result.deliveries {
            if delivery.payload > previous + 1 { gaps += 1 }
            previous = delivery.payload
        }
        let length = Double(result.statistics.lost) / Double(gaps)
        #expect(abs(length - 6) < 0.6, "mean burst \(length)")
    }

    @Test("a reliable carrier loses nothing and makes the rest wait")
    func reliable() {
        let result = run(NetworkProfile.proxyTCP.up)
        #expect(result.deliveries.map(\.payload) == Array(0..<10_000))
        #expect(result.deliveries.contains { $0.arrival - $0.sent > 70_000_000 })
    }

    @Test("held-back packets are overtaken, duplicates come twice, large packets not at all")
    func rest() {
        let conditions = LinkConditions(delay: .milliseconds(5)).with {
            $0.reordering = 0.1
            $0.reorderingDelay = .milliseconds(3)
            $0.duplication = 0.05
        }
        let result = run(conditions)
        #expect(abs(Double(result.statistics.heldBack) - 1050) < 150)
        #expect(abs(Double(result.statistics.duplicated) - 500) < 100)
        #expect(Set(result.deliveries.map(\.payload)).count == 10_000)
        #expect(result.deliveries.count == 10_000 + result.statistics.duplicated)
        let small = run(conditions.with { $0.mtu = 1200 })
        #expect(small.statistics.droppedByMTU == 10_000)
    }

    @Test("the clock stops at arrivals and at deadlines, and never goes back")
    func clock() {
        var network = SimulatedNetwork<[UInt8]>(.satellite, seed: 3, start: 1000)
        network.send([1], from: .client)
        network.send([2, 2], from: .server)
        guard case .timeReached = network.advance(to: .milliseconds(100)) else {
            Issue.record("nothing can have crossed a satellite link in 100 ms")
            return
        }
        #expect(network.now == 100_000_000)
        var arrivals: [NetworkSide] = []
        var last = network.now
        while case .arrived(let delivery, let side) = network.advance(to: .seconds(1)) {
            #expect(network.now == delivery.arrival)
            #expect(network.now >= last)
            #expect(delivery.payload.count == (side == .server ? 1 : 2))
            last = network.now
            arrivals.append(side)
        }
        #expect(Set(arrivals) == [.client, .server])
        #expect(network.now == .seconds(1))
        _ = network.advance(to: 5)
        #expect(network.now == .seconds(1))
    }
}
