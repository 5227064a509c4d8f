// Fragmented MP4 for one H.264 track: ISO 14496-12 boxes, one moof and mdat per fragment, a sidx patched in at the end.

enum FragmentedMP4: Container {
    private static let timescale: Int64 = 90_000
    /// Room for the index; when there are more fragments than entries, one entry stands for several.
    private static let indexSpace = 32 << 10
    private static let durationBoxLength = 20

    static func header(_ format: MediaFormat) -> [UInt8] {
        let type = box("ftyp", Array("iso6".utf8) + big32(0) + Array("iso6cmfcmp41avc1".utf8))
        let movieHeader = fullBox(
            "mvhd", 0,
            big32(0) + big32(0) + big32(Int(timescale)) + big32(0) + big32(0x0001_0000) + [1, 0]
                + [UInt8](repeating: 0, count: 10) + matrix + [UInt8](repeating: 0, count: 24) + big32(2))
        let trackHeader = fullBox(
            "tkhd", 3,
            big32(0) + big32(0) + big32(1) + big32(0) + big32(0) + [UInt8](repeating: 0, count: 16) + matrix
                + big32(format.width << 16) + big32(format.height << 16))
        let mediaHeader = fullBox(
            "mdhd", 0, big32(0) + big32(0) + big32(Int(timescale)) + big32(0) + big16(0x55C4) + big16(0))
        let handler = fullBox(
            "hdlr", 0, big32(0) + Array("vide".utf8) + [UInt8](repeating: 0, count: 12) + Array("video".utf8) + [0])
        var sampleEntry = [UInt8](repeating: 0, count: 6) + big16(1) + [UInt8](repeating: 0, count: 16)
        sampleEntry += big16(format.width) + big16(format.height) + big32(0x0048_0000) + big32(0x0048_0000) + big32(0)
        sampleEntry += big16(1) + [UInt8](repeating: 0, count: 32) + big16(0x18) + big16(0xFFFF)
        sampleEntry += box("avcC", format.codecPrivate)
        let tables =
            fullBox("stsd", 0, big32(1) + box("avc1", sampleEntry)) + fullBox("stts", 0, big32(0))
            + fullBox("stsc", 0, big32(0)) + fullBox("stsz", 0, big32(0) + big32(0)) + fullBox("stco", 0, big32(0))
        let dataReference = box("dinf", fullBox("dref", 0, big32(1) + fullBox("url ", 1, [])))
        let mediaInformation = box(
            "minf", fullBox("vmhd", 1, [UInt8](repeating: 0, count: 8)) + dataReference + box("stbl", tables))
        let track = box("trak", trackHeader + box("mdia", mediaHeader + handler + mediaInformation))
        // The duration is known at the end; until then its place is free.
        let extends = box(
            "mvex",
            free(durationBoxLength) + fullBox("trex", 0, big32(1) + big32(1) + big32(0) + big32(0) + big32(0)))
        return type + box("moov", movieHeader + track + extends) + free(indexSpace)
    }

    static func fragment(_ frames: [MediaFrame], index: Int) -> [UInt8] {
        let times = frames.map { ticks($0.time) }
        var samples: [UInt8] = []
        for (position, frame) in frames.enumerated() {
            let next = position + 1 < times.count ? times[position + 1] : times[position] + ticks(frame.duration)
            samples += big32(Int(max(1, next - times[position]))) + big32(frame.bytes.count)
            samples += big32(frame.isKey ? 0x0200_0000 : 0x0101_0000)
        }
        let decodeTime = fullBox("tfdt", 0x0100_0000, big64(max(0, times.first ?? 0)))
        let trackHeader = fullBox("tfhd", 0x02_0000, big32(1))
        let sequence = fullBox("mfhd", 0, big32(index + 1))
        let runLength = 20 + samples.count
        let moofLength = 8 + sequence.count + 8 + trackHeader.count + decodeTime.count + runLength
        let run = fullBox("trun", 0x0701, big32(frames.count) + big32(moofLength + 8) + samples)
        var bytes = box("moof", sequence + box("traf", trackHeader + decodeTime + run))
        let length = frames.reduce(8) { $0 + $1.bytes.count }
        bytes.reserveCapacity(bytes.count + length)
        bytes += big32(length) + Array("mdat".utf8)
        for frame in frames { bytes += frame.bytes }
        return bytes
    }

    static func ending(
        _ fragments: [FragmentRecord], header: [UInt8], fileSize: Int64
    ) -> (tail: [UInt8], front: [UInt8]) {
        guard let first = fragments.first, let last = fragments.last, header.count >= indexSpace else {
            return ([], [])
        }
        var front = header
        let duration = ticks(fragments.map(\.end).max() ?? 0)
        if let place = durationPlace(header) {
            front.replaceSubrange(
                place..<place + durationBoxLength, with: fullBox("mehd", 0x0100_0000, big64(max(0, duration))))
        }
        let most = (indexSpace - 40 - 16) / 12
        let group = (fragments.count + most - 1) / most
        var entries: [UInt8] = []
        var count = 0
        var at = 0
        while at < fragments.count {
            let next = min(fragments.count, at + group)
            let end = next < fragments.count ? fragments[next] : nil
            let bytes = (end?.offset ?? last.offset + Int64(last.size)) - fragments[at].offset
            let length = ticks(end?.start ?? last.end) - ticks(fragments[at].start)
            entries += big32(Int(bytes) & 0x7FFF_FFFF) + big32(Int(max(0, length)))
            entries += big32(fragments[at].isKey ? 0x9000_0000 : 0)
            count += 1
            at = next
        }
        let indexLength = 40 + entries.count
        let rest = indexSpace - indexLength
        let index = fullBox(
            "sidx", 0x0100_0000,
            big32(1) + big32(Int(timescale)) + big64(ticks(first.start)) + big64(Int64(rest)) + big16(0) + big16(count)
                + entries)
        front.replaceSubrange(header.count - indexSpace..<header.count, with: index + free(rest))
        return ([], front)
    }

