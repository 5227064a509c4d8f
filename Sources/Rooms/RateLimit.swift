// A token bucket: how often one participant may ask for something.

struct RateLimit: Sendable {
    private let perSecond: Double
    private let burst: Double
    private var tokens: Double
    private var updated: UInt64

    init(perSecond: Double, burst: Double, now: UInt64) {
        self.perSecond = perSecond
        self.burst = burst
        tokens = burst
        updated = now
    }

    /// Takes one token; false when there is none. `now` is in nanoseconds.
    mutating func take(now: UInt64) -> Bool {
        let elapsed = now > updated ? Double(now - updated) / 1e9 : 0
        tokens = min(burst, tokens + elapsed * perSecond)
        updated = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
