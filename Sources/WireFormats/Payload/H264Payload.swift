// The H.264 payload (RFC 6184): single NAL units, STAP-A and FU-A; what of a picture begins in a packet.

/// The types of NAL units that matter for forwarding (H.264 table 7-1, RFC 6184 table 1).
package enum NALUnitType {
    package static let slice: UInt8 = 1
    package static let idrSlice: UInt8 = 5
    package static let sequenceParameterSet: UInt8 = 7
    package static let pictureParameterSet: UInt8 = 8
    package static let singleTimeAggregation: UInt8 = 24
    package static let fragment: UInt8 = 28
}

@frozen
package struct H264Payload: Sendable, Hashable {
    package enum Packetization: Sendable { case single, aggregate, fragment, other }

    package var packetization: Packetization
    /// Of the unit, or of the fragmented unit, or of the first in an aggregate.
    package var unitType: UInt8
    package var startsUnit: Bool
    package var endsUnit: Bool
    package var hasSequenceParameterSet: Bool
    package var hasPictureParameterSet: Bool
    /// An IDR slice begins here (or continues, when `startsUnit` is false).
    package var hasIDRSlice: Bool

    /// Nil when the payload is empty, or an aggregate is cut short.
    @inlinable
    package init?(_ payload: UnsafeRawBufferPointer) {
        guard payload.count > 0 else { return nil }
        let type = payload[0] & 0x1F
        packetization = .single
        unitType = type
        startsUnit = true
        endsUnit = true
        hasSequenceParameterSet = false
        hasPictureParameterSet = false
        hasIDRSlice = false
        switch type {
        case 1...23:
            note(type)
        case NALUnitType.singleTimeAggregation:
            packetization = .aggregate
            var units = H264AggregatedUnits(payload)
            var isFirst = true
            while let unit = units.next() {
                let inner = payload[unit.offset] & 0x1F
                if isFirst { unitType = inner }
                isFirst = false
                note(inner)
            }
            guard !units.isMalformed, !isFirst else { return nil }
        case NALUnitType.fragment:
            guard payload.count > 2 else { return nil }
            packetization = .fragment
            unitType = payload[1] & 0x1F
            startsUnit = payload[1] & 0x80 != 0
            endsUnit = payload[1] & 0x40 != 0
            note(unitType)
        default:
            // STAP-B, MTAP and FU-B belong to interleaved mode, which is never negotiated.
            packetization = .other
        }
    }

    @usableFromInline @inline(__always)
    mutating func note(_ type: UInt8) {
        switch type {
        case NALUnitType.sequenceParameterSet: hasSequenceParameterSet = true
        case NALUnitType.pictureParameterSet: hasPictureParameterSet = true
        case NALUnitType.idrSlice: hasIDRSlice = true
        default: break
        }
    }

    /// A sequence parameter set, or the start of an IDR slice. A forwarder must begin at the parameter set where there is
    /// one: an IDR slice without it can't be decoded.
    @inlinable
    package var isKeyFrameStart: Bool { startsUnit && (hasSequenceParameterSet || hasIDRSlice) }

    package func pictureSize(in payload: UnsafeRawBufferPointer) -> PictureSize? {
        guard hasSequenceParameterSet else { return nil }
        switch packetization {
        case .single:
            return H264SequenceParameterSet(payload)?.size
        case .aggregate:
            var units = H264AggregatedUnits(payload)
            while let unit = units.next() {
                guard payload[unit.offset] & 0x1F == NALUnitType.sequenceParameterSet else { continue }
                let bytes = UnsafeRawBufferPointer(rebasing: payload[unit.offset..<(unit.offset &+ unit.length)])
                return H264SequenceParameterSet(bytes)?.size
            }
            return nil
        case .fragment, .other:
            return nil
        }
    }
}

/// The units of a STAP-A by their place in the payload.
@frozen
package struct H264AggregatedUnits: Sequence, IteratorProtocol {
    @usableFromInline var reader: ByteReader
    package var isMalformed = false

    @inlinable
    package init(_ payload: UnsafeRawBufferPointer) {
        reader = ByteReader(payload)
        if !reader.skip(1) { isMalformed = true }
    }

    @inlinable
    package mutating func next() -> (offset: Int, length: Int)? {
        guard !isMalformed, reader.remaining > 0 else { return nil }
        guard let length = reader.read16(), length > 0 else {
            isMalformed = true
            return nil
        }
        let offset = reader.position
        guard reader.skip(Int(length)) else {
            isMalformed = true
            return nil
        }
        return (offset, Int(length))
    }
}

