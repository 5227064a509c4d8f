// When to try whether the path carries more, and how much more.

/// Probes aim at what the next layer needs. A success leads on at once, a failure waits: every probe that fails has put
/// some milliseconds of queue into somebody's network. After libwebrtc's probe controller (factors of the first probes
/// and of those after a success, one second for a result) and LiveKit's regulator (waiting longer after failures).
package struct Probing: Sendable {
    static let firstFactor = 4.0
    static let factor = 2.0
    /// Share of a probe's rate that counts as success.
    static let success = 0.7
    static let restAfterOveruse: UInt64 = 1_500_000_000
    static let leap = 1.4
    /// Seconds; longer where packets are shaken on the way.
    static let duration = 0.025
    static let longestDuration = 0.06
    static let smallestBytes = 6000
    static let interval: UInt64 = 2_000_000_000
    static let beginning: UInt64 = 4_000_000_000
    static let intervalInBeginning: UInt64 = 500_000_000
    static let quickRepeats = 2
    static let longestInterval: UInt64 = 4_000_000_000
    static let leadsOn: UInt64 = 250_000_000
    static let longestChain: UInt64 = 2_000_000_000

    package private(set) var cluster: ProbeCluster?
    package private(set) var count = 0
    package private(set) var failures = 0
    private var nextID: UInt8 = 1
    private var startedAt: UInt64?
    private var chainStartedAt: UInt64 = 0
    private var lastSuccess: UInt64 = 0
    private var lastResult: UInt64 = 0
    private var isFirst = true
    /// Of the estimate, what the last probe tried.
    private var lastFactor = 1.0
    private var duration = Probing.duration
    private var wait = Probing.interval
    private var notBefore: UInt64 = 0

    package init() {}

    package var isSending: Bool { cluster.map { !$0.isSent } ?? false }
    /// A result is awaited, or the last one leads on. Not for ever: on a long path a chain of probes takes its time.
    package func isUnderWay(now: UInt64) -> Bool {
        guard now &- chainStartedAt < Probing.longestChain else { return false }
        return cluster != nil || (now &- lastSuccess < Probing.leadsOn && lastSuccess > 0)
    }

    /// Begins a probe when one is due. `goal` is what would be sent if the path carried it.
    package mutating func start(
        goal: Double, estimate: Double, use: PathUse, recentLoss: Double, queue: StandingQueue, now: UInt64
    ) {
        if let cluster, now >= cluster.expiresAt {
            self.cluster = nil
            failed(now: now)
        }
        guard cluster == nil, now >= notBefore, goal > estimate * 1.02, use == .normal,
            queue.seconds < max(0.02, queue.hiccup / 2),
            isFirst || recentLoss < 0.05
        else { return }
        let rate = min(goal * 1.1, estimate * (failures == 0 ? Probing.firstFactor : Probing.factor))
        begin(rate, estimate: estimate, hiccup: queue.hiccup, now: now)
    }

    private mutating func begin(_ rate: Double, estimate: Double, hiccup: Double, now: UInt64) {
        if now &- lastSuccess >= Probing.leadsOn || lastSuccess == 0 { chainStartedAt = now }
        startedAt = startedAt ?? now
        duration = min(max(Probing.duration, hiccup), Probing.longestDuration)
        let bytes = max(Int(rate / 8 * duration), Probing.smallestBytes)
        cluster = ProbeCluster(id: nextID, bitsPerSecond: rate, estimate: estimate, wantedBytes: bytes, now: now)
        nextID = nextID == 255 ? 1 : nextID + 1
        count += 1
        lastFactor = rate / max(estimate, 1)
    }

    package mutating func sent(bytes: Int, now: UInt64, roundTrip: Double) {
        cluster?.sent(bytes: bytes, now: now)
        if let cluster, cluster.isSent {
            self.cluster?.expiresAt = now &+ UInt64(roundTrip * 1e9) &+ 500_000_000
        }
    }

    /// Seconds of queue seen now that a probe may have made: what it sends beyond the estimate may be beyond the path.
    package func echo(now: UInt64, roundTrip: Double) -> Double {
        let isHeard = cluster != nil || (lastResult > 0 && now &- lastResult < UInt64(roundTrip * 1e9) &+ 100_000_000)
        return isHeard ? duration * lastFactor : 0
    }

    /// A packet of a probe has arrived.
    package mutating func received(id: UInt8, bytes: Int, sentAt: UInt64, arrival: Int64, delay: Int64) {
        guard cluster?.id == id else { return }
        cluster?.received(bytes: bytes, sentAt: sentAt, arrival: arrival, delay: delay)
    }

    /// The rate that is shown, once enough packets have arrived.
    package mutating func conclude(free: Int64?, now: UInt64) -> Double? {
        guard let current = cluster, let rate = current.result(free: free) else { return nil }
        cluster = nil
        isFirst = false
        lastResult = now
        if rate >= current.bitsPerSecond * Probing.success {
            wait = Probing.interval
            // What was only a little more than the estimate is no hint of much more.
            let isLeap = current.bitsPerSecond >= current.estimate * Probing.leap
            notBefore = isLeap ? now : now &+ Probing.interval
            lastSuccess = isLeap ? now : 0
        } else {
            failed(now: now)
        }
        return rate
    }

    /// The path is full: not now.
    package mutating func postpone(now: UInt64) {
        cluster = nil
        isFirst = false
        notBefore = max(notBefore, now &+ Probing.restAfterOveruse)
    }

    private mutating func failed(now: UInt64) {
        isFirst = false
        failures += 1
        // In the first seconds a mistake costs more than a probe.
        let isBeginning = failures <= Probing.quickRepeats && now &- (startedAt ?? now) < Probing.beginning
        notBefore = now &+ (isBeginning ? Probing.intervalInBeginning : wait)
        wait = min(wait + wait / 2, Probing.longestInterval)
    }
}
