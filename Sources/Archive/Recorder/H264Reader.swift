// H.264 payloads into length-prefixed access units (RFC 6184), and parameter sets into `avcC` (ISO 14496-15).

import WireFormats

struct H264Reader: PayloadReader {
    private var sequenceParameters: [UInt8] = []
    private var pictureParameters: [[UInt8]] = []
    /// Where the fragmented unit that is being received starts in the frame; nil between units.
    private var fragmentStart: Int?
    private var hasSlice = false
    private var isIDR = false
    private var isFirst = true

    mutating func append(_ payload: UnsafeRawBufferPointer, to frame: inout [UInt8]) -> Fragment {
        let begins = isFirst && Self.beginsPicture(payload)
        if isFirst {
            hasSlice = false
            isIDR = false
            fragmentStart = nil
            isFirst = false
        }
        switch payload[0] & 0x1F {
        case 1...23:
            add(payload, to: &frame)
        case NALUnitType.singleTimeAggregation:
            var units = H264AggregatedUnits(payload)
            while let unit = units.next() {
                add(UnsafeRawBufferPointer(rebasing: payload[unit.offset..<unit.offset + unit.length]), to: &frame)
            }
            guard !units.isMalformed else { return .malformed }
        case NALUnitType.fragment:
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
        if type == NALUnitType.singleTimeAggregation, payload.count > 4 {
            at = 3
            type = payload[3] & 0x1F
        } else if type == NALUnitType.fragment, payload.count > 2 {
            guard payload[1] & 0x80 != 0 else { return false }
            at = 1
            type = payload[1] & 0x1F
        }
        guard (1...5).contains(type) else { return true }
        return payload.count > at + 1 && payload[at + 1] & 0x80 != 0
    }

    private mutating func note(type: UInt8) {
        if (1...5).contains(type) { hasSlice = true }
        if type == NALUnitType.idrSlice { isIDR = true }
    }

    private mutating func add(_ unit: UnsafeRawBufferPointer, to frame: inout [UInt8]) {
        let type = unit[0] & 0x1F
        switch type {
        case NALUnitType.sequenceParameterSet:
            let new = [UInt8](unit)
            if new != sequenceParameters {
                sequenceParameters = new
                pictureParameters.removeAll()
            }
        case NALUnitType.pictureParameterSet:
            let new = [UInt8](unit)
            if !pictureParameters.contains(new) {
                if pictureParameters.count >= 8 { pictureParameters.removeFirst() }
                pictureParameters.append(new)
            }
        // Delimiters say nothing that the container does not.
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
        guard !pictureParameters.isEmpty,
            let size = sequenceParameters.withUnsafeBytes({ H264SequenceParameterSet($0)?.size })
        else { return nil }
        return (
            true,
            FrameFormat(
                width: Int(size.width), height: Int(size.height), codecPrivate: decoderConfiguration())
        )
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
}
