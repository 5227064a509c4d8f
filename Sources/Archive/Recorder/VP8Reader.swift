// VP8 payloads into frames (RFC 7741).

struct VP8Reader: PayloadReader {
    mutating func append(_ payload: UnsafeRawBufferPointer, to frame: inout [UInt8]) -> Fragment {
        let first = payload[0]
        var at = 1
        var pictureID: (value: Int, bits: Int)?
        if first & 0x80 != 0 {
            guard payload.count > at else { return .malformed }
            let extensions = payload[at]
            at += 1
            if extensions & 0x80 != 0 {
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
            if extensions & 0x40 != 0 { at += 1 }
            if extensions & 0x30 != 0 { at += 1 }
        }
        guard payload.count > at else { return .malformed }
        frame.append(contentsOf: UnsafeRawBufferPointer(rebasing: payload[at...]))
        let startsPartition = first & 0x10 != 0
        return startsPartition && first & 0x07 == 0 ? .begin(pictureID: pictureID) : .proceed
    }

    mutating func finish(_ frame: inout [UInt8]) -> (isKey: Bool, format: FrameFormat?)? {
        guard let first = frame.first else { return nil }
        guard first & 1 == 0 else { return (false, nil) }
        // RFC 6386 section 9.1: start code, then 14 bits each of width and height.
        guard frame.count >= 10, frame[3] == 0x9D, frame[4] == 0x01, frame[5] == 0x2A else { return nil }
        let width = Int(frame[6]) | Int(frame[7] & 0x3F) << 8
        let height = Int(frame[8]) | Int(frame[9] & 0x3F) << 8
        guard width > 0, height > 0 else { return nil }
        return (true, FrameFormat(width: width, height: height))
    }

    mutating func abandon() {}
}
