// Puts the packets of one video stream together into whole frames, and knows when only a key frame helps.

/// A whole frame as its container stores it.
struct AssembledFrame {
    /// Unwrapped RTP timestamp.
    var timestamp: Int64
    /// When its first packet arrived.
    var arrival: UInt64
    var isKey: Bool
    var bytes: [UInt8]
    /// Only with key frames.
    var format: FrameFormat?
}

/// What a container's header says about a video, known from a key frame.
struct FrameFormat: Equatable {
    var width: Int
    var height: Int
    /// `avcC` or `av1C`; empty for VP8 and VP9.
    var codecPrivate: [UInt8] = []
}

/// How one packet's payload belongs to its frame.
enum Fragment {
    /// Not a payload of this codec; the frame it belongs to is lost.
    case malformed
    /// The payload starts a frame and continues it; the number is the picture's id where the codec has one.
    case begin(pictureID: (value: Int, bits: Int)?)
    case proceed
}

/// One codec's way of reading payloads. `append` adds what belongs into the container to `frame`.
protocol PayloadReader {
    mutating func append(_ payload: UnsafeRawBufferPointer, to frame: inout [UInt8]) -> Fragment
    /// Called when all of a frame is there; nil for what must not be stored.
    mutating func finish(_ frame: inout [UInt8]) -> (isKey: Bool, format: FrameFormat?)?
    /// The frame was given up.
    mutating func abandon()
}

/// Frame assembly for one stream, generic over the codec so that nothing is boxed per packet.
struct FrameAssembler<Reader: PayloadReader> {
    private static var largestFrame: Int { 16 << 20 }

    private var reader: Reader
    private var buffer: [UInt8] = []
    private var current: (timestamp: Int64, arrival: UInt64)?
    private var packets = 0
    private var isBroken = false
    /// Packets were lost since the last whole frame.
    private var lossPending = false
    private var lastPictureID: (value: Int, bits: Int)?
    private var currentPictureID: (value: Int, bits: Int)?
    private var lastEnded: Int64?

    /// Only a key frame helps.
    private(set) var needsKey = true
    /// Whole or broken frames that were left out.
    private(set) var framesDropped: Int64 = 0

    init(_ reader: Reader) { self.reader = reader }

    /// Packets before the next one are missing.
    mutating func lost() {
        lossPending = true
        if current != nil { isBroken = true }
    }

    mutating func add(
        _ payload: UnsafeRawBufferPointer, timestamp: Int64, marker: Bool, arrival: UInt64,
        emit: (AssembledFrame) -> Void
    ) {
        guard !payload.isEmpty else { return }
        if let open = current, open.timestamp != timestamp { end(emit: emit) }
        if current == nil {
            // What follows the marker of its own frame belongs to nothing.
            if lastEnded == timestamp { return }
            current = (timestamp, arrival)
            buffer.removeAll(keepingCapacity: true)
            packets = 0
            isBroken = false
            currentPictureID = nil
        }
        let isFirst = packets == 0
        packets += 1
        switch reader.append(payload, to: &buffer) {
        case .malformed: isBroken = true
        case .begin(let pictureID):
            if isFirst { currentPictureID = pictureID }
        case .proceed:
            // The start of this frame was lost with the packets before it.
            if isFirst { isBroken = true }
        }
        if buffer.count > Self.largestFrame { isBroken = true }
        if marker { end(emit: emit) }
    }

    private mutating func end(emit: (AssembledFrame) -> Void) {
        guard let open = current else { return }
        current = nil
        lastEnded = open.timestamp
        if isBroken || buffer.isEmpty {
            reader.abandon()
            framesDropped += 1
            needsKey = true
            lossPending = false
            lastPictureID = nil
            return
        }
        if lossPending {
            lossPending = false
            if !follows(currentPictureID, lastPictureID) { needsKey = true }
        }
        lastPictureID = currentPictureID
        guard let (isKey, format) = reader.finish(&buffer) else {
            framesDropped += 1
            needsKey = true
            return
        }
        if isKey { needsKey = false }
        guard !needsKey else {
            framesDropped += 1
            return
        }
        emit(
            AssembledFrame(
                timestamp: open.timestamp, arrival: open.arrival, isKey: isKey, bytes: buffer, format: format))
    }

    /// True when the picture ids prove that no picture is missing: what was lost was padding.
    private func follows(_ id: (value: Int, bits: Int)?, _ previous: (value: Int, bits: Int)?) -> Bool {
        guard let id, let previous, id.bits == previous.bits else { return false }
        return id.value == (previous.value + 1) & (1 << id.bits - 1)
    }
}