/// As much of a sequence parameter set (H.264 section 7.3.2.1.1) as the picture's size takes.
package struct H264SequenceParameterSet: Sendable, Hashable {
    package var profile: UInt8
    package var constraints: UInt8
    package var level: UInt8
    package var size: PictureSize

    /// `unit` begins with the NAL unit header.
    package init?(_ unit: UnsafeRawBufferPointer) {
        guard unit.count > 4, unit[0] & 0x1F == NALUnitType.sequenceParameterSet else { return nil }
        var reader = BitReader(UnsafeRawBufferPointer(rebasing: unit[1...]), removesEmulationPrevention: true)
        profile = UInt8(truncatingIfNeeded: reader.bits(8))
        constraints = UInt8(truncatingIfNeeded: reader.bits(8))
        level = UInt8(truncatingIfNeeded: reader.bits(8))
        _ = reader.exponentialGolomb()
        var chromaFormat: UInt32 = 1
        var hasSeparatePlanes = false
        if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(profile) {
            chromaFormat = reader.exponentialGolomb()
            if chromaFormat == 3 { hasSeparatePlanes = reader.bit() }
            _ = reader.exponentialGolomb()
            _ = reader.exponentialGolomb()
            reader.skip(1)
            if reader.bit() { Self.skipScalingMatrices(&reader, count: chromaFormat == 3 ? 12 : 8) }
        }
        _ = reader.exponentialGolomb()
        let orderType = reader.exponentialGolomb()
        if orderType == 0 {
            _ = reader.exponentialGolomb()
        } else if orderType == 1 {
            reader.skip(1)
            _ = reader.signedExponentialGolomb()
            _ = reader.signedExponentialGolomb()
            let cycle = reader.exponentialGolomb()
            guard cycle <= 255 else { return nil }
            for _ in 0..<cycle { _ = reader.signedExponentialGolomb() }
        }
        _ = reader.exponentialGolomb()
        reader.skip(1)
        let widthInMacroblocks = reader.exponentialGolomb()
        let heightInMapUnits = reader.exponentialGolomb()
        let hasFramesOnly = reader.bit()
        if !hasFramesOnly { reader.skip(1) }
        reader.skip(1)
        var crop: (left: UInt32, right: UInt32, top: UInt32, bottom: UInt32) = (0, 0, 0, 0)
        if reader.bit() {
            crop.left = reader.exponentialGolomb()
            crop.right = reader.exponentialGolomb()
            crop.top = reader.exponentialGolomb()
            crop.bottom = reader.exponentialGolomb()
        }
        guard !reader.isExhausted, widthInMacroblocks < 4096, heightInMapUnits < 4096, chromaFormat <= 3,
            max(crop.left, crop.right, crop.top, crop.bottom) < 65_536
        else { return nil }
        // Cropping counts in units of chroma samples, and of two lines where fields occur.
        let chromaArray = hasSeparatePlanes ? 0 : chromaFormat
        let fields = hasFramesOnly ? 1 : 2
        let unitX = chromaArray == 1 || chromaArray == 2 ? 2 : 1
        let unitY = (chromaArray == 1 ? 2 : 1) * fields
        let width = (Int(widthInMacroblocks) + 1) * 16 - unitX * Int(crop.left + crop.right)
        let height = (Int(heightInMapUnits) + 1) * 16 * fields - unitY * Int(crop.top + crop.bottom)
        guard let width = UInt16(exactly: width), let height = UInt16(exactly: height), width > 0, height > 0 else {
            return nil
        }
        size = PictureSize(width: width, height: height)
    }

    private static func skipScalingMatrices(_ reader: inout BitReader, count: Int) {
        for index in 0..<count where reader.bit() {
            var last: Int32 = 8
            var next: Int32 = 8
            for _ in 0..<(index < 6 ? 16 : 64) where !reader.isExhausted {
                if next != 0 { next = (last &+ reader.signedExponentialGolomb()) & 0xFF }
                last = next == 0 ? last : next
            }
        }
    }
}
