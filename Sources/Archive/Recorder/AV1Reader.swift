// AV1 payloads into temporal units (RTP payload format for AV1) and the sequence header into `av1C`.

import WireFormats

struct AV1Reader: PayloadReader {
    private static let longestUnit = 16 << 20

    /// An OBU whose rest comes in the next packet.
    private var open: [UInt8]?
    private var sequenceHeader: [UInt8] = []
    private var isKey = false
    private var isFirst = true

    mutating func append(_ payload: UnsafeRawBufferPointer, to frame: inout [UInt8]) -> Fragment {
        let wasFirst = isFirst
        if wasFirst {
            isKey = false
            isFirst = false
        }
        let aggregation = payload[0]
        let continues = aggregation & 0x80 != 0
        let goesOn = aggregation & 0x40 != 0
        if aggregation & 0x08 != 0 { isKey = true }
        if !continues { open = nil }
        if wasFirst, continues { return .proceed }

        var elements = OBUElements(payload)
        while let element = elements.next() {
            let bytes = UnsafeRawBufferPointer(rebasing: payload[element.offset..<element.offset + element.length])
            if element.isContinuation {
                guard open != nil else { return .malformed }
                open?.append(contentsOf: bytes)
            } else {
                open = [UInt8](bytes)
            }
            if (open?.count ?? 0) > Self.longestUnit { return .malformed }
            if goesOn, element.offset + element.length == payload.count { break }
            if let unit = open { store(unit, into: &frame) }
            open = nil
        }
        guard !elements.isMalformed else { return .malformed }
        return wasFirst ? .begin(pictureID: nil) : .proceed
    }

    private mutating func store(_ unit: [UInt8], into frame: inout [UInt8]) {
        guard let header = unit.first else { return }
        let type = header >> 3 & 0x0F
        // Temporal delimiters, tile lists and padding are not stored (AV1 in ISOBMFF and Matroska).
        guard type != OBUType.temporalDelimiter, type != 8, type != 15 else { return }
        var at = 1
        if header & 0x04 != 0 { at += 1 }
        guard unit.count >= at else { return }
        if header & 0x02 != 0 {
            guard let size = Self.sizeFieldLength(unit, at) else { return }
            at += size
        }
        guard unit.count >= at else { return }
        var stored: [UInt8] = [header | 0x02]
        if header & 0x04 != 0, unit.count > 1 { stored.append(unit[1]) }
        var rest = unit.count - at
        repeat {
            let byte = UInt8(rest & 0x7F)
            rest >>= 7
            stored.append(rest > 0 ? byte | 0x80 : byte)
        } while rest > 0
        stored += unit[at...]
        if type == OBUType.sequenceHeader {
            sequenceHeader = stored
            isKey = true
        }
        frame += stored
    }

    mutating func finish(_ frame: inout [UInt8]) -> (isKey: Bool, format: FrameFormat?)? {
        isFirst = true
        defer { open = nil }
        guard open == nil, !frame.isEmpty else { return nil }
        guard isKey else { return (false, nil) }
        guard let format = Self.format(sequenceHeader) else { return nil }
        return (true, format)
    }

    mutating func abandon() {
        isFirst = true
        open = nil
    }

    /// How many bytes an OBU's own size field takes.
    private static func sizeFieldLength(_ unit: [UInt8], _ start: Int) -> Int? {
        unit.withUnsafeBytes { bytes in
            guard start <= bytes.count else { return nil }
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[start...]))
            return reader.readLEB128() == nil ? nil : reader.position
        }
    }

    /// Size and `av1C` from a stored sequence header OBU (AV1 5.5).
    static func format(_ unit: [UInt8]) -> FrameFormat? {
        guard unit.count > 2 else { return nil }
        var start = 1 + (unit[0] & 0x04 != 0 ? 1 : 0)
        guard let size = sizeFieldLength(unit, start) else { return nil }
        start += size
        guard start < unit.count else { return nil }
        var reader = BitReader(unit[start...])
        let profile = reader.bits(3)
        reader.skip(1)
        let isReduced = reader.flag()
        var level = 0
        var tier = 0
        if isReduced {
            level = reader.bits(5)
        } else {
            var hasDecoderModel = false
            var delayBits = 0
            if reader.flag() {
                reader.skip(64)
                if reader.flag() { _ = reader.exponentialGolomb() }
                hasDecoderModel = reader.flag()
                if hasDecoderModel {
                    delayBits = reader.bits(5) + 1
                    reader.skip(32 + 5 + 5)
                }
            }
            let hasDisplayDelay = reader.flag()
            for point in 0...reader.bits(5) {
                reader.skip(12)
                let pointLevel = reader.bits(5)
                let pointTier = pointLevel > 7 ? reader.bit() : 0
                if point == 0 {
                    level = pointLevel
                    tier = pointTier
                }
                if hasDecoderModel, reader.flag() { reader.skip(2 * delayBits + 1) }
                if hasDisplayDelay, reader.flag() { reader.skip(4) }
            }
        }
        let widthBits = reader.bits(4) + 1
        let heightBits = reader.bits(4) + 1
        let width = reader.bits(widthBits) + 1
        let height = reader.bits(heightBits) + 1
        if !isReduced, reader.flag() { reader.skip(7) }
        reader.skip(3)
        if !isReduced {
            reader.skip(4)
            let hasOrderHint = reader.flag()
            if hasOrderHint { reader.skip(2) }
            let screenContent = reader.flag() ? 2 : reader.bit()
            if screenContent > 0, !reader.flag() { reader.skip(1) }
            if hasOrderHint { reader.skip(3) }
        }
        reader.skip(3)
        let highDepth = reader.bit()
        let twelveBit = profile == 2 && highDepth == 1 ? reader.bit() : 0
        let monochrome = profile == 1 ? 0 : reader.bit()
        var isSRGB = false
        if reader.flag() { isSRGB = reader.bits(24) == 0x01_0D00 }
        var subsampling = (x: 1, y: 1)
        if monochrome == 1 {
            reader.skip(1)
        } else if isSRGB {
            subsampling = (0, 0)
        } else {
            reader.skip(1)
            switch profile {
            case 0: subsampling = (1, 1)
            case 1: subsampling = (0, 0)
            default:
                if twelveBit == 1 {
                    subsampling.x = reader.bit()
                    subsampling.y = subsampling.x == 1 ? reader.bit() : 0
                } else {
                    subsampling = (1, 0)
                }
            }
        }
        guard !reader.isExhausted, width <= 16_384, height <= 16_384 else { return nil }
        let third =
            tier << 7 | highDepth << 6 | twelveBit << 5 | monochrome << 4 | subsampling.x << 3 | subsampling.y << 2
        return FrameFormat(
            width: width, height: height,
            codecPrivate: [0x81, UInt8(profile << 5 | level), UInt8(third), 0] + unit)
    }
}
