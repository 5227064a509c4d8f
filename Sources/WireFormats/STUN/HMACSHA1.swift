// HMAC-SHA1 (RFC 2104, FIPS 180-4) in plain Swift, for STUN's MESSAGE-INTEGRITY; media has OpenSSL's.

/// A running SHA-1. Small and copyable, so that a keyed state can be kept and continued.
struct SHA1 {
    private var h0: UInt32 = 0x6745_2301
    private var h1: UInt32 = 0xEFCD_AB89
    private var h2: UInt32 = 0x98BA_DCFE
    private var h3: UInt32 = 0x1032_5476
    private var h4: UInt32 = 0xC3D2_E1F0
    private var block = InlineArray<64, UInt8>(repeating: 0)
    private var filled = 0
    private var total: UInt64 = 0

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes { append(byte) }
        total &+= UInt64(bytes.count)
    }

    mutating func update(repeating byte: UInt8, count: Int) {
        for _ in 0..<count { append(byte) }
        total &+= UInt64(count)
    }

    mutating func finish() -> Digest {
        let bits = total &* 8
        append(0x80)
        while filled != 56 { append(0) }
        for shift in stride(from: 56, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: bits >> UInt64(shift)))
        }
        return Digest(words: [h0, h1, h2, h3, h4])
    }

    struct Digest {
        let words: InlineArray<5, UInt32>

        subscript(index: Int) -> UInt8 {
            UInt8(truncatingIfNeeded: words[index >> 2] >> UInt32(24 - 8 * (index & 3)))
        }
    }

    private mutating func append(_ byte: UInt8) {
        block[filled] = byte
        filled += 1
        if filled == 64 {
            compress()
            filled = 0
        }
    }

    private mutating func compress() {
        var w = InlineArray<80, UInt32>(repeating: 0)
        for t in 0..<16 {
            let i = t * 4
            w[t] =
                UInt32(block[i]) << 24 | UInt32(block[i + 1]) << 16 | UInt32(block[i + 2]) << 8 | UInt32(block[i + 3])
        }
        for t in 16..<80 {
            w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], by: 1)
        }
        var (a, b, c, d, e) = (h0, h1, h2, h3, h4)
        for t in 0..<80 {
            let (f, k): (UInt32, UInt32) =
                switch t {
                case 0..<20: ((b & c) | (~b & d), 0x5A82_7999)
                case 20..<40: (b ^ c ^ d, 0x6ED9_EBA1)
                case 40..<60: ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC)
                default: (b ^ c ^ d, 0xCA62_C1D6)
                }
            let next = rotate(a, by: 5) &+ f &+ e &+ k &+ w[t]
            (e, d, c, b, a) = (d, c, rotate(b, by: 30), a, next)
        }
        h0 &+= a
        h1 &+= b
        h2 &+= c
        h3 &+= d
        h4 &+= e
    }

    private func rotate(_ value: UInt32, by count: UInt32) -> UInt32 {
        value << count | value >> (32 - count)
    }
}

/// HMAC-SHA1 with the key's two blocks already hashed.
package struct HMACSHA1 {
    private let inner: SHA1
    private let outer: SHA1

    package init(key: UnsafeRawBufferPointer) {
        var block = InlineArray<64, UInt8>(repeating: 0)
        if key.count > 64 {
            var hash = SHA1()
            hash.update(key)
            let digest = hash.finish()
            for index in 0..<20 { block[index] = digest[index] }
        } else {
            for index in 0..<key.count { block[index] = key[index] }
        }
        var inner = SHA1()
        var outer = SHA1()
        for index in 0..<64 {
            inner.update(repeating: block[index] ^ 0x36, count: 1)
            outer.update(repeating: block[index] ^ 0x5C, count: 1)
        }
        self.inner = inner
        self.outer = outer
    }

    package init(key: String) {
        var key = key
        self = key.withUTF8 { HMACSHA1(key: UnsafeRawBufferPointer($0)) }
    }

    /// The 20 bytes of the code over `parts` one after the other.
    package func code(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer? = nil) -> [UInt8] {
        let digest = digest(first, second)
        return (0..<20).map { digest[$0] }
    }

    /// Compares in constant time.
    package func isValid(
        _ code: UnsafeRawBufferPointer, for first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer? = nil
    ) -> Bool {
        guard code.count == 20 else { return false }
        let digest = digest(first, second)
        var difference: UInt8 = 0
        for index in 0..<20 { difference |= digest[index] ^ code[index] }
        return difference == 0
    }

    private func digest(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer?) -> SHA1.Digest {
        var inner = inner
        inner.update(first)
        if let second { inner.update(second) }
        let hash = inner.finish()
        var outer = outer
        for index in 0..<20 { outer.update(repeating: hash[index], count: 1) }
        return outer.finish()
    }
}
