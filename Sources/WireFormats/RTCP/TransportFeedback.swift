// Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): when each packet came.

package struct TransportFeedback {
    /// Times are told in steps of 250 µs from a reference in steps of 64 ms.
    package static let tick: Int64 = 250
    package static let referenceTick: Int64 = 64_000

    package var sender: UInt32
    package var media: UInt32
    package var baseSequence: UInt16
    package var statusCount: UInt16
    /// In µs, on the receiver's clock; wraps at 2^24 · 64 ms.
    package var referenceTime: Int64
    /// Counts feedback messages, so that a lost one is noticed.
    package var feedbackCount: UInt8
    package var statuses: PacketStatuses

    init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let sender = reader.read32(), let media = reader.read32(), let base = reader.read16(),
            let count = reader.read16(), let reference = reader.read24(), let feedback = reader.read8()
        else { return nil }
        self.sender = sender
        self.media = media
        baseSequence = base
        statusCount = count
        referenceTime = Int64(Int32(bitPattern: reference << 8) >> 8) &* Self.referenceTick
        feedbackCount = feedback
        guard
            let statuses = PacketStatuses(reader.rest, base: base, count: count, referenceTime: referenceTime)
        else { return nil }
        self.statuses = statuses
    }
}

package struct PacketStatus: Sendable, Hashable {
    package var sequence: UInt16
    /// In µs on the receiver's clock; nil for a packet that did not arrive.
    package var arrival: Int64?

    package init(sequence: UInt16, arrival: Int64?) {
        self.sequence = sequence
        self.arrival = arrival
    }
}

package struct PacketStatuses: Sequence, IteratorProtocol {
    private var chunks: ByteReader
    private var deltas: ByteReader
    private var chunk = StatusChunk(0)
    private var sequence: UInt16
    private var left: UInt16
    private var time: Int64

    /// Nil when chunks or deltas are missing: half a report would tell of losses that never were.
    init?(_ bytes: UnsafeRawBufferPointer, base: UInt16, count: UInt16, referenceTime: Int64) {
        chunks = ByteReader(bytes)
        sequence = base
        left = count
        time = referenceTime
        var walk = ByteReader(bytes)
        var remaining = Int(count)
        var deltaBytes = 0
        while remaining > 0 {
            guard let word = walk.read16() else { return nil }
            var chunk = StatusChunk(word)
            if let run = chunk.run {
                // A few bytes can announce thousands of packets: count them, don't walk them.
                let told = Swift.min(remaining, run.length)
                remaining &-= told
                deltaBytes &+= told &* run.symbol.deltaLength
                continue
            }
            while remaining > 0, let symbol = chunk.next() {
                remaining &-= 1
                deltaBytes &+= symbol.deltaLength
            }
        }
        guard walk.remaining >= deltaBytes else { return nil }
        deltas = ByteReader(walk.rest)
    }

    package mutating func next() -> PacketStatus? {
        guard left > 0 else { return nil }
        var symbol = chunk.next()
        while symbol == nil {
            guard let word = chunks.read16() else { return nil }
            chunk = StatusChunk(word)
            symbol = chunk.next()
        }
        let number = sequence
        sequence &+= 1
        left &-= 1
        switch symbol {
        case nil, .notReceived, .reserved: return PacketStatus(sequence: number, arrival: nil)
        case .smallDelta: time &+= Int64(deltas.read8() ?? 0) &* TransportFeedback.tick
        case .largeDelta: time &+= Int64(Int16(bitPattern: deltas.read16() ?? 0)) &* TransportFeedback.tick
        }
        return PacketStatus(sequence: number, arrival: time)
    }
}

enum StatusSymbol: UInt8 {
    case notReceived, smallDelta, largeDelta, reserved

    var deltaLength: Int {
        switch self {
        case .notReceived, .reserved: 0
        case .smallDelta: 1
        case .largeDelta: 2
        }
    }
}

/// Sixteen bits: one symbol many times, fourteen symbols of one bit, or seven of two.
private struct StatusChunk {
    private var bits: UInt16
    private var left: UInt16
    private var width: UInt16

    init(_ word: UInt16) {
        if word & 0x8000 == 0 {
            width = 0
            bits = (word >> 13) & 3
            left = word & 0x1FFF
        } else if word & 0x4000 == 0 {
            width = 1
            bits = word << 2
            left = 14
        } else {
            width = 2
            bits = word << 2
            left = 7
        }
    }

    /// All of a run-length chunk at once; nil for vectors.
    var run: (symbol: StatusSymbol, length: Int)? {
        guard width == 0, let symbol = StatusSymbol(rawValue: UInt8(truncatingIfNeeded: bits)) else { return nil }
        return (symbol, Int(left))
    }

    mutating func next() -> StatusSymbol? {
        guard left > 0 else { return nil }
        left &-= 1
        guard width > 0 else { return StatusSymbol(rawValue: UInt8(truncatingIfNeeded: bits)) }
        let symbol = bits >> (16 &- width)
        bits <<= width
        return StatusSymbol(rawValue: UInt8(truncatingIfNeeded: symbol))
    }
}
