// What arrived in the last moments, in slices of ten milliseconds: how much, and how long the quickest of it took.

/// While packets wait at the bottleneck, what arrives is what the bottleneck carries. And a queue that stands delays every
/// packet: the quickest of the last moments as well. Where a carrier holds everything back until it has repeated one packet,
/// or a radio waits for its turn, some packets still come through as fast as ever.
package struct RecentArrivals: Sendable {
    /// Microseconds.
    static let slice: Int64 = 10_000
    static let sliceCount = 32
    /// Seconds of waiting with which arrivals show the bottleneck's own rate.
    static let filled = 0.03
    /// Of arrivals, in which a quick packet shows that no queue stands.
    static let standing = 3
    /// Times what one slice brings at the estimate.
    static let heap = 2.5

    private var bytes = InlineArray<32, Int32>(repeating: 0)
    /// Microseconds from one end's clock to the other's.
    private var quickest = InlineArray<32, Int64>(repeating: .max)
    private var slowest = InlineArray<32, Int64>(repeating: .min)
    private var newest: Int64 = 0

    package init() {}

    /// `ownWait`: what our own packets before it explain of the delay.
    package mutating func add(bytes added: Int, delay: Int64, ownWait: Int64, arrival: Int64) {
        let number = arrival / RecentArrivals.slice
        if number > newest {
            for empty in max(newest + 1, number - Int64(RecentArrivals.sliceCount) + 1)...number {
                let place = RecentArrivals.place(empty)
                bytes[place] = 0
                quickest[place] = .max
                slowest[place] = .min
            }
            newest = number
        }
        guard newest - number < Int64(RecentArrivals.sliceCount) else { return }
        let place = RecentArrivals.place(number)
        bytes[place] &+= Int32(truncatingIfNeeded: added)
        quickest[place] = min(quickest[place], delay)
        slowest[place] = max(slowest[place], delay &- ownWait)
    }

    /// Bits per second that the bottleneck carries, from arrivals over as long as packets wait there; nil when hardly any do.
    /// Where all of it was held back in between and then came at once, only a longer time shows it.
    package func carried(over seconds: Double, estimate: Double) -> Double? {
        if isHeldBack(estimate: estimate) { return rate }
        guard seconds > RecentArrivals.filled else { return nil }
        let wanted = min(max(Int(seconds * 1e6) / Int(RecentArrivals.slice), 6), RecentArrivals.sliceCount - 2)
        return rate(slices: 1..<wanted + 1)
    }

    /// Bits per second over everything remembered.
    package var rate: Double { rate(slices: 0..<RecentArrivals.sliceCount - 1) }

    private func rate(slices: Range<Int>) -> Double {
        var sum = 0
        for back in slices { sum += Int(bytes[RecentArrivals.place(newest - Int64(back))]) }
        return Double(sum) * 8e6 / Double(slices.count * Int(RecentArrivals.slice))
    }

    /// Nothing for two slices or more, and then what several of them would have carried.
    private func isHeldBack(estimate: Double) -> Bool {
        let heap = Int32(clamping: Int(RecentArrivals.heap * estimate / 8 * Double(RecentArrivals.slice) / 1e6))
        var empty = 0
        for back in stride(from: RecentArrivals.sliceCount - 2, through: 0, by: -1) {
            let arrived = bytes[RecentArrivals.place(newest - Int64(back))]
            if empty >= 2, arrived > heap { return true }
            empty = arrived == 0 ? empty + 1 : 0
        }
        return false
    }

    /// Of the quickest and, without what is our own doing, of the slowest packet of the last moments; nil when nothing arrived.
    package var delays: (quickest: Int64, slowest: Int64)? {
        var least = Int64.max
        var most = Int64.min
        for back in 0..<RecentArrivals.standing {
            let place = RecentArrivals.place(newest - Int64(back))
            least = min(least, quickest[place])
            most = max(most, slowest[place])
        }
        return least == .max ? nil : (least, most)
    }

    private static func place(_ number: Int64) -> Int { Int(truncatingIfNeeded: number) & (sliceCount - 1) }
}
