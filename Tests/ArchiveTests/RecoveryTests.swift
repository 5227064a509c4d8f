// Files that were cut anywhere are playable as they lie, and are finished without losing a whole fragment.

import ArchiveWorkshop
import Foundation
import Testing

@testable import Archive

@Suite("recovery")
struct RecoveryTests {
    /// Eight seconds of recording as a crash leaves them: nothing was finished.
    private func unfinished(_ folder: TemporaryFolder) -> [String] {
        let recorder = VirtualRecorder(folder: folder.path)
        recorder.play(Sender.conversation(seconds: 0..<8, seed: 17).deliveries)
        return recorder.core.manifest.map { recorder.path($0) }
    }

    private func cut(_ path: String, at size: Int, to copy: String, withSidecar: Bool) throws {
        let data = try #require(FileManager.default.contents(atPath: path))
        try data.prefix(size).write(to: URL(fileURLWithPath: copy))
        try? FileManager.default.removeItem(atPath: MediaFile.sidecarPath(copy))
        if withSidecar {
            try FileManager.default.copyItem(atPath: MediaFile.sidecarPath(path), toPath: MediaFile.sidecarPath(copy))
        }
    }

    @Test("a file cut at any fragment's border keeps every fragment, with and without its sidecar")
    func everyBoundary() throws {
        let folder = TemporaryFolder()
        for path in unfinished(folder) {
            let whole = try #require(FileContent(path))
            #expect(whole.boundaries.count >= 7)
            let copy = folder.path + "/copy.webm"
            for (index, boundary) in whole.boundaries.enumerated() {
                for withSidecar in [true, false] {
                    try cut(path, at: boundary, to: copy, withSidecar: withSidecar)
                    let recovered = try #require(try FileRecovery.finish(PosixStorage(), path: copy))
                    #expect(recovered.bytesCut == 0)
                    let content = try #require(FileContent(copy))
                    #expect(content.boundaries == Array(whole.boundaries.prefix(index + 1)))
                    #expect(recovered.frames == Int64(content.times.count))
                    #expect(
                        FragmentRecord.read([UInt8](try Data(contentsOf: URL(fileURLWithPath: copy + ".index")))).count
                            == index + 1)
                }
            }
            let probe = try Probe(copy)
            #expect(probe.errors == "")
            #expect(abs((probe.duration ?? 0) - Double(whole.times.last ?? 0) / 1e9) < 0.1)
        }
    }

    @Test("a file cut at any byte loses only the fragment that was cut")
    func anyByte() throws {
        let folder = TemporaryFolder()
        var chance = Chance(seed: 99)
        for path in unfinished(folder) {
            let whole = try #require(FileContent(path))
            let copy = folder.path + "/copy.webm"
            for round in 0..<60 {
                let size = Int.random(in: 0..<(whole.boundaries.last ?? 0), using: &chance)
                let kept = whole.boundaries.filter { $0 <= size }
                try cut(path, at: size, to: copy, withSidecar: round % 2 == 0)
                if round % 10 == 0, !kept.isEmpty {
                    // As it lies: ffmpeg plays what is whole.
                    #expect(try Probe(copy).times.count >= FileContent(copy)?.times.count ?? 0)
                }
                let recovered = try FileRecovery.finish(PosixStorage(), path: copy)
                guard !kept.isEmpty else {
                    #expect(recovered == nil, "cut at \(size)")
                    continue
                }
                #expect(recovered?.bytesCut == Int64(size - (kept.last ?? 0)), "cut at \(size)")
                #expect(FileContent(copy)?.boundaries == kept)
                if round % 10 == 0 { #expect(try Probe(copy).errors == "") }
            }
        }
    }

    @Test("a tail of the right length but with the wrong bytes is found by its checksum")
    func zeroedTail() throws {
        let folder = TemporaryFolder()
        let path = unfinished(folder)[0]
        let whole = try #require(FileContent(path))
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        let last = whole.boundaries[whole.boundaries.count - 2]
        bytes.replaceSubrange((last + 600)..<bytes.count, with: Data(count: bytes.count - last - 600))
        let copy = folder.path + "/copy.webm"
        try cut(path, at: bytes.count, to: copy, withSidecar: true)
        try bytes.write(to: URL(fileURLWithPath: copy))
        let recovered = try FileRecovery.finish(PosixStorage(), path: copy)
        #expect(FileContent(copy)?.boundaries == Array(whole.boundaries.dropLast()))
        #expect(recovered?.bytesCut == Int64(bytes.count - last))
    }

    @Test("finishing a finished file changes nothing")
    func idempotent() throws {
        let folder = TemporaryFolder()
        let path = unfinished(folder)[0]
        _ = try FileRecovery.finish(PosixStorage(), path: path)
        let once = try Data(contentsOf: URL(fileURLWithPath: path))
        _ = try FileRecovery.finish(PosixStorage(), path: path)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == once)
    }

    @Test("a finished file has an index: each key frame, the duration, and a known size")
    func finishedIndex() throws {
        let folder = TemporaryFolder()
        let recorder = VirtualRecorder(folder: folder.path)
        recorder.play(Sender.conversation(seconds: 0..<8, seed: 17).deliveries)
        recorder.finish(at: 8_500_000_000)
        for track in recorder.core.manifest {
            let content = try #require(FileContent(recorder.path(track)))
            #expect(content.rest > 20)
            // A seek reads the index instead of the file: the packet found is the one before the wanted time.
            let (_, output, errors) = try run(
                "ffprobe",
                [
                    "-v", "warning", "-read_intervals", "5%+#1", "-show_entries", "packet=pts_time", "-of", "csv=p=0",
                    recorder.path(track),
                ])
            #expect(errors == "")
            let first = Double(String(decoding: output, as: UTF8.self).prefix { $0 != "\n" && $0 != "," }) ?? 0
            #expect(first > 3.9 && first <= 5.05)
        }
    }
}

