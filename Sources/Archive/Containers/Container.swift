// What the recorder wants of a container: frames in, fragments out. WebM and MP4 answer to it.

/// What a file holds; decides the container's header.
struct MediaFormat: Equatable {
    enum Codec: String { case vp8 = "VP8", vp9 = "VP9", av1 = "AV1", h264 = "H264", opus = "opus" }
    var codec: Codec
    var width = 0
    var height = 0
    var channels = 0
    var codecPrivate: [UInt8] = []

    var isVideo: Bool { codec != .opus }
    var fileExtension: String { codec == .h264 ? "mp4" : "webm" }

    /// For `canPlayType` and the Content-Type.
    var mime: String {
        switch codec {
        case .vp8: "video/webm; codecs=\"vp8\""
        case .vp9: "video/webm; codecs=\"vp9\""
        case .av1: "video/webm; codecs=\"av01.0.08M.08\""
        case .opus: "audio/webm; codecs=\"opus\""
        case .h264:
            "video/mp4; codecs=\"avc1."
                + codecPrivate.dropFirst().prefix(3).map { hexadecimal([$0]) }.joined() + "\""
        }
    }

    /// True when frames of the other format may follow in the same file: decoders follow a new size, but not a new
    /// shape of picture or a new set-up.
    func continues(in other: MediaFormat) -> Bool {
        guard codec == other.codec, channels == other.channels, codecPrivate == other.codecPrivate else { return false }
        guard isVideo else { return true }
        return abs(width * other.height - height * other.width) * 50 <= width * other.height
    }
}

/// One frame for a container; times are nanoseconds since the recording began.
struct MediaFrame {
    var time: Int64
    var duration: Int64
    var isKey: Bool
    var bytes: [UInt8]
}

/// Header layout and fragment layout of one container.
protocol Container {
    /// Everything before the first fragment, with reserved space for what is known at the end.
    static func header(_ format: MediaFormat) -> [UInt8]
    /// One fragment; `index` counts from 0 in the file.
    static func fragment(_ frames: [MediaFrame], index: Int) -> [UInt8]
    /// How long the header at the front of a file is; nil when it is torn.
    static func headerLength(_ front: [UInt8]) -> Int?
    /// Reads the fragment at the front of `bytes`; nil when it is torn or none.
    static func readFragment(_ bytes: UnsafeRawBufferPointer) -> ReadFragment?
    /// What finishing adds at the end of the file and patches into the front, given the fragments and the file's front.
    static func ending(_ fragments: [FragmentRecord], header: [UInt8], fileSize: Int64) -> (
        tail: [UInt8], front: [UInt8]
    )
}

/// A fragment found in a file; times are nanoseconds since the recording began.
struct ReadFragment {
    struct Frame {
        var time: Int64
        /// Where its bytes are in the fragment.
        var range: Range<Int>
        var isKey: Bool
    }
    var size: Int
    var frames: [Frame]
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 0x0F)])
    }
    return String(decoding: text, as: UTF8.self)
}

extension MediaFormat {
    var container: any Container.Type { codec == .h264 ? FragmentedMP4.self : WebM.self }
}
