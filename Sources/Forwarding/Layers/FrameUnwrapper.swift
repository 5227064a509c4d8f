// Numbers of frames on a line that does not wrap, through encoders that begin to count anew.

/// Packets have sequence numbers of their own, which go on when an encoder begins anew: a frame comes after the one before
/// it, and no more frames than packets lie between them. What does not fit that is a new beginning, whichever of its packets
/// comes first; what comes late is counted as its time was.
package struct FrameUnwrapper: Sendable {
    /// One way of counting: the packet that was sent first, of those that came, and the one that was sent last.
    private struct Era {
        var firstSequence: UInt32
        var firstNumber: UInt16
        var firstPosition: UInt32
        var sequence: UInt32
        var number: UInt16
        var position: UInt32

        init(_ number: UInt16, sequence: UInt32, position: UInt32) {
            (firstSequence, firstNumber, firstPosition) = (sequence, number, position)
            (self.sequence, self.number, self.position) = (sequence, number, position)
        }
    }

    private var era: Era?
    private var before: Era?

    package init() {}

    @inline(__always)
    private static func difference(_ number: UInt16, _ other: UInt16, _ bits: UInt32) -> Int32 {
        // Moved to the top of the word, so that the sign is the number's own.
        Int32(bitPattern: UInt32(number &- other) << (32 &- bits)) >> Int32(32 &- bits)
    }

    /// - Parameter sequence: of the packet that says the number, on its line
    @inline(__always)
    package mutating func position(of number: UInt16, bits: UInt32, sequence: UInt32) -> UInt32 {
        guard let era else {
            let position = UInt32(1) << 24 | UInt32(number)
            self.era = Era(number, sequence: sequence, position: position)
            return position
        }
        let ahead = Int32(bitPattern: sequence &- era.sequence)
        let step = FrameUnwrapper.difference(number, era.number, bits)
        guard ahead >= 0 else { return late(number, bits: bits, sequence: sequence, in: era) }
        // Senders may leave numbers out; a quarter of all there are is more than that.
        let position: UInt32
        if step >= 0, step <= Int32(1) << Int32(bits &- 2) {
            position = era.position &+ UInt32(bitPattern: step)
            self.era?.sequence = sequence
            self.era?.number = number
            self.era?.position = position
        } else {
            // Room for those on both sides that are still missing.
            position = era.position &+ 1 &+ 2 &* UInt32(bitPattern: max(ahead, 1) &- 1)
            before = era
            self.era = Era(number, sequence: sequence, position: position)
        }
        return position
    }

    private func late(_ number: UInt16, bits: UInt32, sequence: UInt32, in era: Era) -> UInt32 {
        let isBeforeEra = Int32(bitPattern: sequence &- era.firstSequence) < 0
        if isBeforeEra, let before {
            let gap = Int32(bitPattern: era.firstSequence &- sequence)
            let fromFirst = FrameUnwrapper.difference(number, era.firstNumber, bits)
            let isBetween = Int32(bitPattern: sequence &- before.sequence) > 0
            if isBetween, fromFirst <= 0, fromFirst >= -gap {
                return era.firstPosition &+ UInt32(bitPattern: fromFirst)
            }
            return before.position &+ UInt32(bitPattern: FrameUnwrapper.difference(number, before.number, bits))
        }
        return era.position &+ UInt32(bitPattern: FrameUnwrapper.difference(number, era.number, bits))
    }
}