@Suite("a recorder whose storage fails")
struct FaultTests {
    @Test("the nth write failing, for every n, costs one file's tail and no other file")
    func everyWrite() throws {
        let deliveries = Sender.conversation(seconds: 0..<6, seed: 31, keyEvery: 30).deliveries
        let counting = FaultyStorage(.none)
        do {
            let folder = TemporaryFolder()
            let recorder = VirtualRecorder(folder: folder.path, storage: counting)
            recorder.play(deliveries)
            recorder.finish(at: 6_500_000_000)
        }
        #expect(counting.count > 20)
        for n in 1...counting.count {
            let folder = TemporaryFolder()
            let recorder = VirtualRecorder(folder: folder.path, storage: FaultyStorage(.once(at: n, errno: EIO)))
            recorder.play(deliveries)
            recorder.finish(at: 6_500_000_000)
            let tracks = recorder.core.manifest
            #expect(Set(tracks.map(\.kind)) == ["video", "audio"], "write \(n)")
            for track in tracks {
                let path = recorder.path(track)
                guard let content = FileContent(path) else {
                    Issue.record("write \(n): \(track.file) is no media file")
                    continue
                }
                if content.rest > 0, recorder.reports.failures.isEmpty || n % 5 == 0 {
                    #expect(try Probe(path).errors == "", "write \(n)")
                }
            }
            // Six seconds of each kind, less what a failed fragment and the wait for the next file cost.
            for kind in ["video", "audio"] {
                let covered = tracks.filter { $0.kind == kind }.reduce(0) { $0 + $1.end - $1.start }
                #expect(covered > 1_900_000_000, "write \(n): \(kind) has \(covered)")
            }
        }
    }

    @Test("a disk that is full from the nth write on leaves files that are whole but for their tail")
    func fullDisk() throws {
        let deliveries = Sender.conversation(seconds: 0..<6, seed: 32, keyEvery: 30).deliveries
        for n in [5, 6, 9, 12, 15, 18, 21, 24, 27] {
            let folder = TemporaryFolder()
            let recorder = VirtualRecorder(folder: folder.path, storage: FaultyStorage(.full(from: n)))
            recorder.play(deliveries)
            recorder.finish(at: 6_500_000_000)
            #expect(!recorder.reports.failures.isEmpty)
            for track in recorder.core.manifest {
                let path = recorder.path(track)
                guard let content = FileContent(path), !content.boundaries.isEmpty else { continue }
                let recovered = try FileRecovery.finish(PosixStorage(), path: path)
                #expect(recovered?.frames == Int64(content.times.count), "from write \(n)")
                #expect(try Probe(path).errors == "", "from write \(n)")
            }
        }
    }

    @Test("one track's failing file does not touch the other track")
    func oneFile() throws {
        let folder = TemporaryFolder()
        let storage = FaultyStorage(.file("camera", from: 8, errno: EIO))
        let recorder = VirtualRecorder(folder: folder.path, storage: storage)
        recorder.play(Sender.conversation(seconds: 0..<6, seed: 33).deliveries)
        recorder.finish(at: 6_500_000_000)
        #expect(recorder.reports.failures.allSatisfy { $0.error.path.contains("camera") })
        let audio = try #require(recorder.core.manifest.first { $0.kind == "audio" })
        #expect(audio.gaps.isEmpty)
        #expect(audio.end - audio.start > 5_900_000_000)
        #expect(try Probe(recorder.path(audio)).errors == "")
    }
}
