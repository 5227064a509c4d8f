// What arrived in the last moments, in slices of ten milliseconds: how much, and how long the quickest of it took.

/// While packets wait at the bottleneck, what arrives is what the bottleneck carries. And a queue that stands delays every
/// packet: the quickest of the last moments as well. Where a carrier holds everything back until it has repeated one packet,
/// or a radio waits for its turn, some packets still come through as fast as ever.
package struct RecentArrivals: Sendable {
    /// Microseconds.
    static let slice: Int64 = 10_000
    static let sliceCount = 32
    /// Of arrivals, in which a quick packet shows that no queue stands.
    static let standing = 3

    private var bytes = InlineArray<32, Int32>(repeating: 0)
    /// Microseconds from one end's clock to the other's.
    private var quickest = InlineArray<32, Int64>(repeating: .max)
    private var slowest = InlineArray<32, Int64>(repeating: .min)
    private var newest: Int64 = 0

    package init() {}

    package mutating func add(bytes added: Int, delay: Int64, arrival: Int64) {
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
        slowest[place] = max(slowest[place], delay)
    }

    /// Bits per second over the last whole slices that make up this time.
    package func rate(over seconds: Double) -> Double {
        let wanted = min(max(Int(seconds * 1e6) / Int(RecentArrivals.slice), 6), RecentArrivals.sliceCount - 2)
        var sum = 0
        for back in 1...wanted { sum += Int(bytes[RecentArrivals.place(newest - Int64(back))]) }
        return Double(sum) * 8e6 / Double(wanted * Int(RecentArrivals.slice))
    }

    /// Of the quickest and of the slowest packet of the last moments; nil when nothing arrived.
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
