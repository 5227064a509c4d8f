// What can go wrong at the archive's front door, with what was seen, what was expected and words for people.

/// Thrown by `Archive`. A failing track never throws: it is an `ArchiveEvent`, because the other tracks go on.
package enum ArchiveError: Error, Sendable, Equatable {
    /// A system call on a file or folder failed.
    case storage(operation: String, path: String, errno: Int32)
    /// The metadata database refused.
    case database(reason: String)
    /// No recording of this id is known.
    case unknownRecording(String)
    /// A second recording of a room that is being recorded.
    case alreadyRecording(room: String)
    /// A file name that leads out of the recording's folder, or that is not one of its files.
    case unsafeName(String)
    /// A file that the recording does not have.
    case missingFile(String)

    /// Words for people.
    package var message: String {
        switch self {
        case .storage(let operation, let path, let code):
            "\(operation) of \(path) failed: \(describe(errno: code))"
        case .database(let reason): "the recordings database refused: \(reason)"
        case .unknownRecording(let id): "there is no recording \(id)"
        case .alreadyRecording(let room): "room \(room) is being recorded already"
        case .unsafeName(let name): "\(name) is not the name of a file of a recording"
        case .missingFile(let name): "the recording has no file \(name)"
        }
    }

    /// A stable word for the signalling protocol and for HTTP bodies.
    package var code: String {
        switch self {
        case .storage: "storage_failed"
        case .database: "database_failed"
        case .unknownRecording: "unknown_recording"
        case .alreadyRecording: "already_recording"
        case .unsafeName: "unsafe_name"
        case .missingFile: "missing_file"
        }
    }
}

/// What happens to a recording while it runs; for logs, metrics and the chair's screen. Carries no names of people.
package enum ArchiveEvent: Sendable, Equatable {
    /// A file of a track could not be written any further. The track goes on in a new file when the storage lets it.
    case trackFailed(recording: String, file: String, operation: String, errno: Int32)
    /// Part of a track is missing: `start` and `end` in session nanoseconds.
    case gap(recording: String, file: String, start: Int64, end: Int64, cause: Gap.Cause)
    /// The timeline or the manifest could not be written.
    case metadataFailed(recording: String, file: String, errno: Int32)
    /// The recording is complete and replayable.
    case ready(recording: String)
}
