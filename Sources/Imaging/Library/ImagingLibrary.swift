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

/// How full a folder is, without a word about patients: fit for logs and metrics.
package struct FolderCounts: Sendable, Equatable {
    package var studies: Int
    package var series: Int
    package var instances: Int
    package var duplicates: Int
    package var refused: Int
}

/// One library serves all rooms. Every question looks at the folder again when the last look is older than
/// `rescanInterval`; files, pixels and coding are worked on elsewhere, so that the actor answers from memory.
///
///     let library = ImagingLibrary(folder: "/srv/dicom")
///     let studies = await library.studies()
///     let frame = try await library.frame(sop: uid, frame: 1)
package actor ImagingLibrary {
    private let folder: String
    private let configuration: ImagingConfiguration
    private let queue = ReadingQueue()
    private let clock = ContinuousClock()

    private var index = FolderIndex()
    private var lastScan: ContinuousClock.Instant?
    private var scan: Task<Void, Never>?

    private var details: [String: SeriesDetail] = [:]
    private var frames: FrameCache
    private var coding: [FrameKey: Task<Result<CodedFrame, ImagingError>, Never>] = [:]

    package init(folder: String, configuration: ImagingConfiguration = ImagingConfiguration()) {
        self.folder = folder
        self.configuration = configuration
        frames = FrameCache(maximumBytes: configuration.cacheBytes)
    }

    // MARK: - Questions

    package func studies() async -> [StudySummary] {
        await look()
        return SeriesAssembly.studies(index)
    }

    package func counts() async -> FolderCounts {
        await look()
        return FolderCounts(
            studies: Set(index.instances.values.map(\.study)).count, series: index.series.count,
            instances: index.instances.count, duplicates: index.duplicates, refused: index.refused.count)
    }

    /// What is in the folder but not in the index, for `consilium doctor`.
    package func refusedFiles() async -> [RefusedFile] {
        await look()
        return index.refused
    }

    package func series(_ uid: String) async throws(ImagingError) -> SeriesDetail {
        await look()
        if let detail = details[uid] { return detail }
        let generation = index.generation
        let instances = index.instances(ofSeries: uid)
        let folder = folder
        let detail = await queue.run {
            SeriesAssembly.detail(uid, instances) { Self.automaticWindow(folder, instances) }
        }
        guard let detail else { throw ImagingError(.notFound, "no series \(uid.prefix(64)) in the imaging folder") }
        if generation == index.generation { details[uid] = detail }
        return detail
    }

    /// `frame` counts from 1.
    package func frame(sop: String, frame: Int) async throws(ImagingError) -> CodedFrame {
        if index.instances[sop] == nil { await look() }
        guard let instance = index.instances[sop] else {
            throw ImagingError(.notFound, "no image \(sop.prefix(64)) in the imaging folder")
        }
        let key = FrameKey(sop: sop, frame: frame)
        if let coded = frames.frame(key) { return coded }
        // Many ask for the presenter's slice at once: it is coded once.
        let task: Task<Result<CodedFrame, ImagingError>, Never>
        if let running = coding[key] {
            task = running
        } else {
            let path = folder + "/" + instance.path
            task = Task { [queue] in await queue.run { Self.coded(path, instance, frame: frame) } }
            coding[key] = task
        }
        let result = await task.value
        if coding[key] == task {
            coding[key] = nil
            if case .success(let coded) = result, index.instances[sop]?.stamp == instance.stamp {
                frames.insert(coded, for: key)
            }
        }
        return try result.get()
    }

    // MARK: - The folder

    private func look() async {
        if let scan { return await scan.value }
        if let lastScan, clock.now - lastScan < configuration.rescanInterval { return }
        let task = Task { await rescan() }
        scan = task
        await task.value
    }

    private func rescan() async {
        let (index, folder, configuration) = (index, folder, configuration)
        let updated = await queue.run { index.updated(folder: folder, configuration: configuration) }
        if updated.generation != index.generation {
            self.index = updated
            details.removeAll()
            frames.removeAll()
        }
        lastScan = clock.now
        scan = nil
    }

    // MARK: - Pixels (on the reading queue)

    /// Samples of one frame, straight from the file.
    private static func samples(
        _ path: String, _ pixels: Instance.NativePixels, frame: Int
    ) throws(ImagingError) -> FrameCoding.Samples {
        let description = pixels.description
        guard frame >= 1, frame <= description.frames else {
            throw ImagingError(.notFound, "frame \(frame) of \(description.frames)")
        }
        let range = description.byteRange(ofFrame: frame - 1)
        guard let bytes = Files.read(path, offset: pixels.offset + range.lowerBound, count: range.count) else {
            throw ImagingError(.unreadable, "the image's file cannot be read")
        }
        guard bytes.count == range.count else {
            throw ImagingError(.cutOff, description.cutOff(present: range.lowerBound + bytes.count))
        }
        return description.samplesPerPixel == 3
            ? .rgb(NativeSamples.rgb(bytes, description))
            : .grey(
                NativeSamples.grey(bytes, description, frame: frame - 1), isSigned: description.isSigned)
    }

    private static func coded(_ path: String, _ instance: Instance, frame: Int) -> Result<CodedFrame, ImagingError> {
        do throws(ImagingError) {
            let pixels = try instance.pixels.get()
            let samples = try samples(path, pixels, frame: frame)
            let bytes = FrameCoding.encode(
                samples, columns: pixels.description.columns, rows: pixels.description.rows)
            return .success(CodedFrame(bytes: bytes))
        } catch {
            return .failure(error)
        }
    }

    /// From three slices spread over the series: one window for all of them, so that scrolling does not flicker.
    private static func automaticWindow(_ folder: String, _ instances: [Instance]) -> Window {
        var histogram = Histogram()
        let shown = instances.filter { (try? $0.pixels.get()) != nil }
        var rescale = Rescale(identity: ())
        for position in Set([shown.count / 4, shown.count / 2, shown.count * 3 / 4]) where position < shown.count {
            let instance = shown[position]
            guard let pixels = try? instance.pixels.get(), let image = instance.images.first,
                case .grey(let samples, let isSigned)? = try? samples(
                    folder + "/" + instance.path, pixels, frame: pixels.description.frames / 2 + 1)
            else { continue }
            histogram.add(samples, isSigned: isSigned, padding: image.padding)
            rescale = image.rescale ?? rescale
        }
        return Window.automatic(histogram, rescale: rescale)
    }
}
