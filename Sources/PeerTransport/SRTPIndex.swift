// The 48-bit packet index of SRTP: guessing it from 16 bits, and remembering which ones were seen (RFC 3711).

enum SRTPIndex {
    private static let mask: UInt64 = 0xFFFF_FFFF_FFFF

    /// The index nearest to `highest` that ends in `sequence` (RFC 3711 appendix A); `nil` before the very first packet.
    static func estimate(sequence: UInt16, highest: UInt64) -> UInt64? {
        let rollover = highest >> 16
        let last = Int(UInt16(truncatingIfNeeded: highest))
        let sequence = Int(sequence)
        let guess: UInt64
        if last < 0x8000, sequence - last > 0x8000 {
            guard rollover > 0 else { return nil }
            guess = rollover - 1
        } else if last >= 0x8000, last - 0x8000 > sequence {
            guess = rollover + 1
        } else {
            guess = rollover
        }
        return (guess << 16 | UInt64(sequence)) & mask
    }
}

/// Which of the last 1024 indices were accepted. A ring of words, so that moving on clears at most a few of them.
struct ReplayWindow {
    static let size: UInt64 = 1024
    private static let words = 32

    private(set) var highest: UInt64
    private var bits = InlineArray<32, UInt64>(repeating: 0)

    /// A window in which `first` has been seen.
    init(first index: UInt64) {
        highest = index
        mark(index)
    }

    /// Seen before, or too old to know.
    func refuses(_ index: UInt64) -> Bool {
        if index > highest { return false }
        if highest - index >= Self.size { return true }
        return bits[Int(index >> 6 & 31)] >> (index & 63) & 1 == 1
    }

    mutating func accept(_ index: UInt64) {
        if index > highest {
            let steps = min((index >> 6) - (highest >> 6), UInt64(Self.words))
            for step in 0..<steps { bits[Int(((highest >> 6) + 1 + step) & 31)] = 0 }
            highest = index
        }
        mark(index)
    }

    private mutating func mark(_ index: UInt64) {
        bits[Int(index >> 6 & 31)] |= 1 << (index & 63)
    }
}
