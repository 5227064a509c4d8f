// VP8 payloads into frames (RFC 7741).

import WireFormats

struct VP8Reader: PayloadReader {
    private var isKey = false
    private var size: PictureSize?

    mutating func append(_ payload: UnsafeRawBufferPointer, to frame: inout [UInt8]) -> Fragment {
        guard let descriptor = VP8Descriptor(payload) else { return .malformed }
        let begins = descriptor.startsPartition && descriptor.partition == 0
        if begins, frame.isEmpty {
            isKey = descriptor.isKeyFrameStart
            size = descriptor.pictureSize(in: payload)
        }
        frame.append(contentsOf: UnsafeRawBufferPointer(rebasing: payload[Int(descriptor.length)...]))
        guard begins else { return .proceed }
        return .begin(pictureID: descriptor.pictureID.map { (Int($0), descriptor.pictureIDIsLong ? 15 : 7) })
    }

    mutating func finish(_ frame: inout [UInt8]) -> (isKey: Bool, format: FrameFormat?)? {
        guard isKey else { return (false, nil) }
        guard let size else { return nil }
        return (true, FrameFormat(width: Int(size.width), height: Int(size.height)))
    }

    mutating func abandon() {}
}
