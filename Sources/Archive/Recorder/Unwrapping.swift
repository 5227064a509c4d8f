// Sequence numbers and timestamps that wrap, continued on a 64-bit line (RFC 3550 appendix A.1).

/// Continues a 16-bit counter.
struct SequenceUnwrapper {
    private(set) var last: Int64?

    /// The 64-bit value nearest to the last one. The first value is put far from zero, so that older ones stay positive.
    mutating func unwrap(_ value: UInt16) -> Int64 {
        guard let last else {
            let first = Int64(value) + 1 << 20
            self.last = first
            return first
        }
        let delta = Int64(Int16(truncatingIfNeeded: Int64(value) &- last))
        let unwrapped = last &+ delta
        if delta > 0 { self.last = unwrapped }
        return unwrapped
    }
}

/// Continues a 32-bit RTP timestamp.
struct TimestampUnwrapper {
    private(set) var last: Int64?

    mutating func unwrap(_ value: UInt32) -> Int64 {
        let unwrapped = nearest(value)
        if last.map({ unwrapped > $0 }) ?? true { last = unwrapped }
        return unwrapped
    }

    /// The same without moving on; for the timestamps in sender reports.
    func nearest(_ value: UInt32) -> Int64 {
        guard let last else { return Int64(value) + 1 << 40 }
        return last &+ Int64(Int32(truncatingIfNeeded: Int64(value) &- last))
    }
}
