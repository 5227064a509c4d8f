// One direction of a path in virtual time: packets go in at a time and come out at later ones, or not at all.

package struct LinkStatistics: Sendable, Equatable {
    package var sent = 0
    package var delivered = 0
    package var lost = 0
    package var droppedByQueue = 0
    package var droppedByMTU = 0
    package var duplicated = 0
    package var heldBack = 0
    package var deliveredBytes = 0
    package var longestQueueing: Nanoseconds = 0
}

package struct Delivery<Payload> {
    package let arrival: Nanoseconds
    package let sent: Nanoseconds
    package let bytes: Int
    package let payload: Payload
}

/// The packet's way: MTU, loss, bottleneck queue and rate, propagation with jitter, reordering, duplication.
package struct SimulatedLink<Payload> {
    package private(set) var statistics = LinkStatistics()
    /// May be changed at any time; packets under way keep what they have.
    package var conditions: LinkConditions

    private var random: SeededRandom
    private let start: Nanoseconds
    private var isInBadState = false
    /// When the bottleneck has sent everything it holds.
    private var busyUntil: Nanoseconds
    private var lastArrival: Nanoseconds = 0
    private var underWay = ArrivalHeap<Payload>()

    package init(_ conditions: LinkConditions, seed: UInt64, start: Nanoseconds = 0) {
        self.conditions = conditions
        self.start = start
        random = SeededRandom(seed: seed)
        busyUntil = start
    }

    package var nextArrival: Nanoseconds? { underWay.first?.arrival }
    package var packetsUnderWay: Int { underWay.count }

    /// `bytes` is the UDP payload.
    package mutating func send(_ payload: Payload, bytes: Int, now: Nanoseconds) {
        statistics.sent += 1
        let size = bytes + conditions.overheadBytes
        guard size <= conditions.mtu else {
            statistics.droppedByMTU += 1
            return
        }
        var penalty: Nanoseconds = 0
        if isTakenByLoss() {
            switch conditions.lossConsequence {
            case .gone:
                statistics.lost += 1
                return
            case .repeated(let after):
                penalty = after
            }
        }
        guard let departure = passBottleneck(size: size, now: now) else {
            statistics.droppedByQueue += 1
            return
        }
        deliver(payload, bytes: bytes, sent: now, departure: departure + penalty)
        if random.chance(conditions.duplication) {
            statistics.duplicated += 1
            deliver(payload, bytes: bytes, sent: now, departure: departure + penalty)
        }
    }

    /// The next packet that has arrived by `now`, in order of arrival.
    package mutating func receive(now: Nanoseconds) -> Delivery<Payload>? {
        guard let first = underWay.first, first.arrival <= now else { return nil }
        let delivery = underWay.removeFirst()
        statistics.delivered += 1
        statistics.deliveredBytes += delivery.bytes
        return delivery
    }

    private mutating func isTakenByLoss() -> Bool {
        switch conditions.loss {
        case .none:
            return false
        case .random(let probability):
            return random.chance(probability)
        case .gilbertElliott(let goodToBad, let badToGood, let lossInGood, let lossInBad):
            if random.chance(isInBadState ? badToGood : goodToBad) { isInBadState.toggle() }
            return random.chance(isInBadState ? lossInBad : lossInGood)
        }
    }

    /// When the last bit leaves the bottleneck; nil when its queue is full.
    private mutating func passBottleneck(size: Int, now: Nanoseconds) -> Nanoseconds? {
        guard let rate = conditions.rate(at: now - min(start, now)) else { return now }
        let waiting = busyUntil > now ? busyUntil - now : 0
        let queued = Double(waiting) * Double(rate) / 8e9
        guard queued + Double(size) <= Double(conditions.queueBytes) else { return nil }
        let beginning = max(now, busyUntil)
        let rateThen = conditions.rate(at: beginning - min(start, beginning)) ?? rate
        busyUntil = beginning + Nanoseconds((Double(size) * 8e9 / Double(rateThen)).rounded())
        statistics.longestQueueing = max(statistics.longestQueueing, beginning - now)
        return busyUntil
    }

    private mutating func deliver(_ payload: Payload, bytes: Int, sent: Nanoseconds, departure: Nanoseconds) {
        var arrival = departure + conditions.delay
        if conditions.jitter > 0 {
            // Half a normal distribution: a path is never faster than its delay.
            arrival += Nanoseconds(abs(random.normal()) * Double(conditions.jitter))
        }
        if random.chance(conditions.reordering) {
            statistics.heldBack += 1
            arrival += conditions.reorderingDelay
        } else if conditions.keepsOrder {
            arrival = max(arrival, lastArrival)
            lastArrival = arrival
        }
        underWay.insert(Delivery(arrival: arrival, sent: sent, bytes: bytes, payload: payload))
    }
}

/// A binary heap by arrival; of two equal arrivals the one sent first comes first.
private struct ArrivalHeap<Payload> {
    private struct Entry {
        let order: UInt64
        let delivery: Delivery<Payload>

        func isBefore(_ other: Entry) -> Bool {
            (delivery.arrival, order) < (other.delivery.arrival, other.order)
        }
    }

    private var entries: [Entry] = []
    private var inserted: UInt64 = 0

    var count: Int { entries.count }
    var first: Delivery<Payload>? { entries.first?.delivery }

    mutating func insert(_ delivery: Delivery<Payload>) {
        entries.append(Entry(order: inserted, delivery: delivery))
        inserted += 1
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child].isBefore(entries[parent]) else { break }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    mutating func removeFirst() -> Delivery<Payload> {
        entries.swapAt(0, entries.count - 1)
        let removed = entries.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < entries.count && entries[child].isBefore(entries[least]) { least = child }
            guard least != parent else { break }
            entries.swapAt(parent, least)
            parent = least
        }
        return removed.delivery
    }
}
