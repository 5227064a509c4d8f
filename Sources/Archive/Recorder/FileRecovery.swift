// Finishes a media file that a crash left as it lay: finds the whole fragments, cuts the torn tail, adds the index.

/// What is left of a file.
struct RecoveredFile: Equatable {
    /// Nanoseconds since the recording began.
    var start: Int64
    var end: Int64
    var frames: Int64
    var bytes: Int64
    var bytesCut: Int64
}

enum FileRecovery {
    private static let frontLength = 128 << 10
    private static let readLength = 32 << 20

    /// Nil when the file has no whole fragment. With its sidecar only the tail is read; without it, all of the file.
    static func finish(_ storage: any Storage, path: String) throws(StorageError) -> RecoveredFile? {
        let container: any Container.Type = path.hasSuffix(".mp4") ? FragmentedMP4.self : WebM.self
        let file = try storage.open(path)
        defer { file.close() }
        let total = try file.size()
        let front = try file.read(min(frontLength, Int(clamping: total)), at: 0)
        guard let headerLength = container.headerLength(front) else { return nil }
        let header = Array(front[..<headerLength])

        var records = sidecar(storage, path, headerLength: Int64(headerLength), total: total)
        while let last = records.last, !isIntact(file, last) { records.removeLast() }
        var position = records.last.map { $0.offset + Int64($0.size) } ?? Int64(headerLength)
        try scan(file, container, from: &position, total: total, into: &records)

        guard let first = records.first else { return nil }
        let cut = total - position
        if cut > 0 { try file.truncate(to: position) }
        var size = position
        try MediaFile.finish(file, records: records, header: header, container: container, size: &size)
        replaceSidecar(storage, path, records)
        return RecoveredFile(
            start: first.start, end: records.map(\.end).max() ?? first.end,
            frames: records.reduce(0) { $0 + Int64($1.frames) }, bytes: size, bytesCut: cut)
    }

    /// The sidecar's records as far as they follow one another from the header on.
    private static func sidecar(
        _ storage: any Storage, _ path: String, headerLength: Int64, total: Int64
    ) -> [FragmentRecord] {
        guard let file = try? storage.open(MediaFile.sidecarPath(path)), let bytes = try? file.readAll() else {
            return []
        }
        defer { file.close() }
        var records: [FragmentRecord] = []
        var expected = headerLength
        for record in FragmentRecord.read(bytes) {
            guard record.offset == expected, record.offset + Int64(record.size) <= total else { break }
            records.append(record)
            expected += Int64(record.size)
        }
        return records
    }

    private static func isIntact(_ file: any StorageFile, _ record: FragmentRecord) -> Bool {
        guard let bytes = try? file.read(Int(record.size), at: record.offset) else { return false }
        return bytes.count == Int(record.size) && crc32(of: bytes) == record.checksum
    }

    private static func scan(
        _ file: any StorageFile, _ container: any Container.Type, from position: inout Int64, total: Int64,
        into records: inout [FragmentRecord]
    ) throws(StorageError) {
        while position < total {
            let chunk = try file.read(min(readLength, Int(clamping: total - position)), at: position)
            let found = chunk.withUnsafeBytes { fragments(in: $0, container, at: position) }
            guard let last = found.last else { return }
            records += found
            position = last.offset + Int64(last.size)
        }
    }

    private static func fragments(
        in bytes: UnsafeRawBufferPointer, _ container: any Container.Type, at offset: Int64
    ) -> [FragmentRecord] {
        var found: [FragmentRecord] = []
        var at = 0
        while at < bytes.count,
            let fragment = container.readFragment(UnsafeRawBufferPointer(rebasing: bytes[at...])),
            let first = fragment.frames.first, let last = fragment.frames.last
        {
            let whole = Array(bytes[at..<at + fragment.size])
            let count = Int64(fragment.frames.count)
            let usual = count > 1 ? (last.time - first.time) / (count - 1) : 20_000_000
            found.append(
                FragmentRecord(
                    offset: offset + Int64(at), size: UInt32(clamping: fragment.size), checksum: crc32(of: whole),
                    start: first.time, end: last.time + usual.clamped(to: 0...1_000_000_000), isKey: first.isKey,
                    frames: UInt32(clamping: fragment.frames.count)))
            at += fragment.size
        }
        return found
    }

    private static func replaceSidecar(_ storage: any Storage, _ path: String, _ records: [FragmentRecord]) {
        let wanted = records.flatMap(\.bytes)
        if let file = try? storage.open(MediaFile.sidecarPath(path)), let bytes = try? file.readAll(), bytes == wanted {
            return
        }
        try? storage.replace(MediaFile.sidecarPath(path), with: wanted)
    }
}
