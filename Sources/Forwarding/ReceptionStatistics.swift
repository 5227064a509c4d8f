// What a receiver report says about one incoming stream (RFC 3550 §6.4.1, appendices A.3 and A.8), and its bit rate.

package struct ReceptionStatistics: Sendable {
    package private(set) var packets: UInt64 = 0
    package private(set) var bytes: UInt64 = 0
    package private(set) var recovered: UInt64 = 0
    package private(set) var duplicates: UInt64 = 0
    /// In units of the stream's clock, times 16.
    private var jitter16: UInt32 = 0
    private var lastTransit: UInt32?
    private var first: UInt32?
    private var highest: UInt32 = 0
    private var expectedBefore: UInt32 = 0
    private var receivedBefore: UInt32 = 0
    private var received: UInt32 = 0
    private var rateStarted: UInt64 = 0
    private var rateBytes = 0
    /// Of the last whole window of half a second or more.
    package private(set) var bitsPerSecond = 0

    package init() {}

    package mutating func record(
        position: UInt32, timestamp: UInt32, bytes length: Int, arrival: UInt64, clockRate: UInt32, isRecovered: Bool
    ) {
        packets &+= 1
        bytes &+= UInt64(length)
        received &+= 1
        rateBytes &+= length
        if isRecovered { recovered &+= 1 }
        if first == nil {
            first = position
            highest = position
            rateStarted = arrival
        }
        if Int32(bitPattern: position &- highest) > 0 { highest = position }
        guard !isRecovered, clockRate > 0 else { return }
        let ticks = UInt32(truncatingIfNeeded: arrival / 1000 &* UInt64(clockRate) / 1_000_000)
        let transit = ticks &- timestamp
        if let lastTransit {
            let difference = Int32(bitPattern: transit &- lastTransit).magnitude
            // A jump of more than ten seconds is a new clock, not jitter.
            if difference < clockRate &* 10 { jitter16 = jitter16 &+ difference &- ((jitter16 &+ 8) >> 4) }
        }
        lastTransit = transit
    }

    /// The packet is lost, its content is not: publishers are to know of the loss.
    package mutating func recordRecoveredContent() { recovered &+= 1 }

    package mutating func recordDuplicate() { duplicates &+= 1 }

    /// Closes the window of the bit rate when it is at least half a second old.
    package mutating func measureRate(now: UInt64) {
        let elapsed = now &- rateStarted
        guard packets > 0, elapsed >= 500_000_000, elapsed < .max / 2 else { return }
        bitsPerSecond = Int(UInt64(rateBytes) &* 8_000_000 / (elapsed / 1000))
        rateBytes = 0
        rateStarted = now
    }

    package struct Report: Sendable, Equatable {
        package var fractionLost: UInt8
        /// Clamped to the 24 bits of the report.
        package var cumulativeLost: Int32
        package var highestSequence: UInt32
        package var jitter: UInt32
    }

    package var expected: UInt32 { first.map { highest &- $0 &+ 1 } ?? 0 }
    package var cumulativeLost: Int32 {
        let lost = Int64(expected) - Int64(received)
        return Int32(clamping: max(-0x80_0000, min(0x7F_FFFF, lost)))
    }
    package var jitter: UInt32 { jitter16 >> 4 }

    /// What was lost since the report before.
    package mutating func makeReport() -> Report {
        let expectedNow = expected
        let expectedInterval = expectedNow &- expectedBefore
        let receivedInterval = received &- receivedBefore
        expectedBefore = expectedNow
        receivedBefore = received
        let lost = Int64(expectedInterval) - Int64(receivedInterval)
        let fraction = expectedInterval == 0 || lost <= 0 ? 0 : min(255, lost * 256 / Int64(expectedInterval))
        return Report(
            fractionLost: UInt8(truncatingIfNeeded: fraction), cumulativeLost: cumulativeLost,
            highestSequence: highest, jitter: jitter)
    }
}
