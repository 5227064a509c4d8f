// Reading single bits, most significant first; for the few headers of codecs that are made of them.

/// Past the end everything reads as zero, and `isExhausted` says so.
struct BitReader {
    private let bytes: UnsafeRawBufferPointer
    private var nextByte = 0
    private let removesEmulationPrevention: Bool
    private var zeros = 0
    private(set) var isExhausted = false
    /// The byte that bits are taken from, and how many of them are left.
    private var current: UInt8 = 0
    private var left = 0

    /// H.264 puts a 3 after two zero bytes so that no start code appears; it is no part of the data.
    init(_ bytes: UnsafeRawBufferPointer, removesEmulationPrevention: Bool = false) {
        self.bytes = bytes
        self.removesEmulationPrevention = removesEmulationPrevention
    }

    mutating func bit() -> Bool {
        if left == 0 { load() }
        left &-= 1
        return current >> UInt8(truncatingIfNeeded: left) & 1 != 0
    }

    private mutating func load() {
        left = 8
        if removesEmulationPrevention, zeros >= 2, nextByte < bytes.count, bytes[nextByte] == 3 {
            nextByte &+= 1
            zeros = 0
        }
        guard nextByte < bytes.count else {
            isExhausted = true
            current = 0
            return
        }
        current = bytes[nextByte]
        zeros = current == 0 ? zeros &+ 1 : 0
        nextByte &+= 1
    }

    /// Bits read so far; only where no bytes are removed.
    var position: Int { nextByte &* 8 &- left }

    /// AV1's ns(n): a value below `count`, in as few bits as that takes.
    mutating func nonSymmetric(_ count: UInt32) -> UInt32 {
        guard count > 1 else { return 0 }
        let width = 32 &- count.leadingZeroBitCount
        let short = (UInt32(1) << UInt32(width)) &- count
        let value = bits(width &- 1)
        return value < short ? value : value << 1 &- short &+ bits(1)
    }

    /// Up to 32 bits.
    mutating func bits(_ count: Int) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<min(max(count, 0), 32) { value = value << 1 | (bit() ? 1 : 0) }
        return value
    }

    mutating func skip(_ count: Int) {
        for _ in 0..<max(count, 0) where !isExhausted { _ = bit() }
    }

    /// Exponential-Golomb (H.264 section 9.1), also AV1's uvlc: leading zeros say how many bits follow.
    mutating func exponentialGolomb() -> UInt32 {
        var leading = 0
        while !isExhausted, !bit() { leading &+= 1 }
        guard leading < 32 else { return .max }
        return (UInt32(1) << UInt32(leading)) &- 1 &+ bits(leading)
    }

    mutating func signedExponentialGolomb() -> Int32 {
        let code = exponentialGolomb()
        let magnitude = Int32(truncatingIfNeeded: (code &+ 1) >> 1)
        return code & 1 == 0 ? 0 &- magnitude : magnitude
    }
}
