// WebM for one track: header with reserved space, known-size clusters, and the index that finishing adds (RFC 9559).

enum WebM: Container {
    /// Room for a SeekHead with three entries, and for the duration.
    private static let seekHeadSpace = 80
    private static let durationLength = 11
    private static let segmentHeadLength = 12
    private static let millisecond: Int64 = 1_000_000

    static func header(_ format: MediaFormat) -> [UInt8] {
        let ebml = EBML.element(
            EBML.ID.header,
            EBML.element(0x4286, unsigned: 1) + EBML.element(0x42F7, unsigned: 1) + EBML.element(0x42F2, unsigned: 4)
                + EBML.element(0x42F3, unsigned: 8)
                + EBML.element(0x4282, text: "webm") + EBML.element(0x4287, unsigned: 4)
                + EBML.element(0x4285, unsigned: 2))
        // Unknown size: the file is whole at every moment of its growth.
        let segment = EBML.id(EBML.ID.segment) + [0x01] + [UInt8](repeating: 0xFF, count: 7)
        let information = EBML.element(
            EBML.ID.information,
            EBML.element(EBML.ID.timestampScale, unsigned: UInt64(millisecond))
                + EBML.element(EBML.ID.muxingApp, text: "consilium")
                + EBML.element(EBML.ID.writingApp, text: "consilium") + EBML.void(durationLength))
        return ebml + segment + EBML.void(seekHeadSpace) + information + tracks(format)
    }

    private static func tracks(_ format: MediaFormat) -> [UInt8] {
        var entry = EBML.element(0xD7, unsigned: 1) + EBML.element(0x73C5, unsigned: 1)
        entry +=
            EBML.element(0x83, unsigned: format.isVideo ? 1 : 2) + EBML.element(0x9C, unsigned: 0)
            + EBML.element(0x22B59C, text: "und")
        let codec =
            switch format.codec {
            case .vp8: "V_VP8"
            case .vp9: "V_VP9"
            case .av1: "V_AV1"
            case .h264: "V_MPEG4/ISO/AVC"
            case .opus: "A_OPUS"
            }
        entry += EBML.element(0x86, text: codec)
        if format.codec == .opus {
            let delay = UInt64(OpusContainer.lookAhead) * 1_000_000_000 / 48_000
            entry += EBML.element(0x63A2, OpusContainer.head(channels: format.channels))
            entry += EBML.element(0x56AA, unsigned: delay) + EBML.element(0x56BB, unsigned: 80_000_000)
            entry += EBML.element(
                0xE1, EBML.element(0xB5, real: 48_000) + EBML.element(0x9F, unsigned: UInt64(max(1, format.channels))))
        } else {
            if !format.codecPrivate.isEmpty { entry += EBML.element(0x63A2, format.codecPrivate) }
            entry += EBML.element(
                0xE0,
                EBML.element(0xB0, unsigned: UInt64(format.width)) + EBML.element(0xBA, unsigned: UInt64(format.height))
            )
        }
        return EBML.element(EBML.ID.tracks, EBML.element(EBML.ID.trackEntry, entry))
    }

    static func fragment(_ frames: [MediaFrame], index: Int) -> [UInt8] {
        let base = max(0, milliseconds(frames.first?.time ?? 0))
        var length = 32
        for frame in frames { length += frame.bytes.count + 16 }
        var cluster: [UInt8] = []
        cluster.reserveCapacity(length)
        cluster += EBML.id(EBML.ID.cluster)
        cluster += [UInt8](repeating: 0, count: 8)
        cluster += EBML.element(EBML.ID.timestamp, unsigned: UInt64(base))
        for frame in frames {
            let relative = (milliseconds(frame.time) - base).clamped(to: 0...0x7FFF)
            cluster.append(UInt8(EBML.ID.simpleBlock))
            cluster += EBML.size(frame.bytes.count + 4)
            cluster += [
                0x81, UInt8(relative >> 8), UInt8(relative & 0xFF), frame.isKey ? 0x80 : 0,
            ]
            cluster += frame.bytes
        }
        for (index, byte) in EBML.size(cluster.count - 12, length: 8).enumerated() { cluster[4 + index] = byte }
        return cluster
    }

    private static func milliseconds(_ time: Int64) -> Int64 { (time + millisecond / 2) / millisecond }

