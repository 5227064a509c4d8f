// What the archive's tests share: folders that vanish, a recording made in virtual time, ffmpeg as the judge.

import ArchiveWorkshop
import Foundation
import PacketRing

@testable import Archive

/// A folder that is removed with its owner.
final class TemporaryFolder {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "archive-tests-" + UUID().uuidString
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Collects what the recorder reports, from any thread.
final class Reports: @unchecked Sendable {
    private let lock = NSLock()
    private var gapsSeen: [(file: String, gap: Gap)] = []
    private var failuresSeen: [(file: String, error: StorageError)] = []

    func add(_ event: TrackEvent) {
        lock.withLock {
            switch event {
            case .gap(let file, let gap): gapsSeen.append((file, gap))
            case .failed(let file, let error): failuresSeen.append((file, error))
            }
        }
    }

    var gaps: [(file: String, gap: Gap)] { lock.withLock { gapsSeen } }
    var failures: [(file: String, error: StorageError)] { lock.withLock { failuresSeen } }
}

/// A recorder in virtual time.
final class VirtualRecorder {
    static let opened: UInt64 = 1_000_000_000_000

    let core: RecorderCore
    let ring: PacketRing
    let reports = Reports()
    let folder: String
    private(set) var keyFrameRequests: [(track: UInt32, time: UInt64)] = []
    private let sync: SyncGroup

    init(folder: String, storage: any Storage = PosixStorage(), start: Int64 = 0, ringCapacity: Int = 1 << 22) {
        self.folder = folder
        ring = PacketRing(capacity: ringCapacity)
        sync = SyncGroup(interval: 0.05) {}
        let reports = reports
        let context = RecordingContext(
            storage: storage, sync: sync, folder: folder, folderName: "tracks", start: start, opened: Self.opened,
            patience: 1_000_000_000, report: { reports.add($0) }, preview: { _ in })
        let ring = ring
        core = RecorderCore(context: context) { ring.requestKeyFrame(track: $0) }
    }

    deinit { sync.stop() }

    /// Plays deliveries in the order of their arrival; the recorder looks at its clock every 20 ms.
    func play(_ deliveries: [Delivery], until end: Int64? = nil) {
        let sorted = deliveries.sorted { ($0.arrival, $0.order) < ($1.arrival, $1.order) }
        var clock: UInt64 = sorted.first?.arrival ?? 0
        for delivery in sorted {
            while clock + 20_000_000 <= delivery.arrival { advance(to: &clock) }
            ring.write(delivery, opened: Self.opened)
            ring.drain { core.receive($0) }
        }
        while let end, clock < end { advance(to: &clock) }
    }

    private func advance(to clock: inout UInt64) {
        clock += 20_000_000
        core.advance(now: Self.opened + clock)
        while let track = ring.takeKeyFrameRequest() { keyFrameRequests.append((track, clock)) }
    }

    func finish(at time: Int64) { core.end(now: Self.opened + UInt64(time)) }

    func path(_ track: Manifest.Track) -> String { folder + "/" + track.file.dropFirst("tracks/".count) }
}

/// Runs a program and returns its status and output.
func run(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: Data, errors: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let output = Pipe()
    let folder = TemporaryFolder()
    let errorPath = folder.path + "/errors"
    _ = FileManager.default.createFile(atPath: errorPath, contents: nil)
    process.standardOutput = output
    process.standardError = FileHandle(forWritingAtPath: errorPath)
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let errors = FileManager.default.contents(atPath: errorPath).map { String(decoding: $0, as: UTF8.self) } ?? ""
    return (process.terminationStatus, data, errors)
}

/// What ffprobe says of a file.
struct Probe {
    var duration: Double?
    var start: Double?
    /// Presentation times of the packets, in seconds.
    var times: [Double]
    /// Complaints; empty for a file it likes.
    var errors: String

    init(_ path: String) throws {
        let (_, output, errors) = try run(
            "ffprobe",
            [
                "-v", "warning", "-print_format", "json", "-show_entries", "format=duration,start_time:packet=pts_time",
                path,
            ])
        struct Answer: Decodable {
            struct Format: Decodable {
                var duration: String?
                var start_time: String?
            }
            struct Packet: Decodable { var pts_time: String? }
            var format: Format?
            var packets: [Packet]?
        }
        let answer = try JSONDecoder().decode(Answer.self, from: output)
        duration = answer.format?.duration.flatMap(Double.init)
        start = answer.format?.start_time.flatMap(Double.init)
        times = (answer.packets ?? []).compactMap { $0.pts_time.flatMap(Double.init) }
        self.errors = errors
    }
}

/// Decoded by ffmpeg: when flashes and beeps begin, in seconds since the recording's start.
enum Onsets {
    static func flashes(_ path: String) throws -> [Double] {
        let (_, pixels, _) = try run(
            "ffmpeg",
            [
                "-v", "error", "-i", path, "-vf", "crop=iw:ih/2:0:ih/2,scale=1:1,format=gray", "-fps_mode",
                "passthrough", "-f", "rawvideo", "-",
            ])
        let times = try Probe(path).times
        var onsets: [Double] = []
        var wasOn = false
        for (time, pixel) in zip(times, pixels) {
            let isOn = pixel > 150
            if isOn, !wasOn { onsets.append(time) }
            wasOn = isOn
        }
        return onsets
    }

    static func beeps(_ path: String) throws -> [Double] {
        let (_, samples, _) = try run(
            "ffmpeg",
            [
                "-v", "error", "-i", path, "-af", "aresample=async=1", "-ac", "1", "-ar", "48000", "-f",
                "s16le", "-",
            ])
        let start = try Probe(path).start ?? 0
        var onsets: [Double] = []
        var quietSince = -48_000
        samples.withUnsafeBytes { raw in
            let values = raw.bindMemory(to: Int16.self)
            for (index, value) in values.enumerated() where value.magnitude > 2000 {
                if index - quietSince > 4800 { onsets.append(start + Double(index) / 48_000) }
                quietSince = index
            }
        }
        return onsets
    }
}
