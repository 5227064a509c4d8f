// A short burst at a chosen rate, and what its arrival says of the path.

/// Rate out of both ends' times. The bytes of the last burst sent and of the first packet received lie outside the
/// measured spans. Shares and ratios are libwebrtc's.
package struct ProbeCluster: Sendable {
    static let neededShare = 0.8
    static let largestRatio = 2.0
    /// What arrives slower than this share of what was sent filled the path; then a little less is believed.
    static let unsaturated = 0.9
    static let saturatedShare = 0.95
    static let fewestPackets = 4
    /// Microseconds.
    static let instant: Int64 = 500

    package let id: UInt8
    package let bitsPerSecond: Double
    /// What was believed when it began.
    package let estimate: Double
    package let startedAt: UInt64
    package let wantedBytes: Int
    /// When its result is given up.
    package var expiresAt: UInt64

    private(set) var sentBytes = 0
    private(set) var sentPackets = 0
    private var firstSent: UInt64 = 0
    private var lastSent: UInt64 = 0
    private var lastBurstBytes = 0

    private var receivedBytes = 0
    private var receivedPackets = 0
    private var firstArrival = Int64.max
    private var lastArrival = Int64.min
    private var firstArrivalBytes = 0
    /// Of its last third.
    private var quickestOfLast = Int64.max

    package init(id: UInt8, bitsPerSecond: Double, estimate: Double, wantedBytes: Int, now: UInt64) {
        self.id = id
        self.bitsPerSecond = bitsPerSecond
        self.estimate = estimate
        self.wantedBytes = wantedBytes
        startedAt = now
        expiresAt = now &+ 1_000_000_000
    }

    package var isSent: Bool { sentBytes >= wantedBytes && sentPackets > ProbeCluster.fewestPackets }

    package mutating func sent(bytes: Int, now: UInt64) {
        if sentPackets == 0 { firstSent = now }
        if now != lastSent { lastBurstBytes = 0 }
        lastSent = now
        lastBurstBytes += bytes
        sentBytes += bytes
        sentPackets += 1
    }

    /// How many bytes are due by now.
    package func due(now: UInt64) -> Int {
        guard !isSent else { return 0 }
        let elapsed = Double(now &- startedAt) / 1e9 + Double(Pacing.slot) / 1e9
        return max(0, min(Int(bitsPerSecond / 8 * elapsed), wantedBytes + 1200) - sentBytes)
    }

    /// `delay` in microseconds from one end's clock to the other's.
    package mutating func received(bytes: Int, sentAt: UInt64, arrival: Int64, delay: Int64) {
        if arrival < firstArrival &- ProbeCluster.instant { firstArrivalBytes = 0 }
        firstArrival = min(firstArrival, arrival)
        // A carrier that held the first packets back lets go of them all at once: they show nothing.
        if arrival <= firstArrival &+ ProbeCluster.instant { firstArrivalBytes += bytes }
        lastArrival = max(lastArrival, arrival)
        receivedBytes += bytes
        receivedPackets += 1
        if isSent, sentAt &- firstSent >= (lastSent &- firstSent) / 3 * 2 {
            quickestOfLast = min(quickestOfLast, delay)
        }
    }

    /// The rate that is shown, once enough of it has arrived. `free` is the delay with which packets arrive that found no
    /// queue.
    package func result(free: Int64?) -> Double? {
        guard isSent, receivedPackets >= ProbeCluster.fewestPackets,
            Double(receivedPackets) >= Double(sentPackets) * ProbeCluster.neededShare,
            Double(receivedBytes) >= Double(sentBytes) * ProbeCluster.neededShare,
            lastSent > firstSent, lastArrival > firstArrival
        else { return nil }
        let sentRate = Double(sentBytes - lastBurstBytes) * 8e9 / Double(lastSent - firstSent)
        // The last of it found no queue: the path carried it, however it was shaken on the way.
        if let free, quickestOfLast <= free { return sentRate }
        let receivedRate = Double(receivedBytes - firstArrivalBytes) * 8e6 / Double(lastArrival - firstArrival)
        guard sentRate > 0, receivedRate <= sentRate * ProbeCluster.largestRatio else { return nil }
        if receivedRate < sentRate * ProbeCluster.unsaturated { return receivedRate * ProbeCluster.saturatedShare }
        return min(sentRate, receivedRate)
    }
}
