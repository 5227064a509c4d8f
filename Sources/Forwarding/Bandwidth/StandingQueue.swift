// How long every packet waits on the path, the quickest as well: that is a queue, and not a radio's or a carrier's hiccup.

/// The one-way delay of the quickest packet of the last moments, over the smallest of the last ten to twenty seconds. What
/// delays the way back has no part in it.
package struct StandingQueue: Sendable {
    /// A queue of ours is shorter after this time of sending less. A delay that is the same then belongs to the path.
    static let patience: UInt64 = 1_500_000_000
    static let same = 0.8...1.2

    /// Seconds.
    package private(set) var seconds = 0.0
    private var base = RunningMinimum()
    private var drained: (since: UInt64, from: Double)?

    package init() {}

    /// `isDraining`: less is sent than arrived, so that the queue should empty.
    package mutating func update(quickest: Int64, isDraining: Bool, now: UInt64) {
        let delay = Double(quickest) / 1e6
        base.add(delay, now: now)
        seconds = max(0, delay - base.value)
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

    var value: Double {
        let least = min(present, before)
        return least == .infinity ? 0 : least
    }
}
