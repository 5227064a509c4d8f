// The rate that losses allow: which of some rates explains best what was lost.
import Glibc

/// After libwebrtc's second loss-based estimator. A path loses a share of all packets whatever is sent (a bad radio), and
/// on top of it whatever exceeds its capacity. From observations of a quarter of a second each, the likelihood of some
/// candidate capacities is compared; Newton's method finds the share of each.
package struct LossBound: Sendable {
    static let observationCount = 20
    static let observationLength: UInt64 = 250_000_000
    static let weight = 0.9
    static let largestInherent = 0.3
    static let firstInherent = 0.01
    /// A likely higher rate is preferred, so that the bound does not stay low for want of evidence.
    static let bias = 0.0002
    static let logarithmicBias = 0.02
    static let biasThreshold = 0.15
    static let backoff = 0.95
    static let growth = 1.03
    static let rampUp = 1.3
    /// With that much loss in the last observations the bound is what `balance` says, whatever explains it.
    static let tolerated = 0.08
    /// A probe that came through shows more than some losses.
    static let disproved = 0.15
    static let balance = 100_000.0

    private struct Observation: Sendable {
        var packets = 0.0
        var lost = 0.0
        /// kbit/s.
        var rate = 0.0
    }

    /// nil while nothing bounds the rate.
    package private(set) var bitsPerSecond: Double?
    package private(set) var inherent = LossBound.firstInherent
    /// Over the last observations, newer ones counting more.
    package private(set) var recentLoss = 0.0

    private var observations = InlineArray<20, Observation>(repeating: Observation())
    private var count = 0
    private var next = 0
    private var packets = 0
    private var lost = 0
    private var bytes = 0
    private var started: UInt64?

    package init() {}

    /// Settled packets, by when they were sent. A packet told as lost that came after all is taken back.
    package mutating func note(packets count: Int, lost lostCount: Int, bytes size: Int) {
        packets &+= count
        lost &+= lostCount
        bytes &+= size
    }

    package mutating func raise(to rate: Double) {
        if let bound = bitsPerSecond, bound < rate, recentLoss < LossBound.disproved { bitsPerSecond = rate }
    }

    /// Closes an observation when it is long enough. `delayBased` is what the delay allows.
    package mutating func update(delayBased: Double, acknowledged: Double?, sentAt: UInt64) {
        guard let start = started else {
            started = sentAt
            return
        }
        let elapsed = sentAt &- start
        guard elapsed >= LossBound.observationLength, elapsed < .max / 2, packets >= 4 else { return }
        observations[next] = Observation(
            packets: Double(packets), lost: Double(min(max(0, lost), packets)),
            rate: Double(bytes) * 8e6 / Double(elapsed))
        next = (next + 1) % LossBound.observationCount
        count = min(count + 1, LossBound.observationCount)
        started = sentAt
        packets = 0
        lost = 0
        bytes = 0
        measureLoss()
        choose(delayBased: delayBased, acknowledged: acknowledged)
    }

    private func observation(_ age: Int) -> Observation {
        observations[(next + LossBound.observationCount - 1 - age) % LossBound.observationCount]
    }

    private mutating func measureLoss() {
        var allPackets = 0.0
        var allLost = 0.0
        var weight = 1.0
        for age in 0..<count {
            allPackets += weight * observation(age).packets
            allLost += weight * observation(age).lost
            weight *= 0.7
        }
        recentLoss = allPackets > 0 ? allLost / allPackets : 0
    }

    private mutating func choose(delayBased: Double, acknowledged: Double?) {
        let current = min(bitsPerSecond ?? delayBased, delayBased)
        var best = (rate: current, share: inherent, score: -Double.infinity)
        func consider(_ rate: Double, _ best: inout (rate: Double, share: Double, score: Double)) {
            let kilobits = max(rate / 1000, 10)
            let share = fit(kilobits)
            let score = self.score(kilobits, share)
            if score > best.score { best = (rate, share, score) }
        }
        consider(current, &best)
        consider(current * LossBound.growth, &best)
        consider(current * LossBound.backoff, &best)
        consider(delayBased, &best)
        if let acknowledged {
            consider(acknowledged, &best)
            consider(acknowledged * 0.9, &best)
        }
        inherent = best.share
        var bound = best.rate
        if bound > current, let acknowledged, recentLoss > 0.01 {
            // Out of a loss the way up leads over what has been seen to arrive.
            bound = min(bound, max(current, acknowledged * LossBound.rampUp))
        }
        if recentLoss > LossBound.tolerated {
            bound = min(bound, max(current * 0.8, LossBound.balance / (recentLoss - LossBound.tolerated + 0.001)))
        }
        bitsPerSecond = bound >= delayBased ? nil : bound
    }

    /// The probability that a packet is lost when this much is sent.
    private func probability(_ share: Double, _ capacity: Double, _ rate: Double) -> Double {
        let lost = rate > capacity && rate > 0 ? share + (1 - share) * (rate - capacity) / rate : share
        return min(max(lost, 1e-6), 1 - 1e-6)
    }

    private func fit(_ capacity: Double) -> Double {
        var share = inherent
        for _ in 0..<2 {
            var first = 0.0
            var second = 0.0
            var weight = 1.0
            for age in 0..<count {
                let seen = observation(age)
                let lost = probability(share, capacity, seen.rate)
                let received = seen.packets - seen.lost
                first += weight * (seen.lost / lost - received / (1 - lost))
                second -= weight * (seen.lost / (lost * lost) + received / ((1 - lost) * (1 - lost)))
                weight *= LossBound.weight
            }
            if second < 0 { share -= 0.75 * first / second }
            share = min(max(share, 1e-4), LossBound.largestInherent)
        }
        return share
    }

    private func score(_ capacity: Double, _ share: Double) -> Double {
        let preference = (LossBound.biasThreshold - recentLoss) / (0.002 + abs(LossBound.biasThreshold - recentLoss))
        let bias = LossBound.bias * preference * capacity + LossBound.logarithmicBias * preference * log(1 + capacity)
        var total = 0.0
        var weight = 1.0
        for age in 0..<count {
            let seen = observation(age)
            let lost = probability(share, capacity, seen.rate)
            total += weight * (seen.lost * log(lost) + (seen.packets - seen.lost) * log(1 - lost))
            total += weight * bias
            weight *= LossBound.weight
        }
        return total
    }
}
