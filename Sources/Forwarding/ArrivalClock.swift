// Where the timestamps of a stream lie on the core's own clock, by the packets that took the least time to come.

/// Stands in for sender reports that have not come yet. Layers of one source take the same way, so that the packet of each
/// that waited least says how their timestamps belong together, whatever happened to the others: a key frame that was
/// repaired came late, but the picture before it or after it did not.
package struct ArrivalClock: Sendable {
    /// The best packet of this window and of the one before count, so that a path that has grown longer is followed.
    package static let window: UInt64 = 2_000_000_000

    private struct Point {
        var timestamp: UInt32
        var arrival: UInt64
    }

    private var best: Point?
    private var bestBefore: Point?
    private var windowStart: UInt64 = 0

    package init() {}

    @inline(__always)
    package mutating func note(timestamp: UInt32, arrival: UInt64, clockRate: UInt32) {
        let point = Point(timestamp: timestamp, arrival: arrival)
        guard let best, arrival &- windowStart < ArrivalClock.window else {
            bestBefore = best
            self.best = point
            windowStart = arrival
            return
        }
        if Int64(bitPattern: arrival &- ArrivalClock.moment(timestamp, by: best, clockRate)) < 0 { self.best = point }
    }

    /// When a packet with this timestamp would have come without waiting; nil before the first one.
    package func moment(of timestamp: UInt32, clockRate: UInt32) -> UInt64? {
        guard let best else { return nil }
        let moment = ArrivalClock.moment(timestamp, by: best, clockRate)
        guard let bestBefore else { return moment }
        let other = ArrivalClock.moment(timestamp, by: bestBefore, clockRate)
        return Int64(bitPattern: other &- moment) < 0 ? other : moment
    }

    /// The timestamp of a packet that would have come at this moment.
    package func timestamp(at moment: UInt64, clockRate: UInt32) -> UInt32? {
        guard let best, let base = self.moment(of: best.timestamp, clockRate: clockRate) else { return nil }
        let distance = Int64(bitPattern: moment &- base)
        // Some hours; beyond, nothing is known.
        guard distance.magnitude < 1 << 43 else { return nil }
        return best.timestamp
            &+ UInt32(truncatingIfNeeded: distance / 1000 &* Int64(clockRate) / 1_000_000)
    }

    @inline(__always)
    private static func moment(_ timestamp: UInt32, by point: Point, _ clockRate: UInt32) -> UInt64 {
        let ticks = Int64(Int32(bitPattern: timestamp &- point.timestamp))
        return point.arrival &+ UInt64(bitPattern: ticks &* 1_000_000_000 / Int64(max(clockRate, 1)))
    }
}
