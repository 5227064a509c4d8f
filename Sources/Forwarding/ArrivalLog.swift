// When the packets of a publisher's transport arrived, for transport-wide feedback about them.
package import WireFormats

/// A ring of arrival times by transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
/// Packets that come after they were reported as missing are reported again: the next feedback starts at them.
package struct ArrivalLog: ~Copyable {
    package static let interval: UInt64 = 100_000_000
    private static let size = 1024

    /// Nanoseconds; 0 for what has not arrived.
    private var arrivals: UnsafeMutablePointer<UInt64>
    private var positions: UnsafeMutablePointer<UInt32>
    private var unwrapper = SequenceUnwrapper()
    /// The first sequence number of the next feedback.
    private var start: UInt32?
    private var count: UInt8 = 0
    package private(set) var nextDeadline: UInt64 = .max

    package init() {
        arrivals = .allocate(capacity: ArrivalLog.size)
        arrivals.initialize(repeating: 0, count: ArrivalLog.size)
        positions = .allocate(capacity: ArrivalLog.size)
        positions.initialize(repeating: 0, count: ArrivalLog.size)
    }

    deinit {
        arrivals.deallocate()
        positions.deallocate()
    }

    package mutating func record(_ sequence: UInt16, arrival: UInt64) {
        let position = unwrapper.position(of: sequence)
        if let highest = unwrapper.highest, Int32(bitPattern: highest &- position) >= Int32(ArrivalLog.size / 2) {
            return
        }
        unwrapper.advance(to: position)
        let place = Int(position) & (ArrivalLog.size - 1)
        if positions[place] == position, arrivals[place] != 0 { return }
        positions[place] = position
        arrivals[place] = max(arrival, 1)
        if let current = start {
            if Int32(bitPattern: position &- current) < 0 { start = position }
        } else {
            start = position
        }
        if nextDeadline == .max { nextDeadline = arrival &+ ArrivalLog.interval }
    }

    /// What one feedback message reports: the packets that arrived; the numbers between them are missing.
    package struct Report: Sendable, Equatable {
        package var baseSequence: UInt16 = 0
        package var feedbackCount: UInt8 = 0
        package var arrivals: [TransportArrival] = []
        package init() {}
    }

    /// Fills `report`, whose storage is reused; false when there is nothing to say. `confirm` says how much of it was sent.
    package mutating func collect(limit: Int = 400, into report: inout Report) -> Bool {
        report.arrivals.removeAll(keepingCapacity: true)
        guard var first = start, let highest = unwrapper.highest, nextDeadline != .max else { return false }
        let oldest = highest &- UInt32(ArrivalLog.size - 1)
        if Int32(bitPattern: first &- oldest) < 0 { first = oldest }
        report.baseSequence = UInt16(truncatingIfNeeded: first)
        report.feedbackCount = count
        var position = first
        while Int32(bitPattern: highest &- position) >= 0, report.arrivals.count < limit {
            let arrival = arrival(of: position)
            if arrival != 0 {
                report.arrivals.append(
                    TransportArrival(
                        sequence: UInt16(truncatingIfNeeded: position), arrival: Int64(clamping: arrival / 1000)))
            }
            position &+= 1
        }
        start = first
        if report.arrivals.isEmpty {
            start = highest &+ 1
            nextDeadline = .max
            return false
        }
        return true
    }

    /// The first `told` arrivals of the report are on their way; the rest belongs into the next message, at once.
    package mutating func confirm(_ report: Report, told: Int) {
        count &+= 1
        guard let highest = unwrapper.highest, told > 0, told <= report.arrivals.count else {
            nextDeadline = .max
            return
        }
        let last = unwrapper.position(of: report.arrivals[told - 1].sequence)
        start = last &+ 1
        if last == highest { nextDeadline = .max }
    }

    private func arrival(of position: UInt32) -> UInt64 {
        let place = Int(position) & (ArrivalLog.size - 1)
        return positions[place] == position ? arrivals[place] : 0
    }
}
