// Reads bits from the front of bytes, and says when there are none left. For codec headers only.

struct BitReader {
    private let bytes: ArraySlice<UInt8>
    private var position = 0
    private(set) var isExhausted = false

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    mutating func bit() -> Int {
        let at = bytes.startIndex + position >> 3
        guard at < bytes.endIndex else {
            isExhausted = true
            return 0
        }
        let value = Int(bytes[at] >> UInt8(7 - position & 7)) & 1
        position += 1
        return value
    }

    mutating func flag() -> Bool { bit() == 1 }

    /// At most 32 bits.
    mutating func bits(_ count: Int) -> Int {
        var value = 0
        for _ in 0..<min(count, 32) { value = value << 1 | bit() }
        return value
    }

    mutating func skip(_ count: Int) {
        for _ in 0..<count { _ = bit() }
    }

    /// Unsigned Exp-Golomb (H.264 9.1), and AV1's uvlc, which is the same code.
    mutating func exponentialGolomb() -> Int {
        var zeros = 0
        while !isExhausted, bit() == 0 {
            zeros += 1
            if zeros > 31 {
                isExhausted = true
                return 0
            }
        }
        return (1 << zeros) - 1 + bits(zeros)
    }

    mutating func signedExponentialGolomb() -> Int {
        let code = exponentialGolomb()
        return code & 1 == 1 ? (code + 1) / 2 : -(code / 2)
    }
}
