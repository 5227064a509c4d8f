// The archive as the gateway uses it, and what is left of it when its process is killed.

import ArchiveWorkshop
import Foundation
import Glibc
import PacketRing
import Testing

@testable import Archive

/// The program that records in real time, built beside the tests.
private func writer() throws -> String {
    let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? CommandLine.arguments[0]
    let parts = bundle.split(separator: "/", omittingEmptySubsequences: false)
    let end = parts.firstIndex { $0.hasSuffix(".xctest") } ?? parts.count - 1
    let path = parts[..<end].joined(separator: "/") + "/archive-writer"
    try #require(FileManager.default.isExecutableFile(atPath: path), "no archive-writer at \(path)")
    return path
}

@Suite("the archive")
struct ArchiveActorTests {
    @Test("a recording is listed while it runs and ready when it ends, with pictures, waveform and a whole timeline")
    func wholeRecording() async throws {
        let folder = TemporaryFolder()
        let done = try run(try writer(), [folder.path, "4", "2"])
        let lines = String(decoding: done.output, as: UTF8.self).split(separator: "\n")
        #expect(done.status == 0, "\(done.errors)")
        let recording = String(try #require(lines.first))
        let ready = lines.last.flatMap { $0.split(separator: " ").compactMap { Int($0) }.last }
        #expect((ready ?? .max) < 1000, "\(lines)")

        let archive = try await Archive(directory: folder.path)
        #expect(await archive.recover().isEmpty)
        let list = try await archive.list()
        #expect(list.map(\.recording) == [recording])
        #expect(list[0].state == .ready && list[0].tracks == 4 && list[0].participants == 2)
        #expect(abs(list[0].duration - 4_000_000_000) < 500_000_000)
        #expect(try await archive.list(matching: "umou").count == 1)
        #expect(try await archive.list(matching: "100%_").isEmpty)

        let manifest = try JSONDecoder().decode(
            Manifest.self, from: Data(try await archive.manifest(recording: recording)))
        #expect(manifest.state == .ready && manifest.tracks.count == 4)
        for track in manifest.tracks {
            let path = try await archive.fileURL(recording: recording, name: track.file)
            #expect(try Probe(path).errors == "")
            for thumbnail in track.thumbnails {
                let picture = try await archive.fileURL(recording: recording, name: thumbnail.file)
                #expect(try run("ffprobe", ["-v", "error", picture]).errors == "")
            }
        }
        #expect(manifest.tracks.contains { !$0.thumbnails.isEmpty })
        let poster = try await archive.fileURL(recording: recording, name: "poster.png")
        let size = try run(
            "ffprobe", ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", poster])
        #expect(String(decoding: size.output, as: UTF8.self) == "320,180\n")
        let waveformPath = try await archive.fileURL(recording: recording, name: "waveform.json")
        let waveform = try Data(contentsOf: URL(fileURLWithPath: waveformPath))
        struct Waveform: Decodable {
            struct Track: Decodable { var peaks: [Int] }
            var interval: Int
            var tracks: [Track]
        }
        let peaks = try JSONDecoder().decode(Waveform.self, from: waveform).tracks.map(\.peaks)
        #expect(peaks.count == 2)
        // A beep at every half second's tenth, silence between.
        #expect(peaks[0].count > 35 && peaks[0][15] > 60 && peaks[0][10] < 10, "\(peaks[0])")

        let timelinePath = try await archive.fileURL(recording: recording, name: "timeline.ndjson")
        let timeline = try Data(contentsOf: URL(fileURLWithPath: timelinePath))
        guard case .intact(_, let head, let isComplete) = Timeline.verify([UInt8](timeline)) else {
            Issue.record("the chain is broken")
            return
        }
        #expect(isComplete && head == manifest.timelineHead)
    }

    @Test(
        "names that lead elsewhere are refused",
        arguments: [
            "../archive.sqlite", "tracks/../manifest.json", "tracks/../../archive.sqlite", "/etc/passwd",
            "tracks//x.webm",
            "tracks/.hidden.webm", "tracks/x.webm.index", "tracks/x\0.webm", "tracks", "", "tracks/a b.webm",
            "tracks/%2e.webm",
            "thumbnails/x.png/..", "TRACKS/x.webm", "tracks/x.sqlite",
        ])
    func unsafeNames(name: String) async throws {
        let folder = TemporaryFolder()
        let archive = try await Archive(directory: folder.path)
        await #expect(throws: ArchiveError.unsafeName(name)) { try await archive.fileURL(recording: "0", name: name) }
    }

    @Test("a link inside a recording's folder is not followed")
    func symbolicLink() async throws {
        let folder = TemporaryFolder()
        let archive = try await Archive(directory: folder.path)
        let id = try await archive.start(
            room: "../x y", title: "t", snapshotJSON: Array("{}".utf8), roomOpenedAt: monotonicNanoseconds(),
            ring: PacketRing(capacity: 4096))
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(id) }
        #expect(names.count == 1 && names[0].contains("---x-y-") || names[0].contains(".-x-y-"), "\(names)")
        let link = folder.path + "/" + names[0] + "/tracks/link.webm"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/etc/hostname")
        await #expect(throws: ArchiveError.missingFile("tracks/link.webm")) {
            try await archive.fileURL(recording: id, name: "tracks/link.webm")
        }
        await #expect(throws: ArchiveError.alreadyRecording(room: "../x y")) {
            _ = try await archive.start(
                room: "../x y", title: "t", snapshotJSON: [], roomOpenedAt: 0, ring: PacketRing(capacity: 4096))
        }
        // Nobody ends the ring: the archive ends all the same, within half a second or so.
        let summary = try await archive.finish(recording: id)
        #expect(summary.state == .ready && summary.tracks == 0)
        await #expect(throws: ArchiveError.unknownRecording("nothing")) {
            _ = try await archive.finish(recording: "nothing")
        }
    }

    @Test("killed at any moment, every track is playable as it lies and loses no more than its last second or so")
    func killed() async throws {
        let program = try writer()
        var chance = Chance(seed: UInt64.random(in: 0...UInt64.max))
        let moments = (0..<6).map { _ in Double.random(in: 1.5...5, using: &chance) }
        await withTaskGroup(of: Void.self) { group in
            for moment in moments {
                group.addTask {
                    do {
                        try await kill(program, after: moment)
                    } catch {
                        Issue.record("killed after \(moment) s: \(error)")
                    }
                }
            }
        }
    }

    private func kill(_ program: String, after seconds: Double) async throws {
        let folder = TemporaryFolder()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = [folder.path, "30", "2"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        // Its first words: the recording has begun.
        let words = output.fileHandleForReading.availableData
        let recording = String(decoding: words, as: UTF8.self).split(separator: "\n").first.map { String($0) } ?? ""
        try await Task.sleep(for: .seconds(seconds))
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        let last = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            .split(separator: "\n").last { $0.hasPrefix("at ") }
        let handedOver = Double(last?.dropFirst(3) ?? "") ?? 0

        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).first { $0.hasSuffix(recording) })
        let tracks = folder.path + "/" + name + "/tracks"
        for file in try FileManager.default.contentsOfDirectory(atPath: tracks) where file.hasSuffix(".webm") {
            guard let content = FileContent(tracks + "/" + file), !content.times.isEmpty else { continue }
            #expect(try Probe(tracks + "/" + file).times.count >= content.times.count, "\(file) after \(seconds) s")
        }

        let archive = try await Archive(directory: folder.path)
        let began = monotonicNanoseconds()
        let recovered = await archive.recover()
        // Alone on the machine it takes milliseconds; here six recordings and other tests share it.
        #expect(monotonicNanoseconds() - began < 10_000_000_000)
        #expect(recovered.map(\.recording) == [recording])
        let manifest = try JSONDecoder().decode(
            Manifest.self, from: Data(try await archive.manifest(recording: recording)))
        #expect(manifest.state == .recovered)
        for track in manifest.tracks {
            let path = try await archive.fileURL(recording: recording, name: track.file)
            #expect(try Probe(path).errors == "", "\(track.file) after \(seconds) s")
            // A second is being gathered; the rest is the slack of a busy machine.
            let reached = Double(track.end - manifest.start) / 1e6
            #expect(reached > handedOver - 1600, "\(track.file) reaches \(reached) ms of \(handedOver) ms")
        }
        let timeline = try await archive.fileURL(recording: recording, name: "timeline.ndjson")
        guard
            case .intact(_, let head, true) = Timeline.verify(
                [UInt8](try Data(contentsOf: URL(fileURLWithPath: timeline))))
        else {
            Issue.record("the timeline is not whole after \(seconds) s")
            return
        }
        #expect(head == manifest.timelineHead)
        #expect(try await archive.list().map(\.state) == [.recovered])
        #expect(await archive.recover().isEmpty)
    }
}
