// Makes the poster, the thumbnails and the waveform of a recording while it runs, on a thread that yields to all others.

import Foundation
import Glibc

/// Takes fragments that were just written. Bounded: when it cannot keep up, fragments pass unseen.
final class PreviewMaker: @unchecked Sendable {
    private static let mostSources = 256
    private static let mostBytes = 48 << 20
    private static let thumbnailInterval: Int64 = 10_000_000_000
    private static let mostThumbnails = 720
    private static let posterWidth = 640
    private static let thumbnailWidth = 160
    /// Linux's SCHED_IDLE: runs when nothing else wants to.
    private static let idlePolicy: Int32 = 5

    private let storage: any Storage
    private let folder: String
    private let start: Int64
    private let condition = NSCondition()
    // Guarded by `condition`.
    private var queue: [PreviewSource] = []
    private var queuedBytes = 0
    private var isEnding = false
    private var hasEnded = false
    private var thumbnails: [String: [Manifest.Thumbnail]] = [:]

    // The thread's own.
    private var decoders: [String: PictureDecoder] = [:]
    private var meters: [String: WaveformMeter] = [:]
    private var nextThumbnail: [String: Int64] = [:]
    private var thumbnailNumber = 0
    private var poster: (rank: Int, contrast: Double)?

    /// `start`: session time of the recording's start.
    init(storage: any Storage, folder: String, start: Int64) {
        self.storage = storage
        self.folder = folder
        self.start = start
        let thread = Thread { [self] in run() }
        thread.name = "archive-previews"
        thread.start()
    }

    func offer(_ source: PreviewSource) {
        condition.lock()
        defer { condition.unlock() }
        guard !isEnding, queue.count < Self.mostSources, queuedBytes + source.fragment.count < Self.mostBytes else {
            return
        }
        queue.append(source)
        queuedBytes += source.fragment.count
        condition.signal()
    }

    /// Thumbnails by file.
    func madeThumbnails() -> [String: [Manifest.Thumbnail]] {
        condition.lock()
        defer { condition.unlock() }
        return thumbnails
    }

    /// No more fragments; waits so long for the rest, and lets the thread finish alone after that.
    func finish(waiting: TimeInterval) {
        condition.lock()
        defer { condition.unlock() }
        isEnding = true
        condition.signal()
        let limit = Date(timeIntervalSinceNow: waiting)
        while !hasEnded, condition.wait(until: limit) {}
    }

    private func run() {
        var parameters = sched_param()
        pthread_setschedparam(pthread_self(), Self.idlePolicy, &parameters)
        while let source = next() { make(source) }
        writeWaveform()
        condition.lock()
        hasEnded = true
        condition.broadcast()
        condition.unlock()
    }

    private func next() -> PreviewSource? {
        condition.lock()
        defer { condition.unlock() }
        while queue.isEmpty {
            if isEnding { return nil }
            condition.wait()
        }
        let source = queue.removeFirst()
        queuedBytes -= source.fragment.count
        return source
    }

    private func make(_ source: PreviewSource) {
        source.fragment.withUnsafeBytes { bytes in
            guard let fragment = WebM.readFragment(bytes) else { return }
            if source.isVideo {
                picture(source, fragment, bytes)
            } else {
                let meter = meters[source.file] ?? WaveformMeter()
                meters[source.file] = meter
                for frame in fragment.frames {
                    meter?.add(UnsafeRawBufferPointer(rebasing: bytes[frame.range]), time: frame.time)
                }
            }
        }
    }

    private func picture(_ source: PreviewSource, _ fragment: ReadFragment, _ bytes: UnsafeRawBufferPointer) {
        guard let frame = fragment.frames.first, frame.isKey, let codec = MediaFormat.Codec(rawValue: source.codec)
        else {
            return
        }
        let isDue = frame.time >= nextThumbnail[source.file] ?? .min && thumbnailNumber < Self.mostThumbnails
        let rank = Self.rank(role: source.role)
        let isBetter = poster.map { rank > $0.rank || rank == $0.rank && $0.contrast < 200 } ?? true
        guard isDue || isBetter else { return }
        let decoder = decoders[source.file] ?? PictureDecoder(codec: codec)
        decoders[source.file] = decoder
        let pictures = decoder?.decode(
            UnsafeRawBufferPointer(rebasing: bytes[frame.range]), widths: [Self.posterWidth, Self.thumbnailWidth])
        guard let pictures, pictures.count == 2 else { return }
        if isBetter, poster.map({ rank > $0.rank || pictures[0].contrast > $0.contrast }) ?? true,
            write(pictures[0], to: "poster.png")
        {
            poster = (rank, pictures[0].contrast)
        }
        if isDue {
            nextThumbnail[source.file] = frame.time + Self.thumbnailInterval
            let name = "thumbnails/\(thumbnailNumber).png"
            guard write(pictures[1], to: name) else { return }
            thumbnailNumber += 1
            condition.lock()
            thumbnails[source.file, default: []].append(Manifest.Thumbnail(t: start + frame.time, file: name))
            condition.unlock()
        }
    }

    private func write(_ picture: SmallPicture, to name: String) -> Bool {
        guard let png = PNG.encode(picture.pixels, width: picture.width, height: picture.height) else { return false }
        do throws(StorageError) {
            try storage.replace(folder + "/" + name, with: png)
            return true
        } catch {
            // A recording without pictures is a recording.
            return false
        }
    }

    private func writeWaveform() {
        struct Waveform: Encodable {
            struct Track: Encodable {
                var file: String
                var peaks: [UInt8]
            }
            /// Milliseconds from one peak to the next; the first is at the recording's start.
            var interval = WaveformMeter.interval / 1_000_000
            var tracks: [Track]
        }
        let tracks = meters.map { Waveform.Track(file: $0.key, peaks: $0.value.peaks) }.sorted { $0.file < $1.file }
        guard !tracks.isEmpty, let bytes = try? JSONEncoder().encode(Waveform(tracks: tracks)) else { return }
        try? storage.replace(folder + "/waveform.json", with: [UInt8](bytes))
    }

    /// What a session is about is seen in these first.
    private static func rank(role: String) -> Int {
        ["camera", "vitals", "panorama", "document", "imaging", "surgicalField"].firstIndex(of: role) ?? 0
    }
}
