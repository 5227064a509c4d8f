// How fast packets arrive at the receiver, by its own clock.

/// A Bayesian average over short windows: a sample far from the estimate counts less, unless the next ones agree. Window
/// lengths and variances are libwebrtc's.
package struct AcknowledgedRate: Sendable {
    static let firstWindow = 500_000.0
    static let window = 150_000.0
    static let uncertainty = 10.0
    /// While the sender has little to send, a low sample says little about the path.
    static let uncertaintyWhenLimited = 20.0
    static let firstVariance = 50.0

    /// nil before the first window has passed.
    package private(set) var bitsPerSecond: Double?

    private var variance = AcknowledgedRate.firstVariance
    private var bytes = 0.0
    private var elapsed = 0.0
    private var lastArrival: Int64?

    package init() {}

    /// Microseconds of the receiver's clock.
    package mutating func add(bytes added: Int, arrival: Int64, isLimited: Bool) {
        let length = bitsPerSecond == nil ? AcknowledgedRate.firstWindow : AcknowledgedRate.window
        if let last = lastArrival {
            // Reordered packets belong to the present window.
            let step = Double(max(0, arrival &- last))
            elapsed += step
            if step > 2_000_000 {
                // Nothing was sent for long; what lies before says nothing.
                bytes = 0
                elapsed = 0
            }
        }
        lastArrival = max(arrival, lastArrival ?? arrival)
        if elapsed >= length {
            sample(bytes * 8_000_000 / elapsed, isLimited: isLimited)
            bytes = 0
            elapsed = 0
        }
        bytes += Double(added)
    }

    private mutating func sample(_ rate: Double, isLimited: Bool) {
        guard let estimate = bitsPerSecond else {
            bitsPerSecond = rate
            return
        }
        let scale =
            isLimited && rate < estimate
            ? AcknowledgedRate.uncertaintyWhenLimited : AcknowledgedRate.uncertainty
        // In kbit/s, for which the variances are meant.
        let old = estimate / 1000
        let new = rate / 1000
        let deviation = scale * abs(old - new) / max(old, 1)
        let sampleVariance = max(deviation * deviation, 1e-6)
        let predicted = variance + 5
        let mean = (sampleVariance * old + predicted * new) / (sampleVariance + predicted)
        variance = sampleVariance * predicted / (sampleVariance + predicted)
        bitsPerSecond = max(0, mean * 1000)
    }
}
