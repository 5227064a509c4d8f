// H.264 payloads into length-prefixed access units (RFC 6184), and parameter sets into `avcC` (ISO 14496-15).

struct H264Reader: PayloadReader {
    private var sequenceParameters: [UInt8] = []
    private var pictureParameters: [[UInt8]] = []
    /// Where the fragmented unit that is being received starts in the frame; nil between units.
    private var fragmentStart: Int?
    private var hasSlice = false
    private var isIDR = false
    private var isFirst = true

    mutating func append(_ payload: UnsafeRawBufferPointer, to frame: inout [UInt8]) -> Fragment {
        let begins = isFirst ? Self.beginsPicture(payload) : frame.isEmpty
        if isFirst {
            hasSlice = false
            isIDR = false
            fragmentStart = nil
            isFirst = false
        }
        switch payload[0] & 0x1F {
        case 1...23:
            add(payload, to: &frame)
        case 24:
            var at = 1
            while at + 2 <= payload.count {
                let length = Int(bigEndian16(payload, at))
                at += 2
                guard length > 0, at + length <= payload.count else { return .malformed }
                add(UnsafeRawBufferPointer(rebasing: payload[at..<at + length]), to: &frame)
                at += length
            }
        case 28:
            guard payload.count > 2 else { return .malformed }
            let header = payload[1]
            if header & 0x80 != 0 {
                fragmentStart = frame.count
                frame.append(contentsOf: [0, 0, 0, 0, payload[0] & 0xE0 | header & 0x1F])
                note(type: header & 0x1F)
            }
            guard let start = fragmentStart else { return .malformed }
            frame.append(contentsOf: UnsafeRawBufferPointer(rebasing: payload[2...]))
            if header & 0x40 != 0 {
                setLength(in: &frame, at: start)
                fragmentStart = nil
            }
        default: return .malformed
        }
        return begins ? .begin(pictureID: nil) : .proceed
    }

    /// True for parameter sets, delimiters and information, and for a slice whose first macroblock is number 0.
    private static func beginsPicture(_ payload: UnsafeRawBufferPointer) -> Bool {
        var at = 0
        var type = payload[0] & 0x1F
        if type == 24, payload.count > 4 {
            at = 3
            type = payload[3] & 0x1F
        } else if type == 28, payload.count > 2 {
            guard payload[1] & 0x80 != 0 else { return false }
            at = 1
            type = payload[1] & 0x1F
        }
        guard (1...5).contains(type) else { return true }
        return payload.count > at + 1 && payload[at + 1] & 0x80 != 0
    }

    private mutating func note(type: UInt8) {
        if (1...5).contains(type) { hasSlice = true }
        if type == 5 { isIDR = true }
    }

    private mutating func add(_ unit: UnsafeRawBufferPointer, to frame: inout [UInt8]) {
        let type = unit[0] & 0x1F
        switch type {
        case 7:
            let new = [UInt8](unit)
            if new != sequenceParameters {
                sequenceParameters = new
                pictureParameters.removeAll()
            }
        case 8:
            let new = [UInt8](unit)
            if !pictureParameters.contains(new) {
                if pictureParameters.count >= 8 { pictureParameters.removeFirst() }
                pictureParameters.append(new)
            }
        case 9: break
        default:
            note(type: type)
            let start = frame.count
            frame.append(contentsOf: [0, 0, 0, 0])
            frame.append(contentsOf: unit)
            setLength(in: &frame, at: start)
        }
    }

    private func setLength(in frame: inout [UInt8], at start: Int) {
        let length = frame.count - start - 4
        for (index, shift) in [24, 16, 8, 0].enumerated() {
            frame[start + index] = UInt8(truncatingIfNeeded: length >> shift)
        }
    }

    mutating func finish(_ frame: inout [UInt8]) -> (isKey: Bool, format: FrameFormat?)? {
        isFirst = true
        guard fragmentStart == nil, hasSlice else { return nil }
        guard isIDR else { return (false, nil) }
        guard !pictureParameters.isEmpty, let size = Self.size(sequenceParameters) else { return nil }
        return (true, FrameFormat(width: size.width, height: size.height, codecPrivate: decoderConfiguration()))
    }

