// How long every packet waits on the path, the quickest as well: that is a queue, and not a radio's or a carrier's hiccup.

/// The one-way delay of the quickest packet of the last moments, over the smallest of the last ten to twenty seconds. What
/// delays the way back has no part in it.
package struct StandingQueue: Sendable {
    /// A queue of ours is shorter after this time of sending less. A delay that is the same then belongs to the path.
    static let patience: UInt64 = 1_500_000_000
    static let same = 0.8...1.2
    static let nothing = 0.005
    static let longestHiccup = 0.1
    /// With each feedback.
    static let forgetting = 0.99
    /// A queue is believed in when it is longer than this share of a hiccup, or than the longest of these.
    static let share = 0.6
    static let believed = 0.005...0.04

    /// Seconds.
    package private(set) var seconds = 0.0
    /// How far packets are apart while the quickest of them finds no queue: what this path does by itself. The largest of the
    /// last seconds.
    package private(set) var hiccup = 0.0
    private var base = RunningMinimum()
    private var drained: (since: UInt64, from: Double)?

    package init() {}

    /// More than what the path does by itself.
    package var isBelieved: Bool {
        seconds
            >= min(
                max(hiccup * StandingQueue.share, StandingQueue.believed.lowerBound), StandingQueue.believed.upperBound)
    }

    /// The delay, in microseconds, of a packet that found no queue, hiccups allowed for; nil before anything has arrived.
    package var free: Int64? {
        base.isKnown ? Int64((base.value + max(0.002, hiccup / 4)) * 1e6) : nil
    }

    /// `isDraining`: less is sent than arrived, so that the queue should empty.
    package mutating func update(quickest: Int64, slowest: Int64, isDraining: Bool, now: UInt64) {
        let delay = Double(quickest) / 1e6
        base.add(delay, now: now)
        let before = seconds
        seconds = max(0, delay - base.value)
        hiccup *= StandingQueue.forgetting
        // The end of a queue is none.
        if max(before, seconds) < StandingQueue.nothing {
            hiccup = min(max(hiccup, Double(slowest - quickest) / 1e6), StandingQueue.longestHiccup)
        }
        guard isDraining else {
            drained = nil
            return
        }
        guard let (since, from) = drained else {
            drained = (now, seconds)
            return
        }
        guard now &- since > StandingQueue.patience else { return }
        drained = nil
        guard from > 0, StandingQueue.same.contains(seconds / from) else { return }
        base = RunningMinimum()
        base.add(delay, now: now)
        seconds = 0
    }
}

/// The smallest of the last ten to twenty seconds: a path that changes is found out.
struct RunningMinimum: Sendable {
    static let length: UInt64 = 10_000_000_000
    private var present = Double.infinity
    private var before = Double.infinity
    private var started: UInt64?

    mutating func add(_ value: Double, now: UInt64) {
        if let start = started, now &- start > RunningMinimum.length {
            before = present
            present = .infinity
            started = now
        } else if started == nil {
            started = now
        }
        present = min(present, value)
    }

    var isKnown: Bool { started != nil }

    var value: Double {
        let least = min(present, before)
        return least == .infinity ? 0 : least
    }
}
