// What was decided of the last frames of a stream: forwarded, left out, or nothing yet.

/// Two bits for each of the last 1024 frame numbers. Numbers lie on a line that does not wrap in practice.
package struct FrameWindow: Sendable {
    package static let span: UInt32 = 1024
    private static let words = 16

    package enum State: Sendable { case unknown, forwarded, leftOut }

    private var decided = InlineArray<16, UInt64>(repeating: 0)
    private var forwarded = InlineArray<16, UInt64>(repeating: 0)
    package private(set) var newest: UInt32?

    package init() {}

    package mutating func removeAll() { self = FrameWindow() }

    package func isNewer(_ frame: UInt32) -> Bool {
        guard let newest else { return true }
        return Int32(bitPattern: frame &- newest) > 0
    }

    @inline(__always)
    private static func place(_ frame: UInt32) -> (word: Int, bit: UInt64) {
        (Int(frame >> 6) & (words - 1), 1 << UInt64(frame & 63))
    }

    package subscript(_ frame: UInt32) -> State {
        guard let newest, Int32(bitPattern: newest &- frame) >= 0, newest &- frame < FrameWindow.span else {
            return .unknown
        }
        let (word, bit) = FrameWindow.place(frame)
        guard decided[word] & bit != 0 else { return .unknown }
        return forwarded[word] & bit != 0 ? .forwarded : .leftOut
    }

    package mutating func set(_ frame: UInt32, isForwarded: Bool) {
        if let newest {
            let step = Int32(bitPattern: frame &- newest)
            if step > 0 {
                forget(after: newest, count: UInt32(step))
                self.newest = frame
            } else if UInt32(bitPattern: 0 &- step) >= FrameWindow.span {
                return
            }
        } else {
            newest = frame
        }
        let (word, bit) = FrameWindow.place(frame)
        decided[word] |= bit
        if isForwarded { forwarded[word] |= bit } else { forwarded[word] &= ~bit }
    }

    private mutating func forget(after newest: UInt32, count: UInt32) {
        guard count < FrameWindow.span else {
            decided = InlineArray(repeating: 0)
            return
        }
        for step in 1...count {
            let (word, bit) = FrameWindow.place(newest &+ step)
            decided[word] &= ~bit
        }
    }
}

/// Numbers of a source mapped to a receiver's, which have no gaps where something was left out on purpose.
package struct NumberLine: Sendable {
    package static let span: UInt32 = 1024
    private static let words = 16

    private(set) var offset: UInt32 = 0
    private var base: UInt32 = 0
    private(set) var highest: UInt32 = 0
    /// The newest numbers that were left out, one bit each.
    private var skipped = InlineArray<16, UInt64>(repeating: 0)
    private var hasSkipped = false

    package init() {}

    /// `source` becomes `out`; nothing before it has a number.
    package mutating func start(at source: UInt32, as out: UInt32) {
        offset = out &- source
        base = source
        highest = source &- 1
        skipped = InlineArray(repeating: 0)
        hasSkipped = false
    }

    @inline(__always)
    private static func place(_ number: UInt32) -> (word: Int, bit: UInt64) {
        (Int(number >> 6) & (words - 1), 1 << UInt64(number & 63))
    }

    package func isNewest(_ source: UInt32) -> Bool { Int32(bitPattern: source &- highest) > 0 }

    @inline(__always)
    package mutating func advance(to source: UInt32) {
        if hasSkipped { forget(until: source) }
        highest = source
    }

    private mutating func forget(until source: UInt32) {
        let count = source &- highest
        guard count < NumberLine.span else {
            skipped = InlineArray(repeating: 0)
            hasSkipped = false
            return
        }
        var number = highest
        for _ in 0..<count {
            number &+= 1
            let (word, bit) = NumberLine.place(number)
            skipped[word] &= ~bit
        }
    }

    /// Leaves a number out without a gap; false when it comes too late for that.
    package mutating func skip(_ source: UInt32) -> Bool {
        guard isNewest(source) else { return isSkipped(source) }
        advance(to: source)
        let (word, bit) = NumberLine.place(source)
        skipped[word] |= bit
        hasSkipped = true
        offset &-= 1
        return true
    }

    package func isSkipped(_ source: UInt32) -> Bool {
        guard hasSkipped, highest &- source < NumberLine.span else { return false }
        let (word, bit) = NumberLine.place(source)
        return skipped[word] & bit != 0
    }

    /// nil for numbers from before the start, left out, or too old to know.
    @inline(__always)
    package func map(_ source: UInt32) -> UInt32? {
        guard Int32(bitPattern: source &- base) >= 0 else { return nil }
        let out = source &+ offset
        guard hasSkipped, !isNewest(source) else { return out }
        guard let later = skippedAfter(source) else { return nil }
        return out &+ later
    }

    private func skippedAfter(_ source: UInt32) -> UInt32? {
        let age = highest &- source
        guard age < NumberLine.span, !isSkipped(source) else { return nil }
        var count: UInt32 = 0
        var number = source
        for _ in 0..<age {
            number &+= 1
            let (word, bit) = NumberLine.place(number)
            if skipped[word] & bit != 0 { count &+= 1 }
        }
        return count
    }
}
