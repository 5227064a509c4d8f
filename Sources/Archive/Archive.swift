// The archive's front door: starts, feeds, ends, lists and recovers recordings. Who may do what is decided elsewhere.

import Foundation
import Glibc
package import PacketRing

/// How the archive works; the defaults are right for a server.
package struct ArchiveOptions: Sendable {
    package var storage: any Storage = PosixStorage()
    /// Seconds between two rounds of syncs: what a power cut may cost at most, beside the second being gathered.
    package var syncInterval: Double = 0.5
    /// Nanoseconds that a recorder waits for a late packet.
    package var reorderPatience: UInt64 = 1_000_000_000
    package var makesPreviews = true

    package init() {}
}

/// All recordings below one folder.
package actor Archive {
    /// What happens to recordings while they run. One reader.
    package nonisolated let events: AsyncStream<ArchiveEvent>
    private nonisolated let continuation: AsyncStream<ArchiveEvent>.Continuation

    private let directory: String
    private let options: ArchiveOptions
    private let database: ArchiveDatabase
    private var running: [String: (session: RecordingSession, folder: String)] = [:]
    /// Ended, on their way to disk; a second `finish` waits for the first.
    private var ending: [String: Task<RecordingSummary, Never>] = [:]
    private var folders: [String: String] = [:]

    package init(directory: String, options: ArchiveOptions = ArchiveOptions()) async throws(ArchiveError) {
        (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1024))
        self.directory = directory
        self.options = options
        do throws(StorageError) {
            try options.storage.makeFolder(directory)
        } catch {
            throw .storage(operation: error.operation, path: error.path, errno: error.errno)
        }
        database = try ArchiveDatabase(path: directory + "/archive.sqlite")
    }

    /// Finishes what a crash left unfinished. To be called once, before the first `start`.
    package func recover() async -> [RecoveredRecording] {
        var recovered: [RecoveredRecording] = []
        var unfinished = Set(((try? await database.all(in: .recording)) ?? []).map(\.folder))
        // A folder whose row was never written counts, too.
        let known = (try? await database.folders()) ?? []
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] where !known.contains(name)
        {
            if access(directory + "/" + name + "/manifest.json", F_OK) == 0 { unfinished.insert(name) }
        }
        for name in unfinished.sorted() where running.values.allSatisfy({ $0.folder != name }) {
            let (storage, path) = (options.storage, directory + "/" + name)
            let result = await Self.offTheActor { RecordingRecovery.finish(storage, folder: path) }
            guard let result else { continue }
            try? await database.save(result.manifest.summary, folder: name)
            if result.wasUnfinished {
                recovered.append(
                    RecoveredRecording(
                        recording: result.manifest.recording, room: result.manifest.room,
                        duration: result.manifest.duration, tracks: result.manifest.tracks.count,
                        bytesCut: result.bytesCut))
            }
        }
        return recovered
    }

    /// Begins to record a room. `snapshotJSON` is its RoomState now, `roomOpenedAt` CLOCK_MONOTONIC nanoseconds of the
    /// moment at which session time is 0. Returns the recording's id.
    package func start(
        room: String, title: String, snapshotJSON: [UInt8], roomOpenedAt: UInt64, ring: PacketRing
    ) async throws(ArchiveError) -> String {
        guard !running.values.contains(where: { $0.session.identity.room == room }) else {
            throw .alreadyRecording(room: room)
        }
        let now = monotonicNanoseconds()
        let started = Self.wallClock()
        let id = Self.newID()
        let name = "\(started.prefix(10))-\(fileNamePart(room))-\(id)"
        let identity = RecordingIdentity(
            id: id, room: room, title: title, started: started, start: max(0, Int64(bitPattern: now &- roomOpenedAt)),
            opened: roomOpenedAt)
        let session: RecordingSession
        do throws(StorageError) {
            let continuation = continuation
            session = try RecordingSession(
                identity, folder: directory + "/" + name, snapshotJSON: snapshotJSON, ring: ring,
                storage: options.storage, options: options, events: { continuation.yield($0) })
        } catch {
            throw .storage(operation: error.operation, path: error.path, errno: error.errno)
        }
        running[id] = (session, name)
        folders[id] = name
        // Without its row the recording is as good; `recover` and `finish` write it again.
        try? await database.save(session.summary, folder: name)
        return id
    }

    /// Adds one event, already serialised as one JSON object, to the timeline.
    package func append(recording: String, eventJSON: [UInt8]) {
        running[recording]?.session.timeline.append(event: eventJSON)
    }

    /// Adds the room's state to the timeline, for fast seeks; every 30 s or so. `t` is session time.
    package func snapshot(recording: String, t: Int64, stateJSON: [UInt8]) {
        running[recording]?.session.timeline.append(snapshot: stateJSON, t: t)
    }

    /// Ends a recording; it is replayable when this returns. Call it after the media engine was told to stop: what is in
    /// the ring until its `.end` is still written.
    @discardableResult
    package func finish(recording: String) async throws(ArchiveError) -> RecordingSummary {
        if let task = ending[recording] { return await task.value }
        guard let (session, folder) = running.removeValue(forKey: recording) else {
            return try await summary(recording: recording)
        }
        let task = Task { await Self.offTheActor { session.finish() } }
        ending[recording] = task
        let summary = await task.value
        ending[recording] = nil
        try await database.save(summary, folder: folder)
        continuation.yield(.ready(recording: recording))
        return summary
    }

    /// Ends all recordings; for the server's own end.
    package func finishAll() async {
        await withTaskGroup(of: Void.self) { group in
            for recording in running.keys { group.addTask { _ = try? await self.finish(recording: recording) } }
        }
    }

    /// Newest first; `matching` searches title and room.
    package func list(matching text: String? = nil) async throws(ArchiveError) -> [RecordingSummary] {
        try await database.list(matching: text).map { running[$0.recording]?.session.summary ?? $0 }
    }

    package func summary(recording: String) async throws(ArchiveError) -> RecordingSummary {
        if let session = running[recording]?.session { return session.summary }
        guard let found = try await database.find(recording) else { throw .unknownRecording(recording) }
        return found.summary
    }

    /// `manifest.json` as it stands.
    package func manifest(recording: String) async throws(ArchiveError) -> [UInt8] {
        let path = try await fileURL(recording: recording, name: "manifest.json")
        do throws(StorageError) {
            let file = try options.storage.open(path)
            defer { file.close() }
            return try file.readAll()
        } catch {
            throw .storage(operation: error.operation, path: error.path, errno: error.errno)
        }
    }

    /// The path of one file of a recording: `manifest.json`, `timeline.ndjson`, `poster.png`, `waveform.json`,
    /// `tracks/<file>` or `thumbnails/<file>`. Anything else is refused.
    package func fileURL(recording: String, name: String) async throws(ArchiveError) -> String {
        guard RecordingFiles.isPublic(name) else { throw .unsafeName(name) }
        var folder = folders[recording]
        if folder == nil {
            folder = try await database.find(recording)?.folder
            folders[recording] = folder
        }
        guard let folder else { throw .unknownRecording(recording) }
        let path = directory + "/" + folder + "/" + name
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw .missingFile(name) }
        return path
    }

    // MARK: small things

    /// Blocking work on a thread of its own, so that the actor and the pool stay free.
    private static func offTheActor<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: work()) }
        }
    }

    /// 16 hexadecimal digits nobody can guess.
    private static func newID() -> String {
        var generator = SystemRandomNumberGenerator()
        return hexadecimal((0..<8).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    /// Now, in UTC, to the millisecond.
    private static func wallClock() -> String {
        Date().formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }
}

/// Which names lead to files that may be shown.
enum RecordingFiles {
    static func isPublic(_ name: String) -> Bool {
        switch name {
        case "manifest.json", "timeline.ndjson", "poster.png", "waveform.json": return true
        default:
            let parts = name.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "tracks" || parts[0] == "thumbnails", let file = parts.last else {
                return false
            }
            let isPlain =
                !file.isEmpty && file.utf8.count <= 255 && String(file) == fileNamePart(String(file), limit: 255)
            return isPlain && [".webm", ".mp4", ".png"].contains { file.hasSuffix($0) }
        }
    }
}
