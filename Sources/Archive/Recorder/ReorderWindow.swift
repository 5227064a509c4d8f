// Puts the packets of one RTP stream in order: waits a bounded time for the missing ones, then says that they are lost.

/// One packet that waits for an earlier one.
private struct Waiting {
    var sequence: Int64
    var arrival: UInt64
    var packet: [UInt8]
}

/// What comes out of the window.
enum Ordered {
    case packet(UnsafeRawBufferPointer, arrival: UInt64)
    /// This many packets will not come.
    case lost(Int64)
}

/// In-order packets pass without a copy; the others are kept until the hole before them is filled or `patience` is over.
struct ReorderWindow {
    private let patience: UInt64
    private let maximumPackets = 4096
    private let maximumBytes = 8 << 20

    /// The first packets may be out of order, too: so long the window looks for the one with which to begin.
    private let settling: UInt64 = 60_000_000

    private var unwrapper = SequenceUnwrapper()
    private var next: Int64?
    private var began: UInt64?
    private var waiting: [Waiting] = []
    private var waitingBytes = 0
    private var lateInARow = 0

    private(set) var lost: Int64 = 0
    private(set) var late: Int64 = 0

    init(patience: UInt64) { self.patience = patience }

    /// When `advance` is due.
    var deadline: UInt64? {
        if next == nil { return began.map { $0 &+ settling } }
        guard let first = waiting.first else { return nil }
        return waiting.reduce(first.arrival) { min($0, $1.arrival) } &+ patience
    }

    mutating func insert(
        sequence: UInt16, arrival: UInt64, bytes: UnsafeRawBufferPointer, deliver: (Ordered) -> Void
    ) {
        let unwrapped = unwrapper.unwrap(sequence)
        guard let expected = next else {
            if began == nil { began = arrival }
            keep(unwrapped, arrival, bytes)
            let isFull = waiting.count >= maximumPackets || waitingBytes >= maximumBytes
            if isFull || arrival >= (began ?? arrival) &+ settling { open(deliver: deliver) }
            return
        }
        if unwrapped < expected {
            late += 1
            lateInARow += 1
            // A sender that began anew at a lower number without a new SSRC: nothing but old packets comes.
            if lateInARow >= 64 { restart(deliver: deliver) }
            return
        }
        lateInARow = 0
        if unwrapped == expected {
            next = expected + 1
            deliver(.packet(bytes, arrival: arrival))
            drain(deliver: deliver)
            return
        }
        keep(unwrapped, arrival, bytes)
        while waiting.count > maximumPackets || waitingBytes > maximumBytes { giveUp(deliver: deliver) }
    }

    private mutating func keep(_ sequence: Int64, _ arrival: UInt64, _ bytes: UnsafeRawBufferPointer) {
        let place = waiting.lastIndex { $0.sequence <= sequence }.map { $0 + 1 } ?? 0
        if place > 0, waiting[place - 1].sequence == sequence { return }
        waiting.insert(Waiting(sequence: sequence, arrival: arrival, packet: [UInt8](bytes)), at: place)
        waitingBytes += bytes.count
    }

    /// The lowest number that has come is the beginning.
    private mutating func open(deliver: (Ordered) -> Void) {
        guard next == nil, let first = waiting.first else { return }
        next = first.sequence
        drain(deliver: deliver)
    }

    /// Gives up the holes that are older than the patience.
    mutating func advance(now: UInt64, deliver: (Ordered) -> Void) {
        if next == nil {
            if let deadline, deadline <= now { open(deliver: deliver) }
            return
        }
        while let deadline, deadline <= now { giveUp(deliver: deliver) }
    }

    /// Nothing more will come: everything that waits goes out.
    mutating func flush(deliver: (Ordered) -> Void) {
        open(deliver: deliver)
        while !waiting.isEmpty { giveUp(deliver: deliver) }
    }

    private mutating func restart(deliver: (Ordered) -> Void) {
        flush(deliver: deliver)
        deliver(.lost(1))
        unwrapper = SequenceUnwrapper()
        next = nil
        began = nil
        lateInARow = 0
    }

    private mutating func giveUp(deliver: (Ordered) -> Void) {
        guard let first = waiting.first, let expected = next else { return }
        let missing = max(0, first.sequence - expected)
        lost += missing
        next = first.sequence
        deliver(.lost(missing))
        drain(deliver: deliver)
    }

    private mutating func drain(deliver: (Ordered) -> Void) {
        var count = 0
        while count < waiting.count, waiting[count].sequence == next {
            let entry = waiting[count]
            next = entry.sequence + 1
            waitingBytes -= entry.packet.count
            entry.packet.withUnsafeBytes { deliver(.packet($0, arrival: entry.arrival)) }
            count += 1
        }
        if count > 0 { waiting.removeFirst(count) }
    }

    /// For tests and debug builds.
    func checkInvariants() {
        precondition(waitingBytes == waiting.reduce(0) { $0 + $1.packet.count })
        for (one, other) in zip(waiting, waiting.dropFirst()) { precondition(one.sequence < other.sequence) }
        if let first = waiting.first, let next { precondition(first.sequence > next) }
    }
}
