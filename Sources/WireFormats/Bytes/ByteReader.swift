// Reading big-endian numbers from bytes that nobody vouches for: every read says whether it was possible.

@frozen
package struct ByteReader {
    @usableFromInline let bytes: UnsafeRawBufferPointer
    package var position = 0

    @inlinable @inline(__always)
    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    @inlinable @inline(__always)
    package var remaining: Int { bytes.count &- position }

    @inlinable @inline(__always)
    package mutating func read8() -> UInt8? {
        guard remaining >= 1 else { return nil }
        let value = bytes[position]
        position &+= 1
        return value
    }

    @inlinable @inline(__always)
    package mutating func read16() -> UInt16? {
        guard remaining >= 2 else { return nil }
        let value = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt16.self))
        position &+= 2
        return value
    }

    @inlinable @inline(__always)
    package mutating func read24() -> UInt32? {
        guard remaining >= 3, let high = read8(), let low = read16() else { return nil }
        return UInt32(high) << 16 | UInt32(low)
    }

    @inlinable @inline(__always)
    package mutating func read32() -> UInt32? {
        guard remaining >= 4 else { return nil }
        let value = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
        position &+= 4
        return value
    }

    @inlinable @inline(__always)
    package mutating func read64() -> UInt64? {
        guard remaining >= 8 else { return nil }
        let value = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        position &+= 8
        return value
    }

    @inlinable @inline(__always)
    package mutating func skip(_ count: Int) -> Bool {
        guard count >= 0, remaining >= count else { return false }
        position &+= count
        return true
    }

    @inlinable @inline(__always)
    package mutating func read(_ count: Int) -> UnsafeRawBufferPointer? {
        guard count >= 0, remaining >= count else { return nil }
        let part = UnsafeRawBufferPointer(rebasing: bytes[position..<(position &+ count)])
        position &+= count
        return part
    }

    /// Everything that has not been read yet.
    @inlinable @inline(__always)
    package var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[position...]) }
}
