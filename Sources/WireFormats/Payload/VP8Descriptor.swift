// The VP8 payload descriptor (RFC 7741 section 4.2), with the offsets at which it may be rewritten in place.

@frozen
package struct VP8Descriptor: Sendable, Hashable {
    /// No other frame will refer to this one.
    package var isNonReference: Bool
    package var startsPartition: Bool
    package var partition: UInt8
    /// 7 or 15 bits; see `pictureIDIsLong`.
    package var pictureID: UInt16?
    package var pictureIDIsLong: Bool
    package var temporalBaseIndex: UInt8?
    package var temporalLayer: UInt8?
    /// The frame depends only on the base layer: a viewer may move up here.
    package var isLayerSync: Bool
    package var keyIndex: UInt8?
    /// Offsets from the start of the payload; 0 when the field is absent.
    package var pictureIDOffset: UInt8
    package var temporalBaseIndexOffset: UInt8
    package var temporalLayerOffset: UInt8
    /// Bytes before the VP8 data.
    package var length: UInt8
    /// The first packet of a key frame.
    package var isKeyFrameStart: Bool

    /// Nil when the payload ends inside the descriptor or behind it is nothing.
    @inlinable
    package init?(_ payload: UnsafeRawBufferPointer) {
        guard payload.count > 1 else { return nil }
        let first = payload[0]
        isNonReference = first & 0x20 != 0
        startsPartition = first & 0x10 != 0
        partition = first & 0x07
        pictureID = nil
        pictureIDIsLong = false
        temporalBaseIndex = nil
        temporalLayer = nil
        isLayerSync = false
        keyIndex = nil
        pictureIDOffset = 0
        temporalBaseIndexOffset = 0
        temporalLayerOffset = 0
        var position = 1
        if first & 0x80 != 0 {
            let extensions = payload[1]
            position = 2
            if extensions & 0x80 != 0 {
                guard payload.count > position else { return nil }
                pictureIDOffset = UInt8(truncatingIfNeeded: position)
                let high = payload[position]
                if high & 0x80 != 0 {
                    guard payload.count > position &+ 1 else { return nil }
                    pictureIDIsLong = true
                    pictureID = UInt16(high & 0x7F) << 8 | UInt16(payload[position &+ 1])
                    position &+= 2
                } else {
                    pictureID = UInt16(high)
                    position &+= 1
                }
            }
            if extensions & 0x40 != 0 {
                guard payload.count > position else { return nil }
                temporalBaseIndexOffset = UInt8(truncatingIfNeeded: position)
                temporalBaseIndex = payload[position]
                position &+= 1
            }
            if extensions & 0x30 != 0 {
                guard payload.count > position else { return nil }
                let layer = payload[position]
                temporalLayerOffset = UInt8(truncatingIfNeeded: position)
                if extensions & 0x20 != 0 {
                    temporalLayer = layer >> 6
                    isLayerSync = layer & 0x20 != 0
                }
                if extensions & 0x10 != 0 { keyIndex = layer & 0x1F }
                position &+= 1
            }
        }
        guard payload.count > position else { return nil }
        length = UInt8(truncatingIfNeeded: position)
        // The lowest bit of the frame header is 0 for a key frame (RFC 6386 section 9.1).
        isKeyFrameStart = startsPartition && partition == 0 && payload[position] & 0x01 == 0
    }

    /// Only of the first packet of a key frame.
    package func pictureSize(in payload: UnsafeRawBufferPointer) -> PictureSize? {
        let start = Int(length)
        guard isKeyFrameStart, payload.count >= start &+ 10, payload[start &+ 3] == 0x9D, payload[start &+ 4] == 0x01,
            payload[start &+ 5] == 0x2A
        else { return nil }
        // Little endian, 14 bits each; the upper two ask for scaling.
        let width = UInt16(payload[start &+ 6]) | UInt16(payload[start &+ 7] & 0x3F) << 8
        let height = UInt16(payload[start &+ 8]) | UInt16(payload[start &+ 9] & 0x3F) << 8
        return PictureSize(width: width, height: height)
    }

    // MARK: - Rewriting in place

    /// Keeps the width of the field: 7 or 15 bits.
    @inlinable
    package func setPictureID(_ value: UInt16, in payload: UnsafeMutableRawBufferPointer) {
        let offset = Int(pictureIDOffset)
        guard offset > 0, payload.count >= Int(length) else { return }
        if pictureIDIsLong {
            payload[offset] = 0x80 | UInt8(truncatingIfNeeded: value >> 8 & 0x7F)
            payload[offset &+ 1] = UInt8(truncatingIfNeeded: value)
        } else {
            payload[offset] = UInt8(truncatingIfNeeded: value & 0x7F)
        }
    }

    @inlinable
    package func setTemporalBaseIndex(_ value: UInt8, in payload: UnsafeMutableRawBufferPointer) {
        guard temporalBaseIndexOffset > 0, payload.count >= Int(length) else { return }
        payload[Int(temporalBaseIndexOffset)] = value
    }

    @inlinable
    package func setKeyIndex(_ value: UInt8, in payload: UnsafeMutableRawBufferPointer) {
        guard keyIndex != nil, payload.count >= Int(length) else { return }
        let offset = Int(temporalLayerOffset)
        payload[offset] = payload[offset] & 0xE0 | value & 0x1F
    }
}
