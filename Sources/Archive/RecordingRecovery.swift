// Finishes a whole recording after a crash: every media file, the timeline, the manifest.

import Foundation

enum RecordingRecovery {
    struct Result: Sendable {
        var manifest: Manifest
        var bytesCut: Int64
        var wasUnfinished: Bool
    }

    /// Nil for a folder without a readable manifest. A recording that was complete is only read.
    static func finish(_ storage: any Storage, folder: String) -> Result? {
        guard var manifest = readManifest(storage, folder) else { return nil }
        guard manifest.state == .recording else { return Result(manifest: manifest, bytesCut: 0, wasUnfinished: false) }

        addUnlisted(to: &manifest, folder: folder)
        var cut: Int64 = 0
        manifest.tracks = manifest.tracks.compactMap { entry in
            var entry = entry
            do throws(StorageError) {
                guard let file = try FileRecovery.finish(storage, path: folder + "/" + entry.file) else { return nil }
                entry.start = manifest.start + file.start
                entry.end = manifest.start + file.end
                entry.frames = file.frames
                entry.bytes = file.bytes
                cut += file.bytesCut
            } catch {
                // It stays listed as far as it was known: perhaps the storage is only away for now.
            }
            return entry
        }
        var end = manifest.tracks.map(\.end).max() ?? manifest.start
        if let timeline = try? Timeline.recover(storage, path: folder + "/timeline.ndjson") {
            manifest.timelineHead = timeline.head
            end = max(end, timeline.lastTime ?? end)
            cut += timeline.cut
        }
        manifest.duration = max(0, end - manifest.start)
        manifest.state = .recovered
        try? storage.replace(folder + "/manifest.json", with: manifest.json)
        return Result(manifest: manifest, bytesCut: cut, wasUnfinished: true)
    }

    private static func readManifest(_ storage: any Storage, _ folder: String) -> Manifest? {
        guard let file = try? storage.open(folder + "/manifest.json"), let bytes = try? file.readAll() else {
            return nil
        }
        defer { file.close() }
        return try? JSONDecoder().decode(Manifest.self, from: Data(bytes))
    }

    /// Files of the last moments, which the manifest does not know: their names say whose they are.
    private static func addUnlisted(to manifest: inout Manifest, folder: String) {
        let known = Set(manifest.tracks.map(\.file))
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/tracks")) ?? []
        for name in names.sorted() where name.hasSuffix(".webm") || name.hasSuffix(".mp4") {
            guard !known.contains("tracks/" + name) else { continue }
            // <participant>-<stream>-<track>-<file number>.<extension>
            let parts = name.prefix(while: { $0 != "." }).split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count >= 4 else { continue }
            guard let format = headerFormat(folder + "/tracks/" + name) else { continue }
            manifest.tracks.append(
                Manifest.Track(
                    participant: String(parts[0]), stream: parts[1..<parts.count - 2].joined(separator: "-"),
                    kind: format.isVideo ? "video" : "audio", role: format.isVideo ? "camera" : "audio",
                    codec: format.codec.rawValue, file: "tracks/" + name, mime: format.mime, start: manifest.start,
                    end: manifest.start, width: nil, height: nil, bytes: 0, frames: 0, packetsLost: 0, sync: .arrival,
                    gaps: [], thumbnails: []))
        }
    }

    /// The codec, by the name that the header carries.
    private static func headerFormat(_ path: String) -> MediaFormat? {
        guard let front = FileManager.default.contents(atPath: path)?.prefix(4096) else { return nil }
        let names: [(String, MediaFormat.Codec)] = [
            ("V_VP8", .vp8), ("V_VP9", .vp9), ("V_AV1", .av1), ("A_OPUS", .opus), ("avcC", .h264),
        ]
        for (name, codec) in names where front.range(of: Data(name.utf8)) != nil { return MediaFormat(codec: codec) }
        return nil
    }
}
