// manifest.json and the list of recordings as values. All times are nanoseconds: session time counts from the opening of
// the room, like every event's `t`.

/// A recording's life: it is being written, it was ended properly, or it was finished after a crash.
package enum RecordingState: String, Codable, Sendable {
    case recording, ready, recovered
}

/// One row of the list of recordings.
package struct RecordingSummary: Codable, Sendable, Equatable {
    package var recording: String
    package var room: String
    package var title: String
    /// Wall clock, ISO 8601 in UTC.
    package var started: String
    /// Nanoseconds.
    package var duration: Int64
    package var tracks: Int
    package var participants: Int
    package var state: RecordingState
    package var bytes: Int64
}

/// What `recover()` found unfinished, and what it made of it.
package struct RecoveredRecording: Sendable, Equatable {
    package var recording: String
    package var room: String
    package var duration: Int64
    package var tracks: Int
    /// Bytes of torn tails that were cut off.
    package var bytesCut: Int64
}

/// A part of a track that is not there.
package struct Gap: Codable, Sendable, Equatable {
    package enum Cause: String, Codable, Sendable {
        /// Packets that never came.
        case loss
        /// The recorder could not keep up.
        case dropped
        /// The sender sent nothing: muted, paused, away.
        case paused
        /// The sender began anew with other identifiers or clocks.
        case restart
        /// The file could not be written.
        case storage
    }
    /// Session time, nanoseconds.
    package var start: Int64
    package var end: Int64
    package var cause: Cause
}

/// How well a track's clock is known, best last.
package enum SyncQuality: String, Codable, Sendable {
    /// By the arrival of its packets alone.
    case arrival
    /// By one sender report.
    case single = "sr-single"
    /// By a line through several sender reports.
    case regression = "sr-regression"
}

/// `manifest.json`: what a recording consists of.
package struct Manifest: Codable, Sendable, Equatable {
    /// A still picture of a track.
    package struct Thumbnail: Codable, Sendable, Equatable {
        /// Session time, nanoseconds.
        package var t: Int64
        package var file: String
    }

    /// One file of one track. A track that changes its codec's set-up goes on in a further file.
    package struct Track: Codable, Sendable, Equatable {
        package var participant: String
        package var stream: String
        package var kind: String
        package var role: String
        package var codec: String
        /// Below the recording's folder.
        package var file: String
        package var mime: String
        /// Session time of the first frame and of the end of the last one, nanoseconds.
        package var start: Int64
        package var end: Int64
        package var width: Int?
        package var height: Int?
        package var bytes: Int64
        package var frames: Int64
        package var packetsLost: Int64
        package var sync: SyncQuality
        package var gaps: [Gap]
        package var thumbnails: [Thumbnail]
    }

    package var version = 1
    package var recording: String
    package var room: String
    package var title: String
    package var state: RecordingState
    /// Wall clock, ISO 8601 in UTC.
    package var started: String
    /// Session time at which the recording began: time 0 of every file. Nanoseconds.
    package var start: Int64
    package var duration: Int64
    package var tracks: [Track]
    /// The SHA-256 of the timeline's last line, in hexadecimal, once it is complete.
    package var timelineHead: String?
}