    mutating func abandon() { isFirst = true }

    private func decoderConfiguration() -> [UInt8] {
        guard sequenceParameters.count >= 4 else { return [] }
        var record: [UInt8] = [1]
        record += sequenceParameters[1...3]
        record += [0xFF, 0xE1]
        record += [
            UInt8(truncatingIfNeeded: sequenceParameters.count >> 8),
            UInt8(truncatingIfNeeded: sequenceParameters.count),
        ]
        record += sequenceParameters
        record.append(UInt8(pictureParameters.count))
        for set in pictureParameters {
            record += [UInt8(truncatingIfNeeded: set.count >> 8), UInt8(truncatingIfNeeded: set.count)]
            record += set
        }
        // The high profiles say their chroma format and depths again (ISO 14496-15 5.3.3.1.2); 4:2:0 with 8 bits here.
        if [100, 110, 122, 144].contains(sequenceParameters[1]) { record += [0xFD, 0xF8, 0xF8, 0] }
        return record
    }

    /// Width and height after cropping, from a sequence parameter set (H.264 7.3.2.1.1).
    static func size(_ unit: [UInt8]) -> (width: Int, height: Int)? {
        guard unit.count >= 5 else { return nil }
        var plain: [UInt8] = []
        plain.reserveCapacity(unit.count)
        var zeros = 0
        for byte in unit.dropFirst() {
            if zeros >= 2, byte == 3 {
                zeros = 0
                continue
            }
            zeros = byte == 0 ? zeros + 1 : 0
            plain.append(byte)
        }
        var reader = BitReader(plain[...])
        let profile = reader.bits(8)
        reader.skip(16)
        _ = reader.exponentialGolomb()
        var chroma = 1
        if [100, 110, 122, 244, 44, 83, 86, 118, 128].contains(profile) {
            chroma = reader.exponentialGolomb()
            if chroma == 3 { reader.skip(1) }
            _ = reader.exponentialGolomb()
            _ = reader.exponentialGolomb()
            reader.skip(1)
            if reader.flag() {
                for list in 0..<(chroma == 3 ? 12 : 8) where reader.flag() {
                    var last = 8
                    var next = 8
                    for _ in 0..<(list < 6 ? 16 : 64) {
                        if next != 0 { next = (last + reader.signedExponentialGolomb() + 256) % 256 }
                        last = next == 0 ? last : next
                        if reader.isExhausted { return nil }
                    }
                }
            }
        }
        _ = reader.exponentialGolomb()
        switch reader.exponentialGolomb() {
        case 0: _ = reader.exponentialGolomb()
        case 1:
            reader.skip(1)
            _ = reader.signedExponentialGolomb()
            _ = reader.signedExponentialGolomb()
            let cycle = reader.exponentialGolomb()
            guard cycle <= 255 else { return nil }
            for _ in 0..<cycle { _ = reader.signedExponentialGolomb() }
        default: break
        }
        _ = reader.exponentialGolomb()
        reader.skip(1)
        let columns = reader.exponentialGolomb() + 1
        let rows = reader.exponentialGolomb() + 1
        let framesOnly = reader.bit()
        if framesOnly == 0 { reader.skip(1) }
        reader.skip(1)
        var crop = (left: 0, right: 0, top: 0, bottom: 0)
        if reader.flag() {
            crop.left = reader.exponentialGolomb()
            crop.right = reader.exponentialGolomb()
            crop.top = reader.exponentialGolomb()
            crop.bottom = reader.exponentialGolomb()
        }
        guard !reader.isExhausted, columns <= 1024, rows <= 1024 else { return nil }
        let unitX = chroma == 1 || chroma == 2 ? 2 : 1
        let unitY = (chroma == 1 ? 2 : 1) * (2 - framesOnly)
        let width = columns * 16 - unitX * min(crop.left &+ crop.right, 16_384)
        let height = rows * (2 - framesOnly) * 16 - unitY * min(crop.top &+ crop.bottom, 16_384)
        return width > 0 && height > 0 ? (width, height) : nil
    }
}
