// The archive's front door: starts, feeds, ends, lists and recovers recordings. Who may do what is decided elsewhere.

/// How the archive works; the defaults are right for a server.
package struct ArchiveOptions: Sendable {
    package init() {}
}

/// All recordings below one folder.
package actor Archive {
    /// What happens to recordings while they run. One reader.
    package nonisolated let events: AsyncStream<ArchiveEvent>
    private let continuation: AsyncStream<ArchiveEvent>.Continuation

    package init(directory: String, options: ArchiveOptions = ArchiveOptions()) async throws(ArchiveError) {
        (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1024))
    }

    /// Finishes what a crash left unfinished. To be called once, before the first `start`.
    package func recover() async -> [RecoveredRecording] { [] }

    /// Begins to record a room. `snapshotJSON` is its RoomState now, `roomOpenedAt` CLOCK_MONOTONIC nanoseconds of the
    /// moment at which session time is 0. Returns the recording's id.
    package func start(
        room: String, title: String, snapshotJSON: [UInt8], roomOpenedAt: UInt64, ring: any RecordSource
    ) async throws(ArchiveError) -> String { "" }

    /// Adds one event, already serialised as one JSON object, to the timeline.
    package func append(recording: String, eventJSON: [UInt8]) {}

    /// Adds the room's state to the timeline, for fast seeks; every 30 s or so. `t` is session time.
    package func snapshot(recording: String, t: Int64, stateJSON: [UInt8]) {}

    /// Ends a recording; it is replayable when this returns. Call it after the media engine was told to stop: what is in
    /// the source until its `.end` is still written.
    package func finish(recording: String) async throws(ArchiveError) -> RecordingSummary {
        throw .unknownRecording(recording)
    }

    /// Ends all recordings; for the server's own end.
    package func finishAll() async {}

    /// Newest first; `matching` searches title and room.
    package func list(matching text: String? = nil) async throws(ArchiveError) -> [RecordingSummary] { [] }

    package func summary(recording: String) async throws(ArchiveError) -> RecordingSummary {
        throw .unknownRecording(recording)
    }

    /// `manifest.json` as it stands.
    package func manifest(recording: String) async throws(ArchiveError) -> [UInt8] {
        throw .unknownRecording(recording)
    }

    /// The path of one file of a recording: `manifest.json`, `timeline.ndjson`, `poster.png`, `waveform.json`,
    /// `tracks/<file>` or `thumbnails/<file>`. Anything else is refused.
    package func fileURL(recording: String, name: String) async throws(ArchiveError) -> String {
        throw .unsafeName(name)
    }
}
