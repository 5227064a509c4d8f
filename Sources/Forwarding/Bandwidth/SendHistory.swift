// What was sent to one receiver under transport-wide sequence numbers, until its feedback has told what became of it.

/// Twenty-four bytes a packet.
package struct SentTransportPacket: Sendable {
    package enum State: UInt8, Sendable {
        case unused, inFlight, acknowledged
        /// Reported as missing; it may still be reported as arrived.
        case lost
        /// Feedback has gone past it without a word: what told of it was lost.
        case unheard
    }

    static let waitShift: UInt64 = 16

    package var sentAt: UInt64 = 0
    /// With everything around it: what the path has to carry.
    package var bytes: UInt16 = 0
    package var sequence: UInt16 = 0
    /// The number that the packet, or what it repeats, has in its own stream.
    package var origin: UInt16 = 0
    /// What the packets sent before it make it wait on a path of the estimated rate, in 64 µs.
    package var ownWait: UInt16 = 0
    /// The probe it was part of, 0 for none.
    package var cluster: UInt8 = 0
    package var state = State.unused
}

/// A ring by sequence number. It doubles, up to a limit, when it would forget packets that may still be reported.
package struct SendHistory: ~Copyable {
    /// 8192 packets of 1200 bytes at 100 Mbit/s are 0.8 s; at 10 Mbit/s they are eight.
    package static let largestCapacity = 8192
    /// After this nobody reports on a packet any more.
    package static let patience: UInt64 = 2_000_000_000

    private var entries: UnsafeMutablePointer<SentTransportPacket>
    private var mask: Int
    /// The sequence number of the newest packet; nil before the first.
    package private(set) var newest: UInt16?
    package private(set) var bytesInFlight = 0
    package private(set) var lastSentAt: UInt64 = 0
    /// No feedback has spoken of this one yet, nor of those after it.
    private var firstUntold: UInt16?

    package init(capacity: Int = 64) {
        var size = 16
        while size < capacity { size *= 2 }
        entries = .allocate(capacity: size)
        entries.initialize(repeating: SentTransportPacket(), count: size)
        mask = size - 1
    }

    deinit { entries.deallocate() }

    package var capacity: Int { mask + 1 }

    package mutating func append(
        sequence: UInt16, origin: UInt16 = 0, bytes: Int, ownWait: UInt64 = 0, cluster: UInt8, now: UInt64
    ) {
        var place = entries + (Int(sequence) & mask)
        if place.pointee.state == .inFlight {
            if capacity < SendHistory.largestCapacity, now &- place.pointee.sentAt < SendHistory.patience {
                grow()
                place = entries + (Int(sequence) & mask)
            }
            forget(place)
        }
        place.pointee = SentTransportPacket(
            sentAt: now, bytes: UInt16(clamping: bytes), sequence: sequence, origin: origin,
            ownWait: UInt16(clamping: ownWait >> SentTransportPacket.waitShift), cluster: cluster, state: .inFlight)
        bytesInFlight &+= bytes
        newest = sequence
        if firstUntold == nil { firstUntold = sequence }
        lastSentAt = now
    }

    /// nil for what was never sent or is forgotten.
    package func find(_ sequence: UInt16) -> UnsafeMutablePointer<SentTransportPacket>? {
        let place = entries + (Int(sequence) & mask)
        guard place.pointee.state != .unused, place.pointee.sequence == sequence else { return nil }
        return place
    }

    /// How many numbers, from this one to the newest, feedback can speak of; 0 for numbers outside the history.
    package func reportable(from sequence: UInt16) -> Int {
        guard let newest else { return 0 }
        let distance = Int(Int16(bitPattern: newest &- sequence))
        return distance >= 0 && distance <= mask ? distance + 1 : 0
    }

    /// Feedback tells of packets from `first` on, up to before `end`. Those before that nobody told of are not under way any
    /// more.
    package mutating func told(from first: UInt16, to end: UInt16) {
        guard var untold = firstUntold else { return }
        while Int16(bitPattern: first &- untold) > 0 {
            if let packet = find(untold), packet.pointee.state == .inFlight { settle(packet, as: .unheard) }
            untold &+= 1
        }
        if Int16(bitPattern: end &- untold) > 0 { untold = end }
        firstUntold = untold
    }

    package mutating func settle(
        _ packet: UnsafeMutablePointer<SentTransportPacket>, as state: SentTransportPacket.State
    ) {
        forget(packet)
        packet.pointee.state = state
    }

    /// Packets that nobody spoke of for so long are no longer on their way.
    package mutating func expire(now: UInt64) {
        guard bytesInFlight > 0, now &- lastSentAt > SendHistory.patience else { return }
        for place in 0...mask where entries[place].state == .inFlight { forget(entries + place) }
        bytesInFlight = 0
    }

    private mutating func forget(_ packet: UnsafeMutablePointer<SentTransportPacket>) {
        guard packet.pointee.state == .inFlight else { return }
        bytesInFlight = max(0, bytesInFlight &- Int(packet.pointee.bytes))
        packet.pointee.state = .lost
    }

    private mutating func grow() {
        let size = capacity * 2
        let larger = UnsafeMutablePointer<SentTransportPacket>.allocate(capacity: size)
        larger.initialize(repeating: SentTransportPacket(), count: size)
        for place in 0...mask where entries[place].state != .unused {
            larger[Int(entries[place].sequence) & (size - 1)] = entries[place]
        }
        entries.deallocate()
        entries = larger
        mask = size - 1
    }
}
