// The four video formats that are forwarded, and the two questions asked of each packet: key frame? what size?

package struct PictureSize: Sendable, Hashable, Codable {
    package var width: UInt16
    package var height: UInt16

    @inlinable
    package init(width: UInt16, height: UInt16) {
        self.width = width
        self.height = height
    }
}

package enum VideoFormat: UInt8, Sendable, CaseIterable {
    case vp8, vp9, h264, av1

    package init?(codecName: String) {
        let known: [(String, VideoFormat)] = [("VP8", .vp8), ("VP9", .vp9), ("H264", .h264), ("AV1", .av1)]
        guard let match = known.first(where: { $0.0.equalsIgnoringCase(codecName) }) else { return nil }
        self = match.1
    }

    /// True for the packet with which a decoder can begin: the first of a key frame, with what describes the sequence.
    @inlinable
    package func startsKeyFrame(_ payload: UnsafeRawBufferPointer) -> Bool {
        switch self {
        case .vp8: VP8Descriptor(payload)?.isKeyFrameStart ?? false
        case .vp9: VP9Descriptor(payload)?.isKeyFrameStart ?? false
        case .h264: H264Payload(payload)?.isKeyFrameStart ?? false
        case .av1: AV1Payload(payload)?.isKeyFrameStart ?? false
        }
    }

    /// The picture's size, where this packet tells it: in the first packet of a key frame (H.264: with the sequence
    /// parameter set).
    package func pictureSize(_ payload: UnsafeRawBufferPointer) -> PictureSize? {
        switch self {
        case .vp8: VP8Descriptor(payload)?.pictureSize(in: payload)
        case .vp9: VP9Descriptor(payload)?.pictureSize(in: payload)
        case .h264: H264Payload(payload)?.pictureSize(in: payload)
        case .av1: AV1Payload(payload)?.pictureSize(in: payload)
        }
    }
}
