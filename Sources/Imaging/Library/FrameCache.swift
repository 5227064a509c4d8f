// Coded frames kept for the next one who asks, bounded in bytes; the one unused for longest goes first.

struct FrameKey: Hashable, Sendable {
    let sop: String
    let frame: Int
}

struct FrameCache {
    private var frames: [FrameKey: (frame: CodedFrame, lastUse: Int)] = [:]
    private(set) var bytes = 0
    private var clock = 0
    private let maximumBytes: Int
    /// Looking for the oldest is linear; this keeps it short when frames are tiny.
    private static let maximumFrames = 4096

    init(maximumBytes: Int) {
        self.maximumBytes = maximumBytes
    }

    var count: Int { frames.count }

    mutating func frame(_ key: FrameKey) -> CodedFrame? {
        clock += 1
        frames[key]?.lastUse = clock
        return frames[key]?.frame
    }

    mutating func insert(_ frame: CodedFrame, for key: FrameKey) {
        guard frame.bytes.count <= maximumBytes else { return }
        clock += 1
        if let replaced = frames.updateValue((frame, clock), forKey: key) { bytes -= replaced.frame.bytes.count }
        bytes += frame.bytes.count
        while bytes > maximumBytes || frames.count > Self.maximumFrames,
            let oldest = frames.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            frames[oldest.key] = nil
            bytes -= oldest.value.frame.bytes.count
        }
    }

    mutating func removeAll() {
        frames.removeAll()
        bytes = 0
    }
}