    static func headerLength(_ front: [UInt8]) -> Int? {
        var at = 0
        var seenMovie = false
        while let box = boxHead(front, at), box.size <= front.count - at {
            if box.type == "moof" { break }
            if box.type == "moov" { seenMovie = true }
            at += box.size
            // The reserved space, or what an earlier finish put there.
            if seenMovie, box.type == "free" { return at }
        }
        return nil
    }

    static func readFragment(_ bytes: UnsafeRawBufferPointer) -> ReadFragment? {
        guard bytes.count >= 8, let moof = boxHead(bytes, 0), moof.type == "moof", moof.size <= bytes.count,
            let mdat = boxHead(bytes, moof.size), mdat.type == "mdat", mdat.size <= bytes.count - moof.size
        else { return nil }
        let end = moof.size + mdat.size
        guard let traf = child("traf", of: bytes, in: 8..<moof.size), let tfdt = child("tfdt", of: bytes, in: traf),
            let trun = child("trun", of: bytes, in: traf), tfdt.count >= 12, trun.count >= 12
        else { return nil }
        var time = Int64(bigEndian32(bytes, tfdt.lowerBound + 4)) << 32 | Int64(bigEndian32(bytes, tfdt.lowerBound + 8))
        guard time >= 0, time < 1 << 48 else { return nil }
        let count = Int(bigEndian32(bytes, trun.lowerBound + 4))
        guard count > 0, count <= (trun.count - 12) / 12 else { return nil }
        var frames: [ReadFragment.Frame] = []
        var offset = moof.size + 8
        for sample in 0..<count {
            let at = trun.lowerBound + 12 + 12 * sample
            let size = Int(bigEndian32(bytes, at + 4))
            guard offset + size <= end else { return nil }
            frames.append(
                ReadFragment.Frame(
                    time: time * 1_000_000_000 / timescale, range: offset..<offset + size,
                    isKey: bigEndian32(bytes, at + 8) & 0x0001_0000 == 0))
            time += Int64(bigEndian32(bytes, at))
            offset += size
        }
        return ReadFragment(size: end, frames: frames)
    }

    // MARK: boxes

    private static let matrix: [UInt8] =
        big32(0x0001_0000) + big32(0) + big32(0) + big32(0) + big32(0x0001_0000) + big32(0) + big32(0) + big32(0)
        + big32(0x4000_0000)

    private static func ticks(_ time: Int64) -> Int64 {
        let (seconds, rest) = time.quotientAndRemainder(dividingBy: 1_000_000_000)
        return seconds * timescale + (rest * timescale + 500_000_000) / 1_000_000_000
    }

    private static func big16(_ value: Int) -> [UInt8] {
        [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
    }

    private static func big32(_ value: Int) -> [UInt8] { big16(value >> 16) + big16(value) }

    private static func big64(_ value: Int64) -> [UInt8] { big32(Int(value >> 32)) + big32(Int(value & 0xFFFF_FFFF)) }

    private static func box(_ type: String, _ content: [UInt8]) -> [UInt8] {
        big32(content.count + 8) + Array(type.utf8) + content
    }

    /// Version in the top byte of `flags`.
    private static func fullBox(_ type: String, _ flags: Int, _ content: [UInt8]) -> [UInt8] {
        box(type, big32(flags) + content)
    }

    private static func free(_ total: Int) -> [UInt8] { box("free", [UInt8](repeating: 0, count: max(0, total - 8))) }

    private static func boxHead(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> (type: String, size: Int)? {
        guard at >= 0, bytes.count - at >= 8 else { return nil }
        let size = Int(bigEndian32(bytes, at))
        guard size >= 8 else { return nil }
        return (String(decoding: bytes[at + 4..<at + 8], as: UTF8.self), size)
    }

    private static func boxHead(_ bytes: [UInt8], _ at: Int) -> (type: String, size: Int)? {
        bytes.withUnsafeBytes { boxHead($0, at) }
    }

    /// The content of the first child box of this type.
    private static func child(_ type: String, of bytes: UnsafeRawBufferPointer, in range: Range<Int>) -> Range<Int>? {
        var at = range.lowerBound
        while at < range.upperBound, let head = boxHead(bytes, at), head.size <= range.upperBound - at {
            if head.type == type { return at + 8..<at + head.size }
            at += head.size
        }
        return nil
    }

    /// Where the duration's place is: the free box, or an earlier mehd, inside moov/mvex.
    private static func durationPlace(_ header: [UInt8]) -> Int? {
        header.withUnsafeBytes { bytes in
            var at = 0
            while let head = boxHead(bytes, at), head.type != "moov" { at += head.size }
            guard let movie = boxHead(bytes, at), movie.size <= bytes.count - at,
                let extends = child("mvex", of: bytes, in: at + 8..<at + movie.size)
            else { return nil }
            let place = child("free", of: bytes, in: extends) ?? child("mehd", of: bytes, in: extends)
            return place.map { $0.lowerBound - 8 }
        }
    }
}
