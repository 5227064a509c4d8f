// Durations by size: how long the 99th of 100 packets took, at a fixed price for each.

/// Sixty-four steps to every doubling, so that what is read differs from what was recorded by 1.6 % at most.
struct Histogram {
    private static let steps = 64
    private var counts = [UInt64](repeating: 0, count: 40 * Histogram.steps)
    private(set) var count: UInt64 = 0
    private(set) var largest: UInt64 = 0
    private var sum: UInt64 = 0

    mutating func record(_ nanoseconds: UInt64) {
        let place = min(Histogram.place(of: nanoseconds), counts.count - 1)
        counts[place] &+= 1
        count &+= 1
        sum &+= nanoseconds
        largest = max(largest, nanoseconds)
    }

    mutating func add(_ other: Histogram) {
        for index in counts.indices { counts[index] &+= other.counts[index] }
        count &+= other.count
        sum &+= other.sum
        largest = max(largest, other.largest)
    }

    private static func place(of value: UInt64) -> Int {
        guard value >= UInt64(steps) else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        return (exponent - 5) * steps + Int(truncatingIfNeeded: value >> UInt64(exponent - 6)) - steps
    }

    private static func upperEnd(of place: Int) -> UInt64 {
        guard place >= steps else { return UInt64(place) }
        let exponent = place / steps + 5
        return UInt64(place % steps + steps + 1) << UInt64(exponent - 6)
    }

    /// Milliseconds that the given share of everything recorded did not exceed.
    func milliseconds(at share: Double) -> Double {
        guard count > 0 else { return 0 }
        let wanted = max(1, UInt64((Double(count) * share).rounded(.up)))
        var seen: UInt64 = 0
        for (place, number) in counts.enumerated() where number > 0 {
            seen += number
            if seen >= wanted { return Double(min(Histogram.upperEnd(of: place), largest)) / 1e6 }
        }
        return Double(largest) / 1e6
    }

    var mean: Double { count > 0 ? Double(sum) / Double(count) / 1e6 : 0 }

    var summary: [String: any Sendable] {
        [
            "count": Int(count), "mean": mean.rounded(to: 4), "p50": milliseconds(at: 0.5).rounded(to: 4),
            "p90": milliseconds(at: 0.9).rounded(to: 4), "p99": milliseconds(at: 0.99).rounded(to: 4),
            "p999": milliseconds(at: 0.999).rounded(to: 4), "max": (Double(largest) / 1e6).rounded(to: 4),
        ]
    }
}

extension Double {
    func rounded(to digits: Int) -> Double {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        return (self * scale).rounded() / scale
    }
}
