// VP9 payloads into superframes (RFC 9628): all spatial layers of one picture, with an index when they are several.

import WireFormats

struct VP9Reader: PayloadReader {
    private var layerSizes: [Int] = []
    private var layerStart = 0
    private var isKey = false
    private var size: PictureSize?

    mutating func append(_ payload: UnsafeRawBufferPointer, to frame: inout [UInt8]) -> Fragment {
        guard let descriptor = VP9Descriptor(payload) else { return .malformed }
        let beginsPicture = descriptor.startsFrame && frame.isEmpty
        if beginsPicture {
            layerSizes.removeAll(keepingCapacity: true)
            layerStart = 0
            isKey = descriptor.isKeyFrameStart
            size = isKey ? descriptor.pictureSize(in: payload) : nil
        } else if descriptor.startsFrame {
            layerSizes.append(frame.count - layerStart)
            layerStart = frame.count
        }
        frame.append(contentsOf: UnsafeRawBufferPointer(rebasing: payload[Int(descriptor.length)...]))
        guard beginsPicture else { return .proceed }
        return .begin(pictureID: descriptor.pictureID.map { (Int($0), descriptor.pictureIDIsLong ? 15 : 7) })
    }

    mutating func finish(_ frame: inout [UInt8]) -> (isKey: Bool, format: FrameFormat?)? {
        layerSizes.append(frame.count - layerStart)
        if layerSizes.count > 1, layerSizes.count <= 8 { appendIndex(to: &frame) }
        guard isKey else { return (false, nil) }
        guard let size else { return nil }
        return (true, FrameFormat(width: Int(size.width), height: Int(size.height)))
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
}
