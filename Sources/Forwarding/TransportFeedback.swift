// When the packets of a publisher's transport arrived, for transport-wide feedback about them.

/// A ring of arrival times by transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
/// Packets that come after they were reported as missing are reported again, since the next feedback starts at them.
package struct TransportFeedback: ~Copyable {
    package static let interval: UInt64 = 50_000_000
    private static let size = 1024

    /// Nanoseconds; 0 for what has not arrived.
    private var arrivals: UnsafeMutablePointer<UInt64>
    private var positions: UnsafeMutablePointer<UInt32>
    private var unwrapper = SequenceUnwrapper()
    /// The first sequence number of the next feedback.
    private var start: UInt32?
    private var hasNews = false
    private var count: UInt8 = 0
    package private(set) var nextDeadline: UInt64 = .max

    package init() {
        arrivals = .allocate(capacity: TransportFeedback.size)
        arrivals.initialize(repeating: 0, count: TransportFeedback.size)
        positions = .allocate(capacity: TransportFeedback.size)
        positions.initialize(repeating: 0, count: TransportFeedback.size)
    }

    deinit {
        arrivals.deallocate()
        positions.deallocate()
    }

    package mutating func record(_ sequence: UInt16, arrival: UInt64) {
        let position = unwrapper.position(of: sequence)
        if let highest = unwrapper.highest, Int32(bitPattern: highest &- position) >= Int32(TransportFeedback.size / 2) {
            return
        }
        unwrapper.advance(to: position)
        let place = Int(position) & (TransportFeedback.size - 1)
        if positions[place] == position, arrivals[place] != 0 { return }
        positions[place] = position
        arrivals[place] = max(arrival, 1)
        if let current = start {
            if Int32(bitPattern: position &- current) < 0 { start = position }
        } else {
            start = position
        }
        if !hasNews {
            hasNews = true
            nextDeadline = arrival &+ TransportFeedback.interval
        }
    }

    /// What one feedback message reports: a run of sequence numbers and the arrival time of each, 0 for missing ones.
    package struct Report: Sendable, Equatable {
        package var baseSequence: UInt16 = 0
        package var feedbackCount: UInt8 = 0
        package var arrivals: [UInt64] = []
        package init() {}
    }

    /// Fills `report` (whose storage is reused) with at most `limit` packets; false when there is nothing to say.
    package mutating func collect(now: UInt64, limit: Int = 400, into report: inout Report) -> Bool {
        report.arrivals.removeAll(keepingCapacity: true)
        guard hasNews, var first = start, let highest = unwrapper.highest else {
            nextDeadline = .max
            return false
        }
        let oldest = highest &- UInt32(TransportFeedback.size - 1)
        if Int32(bitPattern: first &- oldest) < 0 { first = oldest }
        // A report begins with a packet that arrived: its time is the reference.
        while first != highest, arrival(of: first) == 0 { first &+= 1 }
        report.baseSequence = UInt16(truncatingIfNeeded: first)
        var position = first
        while Int32(bitPattern: highest &- position) >= 0, report.arrivals.count < limit {
            report.arrivals.append(arrival(of: position))
            position &+= 1
        }
        start = position
        hasNews = Int32(bitPattern: highest &- position) >= 0
        nextDeadline = hasNews ? now : .max
        report.feedbackCount = count
        count &+= 1
        return true
    }

    private func arrival(of position: UInt32) -> UInt64 {
        let place = Int(position) & (TransportFeedback.size - 1)
        return positions[place] == position ? arrivals[place] : 0
    }
}
