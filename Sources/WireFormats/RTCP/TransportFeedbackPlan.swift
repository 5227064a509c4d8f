// How many arrivals fit into one transport feedback message, and how their statuses are packed into chunks.

package struct TransportArrival: Sendable, Hashable {
    package var sequence: UInt16
    /// In µs, on any clock that only goes forward.
    package var arrival: Int64

    package init(sequence: UInt16, arrival: Int64) {
        self.sequence = sequence
        self.arrival = arrival
    }
}

/// Chunks stand before the deltas, so everything is measured first, then written by walking the arrivals again.
struct TransportFeedbackPlan {
    private(set) var arrivalCount = 0
    private(set) var statusCount: UInt16 = 0
    /// Body of the message, before padding.
    private(set) var byteCount = 16
    private(set) var reference: UInt32 = 0
    private let baseSequence: UInt16
    private var referenceTime: Int64 = 0

    init(baseSequence: UInt16, arrivals: Span<TransportArrival>, capacity: Int) {
        self.baseSequence = baseSequence
        guard !arrivals.isEmpty else { return }
        let first = arrivals[0].arrival
        let ticks = first >= 0 ? first / TransportFeedback.referenceTick : 0
        referenceTime = ticks &* TransportFeedback.referenceTick
        reference = UInt32(truncatingIfNeeded: ticks) & 0xFF_FFFF
        var packer = StatusPacker()
        var chunks = 0
        var deltaBytes = 0
        var statuses = 0
        var walk = Walk(sequence: baseSequence, time: referenceTime)
        for index in arrivals.indices {
            guard let step = walk.step(to: arrivals[index]), statuses &+ step.lost &+ 1 <= Int(UInt16.max) else {
                break
            }
            for _ in 0..<step.lost where packer.add(.notReceived) != nil { chunks &+= 1 }
            if packer.add(step.symbol) != nil { chunks &+= 1 }
            deltaBytes &+= step.symbol.deltaLength
            // What is still in the packer takes one chunk more.
            let size = 16 &+ 2 &* (chunks &+ 1) &+ deltaBytes
            guard 4 &+ ((size &+ 3) & ~3) <= capacity else { break }
            statuses &+= step.lost &+ 1
            arrivalCount = index &+ 1
            byteCount = size
        }
        statusCount = UInt16(truncatingIfNeeded: statuses)
    }

    func forEachChunk(_ arrivals: Span<TransportArrival>, _ body: (UInt16) -> Void) {
        var packer = StatusPacker()
        forEachStep(arrivals) { step in
            for _ in 0..<step.lost {
                if let chunk = packer.add(.notReceived) { body(chunk) }
            }
            if let chunk = packer.add(step.symbol) { body(chunk) }
        }
        body(packer.finish())
    }

    func forEachDelta(_ arrivals: Span<TransportArrival>, _ body: (Int64, StatusSymbol) -> Void) {
        forEachStep(arrivals) { body($0.delta, $0.symbol) }
    }

    private func forEachStep(_ arrivals: Span<TransportArrival>, _ body: (Walk.Step) -> Void) {
        var walk = Walk(sequence: baseSequence, time: referenceTime)
        for index in 0..<arrivalCount {
            guard let step = walk.step(to: arrivals[index]) else { return }
            body(step)
        }
    }

    private struct Walk {
        struct Step {
            var lost: Int
            var delta: Int64
            var symbol: StatusSymbol
        }

        var sequence: UInt16
        /// As the reader of the message will reckon it, so that rounding does not add up.
        var time: Int64

        mutating func step(to arrival: TransportArrival) -> Step? {
            let lost = arrival.sequence &- sequence
            let (difference, overflow) = arrival.arrival.subtractingReportingOverflow(time)
            guard lost < 0x8000, !overflow else { return nil }
            let delta = (difference &+ (difference >= 0 ? 125 : -125)) / TransportFeedback.tick
            guard let short = Int16(exactly: delta) else { return nil }
            sequence = arrival.sequence &+ 1
            time &+= delta &* TransportFeedback.tick
            return Step(lost: Int(lost), delta: delta, symbol: (0...255).contains(short) ? .smallDelta : .largeDelta)
        }
    }
}

/// Collects symbols until they make a chunk: a run of one symbol, fourteen of one bit, or seven of two bits.
private struct StatusPacker {
    private static let longestRun = 0x1FFF

    /// The first fourteen symbols, two bits each, the oldest in the highest used bits.
    private var symbols: UInt32 = 0
    private var count = 0
    private var first = StatusSymbol.notReceived
    private var isUniform = true
    private var hasLarge = false

    /// Takes a symbol and hands out a chunk when the ones before could not wait any longer.
    mutating func add(_ symbol: StatusSymbol) -> UInt16? {
        if canTake(symbol) {
            take(symbol)
            return nil
        }
        let chunk = emit()
        take(symbol)
        return chunk
    }

    mutating func finish() -> UInt16 {
        if isUniform { return run }
        return hasLarge ? twoBits : oneBit
    }

    private func canTake(_ symbol: StatusSymbol) -> Bool {
        if count < 7 { return true }
        if isUniform && symbol == first { return count < Self.longestRun }
        return count < 14 && !hasLarge && symbol != .largeDelta
    }

    private mutating func take(_ symbol: StatusSymbol) {
        if count == 0 { first = symbol }
        isUniform = isUniform && symbol == first
        hasLarge = hasLarge || symbol == .largeDelta
        if count < 14 { symbols = symbols << 2 | UInt32(symbol.rawValue) }
        count &+= 1
    }

    private mutating func emit() -> UInt16 {
        if isUniform {
            let chunk = run
            self = StatusPacker()
            return chunk
        }
        if count == 14 {
            let chunk = oneBit
            self = StatusPacker()
            return chunk
        }
        // Seven leave as two-bit symbols, up to six stay.
        let chunk = twoBits
        let rest = count &- 7
        let kept = symbols
        self = StatusPacker()
        for position in 0..<max(0, rest) {
            let bits = kept >> UInt32(2 &* (rest &- 1 &- position)) & 3
            take(StatusSymbol(rawValue: UInt8(truncatingIfNeeded: bits)) ?? .notReceived)
        }
        return chunk
    }

    private var run: UInt16 { UInt16(first.rawValue) << 13 | UInt16(truncatingIfNeeded: count) }

    private var oneBit: UInt16 {
        var chunk: UInt16 = 0
        for position in 0..<count where symbol(at: position) != 0 { chunk |= 1 << UInt16(13 &- position) }
        return 0x8000 | chunk
    }

    private var twoBits: UInt16 {
        var chunk: UInt16 = 0
        for position in 0..<min(count, 7) { chunk |= UInt16(symbol(at: position)) << UInt16(12 &- 2 &* position) }
        return 0xC000 | chunk
    }

    private func symbol(at position: Int) -> UInt32 { symbols >> UInt32(2 &* (count &- 1 &- position)) & 3 }
}
