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

/// What arrived in the last moments: while packets wait at the bottleneck, it is what the bottleneck carries.
package struct RecentArrivals: Sendable {
    /// Microseconds.
    static let bin: Int64 = 10_000
    static let binCount = 32

    private var bytes = InlineArray<32, Int>(repeating: 0)
    private var newest: Int64 = 0

    package init() {}

    package mutating func add(bytes added: Int, arrival: Int64) {
        let number = arrival / RecentArrivals.bin
        if number > newest {
            for empty in max(newest + 1, number - Int64(RecentArrivals.binCount) + 1)...number { self[empty] = 0 }
            newest = number
        }
        if newest - number < Int64(RecentArrivals.binCount) { self[number] += added }
    }

    /// Bits per second over the last whole bins that make up this time.
    package func rate(over seconds: Double) -> Double {
        let wanted = min(max(Int(seconds * 1e6) / Int(RecentArrivals.bin), 6), RecentArrivals.binCount - 2)
        var sum = 0
        for back in 1...wanted { sum += self[newest - Int64(back)] }
        return Double(sum) * 8e6 / Double(wanted * Int(RecentArrivals.bin))
    }

    private subscript(_ number: Int64) -> Int {
        get { bytes[Int(((number % 32) + 32) % 32)] }
        set { bytes[Int(((number % 32) + 32) % 32)] = newValue }
    }
}
