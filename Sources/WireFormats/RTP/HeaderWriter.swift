// Writes an RTP header with extension elements into a buffer that the caller owns.

/// One element after the other, then `finish()`; elements that do not fit are left out, never written over the end.
///
/// ```swift
/// var writer = RTPHeaderWriter(into: buffer, payloadType: 96, marker: true, sequence: 7, timestamp: 90, ssrc: 1)
/// writer.beginExtensions(twoByte: false)
/// writer.append(id: 4, bytes: mid)
/// let headerLength = writer.finish()
/// ```
@frozen
package struct RTPHeaderWriter {
    @usableFromInline let base: UnsafeMutableRawPointer
    @usableFromInline let capacity: Int
    @usableFromInline var position: Int
    @usableFromInline var blockOffset = 0
    @usableFromInline var isTwoByte = false

    /// The buffer must hold at least the fixed header; a smaller one makes the writer write nothing.
    @inlinable
    package init(
        into buffer: UnsafeMutableRawBufferPointer, payloadType: UInt8, marker: Bool, sequence: UInt16,
        timestamp: UInt32, ssrc: UInt32
    ) {
        guard let base = buffer.baseAddress, buffer.count >= RTPHeader.fixedLength else {
            self.base = UnsafeMutableRawPointer(bitPattern: 1).unsafelyUnwrapped
            capacity = 0
            position = 0
            return
        }
        self.base = base
        capacity = buffer.count
        base.storeBytes(of: 0x80, as: UInt8.self)
        base.storeBytes(of: (marker ? 0x80 : 0) | (payloadType & 0x7F), toByteOffset: 1, as: UInt8.self)
        base.setNetwork16(sequence, at: 2)
        base.setNetwork32(timestamp, at: 4)
        base.setNetwork32(ssrc, at: 8)
        position = RTPHeader.fixedLength
    }

    @inlinable
    package mutating func beginExtensions(twoByte: Bool) {
        guard position + 4 <= capacity, blockOffset == 0 else { return }
        isTwoByte = twoByte
        blockOffset = position
        base.setNetwork16(twoByte ? RTPHeader.twoByteProfile : RTPHeader.oneByteProfile, at: position)
        position += 4
    }

    /// Makes room for an element and says where its bytes go; nil when it does not fit this form or this buffer.
    @inlinable
    package mutating func reserve(id: UInt8, length: Int) -> UnsafeMutableRawPointer? {
        guard blockOffset != 0, id != 0, length >= 0 else { return nil }
        if isTwoByte {
            // Three bytes more for the padding of the block to a whole word.
            guard length <= 255, position + 2 + length + 3 <= capacity else { return nil }
            base.storeBytes(of: id, toByteOffset: position, as: UInt8.self)
            base.storeBytes(of: UInt8(truncatingIfNeeded: length), toByteOffset: position + 1, as: UInt8.self)
            position += 2
        } else {
            guard id < 15, length >= 1, length <= 16, position + 1 + length + 3 <= capacity else { return nil }
            base.storeBytes(
                of: id << 4 | UInt8(truncatingIfNeeded: length - 1), toByteOffset: position, as: UInt8.self)
            position += 1
        }
        let place = base + position
        position += length
        return place
    }

    @inlinable
    package mutating func append(id: UInt8, bytes: UnsafeRawBufferPointer) {
        guard let place = reserve(id: id, length: bytes.count), let source = bytes.baseAddress else { return }
        place.copyMemory(from: source, byteCount: bytes.count)
    }

    /// Pads the block, writes its length, and answers with the length of the whole header.
    @inlinable
    package mutating func finish() -> Int {
        guard blockOffset != 0 else { return position }
        let content = position - blockOffset - 4
        if content == 0 {
            position = blockOffset
            return position
        }
        while (position - blockOffset) & 3 != 0 {
            base.storeBytes(of: 0, toByteOffset: position, as: UInt8.self)
            position += 1
        }
        base.setNetwork16(UInt16(truncatingIfNeeded: (position - blockOffset - 4) / 4), at: blockOffset + 2)
        base.storeBytes(of: 0x90, as: UInt8.self)
        return position
    }
}
