// The VP9 payload descriptor (RFC 9628 section 4.2), flexible and non-flexible, with its scalability structure.

@frozen
package struct VP9Descriptor: Sendable, Hashable {
    /// The frame is predicted from an earlier picture.
    package var isInterPicture: Bool
    package var isFlexible: Bool
    package var startsFrame: Bool
    package var endsFrame: Bool
    /// Not a reference for higher spatial layers of any picture.
    package var isNotReferenceForUpper: Bool
    package var pictureID: UInt16?
    package var pictureIDIsLong: Bool
    package var temporalLayer: UInt8
    package var spatialLayer: UInt8
    package var hasLayerIndices: Bool
    /// A viewer may move up to this temporal layer here.
    package var isSwitchingUpPoint: Bool
    package var isInterLayer: Bool
    package var temporalBaseIndex: UInt8?
    package var pictureIDOffset: UInt8
    package var temporalBaseIndexOffset: UInt8
    /// Flexible mode: how many pictures back the references are, a byte each, the first lowest; 0 where there is none.
    package var references: UInt32
    /// Spatial layers of the scalability structure; 0 without one.
    package var structuredLayers: UInt8
    /// The largest layer's size; nil without sizes in the structure.
    package var structuredSize: PictureSize?
    /// Bytes before the VP9 data.
    package var length: UInt16

    /// Nil when the payload ends inside the descriptor or behind it is nothing.
    @inlinable
    package init?(_ payload: UnsafeRawBufferPointer) {
        var reader = ByteReader(payload)
        guard let first = reader.read8() else { return nil }
        isInterPicture = first & 0x40 != 0
        hasLayerIndices = first & 0x20 != 0
        isFlexible = first & 0x10 != 0
        startsFrame = first & 0x08 != 0
        endsFrame = first & 0x04 != 0
        isNotReferenceForUpper = first & 0x01 != 0
        pictureID = nil
        pictureIDIsLong = false
        temporalLayer = 0
        spatialLayer = 0
        isSwitchingUpPoint = false
        isInterLayer = false
        temporalBaseIndex = nil
        pictureIDOffset = 0
        temporalBaseIndexOffset = 0
        references = 0
        structuredLayers = 0
        structuredSize = nil
        length = 0
        if first & 0x80 != 0 {
            pictureIDOffset = UInt8(truncatingIfNeeded: reader.position)
            guard let high = reader.read8() else { return nil }
            if high & 0x80 != 0 {
                guard let low = reader.read8() else { return nil }
                pictureIDIsLong = true
                pictureID = UInt16(high & 0x7F) << 8 | UInt16(low)
            } else {
                pictureID = UInt16(high)
            }
        }
        if hasLayerIndices {
            guard let layers = reader.read8() else { return nil }
            temporalLayer = layers >> 5
            isSwitchingUpPoint = layers & 0x10 != 0
            spatialLayer = layers >> 1 & 0x07
            isInterLayer = layers & 0x01 != 0
            if !isFlexible {
                temporalBaseIndexOffset = UInt8(truncatingIfNeeded: reader.position)
                guard let index = reader.read8() else { return nil }
                temporalBaseIndex = index
            }
        }
        if isFlexible && isInterPicture {
            // Up to three references, each saying whether another follows.
            var count: UInt32 = 0
            var more = true
            while more {
                guard count < 3, let difference = reader.read8() else { return nil }
                references |= UInt32(difference >> 1) << (count &* 8)
                count &+= 1
                more = difference & 0x01 != 0
            }
        }
        if first & 0x02 != 0 {
            guard readStructure(&reader) else { return nil }
        }
        guard reader.remaining > 0, reader.position <= Int(UInt16.max) else { return nil }
        length = UInt16(truncatingIfNeeded: reader.position)
    }

    @usableFromInline
    mutating func readStructure(_ reader: inout ByteReader) -> Bool {
        guard let head = reader.read8() else { return false }
        structuredLayers = (head >> 5) &+ 1
        if head & 0x10 != 0 {
            for _ in 0..<structuredLayers {
                guard let width = reader.read16(), let height = reader.read16() else { return false }
                if height >= structuredSize?.height ?? 0 {
                    structuredSize = PictureSize(width: width, height: height)
                }
            }
        }
        if head & 0x08 != 0 {
            guard let pictures = reader.read8() else { return false }
            for _ in 0..<pictures {
                guard let picture = reader.read8(), reader.skip(Int(picture >> 2 & 0x03)) else { return false }
            }
        }
        return true
    }

    /// The first packet of a picture that depends on no other: every spatial layer can be begun here.
    @inlinable
    package var isKeyFrameStart: Bool { startsFrame && !isInterPicture && spatialLayer == 0 && !isInterLayer }

    /// From the scalability structure, else from the key frame's own header.
    package func pictureSize(in payload: UnsafeRawBufferPointer) -> PictureSize? {
        if let structuredSize { return structuredSize }
        guard isKeyFrameStart, payload.count > Int(length) else { return nil }
        var header = BitReader(UnsafeRawBufferPointer(rebasing: payload[Int(length)...]))
        // VP9 bitstream specification, section 6.2: uncompressed_header().
        guard header.bits(2) == 2 else { return nil }
        let profile = header.bits(1) | header.bits(1) << 1
        if profile == 3 { header.skip(1) }
        let showsExisting = header.bit()
        let isInter = header.bit()
        header.skip(2)
        guard !showsExisting, !isInter, header.bits(24) == 0x498342 else { return nil }
        if profile >= 2 { header.skip(1) }
        let isRGB = header.bits(3) == 7
        if !isRGB { header.skip(1) }
        if profile & 1 == 1 { header.skip(isRGB ? 1 : 3) }
        let width = header.bits(16)
        let height = header.bits(16)
        guard !header.isExhausted, width < 0xFFFF, height < 0xFFFF else { return nil }
        return PictureSize(width: UInt16(width) &+ 1, height: UInt16(height) &+ 1)
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
}
