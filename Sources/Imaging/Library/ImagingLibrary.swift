// The library: studies of one folder, their geometry, and coded frames on request.

/// Limits and habits of a library.
package struct ImagingConfiguration: Sendable {
    /// A folder is looked through again when somebody asks and this much time has passed.
    package var rescanInterval: Duration = .seconds(2)
    package var maximumFiles = 200_000
    package var maximumFolderDepth = 16
    /// Coded frames kept for the next one who asks.
    package var cacheBytes = 256 << 20

    package init() {}
}

/// A frame as it goes to the page; `Pixels/FORMAT.md` says what the bytes are.
package struct CodedFrame: Sendable, Equatable {
    package static let contentType = "application/vnd.consilium.frame"
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) {
        self.bytes = bytes
    }
}

package actor ImagingLibrary {
    private let folder: String
    private let configuration: ImagingConfiguration

    package init(folder: String, configuration: ImagingConfiguration = ImagingConfiguration()) {
        self.folder = folder
        self.configuration = configuration
    }

    package func studies() async -> [StudySummary] {
        []
    }

    package func series(_ uid: String) async throws(ImagingError) -> SeriesDetail {
        throw ImagingError(.notFound, "no series \(uid) here")
    }

    /// `frame` counts from 1.
    package func frame(sop: String, frame: Int) async throws(ImagingError) -> CodedFrame {
        throw ImagingError(.notFound, "no image \(sop) here")
    }
}