    static func ending(
        _ fragments: [FragmentRecord], header: [UInt8], fileSize: Int64
    ) -> (tail: [UInt8], front: [UInt8]) {
        guard let layout = layout(header) else { return ([], []) }
        let segmentStart = layout.segment + segmentHeadLength
        var points: [UInt8] = []
        for fragment in fragments where fragment.isKey {
            points += EBML.element(
                0xBB,
                EBML.element(0xB3, unsigned: UInt64(max(0, milliseconds(fragment.start))))
                    + EBML.element(
                        0xB7,
                        EBML.element(0xF7, unsigned: 1)
                            + EBML.element(0xF1, unsigned: UInt64(fragment.offset - Int64(segmentStart)))))
        }
        let cues = points.isEmpty ? [] : EBML.element(EBML.ID.cues, points)

        var front = header
        let end = fragments.map(\.end).max() ?? 0
        let segmentSize = Int(fileSize) + cues.count - segmentStart
        replace(&front, at: layout.segment + 4, with: EBML.size(segmentSize, length: 8))
        replace(
            &front, at: layout.duration, with: EBML.element(EBML.ID.duration, real: Double(end) / Double(millisecond)))
        var seeks = seek(EBML.ID.information, layout.information - segmentStart)
        seeks += seek(EBML.ID.tracks, layout.tracks - segmentStart)
        if !cues.isEmpty { seeks += seek(EBML.ID.cues, Int(fileSize) - segmentStart) }
        let seekHead = EBML.element(EBML.ID.seekHead, seeks)
        replace(&front, at: layout.seekHead, with: seekHead + EBML.void(seekHeadSpace - seekHead.count))
        return (cues, front)
    }

    private static func seek(_ id: UInt32, _ position: Int) -> [UInt8] {
        EBML.element(
            EBML.ID.seek,
            EBML.element(EBML.ID.seekID, EBML.id(id)) + EBML.element(EBML.ID.seekPosition, unsigned: UInt64(position)))
    }

    private static func replace(_ bytes: inout [UInt8], at offset: Int, with new: [UInt8]) {
        guard offset >= 0, offset + new.count <= bytes.count else { return }
        bytes.replaceSubrange(offset..<offset + new.count, with: new)
    }

    /// Where the parts of a header are that `header` wrote; nil when the bytes are not such a header or not all of it.
    struct Layout {
        var segment = 0
        var seekHead = 0
        var information = 0
        var duration = 0
        var tracks = 0
        var end = 0
    }

    static func layout(_ bytes: [UInt8]) -> Layout? {
        bytes.withUnsafeBytes { buffer in
            var layout = Layout()
            guard let ebml = EBML.head(buffer, 0), ebml.id == EBML.ID.header, let size = ebml.size else { return nil }
            layout.segment = ebml.length + size
            guard let segment = EBML.head(buffer, layout.segment), segment.id == EBML.ID.segment,
                segment.length == segmentHeadLength
            else { return nil }
            layout.seekHead = layout.segment + segmentHeadLength
            layout.information = layout.seekHead + seekHeadSpace
            guard let information = EBML.head(buffer, layout.information), information.id == EBML.ID.information,
                let informationSize = information.size
            else { return nil }
            layout.tracks = layout.information + information.length + informationSize
            layout.duration = layout.tracks - durationLength
            guard let tracks = EBML.head(buffer, layout.tracks), tracks.id == EBML.ID.tracks,
                let tracksSize = tracks.size
            else { return nil }
            layout.end = layout.tracks + tracks.length + tracksSize
            return layout.end <= buffer.count ? layout : nil
        }
    }

    static func headerLength(_ front: [UInt8]) -> Int? { layout(front)?.end }

    static func readFragment(_ bytes: UnsafeRawBufferPointer) -> ReadFragment? {
        guard let head = EBML.head(bytes, 0), head.id == EBML.ID.cluster, let size = head.size,
            size <= bytes.count - head.length
        else { return nil }
        let end = head.length + size
        var at = head.length
        var base: Int64 = 0
        var frames: [ReadFragment.Frame] = []
        while at < end {
            guard let child = EBML.head(bytes, at), let childSize = child.size, childSize <= end - at - child.length
            else { return nil }
            let content = UnsafeRawBufferPointer(rebasing: bytes[at + child.length..<at + child.length + childSize])
            if child.id == EBML.ID.timestamp { base = Int64(clamping: min(EBML.unsigned(content), 1 << 40)) }
            if child.id == EBML.ID.simpleBlock {
                guard content.count > 4 else { return nil }
                frames.append(
                    ReadFragment.Frame(
                        time: (base + Int64(Int16(bitPattern: bigEndian16(content, 1)))) * millisecond,
                        range: at + child.length + 4..<at + child.length + childSize, isKey: content[3] & 0x80 != 0))
            }
            at += child.length + childSize
        }
        return frames.isEmpty ? nil : ReadFragment(size: end, frames: frames)
    }
}

extension Comparable {
    func clamped(to range: ClosedRange<Self>) -> Self { min(max(self, range.lowerBound), range.upperBound) }
}
