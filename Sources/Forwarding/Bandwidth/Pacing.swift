// How much may leave now: a bucket that fills at the pacing rate and is emptied in slots.

/// Packets leave at once while the bucket holds anything; a receiver on a fast path never waits. Once it is empty nothing
/// leaves before the next slot, and then everything the slot is good for leaves as one run, which the kernel takes as one
/// send.
package struct Pacing: Sendable {
    package static let slot: UInt64 = 5_000_000
    /// Over the estimate, so that a key frame is through within a few frames' time (2.5 is libwebrtc's).
    static let factor = 2.5
    /// Where the bottleneck has been met: what leaves faster than it carries waits there instead of here.
    static let factorNearCapacity = 1.25
    static let factorAtCapacity = 1.05
    /// While the path's queue is to empty.
    static let factorWhenFull = 0.8
    /// What waits longer than this raises the rate.
    static let longestWait = 1.0

    /// Bytes; infinite while nothing bounds the rate.
    package var bytesPerSecond = Double.infinity
    package private(set) var blockedUntil: UInt64 = 0
    private var level = 0.0
    private var filledAt: UInt64 = 0

    package init() {}

    @inline(__always)
    package mutating func mayRelease(now: UInt64) -> Bool {
        if bytesPerSecond == .infinity { return true }
        guard now >= blockedUntil else { return false }
        if now > filledAt {
            let room = bytesPerSecond * Double(Pacing.slot) / 1e9
            // Timers are late by some of a slot; what they were late by may leave as well.
            level = min(level + bytesPerSecond * Double(now &- filledAt) / 1e9, max(2 * room, 1500))
            filledAt = now
        }
        if level > 0 { return true }
        block(now: now)
        return false
    }

    @inline(__always)
    package mutating func spend(_ bytes: Int) {
        if bytesPerSecond != .infinity { level -= Double(bytes) }
    }

    /// Receivers share the borders of slots, so that one waking serves them all.
    package mutating func block(now: UInt64) { blockedUntil = (now / Pacing.slot + 1) * Pacing.slot }
}
