// The AV1 payload (RTP Payload Format for AV1, section 4): aggregation header, OBU elements, sequence header.

/// The types of OBUs that matter for forwarding (AV1 section 6.2.2).
package enum OBUType {
    package static let sequenceHeader: UInt8 = 1
    package static let temporalDelimiter: UInt8 = 2
    package static let frameHeader: UInt8 = 3
    package static let frame: UInt8 = 6
}

@frozen
package struct AV1Payload: Sendable, Hashable {
    /// The first element continues the last of the packet before.
    package var continuesElement: Bool
    /// The last element goes on in the next packet.
    package var isContinued: Bool
    /// 1 to 3 when the packet says so; 0: each element has a length in front.
    package var elementCount: UInt8
    /// First packet of a coded video sequence.
    package var startsSequence: Bool
    /// A sequence header begins in this packet.
    package var hasSequenceHeader: Bool
    /// Type of the first OBU that begins in this packet.
    package var firstOBUType: UInt8?

    /// Nil when an element reaches over the end or there is none.
    @inlinable
    package init?(_ payload: UnsafeRawBufferPointer) {
        guard payload.count > 1 else { return nil }
        let header = payload[0]
        continuesElement = header & 0x80 != 0
        isContinued = header & 0x40 != 0
        elementCount = header >> 4 & 0x03
        startsSequence = header & 0x08 != 0
        hasSequenceHeader = false
        firstOBUType = nil
        // A new sequence can't begin with the rest of an old element.
        guard !(startsSequence && continuesElement) else { return nil }
        var elements = OBUElements(payload)
        while let element = elements.next() {
            guard !element.isContinuation, element.length > 0 else { continue }
            let type = payload[element.offset] >> 3 & 0x0F
            if firstOBUType == nil { firstOBUType = type }
            if type == OBUType.sequenceHeader { hasSequenceHeader = true }
        }
        guard !elements.isMalformed else { return nil }
    }

    /// A sender that never sets N still puts a sequence header before each key frame.
    @inlinable
    package var isKeyFrameStart: Bool { startsSequence || hasSequenceHeader }

    package func pictureSize(in payload: UnsafeRawBufferPointer) -> PictureSize? {
        guard hasSequenceHeader else { return nil }
        var elements = OBUElements(payload)
        while let element = elements.next() {
            guard !element.isContinuation, element.length > 0,
                payload[element.offset] >> 3 & 0x0F == OBUType.sequenceHeader
            else { continue }
            let bytes = payload[element.offset..<(element.offset &+ element.length)]
            return AV1SequenceHeader(UnsafeRawBufferPointer(rebasing: bytes))?.size
        }
        return nil
    }
}

/// The elements of a payload by their place in it.
@frozen
package struct OBUElements: Sequence, IteratorProtocol {
    @frozen
    package struct Element: Sendable, Hashable {
        package var offset: Int
        package var length: Int
        package var isContinuation: Bool

        @inlinable
        init(offset: Int, length: Int, isContinuation: Bool) {
            self.offset = offset
            self.length = length
            self.isContinuation = isContinuation
        }
    }

    @usableFromInline var reader: ByteReader
    @usableFromInline var index: UInt8 = 0
    @usableFromInline let count: UInt8
    @usableFromInline let continuesElement: Bool
    package var isMalformed = false

    @inlinable
    package init(_ payload: UnsafeRawBufferPointer) {
        reader = ByteReader(payload)
        let header = reader.read8() ?? 0
        count = header >> 4 & 0x03
        continuesElement = header & 0x80 != 0
    }

    @inlinable
    package mutating func next() -> Element? {
        guard !isMalformed else { return nil }
        if count > 0 {
            guard index < count else { return nil }
        } else if reader.remaining == 0 {
            return nil
        }
        var length = reader.remaining
        // The last of a known number of elements needs no length.
        if count == 0 || index &+ 1 < count {
            guard let told = reader.readLEB128(), told <= UInt64(reader.remaining) else {
                isMalformed = true
                return nil
            }
            length = Int(truncatingIfNeeded: told)
        }
        let element = Element(
            offset: reader.position, length: length, isContinuation: continuesElement && index == 0)
        _ = reader.skip(length)
        if index < .max { index &+= 1 }
        return element
    }
}

extension ByteReader {
    /// AV1 section 4.10.5: seven bits a byte, the lowest first, at most eight bytes.
    @inlinable
    package mutating func readLEB128() -> UInt64? {
        var value: UInt64 = 0
        for index in 0..<8 {
            guard let byte = read8() else { return nil }
            value |= UInt64(byte & 0x7F) << UInt64(index &* 7)
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }
}

/// As much of a sequence header OBU (AV1 section 5.5) as the picture's size takes.
package struct AV1SequenceHeader: Sendable, Hashable {
    package var profile: UInt8
    package var size: PictureSize

    /// `unit` begins with the OBU header.
    package init?(_ unit: UnsafeRawBufferPointer) {
        var bytes = ByteReader(unit)
        guard let header = bytes.read8(), header >> 3 & 0x0F == OBUType.sequenceHeader else { return nil }
        if header & 0x04 != 0 { _ = bytes.skip(1) }
        if header & 0x02 != 0 { _ = bytes.readLEB128() }
        var reader = BitReader(bytes.rest)
        profile = UInt8(truncatingIfNeeded: reader.bits(3))
        reader.skip(1)
        if reader.bit() {
            reader.skip(5)
        } else {
            Self.skipOperatingPoints(&reader)
        }
        let widthBits = Int(reader.bits(4)) + 1
        let heightBits = Int(reader.bits(4)) + 1
        let width = reader.bits(widthBits)
        let height = reader.bits(heightBits)
        guard !reader.isExhausted, width < 0xFFFF, height < 0xFFFF else { return nil }
        size = PictureSize(width: UInt16(width) &+ 1, height: UInt16(height) &+ 1)
    }

    private static func skipOperatingPoints(_ reader: inout BitReader) {
        var hasDecoderModel = false
        var delayBits = 0
        if reader.bit() {
            reader.skip(64)
            if reader.bit() { _ = reader.exponentialGolomb() }
            hasDecoderModel = reader.bit()
            if hasDecoderModel {
                delayBits = Int(reader.bits(5)) + 1
                reader.skip(42)
            }
        }
        let hasDisplayDelay = reader.bit()
        let points = reader.bits(5) + 1
        for _ in 0..<points {
            reader.skip(12)
            if reader.bits(5) > 7 { reader.skip(1) }
            if hasDecoderModel, reader.bit() { reader.skip(2 * delayBits + 1) }
            if hasDisplayDelay, reader.bit() { reader.skip(4) }
        }
    }
}
