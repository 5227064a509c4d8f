// Whether the queue on the path grows: the slope of the one-way delay against a threshold that adapts to the path.

package enum PathUse: UInt8, Sendable {
    case normal
    /// The queue grows.
    case over
    /// The queue empties: wait until it has.
    case under
}

/// draft-ietf-rmcat-gcc-02 §5.3–5.5 with a least-squares line for the filter. Constants: smoothing, window, gain and
/// thresholds as in libwebrtc's trendline estimator; `up` and `down` from Carlucci et al. 2016, §3.2.
package struct DelayTrend: Sendable {
    static let window = 20
    static let smoothing = 0.9
    static let gain = 4.0
    static let largestDeltaCount = 60.0
    static let up = 0.0087
    static let down = 0.039
    static let firstThreshold = 12.5
    static let thresholds = 6.0...600.0
    /// A jump that far above the threshold is no reason to become less sensitive.
    static let largestOvershoot = 15.0
    /// Milliseconds for which the slope must stay above the threshold.
    static let patience = 10.0

    package private(set) var use = PathUse.normal
    package private(set) var slope = 0.0
    package private(set) var threshold = DelayTrend.firstThreshold

    private var times = InlineArray<20, Double>(repeating: 0)
    private var delays = InlineArray<20, Double>(repeating: 0)
    private var count = 0
    private var next = 0
    private var deltas = 0.0
    private var firstArrival: Double?
    private var accumulated = 0.0
    private var smoothed = 0.0
    private var timeOver: Double?
    private var groupsOver = 0
    private var lastUpdate: Double?

    package init() {}

    package mutating func add(_ delta: GroupDelta) {
        let start = firstArrival ?? delta.arrival
        firstArrival = start
        deltas = min(deltas + 1, 1000)
        accumulated += delta.received - delta.sent
        smoothed = DelayTrend.smoothing * smoothed + (1 - DelayTrend.smoothing) * accumulated
        times[next] = delta.arrival - start
        delays[next] = smoothed
        next = (next + 1) % DelayTrend.window
        count = min(count + 1, DelayTrend.window)
        let before = slope
        if count == DelayTrend.window, let fitted = fit() { slope = fitted }
        detect(before: before, delta)
    }

    private func fit() -> Double? {
        var meanTime = 0.0
        var meanDelay = 0.0
        for index in 0..<DelayTrend.window {
            meanTime += times[index]
            meanDelay += delays[index]
        }
        meanTime /= Double(DelayTrend.window)
        meanDelay /= Double(DelayTrend.window)
        var above = 0.0
        var below = 0.0
        for index in 0..<DelayTrend.window {
            let time = times[index] - meanTime
            above += time * (delays[index] - meanDelay)
            below += time * time
        }
        return below > 0 ? above / below : nil
    }

    private mutating func detect(before: Double, _ delta: GroupDelta) {
        guard deltas >= 2 else { return }
        let trend = min(deltas, DelayTrend.largestDeltaCount) * slope * DelayTrend.gain
        if trend > threshold {
            timeOver = timeOver.map { $0 + delta.sent } ?? delta.sent / 2
            groupsOver += 1
            if let over = timeOver, over > DelayTrend.patience, groupsOver > 1, slope >= before {
                timeOver = 0
                groupsOver = 0
                use = .over
            }
        } else {
            timeOver = nil
            groupsOver = 0
            use = trend < -threshold ? .under : .normal
        }
        adapt(to: abs(trend), at: delta.arrival)
    }

    private mutating func adapt(to trend: Double, at arrival: Double) {
        let elapsed = min(max(0, arrival - (lastUpdate ?? arrival)), 100)
        lastUpdate = arrival
        guard trend <= threshold + DelayTrend.largestOvershoot else { return }
        let rate = trend < threshold ? DelayTrend.down : DelayTrend.up
        threshold += rate * (trend - threshold) * elapsed
        threshold = min(max(threshold, DelayTrend.thresholds.lowerBound), DelayTrend.thresholds.upperBound)
    }
}
