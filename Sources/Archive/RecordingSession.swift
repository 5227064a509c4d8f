// One running recording: its folder, recorder thread, timeline, manifest, syncs and previews, started and ended together.

import Foundation
import PacketRing

/// What a recording is called and when it began.
struct RecordingIdentity: Sendable {
    var id: String
    var room: String
    var title: String
    /// Wall clock, ISO 8601.
    var started: String
    /// Session time of the start.
    var start: Int64
    /// CLOCK_MONOTONIC nanoseconds of session time 0.
    var opened: UInt64
}

/// Any thread; the threads inside are its own.
final class RecordingSession: @unchecked Sendable {
    private static let previewPatience: TimeInterval = 0.2
    private static let endPatience: TimeInterval = 0.4

    let identity: RecordingIdentity
    let timeline: TimelineWriter
    private let storage: any Storage
    private let folder: String
    private let sync: SyncGroup
    private let previews: PreviewMaker?
    private let state: SharedState
    private let recorder: RecorderThread
    private let events: @Sendable (ArchiveEvent) -> Void

    init(
        _ identity: RecordingIdentity, folder: String, snapshotJSON: [UInt8], ring: PacketRing, storage: any Storage,
        options: ArchiveOptions, events: @escaping @Sendable (ArchiveEvent) -> Void
    ) throws(StorageError) {
        self.identity = identity
        self.folder = folder
        self.storage = storage
        self.events = events
        for path in [folder, folder + "/tracks", folder + "/thumbnails"] { try storage.makeFolder(path) }

        let state = SharedState(identity: identity, folder: folder, storage: storage, events: events)
        self.state = state
        try state.writeManifest()
        sync = SyncGroup(interval: options.syncInterval) { state.writeManifestIfChanged() }
        do {
            timeline = try TimelineWriter(
                storage: storage, path: folder + "/timeline.ndjson",
                header: TimelineWriter.Header(
                    recording: identity.id, room: identity.room, title: identity.title, started: identity.started,
                    start: identity.start, monotonic: identity.opened &+ UInt64(max(0, identity.start)),
                    snapshotJSON: snapshotJSON),
                sync: sync,
                failed: { error in
                    events(.metadataFailed(recording: identity.id, file: "timeline.ndjson", errno: error.errno))
                })
        } catch {
            sync.stop()
            throw error
        }
        let previews =
            options.makesPreviews
            ? PreviewMaker(storage: storage, folder: folder, start: identity.start) : nil
        self.previews = previews
        let context = RecordingContext(
            storage: storage, sync: sync, folder: folder + "/tracks", folderName: "tracks", start: identity.start,
            opened: identity.opened, patience: options.reorderPatience,
            report: { event in
                switch event {
                case .gap(let file, let gap):
                    events(
                        .gap(
                            recording: identity.id, file: file, start: gap.start, end: gap.end, cause: gap.cause))
                case .failed(let file, let error):
                    events(
                        .trackFailed(
                            recording: identity.id, file: file, operation: error.operation, errno: error.errno))
                }
            },
            preview: { previews?.offer($0) })
        recorder = RecorderThread(ring: ring, context: context) { tracks, isUrgent in
            state.update(tracks, thumbnails: previews?.madeThumbnails() ?? [:], isUrgent: isUrgent)
        }
    }

    /// Blocks until everything is on disk; well below a second. Not for a thread that others wait for.
    func finish() -> RecordingSummary {
        recorder.finish(patience: Self.endPatience)
        let end = max(
            identity.start,
            Int64(bitPattern: monotonicNanoseconds() &- identity.opened))
        previews?.finish(waiting: Self.previewPatience)
        let head = timeline.end(t: end)
        sync.stop()
        timeline.makeDurable()
        return state.complete(end: end, timelineHead: head, thumbnails: previews?.madeThumbnails() ?? [:])
    }

    /// How it stands now.
    var summary: RecordingSummary {
        let now = Int64(bitPattern: monotonicNanoseconds() &- identity.opened)
        return state.summary(at: now)
    }
}

/// The manifest between the threads that know parts of it.
private final class SharedState: @unchecked Sendable {
    private let path: String
    private let storage: any Storage
    private let events: @Sendable (ArchiveEvent) -> Void
    private let lock = NSLock()
    // Guarded by `lock`.
    private var manifest: Manifest
    private var hasChanged = false
    private var hasFailed = false
    private let writing = NSLock()

    init(
        identity: RecordingIdentity, folder: String, storage: any Storage,
        events: @escaping @Sendable (ArchiveEvent) -> Void
    ) {
        path = folder + "/manifest.json"
        self.storage = storage
        self.events = events
        manifest = Manifest(
            recording: identity.id, room: identity.room, title: identity.title, state: .recording,
            started: identity.started, start: identity.start, duration: 0, tracks: [], timelineHead: nil)
    }

    /// A change that is not urgent waits for the next urgent one, or for the end.
    func update(_ tracks: [Manifest.Track], thumbnails: [String: [Manifest.Thumbnail]], isUrgent: Bool) {
        lock.withLock {
            setTracks(tracks, thumbnails)
            if isUrgent { hasChanged = true }
        }
    }

    private func setTracks(_ tracks: [Manifest.Track], _ thumbnails: [String: [Manifest.Thumbnail]]) {
        manifest.tracks = tracks.map { track in
            var track = track
            track.thumbnails = thumbnails[track.file] ?? []
            return track
        }
    }

    func writeManifestIfChanged() {
        guard lock.withLock({ hasChanged }) else { return }
        do throws(StorageError) {
            try writeManifest()
            lock.withLock { hasFailed = false }
        } catch {
            let isFirst = lock.withLock {
                defer { hasFailed = true }
                return !hasFailed
            }
            let recording = lock.withLock { manifest.recording }
            if isFirst { events(.metadataFailed(recording: recording, file: "manifest.json", errno: error.errno)) }
        }
    }

    func writeManifest() throws(StorageError) {
        writing.lock()
        defer { writing.unlock() }
        let current = lock.withLock {
            hasChanged = false
            return manifest
        }
        do throws(StorageError) {
            try storage.replace(path, with: current.json)
        } catch {
            lock.withLock { hasChanged = true }
            throw error
        }
    }

    func complete(
        end: Int64, timelineHead: String, thumbnails: [String: [Manifest.Thumbnail]]
    ) -> RecordingSummary {
        lock.withLock {
            setTracks(manifest.tracks, thumbnails)
            manifest.state = .ready
            manifest.timelineHead = timelineHead
            manifest.duration = max(0, end - manifest.start)
            hasChanged = true
        }
        writeManifestIfChanged()
        return lock.withLock { manifest.summary }
    }

    func summary(at now: Int64) -> RecordingSummary {
        lock.withLock {
            var summary = manifest.summary
            summary.duration = max(0, now - manifest.start)
            return summary
        }
    }
}

extension Manifest {
    var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        // Integers, strings and arrays of them always encode.
        return (try? encoder.encode(self)).map { [UInt8]($0) } ?? []
    }

    var summary: RecordingSummary {
        RecordingSummary(
            recording: recording, room: room, title: title, started: started, duration: duration, tracks: tracks.count,
            participants: Set(tracks.map(\.participant)).count, state: state,
            bytes: tracks.reduce(0) { $0 + $1.bytes })
    }
}
