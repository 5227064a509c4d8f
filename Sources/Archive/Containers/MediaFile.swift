// A growing media file and its sidecar: frames are gathered into fragments of at most a second, each written at once.

/// Confined to the recorder's thread. After a thrown error the file must not be written any more; what is in it stays
/// playable.
final class MediaFile {
    private static let longestFragment: Int64 = 1_000_000_000
    private static let largestFragment = 8 << 20
    private static let usualDuration: Int64 = 33_333_333

    let format: MediaFormat
    private(set) var size: Int64
    private(set) var start: Int64?
    private(set) var end: Int64 = 0
    private(set) var frameCount: Int64 = 0

    private let file: any StorageFile
    private let sidecar: any StorageFile
    private let sync: SyncGroup
    private let header: [UInt8]
    private var records: [FragmentRecord] = []
    private var pending: [MediaFrame] = []
    private var pendingBytes = 0
    private var pendingSince: UInt64 = 0
    private var lastDuration = MediaFile.usualDuration

    init(storage: any Storage, path: String, format: MediaFormat, sync: SyncGroup) throws(StorageError) {
        self.format = format
        self.sync = sync
        header = format.container.header(format)
        file = try storage.create(path)
        sidecar = try storage.create(MediaFile.sidecarPath(path))
        try file.write(header, at: 0)
        size = Int64(header.count)
        try storage.syncFolder(folder(of: path))
        sync.markDirty(file)
    }

    static func sidecarPath(_ path: String) -> String { path + ".index" }

    /// Takes the next frame; times never go back. Returns a fragment that was written because of it, for the previews.
    func append(_ frame: MediaFrame, now: UInt64) throws(StorageError) -> [UInt8]? {
        var written: [UInt8]?
        if let first = pending.first, let last = pending.last {
            let delta = frame.time - last.time
            if format.isVideo, delta > 0 { lastDuration = min(delta, Self.longestFragment) }
            if format.isVideo { pending[pending.count - 1].duration = lastDuration }
            let isFull =
                frame.time - first.time >= Self.longestFragment
                || pendingBytes + frame.bytes.count > Self.largestFragment
            if isFull || format.isVideo && frame.isKey { written = try flush() }
        }
        if pending.isEmpty { pendingSince = now }
        var frame = frame
        if format.isVideo { frame.duration = lastDuration }
        pending.append(frame)
        pendingBytes += frame.bytes.count
        if start == nil { start = frame.time }
        end = max(end, frame.time + frame.duration)
        frameCount += 1
        return written
    }

    /// Writes what has waited for more than a second; so that a sparse track is not lost in memory.
    func flush(olderThan age: UInt64, now: UInt64) throws(StorageError) -> [UInt8]? {
        guard !pending.isEmpty, now &- pendingSince >= age, now > pendingSince else { return nil }
        return try flush()
    }

    /// Writes what is gathered as one fragment.
    func flush() throws(StorageError) -> [UInt8]? {
        if let failure = sync.takeFailure(of: file) { throw failure }
        guard let first = pending.first, let last = pending.last else { return nil }
        let bytes = format.container.fragment(pending, index: records.count)
        try file.write(bytes, at: size)
        let record = FragmentRecord(
            offset: size, size: UInt32(clamping: bytes.count), checksum: crc32(of: bytes), start: first.time,
            end: last.time + last.duration, isKey: first.isKey, frames: UInt32(clamping: pending.count))
        size += Int64(bytes.count)
        pending.removeAll(keepingCapacity: true)
        pendingBytes = 0
        records.append(record)
        sync.markDirty(file)
        // Without its sidecar a file is as playable and recoverable as with it, only slower.
        try? sidecar.write(record.bytes, at: Int64((records.count - 1) * FragmentRecord.length))
        sync.markDirty(sidecar)
        return bytes
    }

    /// Adds the index. In between the syncs of `finish` the file is playable at every moment.
    func finish() throws(StorageError) {
        _ = try flush()
        try Self.finish(file, records: records, header: header, container: format.container, size: &size)
    }

    func close() {
        file.close()
        sidecar.close()
    }

    /// Also the last step of recovery.
    static func finish(
        _ file: any StorageFile, records: [FragmentRecord], header: [UInt8], container: any Container.Type,
        size: inout Int64
    ) throws(StorageError) {
        let ending = container.ending(records, header: header, fileSize: size)
        if !ending.tail.isEmpty { try file.write(ending.tail, at: size) }
        try file.sync()
        size += Int64(ending.tail.count)
        guard !ending.front.isEmpty else { return }
        try file.write(ending.front, at: 0)
        try file.sync()
    }
}
