// The rate that the delay allows: additive or multiplicative increase, decrease to what arrives.

/// What the bottleneck was last seen to carry, with its deviation: near it the rate grows slowly.
package struct LinkCapacity: Sendable {
    static let smoothing = 0.05
    static let deviations = 0.4...2.5

    package private(set) var bitsPerSecond: Double?
    private var deviation = 0.4

    package init() {}

    package mutating func note(_ rate: Double) {
        let sample = rate / 1000
        guard let estimate = bitsPerSecond.map({ $0 / 1000 }) else {
            bitsPerSecond = rate
            return
        }
        let mean = (1 - LinkCapacity.smoothing) * estimate + LinkCapacity.smoothing * sample
        let error = mean - sample
        deviation = (1 - LinkCapacity.smoothing) * deviation + LinkCapacity.smoothing * error * error / max(mean, 1)
        deviation = min(max(deviation, LinkCapacity.deviations.lowerBound), LinkCapacity.deviations.upperBound)
        bitsPerSecond = mean * 1000
    }

    package mutating func forget() { bitsPerSecond = nil }

    private var margin: Double { 3 * (deviation * (bitsPerSecond ?? 0) / 1000).squareRoot() * 1000 }
    package var upper: Double { bitsPerSecond.map { $0 + margin } ?? .infinity }
    package var lower: Double { bitsPerSecond.map { max(0, $0 - margin) } ?? 0 }
}

/// draft-ietf-rmcat-gcc-02 §5.5; constants as in libwebrtc's AIMD controller.
package struct RateControl: Sendable {
    static let decrease = 0.85
    static let multiplicative = 1.08
    /// Farther below what the bottleneck was seen to carry than a decrease leads, by so much a second.
    static let farBelow = 0.8
    static let backToCapacity = 1.25
    /// The estimate stays within this factor of what is known to arrive.
    static let largestLead = 1.2
    static let leadOffset = 10_000.0
    /// Bits that one response time adds near the link's capacity: a packet at 1 Mbit/s, more with the root of the rate, so
    /// that a fast link is not climbed for minutes and two flows still come together.
    static let packetBits = 9600.0
    static let responseDelay = 0.1

    private enum Phase: UInt8, Sendable { case hold, increase }

    package private(set) var bitsPerSecond: Double
    package private(set) var capacity = LinkCapacity()
    package private(set) var lastDecrease: UInt64?
    private var phase = Phase.hold
    private var lastChange: UInt64?

    package init(start: Double) { bitsPerSecond = start }

    /// A probe has shown that more gets through.
    package mutating func raise(to rate: Double, now: UInt64) {
        guard rate > bitsPerSecond else { return }
        bitsPerSecond = rate
        lastChange = now
        if rate > capacity.upper { capacity.forget() }
    }

    package mutating func lower(to rate: Double) { bitsPerSecond = min(bitsPerSecond, rate) }

    /// true when the rate was decreased. `arriving` is what the bottleneck carries at this moment, where that is known.
    package mutating func update(
        _ use: PathUse, acknowledged: Double?, arriving: Double?, isLimited: Bool, roundTrip: Double,
        ceiling: Double, now: UInt64
    ) -> Bool {
        switch use {
        case .over:
            return reduce(
                acknowledged: acknowledged, arriving: arriving, isLimited: isLimited, roundTrip: roundTrip, now: now)
        case .under:
            phase = .hold
            lastChange = now
        case .normal:
            if phase == .hold {
                phase = .increase
                lastChange = now
            } else {
                grow(acknowledged: acknowledged, isLimited: isLimited, roundTrip: roundTrip, ceiling: ceiling, now: now)
            }
        }
        return false
    }

    private mutating func grow(
        acknowledged: Double?, isLimited: Bool, roundTrip: Double, ceiling: Double, now: UInt64
    ) {
        let elapsed = min(1, Double(now &- (lastChange ?? now)) / 1e9)
        lastChange = now
        // Nothing is learnt about a path that is not filled.
        guard !isLimited else { return }
        if let acknowledged, acknowledged > capacity.upper { capacity.forget() }
        var raised = bitsPerSecond
        if bitsPerSecond < RateControl.farBelow * capacity.lower {
            raised += bitsPerSecond * (RateControl.backToCapacity - 1) * elapsed
        } else if capacity.bitsPerSecond != nil {
            let step = RateControl.packetBits * max(1, bitsPerSecond / 1e6).squareRoot()
            raised += step / (roundTrip + RateControl.responseDelay) * elapsed
        } else {
            raised += bitsPerSecond * (RateControl.multiplicative - 1) * elapsed
        }
        if let acknowledged {
            raised = min(raised, max(bitsPerSecond, RateControl.largestLead * acknowledged + RateControl.leadOffset))
        }
        bitsPerSecond = max(bitsPerSecond, min(raised, ceiling))
    }

    private mutating func reduce(
        acknowledged: Double?, arriving: Double?, isLimited: Bool, roundTrip: Double, now: UInt64
    ) -> Bool {
        phase = .hold
        lastChange = now
        // Once in a round trip, and not before the decrease can be seen in what is reported.
        if let last = lastDecrease, now &- last < UInt64((min(roundTrip, 0.2) + 0.05) * 1e9) { return false }
        var reduced = bitsPerSecond * RateControl.decrease
        // What arrives is what the path carries only while it is filled.
        if let carried = arriving ?? (isLimited ? nil : acknowledged) {
            reduced = min(RateControl.decrease * carried, bitsPerSecond)
            if carried < capacity.lower { capacity.forget() }
            capacity.note(carried)
        }
        lastDecrease = now
        bitsPerSecond = reduced
        return true
    }
}
