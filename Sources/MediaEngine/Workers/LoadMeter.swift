// How busy a worker's thread is, and how late its loop comes to what is due.
import Glibc

/// A value that is told the thread's clock and the time; it smooths over about a second.
struct LoadMeter: Sendable {
    static let interval: UInt64 = 250_000_000
    static let idleInterval: UInt64 = 1_000_000_000
    private static let memory = 1.0

    /// The share of the last second or so that the thread was running, 0 to 1.
    private(set) var busy = 0.0
    /// How late the loop was at worst in each of the last intervals, nanoseconds.
    private(set) var loopDelay: UInt64 = 0
    /// How many streams there were at the time that `busy` tells of.
    private(set) var settledStreams = 0.0
    private var smoothedDelay = 0.0
    private var worstDelay: UInt64 = 0
    private var last: (thread: UInt64, now: UInt64)?

    mutating func note(delay: UInt64) { worstDelay = max(worstDelay, delay) }

    /// - Parameter thread: CPU time of the thread so far, nanoseconds
    mutating func sample(thread: UInt64, now: UInt64, streams: Int) {
        defer {
            last = (thread, now)
            worstDelay = 0
        }
        guard let last, now > last.now else { return }
        let elapsed = Double(now - last.now)
        let share = min(1, Double(thread &- min(thread, last.thread)) / elapsed)
        let weight = 1 - exp(-elapsed / 1e9 / LoadMeter.memory)
        busy += (share - busy) * weight
        smoothedDelay += (Double(worstDelay) - smoothedDelay) * weight
        settledStreams += (Double(streams) - settledStreams) * weight
        loopDelay = UInt64(smoothedDelay)
    }

    /// CPU time of the calling thread.
    static func threadTime() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
    }
}
