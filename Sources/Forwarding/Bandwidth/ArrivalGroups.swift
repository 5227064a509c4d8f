// Packets that were sent together, and how much farther apart two such groups arrived than they were sent.

/// How the distance of two neighbouring groups changed on the way.
package struct GroupDelta: Sendable, Equatable {
    /// Milliseconds between the last packets of both groups, as sent and as received.
    package var sent: Double
    package var received: Double
    /// When the later group was complete, in milliseconds of the receiver's clock.
    package var arrival: Double
}

/// A pacer releases bursts; within a burst queueing is our own doing and says nothing of the path. After draft-ietf-rmcat-gcc-02
/// §5.2, with the constants of libwebrtc's inter-arrival filter.
package struct ArrivalGroups: Sendable {
    /// Packets sent within this of the first belong to one group.
    static let length: UInt64 = 5_000_000
    /// Packets that arrive this close together after waiting somewhere are one burst, up to a longest one.
    static let burstGap: Int64 = 5_000
    static let longestBurst: Int64 = 100_000
    /// An arrival that jumps by more than this is a clock that was set.
    static let largestJump: Int64 = 3_000_000

    private struct Group: Sendable {
        var firstSent: UInt64
        var lastSent: UInt64
        /// Microseconds of the receiver's clock.
        var firstArrival: Int64
        var lastArrival: Int64
    }

    private var current: Group?
    private var previous: Group?

    package init() {}

    /// The change between the two groups before this packet, when it begins a new one.
    package mutating func add(sentAt: UInt64, arrival: Int64) -> GroupDelta? {
        guard var group = current else {
            current = Group(firstSent: sentAt, lastSent: sentAt, firstArrival: arrival, lastArrival: arrival)
            return nil
        }
        // Sent before the present group: reordered on the way.
        if sentAt < group.firstSent { return nil }
        if belongs(sentAt: sentAt, arrival: arrival, to: group) {
            group.lastSent = max(group.lastSent, sentAt)
            group.lastArrival = max(group.lastArrival, arrival)
            current = group
            return nil
        }
        var delta: GroupDelta?
        if let previous {
            let received = group.lastArrival &- previous.lastArrival
            if received >= 0, received < ArrivalGroups.largestJump {
                delta = GroupDelta(
                    sent: Double(group.lastSent &- previous.lastSent) / 1e6, received: Double(received) / 1e3,
                    arrival: Double(group.lastArrival) / 1e3)
            } else {
                current = nil
                self.previous = nil
                return add(sentAt: sentAt, arrival: arrival)
            }
        }
        previous = group
        current = Group(firstSent: sentAt, lastSent: sentAt, firstArrival: arrival, lastArrival: arrival)
        return delta
    }

    private func belongs(sentAt: UInt64, arrival: Int64, to group: Group) -> Bool {
        if sentAt &- group.firstSent <= ArrivalGroups.length { return true }
        let gap = arrival &- group.lastArrival
        let sentGap = Int64(clamping: (sentAt &- group.lastSent) / 1000)
        return gap - sentGap < 0 && gap <= ArrivalGroups.burstGap
            && arrival &- group.firstArrival < ArrivalGroups.longestBurst
    }
}
