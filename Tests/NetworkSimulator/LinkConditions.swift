// What one direction of a path does to packets, as numbers.

/// How packets get lost.
package enum LossModel: Sendable, Equatable {
    case none
    /// Each packet on its own.
    case random(Double)
    /// Gilbert–Elliott: a good and a bad state with their own loss; the probabilities are per packet.
    case gilbertElliott(goodToBad: Double, badToGood: Double, lossInGood: Double, lossInBad: Double)

    /// Bursts of about `burst` packets that lose `average` of all.
    package static func bursts(average: Double, burst: Double) -> LossModel {
        let badToGood = 1 / max(1, burst)
        let goodToBad = average * badToGood / max(1 - average, 1e-9)
        return .gilbertElliott(goodToBad: goodToBad, badToGood: badToGood, lossInGood: 0, lossInBad: 1)
    }

    /// The share of packets lost in the long run.
    package var average: Double {
        switch self {
        case .none: 0
        case .random(let probability): probability
        case .gilbertElliott(let goodToBad, let badToGood, let inGood, let inBad):
            goodToBad + badToGood == 0
                ? inGood : (inBad * goodToBad + inGood * badToGood) / (goodToBad + badToGood)
        }
    }
}

/// What becomes of a packet that the loss model takes.
package enum LossConsequence: Sendable, Equatable {
    case gone
    /// A reliable carrier below (a TCP proxy): it comes late, and everything behind it waits.
    case repeated(after: Nanoseconds)
}

package typealias Nanoseconds = UInt64
package typealias BitsPerSecond = UInt64

package struct RateStep: Sendable, Equatable {
    /// Since the start of the link.
    package var from: Nanoseconds
    package var rate: BitsPerSecond

    package init(from: Nanoseconds, rate: BitsPerSecond) {
        self.from = from
        self.rate = rate
    }
}

package struct LinkConditions: Sendable, Equatable {
    /// Propagation, one way.
    package var delay: Nanoseconds = 0
    /// Deviation of a normally distributed addition; never below the delay itself.
    package var jitter: Nanoseconds = 0
    package var loss = LossModel.none
    package var lossConsequence = LossConsequence.gone
    /// Empty: infinitely fast. Otherwise by time; the first step should start at zero.
    package var rates: [RateStep] = []
    /// What the bottleneck holds before it drops at the tail.
    package var queueBytes = 256 * 1024
    /// Share of packets that are held back by `reorderingDelay` while others pass.
    package var reordering = 0.0
    package var reorderingDelay: Nanoseconds = 0
    package var duplication = 0.0
    /// IP payload (with UDP header) above which a packet is dropped.
    package var mtu = 1500
    /// Whether jitter may change the order. Real access links keep it; only `reordering` then breaks it.
    package var keepsOrder = true
    /// Counted for every packet on top of its own bytes: IPv4 and UDP headers.
    package var overheadBytes = 28

    package init() {}

    package init(delay: Nanoseconds, jitter: Nanoseconds = 0, loss: LossModel = .none, rate: BitsPerSecond? = nil) {
        self.delay = delay
        self.jitter = jitter
        self.loss = loss
        if let rate { rates = [RateStep(from: 0, rate: rate)] }
    }

    package func with(_ change: (inout LinkConditions) -> Void) -> LinkConditions {
        var copy = self
        change(&copy)
        return copy
    }

    /// Nil: infinitely fast.
    package func rate(at sinceStart: Nanoseconds) -> BitsPerSecond? {
        guard var current = rates.first?.rate else { return nil }
        for step in rates where step.from <= sinceStart { current = step.rate }
        return max(1, current)
    }
}

extension UInt64 {
    package static func milliseconds(_ value: Double) -> UInt64 { UInt64(value * 1_000_000) }
    package static func seconds(_ value: Double) -> UInt64 { UInt64(value * 1_000_000_000) }
    package static func megabits(_ value: Double) -> UInt64 { UInt64(value * 1_000_000) }
}
