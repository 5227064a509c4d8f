// The newest part of a room's log, for clients that come back and ask for what they missed.

/// A bounded tail of events in order, without gaps.
struct RoomLog: Sendable {
    private(set) var events: [RoomEvent] = []
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// The number of the newest event, 0 before the first.
    var lastSequenceNumber: UInt64 { events.last?.seq ?? 0 }

    mutating func append(_ event: RoomEvent) {
        precondition(event.seq == lastSequenceNumber + 1, "the log has no gaps")
        events.append(event)
        // Trimmed in large steps, so that appending stays cheap.
        if events.count >= 2 * limit { events.removeFirst(events.count - limit) }
    }

    /// The events after the given number, or nil when some of them are gone or the number is not of this log.
    func tail(after seq: UInt64) -> [RoomEvent]? {
        guard seq <= lastSequenceNumber else { return nil }
        let missing = Int(lastSequenceNumber - seq)
        guard missing <= events.count else { return nil }
        return Array(events.suffix(missing))
    }
}
