// VP9 payloads into superframes (RFC 9628): all spatial layers of one picture, with an index when they are several.

struct VP9Reader: PayloadReader {
    private var layerSizes: [Int] = []
    private var isKey = false
    private var layerStart = 0

    mutating func append(_ payload: UnsafeRawBufferPointer, to frame: inout [UInt8]) -> Fragment {
        if frame.isEmpty {
            layerSizes.removeAll(keepingCapacity: true)
            isKey = false
            layerStart = 0
        }
        let flags = payload[0]
        var at = 1
        var pictureID: (value: Int, bits: Int)?
        if flags & 0x80 != 0 {
            guard payload.count > at else { return .malformed }
            if payload[at] & 0x80 != 0 {
                guard payload.count > at + 1 else { return .malformed }
                pictureID = (Int(bigEndian16(payload, at) & 0x7FFF), 15)
                at += 2
            } else {
                pictureID = (Int(payload[at]), 7)
                at += 1
            }
        }
        let isFlexible = flags & 0x10 != 0
        var spatialLayer = 0
        if flags & 0x20 != 0 {
            guard payload.count > at else { return .malformed }
            spatialLayer = Int(payload[at] >> 1 & 0x07)
            at += isFlexible ? 1 : 2
        }
        if isFlexible, flags & 0x40 != 0 {
            var references = 0
            var hasMore = true
            while hasMore, references < 3 {
                guard payload.count > at else { return .malformed }
                hasMore = payload[at] & 1 != 0
                at += 1
                references += 1
            }
        }
        if flags & 0x02 != 0 {
            guard let end = scalabilityStructureEnd(payload, at) else { return .malformed }
            at = end
        }
        guard payload.count > at else { return .malformed }
        let beginsLayer = flags & 0x08 != 0
        let beginsPicture = beginsLayer && frame.isEmpty
        if beginsPicture { isKey = flags & 0x40 == 0 && spatialLayer == 0 }
        if beginsLayer, !frame.isEmpty {
            layerSizes.append(frame.count - layerStart)
            layerStart = frame.count
        }
        frame.append(contentsOf: UnsafeRawBufferPointer(rebasing: payload[at...]))
        return beginsPicture ? .begin(pictureID: pictureID) : .proceed
    }

    private func scalabilityStructureEnd(_ payload: UnsafeRawBufferPointer, _ start: Int) -> Int? {
        guard payload.count > start else { return nil }
        let flags = payload[start]
        var at = start + 1
        if flags & 0x10 != 0 { at += 4 * (Int(flags >> 5) + 1) }
        if flags & 0x08 != 0 {
            guard payload.count > at else { return nil }
            let pictures = Int(payload[at])
            at += 1
            for _ in 0..<pictures {
                guard payload.count > at else { return nil }
                at += 1 + Int(payload[at] >> 2 & 0x03)
            }
        }
        return at
    }

    mutating func finish(_ frame: inout [UInt8]) -> (isKey: Bool, format: FrameFormat?)? {
        var format: FrameFormat?
        if isKey {
            guard let size = Self.size(frame[...]) else { return nil }
            format = size
        }
        layerSizes.append(frame.count - layerStart)
        if layerSizes.count > 1, layerSizes.count <= 8 { appendIndex(to: &frame) }
        return (isKey, format)
    }

    mutating func abandon() {}

    /// VP9 bitstream annex B: a superframe's index at its end.
    private func appendIndex(to frame: inout [UInt8]) {
        let marker = UInt8(0b110_11_000 | (layerSizes.count - 1))
        frame.append(marker)
        for size in layerSizes {
            for shift in stride(from: 0, to: 32, by: 8) { frame.append(UInt8(truncatingIfNeeded: size >> shift)) }
        }
        frame.append(marker)
    }

    /// The uncompressed header of a key frame.
    static func size(_ frame: ArraySlice<UInt8>) -> FrameFormat? {
        var reader = BitReader(frame)
        guard reader.bits(2) == 2 else { return nil }
        let low = reader.bit()
        let profile = low | reader.bit() << 1
        if profile == 3 { reader.skip(1) }
        guard !reader.flag(), !reader.flag() else { return nil }
        reader.skip(2)
        guard reader.bits(24) == 0x49_8342 else { return nil }
        if profile >= 2 { reader.skip(1) }
        if reader.bits(3) != 7 {
            reader.skip(1)
            if profile & 1 == 1 { reader.skip(3) }
        } else if profile & 1 == 1 {
            reader.skip(1)
        }
        let width = reader.bits(16) + 1
        let height = reader.bits(16) + 1
        return reader.isExhausted ? nil : FrameFormat(width: width, height: height)
    }
}
