// VP9, AV1 and H.264 made by ffmpeg, packetised, recorded: every decoded picture equals the original's.

import ArchiveWorkshop
import Foundation
import Testing

@testable import Archive

/// The frames of an IVF file.
private func ivfFrames(_ data: Data) -> [[UInt8]] {
    let bytes = [UInt8](data)
    var frames: [[UInt8]] = []
    var at = 32
    while at + 12 <= bytes.count {
        let size = (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
        guard at + 12 + size <= bytes.count else { break }
        frames.append(Array(bytes[at + 12..<at + 12 + size]))
        at += 12 + size
    }
    return frames
}

/// The access units of an Annex B stream in which each begins with a delimiter.
private func accessUnits(_ data: Data) -> [[[UInt8]]] {
    let bytes = [UInt8](data)
    var starts: [(code: Int, unit: Int)] = []
    var at = 0
    while at + 3 <= bytes.count {
        if bytes[at] == 0, bytes[at + 1] == 0, bytes[at + 2] == 1 {
            starts.append((at > 0 && bytes[at - 1] == 0 ? at - 1 : at, at + 3))
            at += 3
        } else {
            at += 1
        }
    }
    var pictures: [[[UInt8]]] = []
    for (index, start) in starts.enumerated() {
        let unit = Array(bytes[start.unit..<(index + 1 < starts.count ? starts[index + 1].code : bytes.count)])
        if unit[0] & 0x1F == 9 {
            pictures.append([])
        } else if !pictures.isEmpty {
            pictures[pictures.count - 1].append(unit)
        }
    }
    return pictures
}

/// RFC 6184, packetization mode 1: parameter sets together, slices in fragments.
private func h264Payloads(_ units: [[UInt8]]) -> [[UInt8]] {
    var payloads: [[UInt8]] = []
    let sets = units.filter { [7, 8].contains($0[0] & 0x1F) }
    if sets.count > 1 {
        payloads.append([0x78] + sets.flatMap { [UInt8($0.count >> 8), UInt8($0.count & 0xFF)] + $0 })
    } else {
        payloads += sets
    }
    for unit in units where ![7, 8].contains(unit[0] & 0x1F) {
        guard unit.count > 900 else {
            payloads.append(unit)
            continue
        }
        for start in stride(from: 1, to: unit.count, by: 900) {
            let end = min(unit.count, start + 900)
            let flags: UInt8 = (start == 1 ? 0x80 : 0) | (end == unit.count ? 0x40 : 0)
            payloads.append([unit[0] & 0xE0 | 28, flags | unit[0] & 0x1F] + unit[start..<end])
        }
    }
    return payloads
}

/// RFC 9628, non-flexible mode, one layer.
private func vp9Payloads(_ frame: [UInt8], picture: Int, isKey: Bool) -> [[UInt8]] {
    stride(from: 0, to: frame.count, by: 900).map { start in
        let end = min(frame.count, start + 900)
        let flags: UInt8 = 0x80 | (isKey ? 0 : 0x40) | (start == 0 ? 0x08 : 0) | (end == frame.count ? 0x04 : 0)
        return [flags, 0x80 | UInt8(picture >> 8 & 0x7F), UInt8(picture & 0xFF)] + frame[start..<end]
    }
}

/// AV1: the OBUs of a temporal unit without their sizes, each with a length before it, cut anywhere.
private func av1Payloads(_ unit: [UInt8]) -> [[UInt8]] {
    func leb128(_ value: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        repeat {
            bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return bytes
    }
    var elements: [[UInt8]] = []
    var at = 0
    while at < unit.count {
        let header = unit[at]
        var start = at + 1 + (header & 4 != 0 ? 1 : 0)
        var size = 0
        var shift = 0
        while true {
            size |= Int(unit[start] & 0x7F) << shift
            shift += 7
            start += 1
            if unit[start - 1] & 0x80 == 0 { break }
        }
        let type = header >> 3 & 0x0F
        if type != 2 { elements.append([header & ~0x02] + unit[start..<start + size]) }
        at = start + size
    }
    var payloads: [[UInt8]] = []
    for (index, element) in elements.enumerated() {
        for begin in stride(from: 0, to: element.count, by: 900) {
            let end = min(element.count, begin + 900)
            let startsSequence = index == 0 && begin == 0 && element[0] >> 3 & 0x0F == 1
            let flags: UInt8 =
                (begin > 0 ? 0x80 : 0) | (end < element.count ? 0x40 : 0) | (startsSequence ? 0x08 : 0)
            payloads.append([flags] + leb128(end - begin) + element[begin..<end])
        }
    }
    return payloads
}

/// The pictures' checksums as ffmpeg decodes them.
private func pictures(_ path: String) throws -> [String] {
    let (_, output, errors) = try run(
        "ffmpeg", ["-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "framemd5", "-"])
    #expect(errors == "")
    return String(decoding: output, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap {
        $0.split(separator: ",").last.map { $0.trimmingCharacters(in: .whitespaces) }
    }
}

@Suite("codecs")
struct CodecTests {
    private static let video = StreamSpecification(track: 1, ssrc: 7, clockRate: 90_000, payloadType: 102)

    private func encode(_ arguments: [String], to path: String, size: String = "320x180", seconds: Int = 4) throws
        -> Bool
    {
        let source = "testsrc2=size=\(size):rate=15:duration=\(seconds)"
        let done = try run(
            "ffmpeg", ["-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"] + arguments + ["-y", path])
        if done.status != 0 { print("skipped: ffmpeg has no such encoder: \(done.errors)") }
        return done.status == 0
    }

    private func record(
        _ frames: [[[UInt8]]], codec: String, folder: TemporaryFolder, begin: Int64 = 1_000_000_000,
        sender: Sender? = nil
    ) -> VirtualRecorder {
        let sender = sender ?? Sender(participant: "p9", seed: 77)
        sender.declare(
            1, stream: "screen", kind: "video", role: "document", codec: codec, clockRate: 90_000, payloadType: 102,
            at: begin)
        for (index, payloads) in frames.enumerated() {
            sender.send(payloads, Self.video, at: begin + Int64(index) * 1_000_000_000 / 15)
        }
        let recorder = VirtualRecorder(folder: folder.path)
        recorder.play(sender.deliveries)
        recorder.finish(at: begin + Int64(frames.count) * 1_000_000_000 / 15 + 500_000_000)
        return recorder
    }

    private func check(_ recorder: VirtualRecorder, original: String, file: String) throws {
        let tracks = recorder.core.manifest
        #expect(tracks.count == 1)
        let track = try #require(tracks.first)
        #expect(track.file.hasSuffix(file))
        #expect(track.width == 320 && track.height == 180)
        let probe = try Probe(recorder.path(track))
        #expect(probe.errors == "")
        #expect(abs((probe.start ?? 0) - 1.02) < 0.04, "starts at \(probe.start ?? -1)")
        #expect(abs((probe.times.last ?? 0) - (probe.start ?? 0) - 59.0 / 15) < 0.01)
        #expect(try pictures(recorder.path(track)) == pictures(original))
        // Cut inside its last fragment, it is recovered without it.
        let content = try #require(FileContent(recorder.path(track)))
        let copy = recorder.folder + "/copy." + file
        let cut = content.boundaries.count > 2 ? content.boundaries[content.boundaries.count - 2] + 100 : 0
        try Data(contentsOf: URL(fileURLWithPath: recorder.path(track))).prefix(cut).write(
            to: URL(fileURLWithPath: copy))
        let recovered = try FileRecovery.finish(PosixStorage(), path: copy)
        #expect(recovered?.bytesCut == 100)
        #expect(try Probe(copy).errors == "")
    }

    @Test("H.264 goes into a fragmented MP4 with its index")
    func h264() throws {
        let folder = TemporaryFolder()
        let original = folder.path + "/original.h264"
        let arguments = [
            "-c:v", "libx264", "-profile:v", "baseline", "-g", "15", "-bf", "0", "-bsf:v", "h264_metadata=aud=insert",
        ]
        guard try encode(arguments, to: original) else { return }
        let units = accessUnits(try Data(contentsOf: URL(fileURLWithPath: original)))
        #expect(units.count == 60)
        let recorder = record(units.map(h264Payloads), codec: "H264", folder: folder)
        try check(recorder, original: original, file: "mp4")
        let path = recorder.path(recorder.core.manifest[0])
        #expect(abs((try Probe(path).duration ?? 0) - 4) < 1.1)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(bytes.range(of: Data("sidx".utf8)) != nil && bytes.range(of: Data("mehd".utf8)) != nil)
        #expect(
            recorder.core.manifest[0].mime == "video/mp4; codecs=\"avc1.42c00c\"", "\(recorder.core.manifest[0].mime)")
    }

    @Test("VP9 goes into WebM")
    func vp9() throws {
        let folder = TemporaryFolder()
        let original = folder.path + "/original.ivf"
        let arguments = [
            "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "15", "-lag-in-frames", "0",
        ]
        guard try encode(arguments, to: original) else { return }
        let frames = ivfFrames(try Data(contentsOf: URL(fileURLWithPath: original)))
        let payloads = frames.enumerated().map { index, frame in
            // VP9's uncompressed header: frame marker 2, profile 2, show existing 1, frame type 1 (0 is a key frame).
            vp9Payloads(frame, picture: 32_700 + index, isKey: frame[0] & 0x04 == 0)
        }
        try check(record(payloads, codec: "VP9", folder: folder), original: original, file: "webm")
    }

    @Test("AV1 goes into WebM with its configuration record")
    func av1() throws {
        let folder = TemporaryFolder()
        let original = folder.path + "/original.ivf"
        guard
            try encode(
                ["-c:v", "libsvtav1", "-preset", "12", "-g", "15", "-svtav1-params", "pred-struct=1"], to: original)
        else { return }
        let frames = ivfFrames(try Data(contentsOf: URL(fileURLWithPath: original)))
        try check(record(frames.map(av1Payloads), codec: "AV1", folder: folder), original: original, file: "webm")
    }

    @Test("new parameter sets begin a new file")
    func h264Change() throws {
        let folder = TemporaryFolder()
        let paths = [folder.path + "/one.h264", folder.path + "/other.h264"]
        for (path, size) in zip(paths, ["320x180", "160x120"]) {
            let arguments = [
                "-c:v", "libx264", "-profile:v", "high", "-g", "15", "-bf", "0", "-bsf:v", "h264_metadata=aud=insert",
            ]
            guard try encode(arguments, to: path, size: size, seconds: 2) else { return }
        }
        let units = try paths.flatMap { accessUnits(try Data(contentsOf: URL(fileURLWithPath: $0))) }
        let recorder = record(units.map(h264Payloads), codec: "H264", folder: folder)
        let tracks = recorder.core.manifest
        #expect(tracks.map(\.width) == [320, 160])
        #expect(tracks.map(\.frames) == [30, 30])
        #expect(abs(tracks[1].start - tracks[0].end) < 100_000_000)
        for (track, path) in zip(tracks, paths) {
            #expect(try Probe(recorder.path(track)).errors == "")
            #expect(try pictures(recorder.path(track)) == pictures(path))
        }
    }

    @Test("random bytes in every payload format neither trap nor stop the recorder")
    func randomPayloads() throws {
        for (index, codec) in ["VP8", "VP9", "AV1", "H264", "opus"].enumerated() {
            let folder = TemporaryFolder()
            var chance = Chance(seed: UInt64(index) + 5)
            let sender = Sender(participant: "p1", seed: 3)
            let frames: [[[UInt8]]] = (0..<400).map { _ in
                (0..<Int.random(in: 1...3, using: &chance)).map { _ in
                    let first: [UInt8] = [0x10, 0x90, 0x08, 0x18, 0x67, 0x68, 0x65, 0x7C, 0x78, 0xF8]
                    return [first.randomElement(using: &chance) ?? 0]
                        + (0..<Int.random(in: 0...60, using: &chance)).map { _ in
                            UInt8.random(in: 0...255, using: &chance)
                        }
                }
            }
            let recorder = record(frames, codec: codec, folder: folder, sender: sender)
            #expect(recorder.reports.failures.isEmpty)
            for track in recorder.core.manifest { #expect(FileContent(recorder.path(track)) != nil) }
        }
    }
}
