// One published track into files: chooses the encoding, starts at key frames, keeps gaps as gaps, changes files.

import PacketRing
import WireFormats

/// What a track recorder needs from its recording.
struct RecordingContext {
    let storage: any Storage
    let sync: SyncGroup
    /// The folder the files go to, and its name in the manifest.
    let folder: String
    let folderName: String
    /// Session time of the recording's start: time 0 of every file.
    let start: Int64
    /// CLOCK_MONOTONIC nanoseconds of session time 0.
    let opened: UInt64
    let patience: UInt64
    let report: @Sendable (TrackEvent) -> Void
    let preview: @Sendable (PreviewSource) -> Void
}

/// What a track tells its recording.
enum TrackEvent {
    case gap(file: String, Gap)
    case failed(file: String, StorageError)
}

/// A fragment that was written, for pictures and waveforms.
struct PreviewSource: Sendable {
    let file: String
    let role: String
    let isVideo: Bool
    let codec: String
    let fragment: [UInt8]
}

/// Confined to the recorder's thread.
final class TrackRecorder {
    /// A hole in the sound up to here is filled with packets of silence, because browsers play over a hole as if it were
    /// not there; a longer one ends the file, and the next begins where the sound does.
    private static let longestFill: Int64 = 2_000_000_000
    private static let shortestPause: Int64 = 3_000_000_000
    private static let shortestAudioGap: Int64 = 60_000_000
    private static let mostGaps = 2_000
    private static let mostLanes = 8
    private static let retryDelay: UInt64 = 2_000_000_000
    private static let fragmentAge: UInt64 = 1_000_000_000

    let declaration: TrackDeclaration
    private let codec: MediaFormat.Codec
    private let context: RecordingContext
    private let sender: SenderClock
    private let requestKeyFrame: () -> Void

    private var lanes: [Lane] = []
    private var selected: Lane?
    private var file: MediaFile?
    private var entries: [Manifest.Track] = []
    private var lastTime: Int64?
    private var expectedEnd: Int64 = 0
    private var nextRequest: UInt64 = 0
    private var requestsInARow = 0
    private var retryAt: UInt64 = 0
    private var ringDropped = false
    private var storageGap = false
    private(set) var hasChanged = false
    private(set) var hasEnded = false

    /// Nil for a codec that is not recorded.
    init?(
        _ declaration: TrackDeclaration, context: RecordingContext, sender: SenderClock,
        requestKeyFrame: @escaping () -> Void
    ) {
        let known: [MediaFormat.Codec] = [.vp8, .vp9, .av1, .h264, .opus]
        let name = declaration.codec.lowercased()
        guard let codec = known.first(where: { $0.rawValue.lowercased() == name }) else { return nil }
        self.declaration = declaration
        self.codec = codec
        self.context = context
        self.sender = sender
        self.requestKeyFrame = requestKeyFrame
    }

    var manifest: [Manifest.Track] { entries }

    func takeChange() -> Bool {
        defer { hasChanged = false }
        return hasChanged
    }

    // MARK: records

    func receive(_ bytes: UnsafeRawBufferPointer, encoding: UInt8, arrival: UInt64) {
        guard let lane = lane(encoding) else { return }
        lane.receive(bytes, arrival: arrival) { accept($0, from: lane) }
    }

    func report(encoding: UInt8, clock: SenderReportClock, arrival: UInt64) {
        lane(encoding)?.report(clock, arrival: arrival)
    }

    func ringHasDropped() { ringDropped = true }

    func advance(now: UInt64) {
        for lane in lanes { lane.advance(now: now) { accept($0, from: lane) } }
        do throws(StorageError) {
            if let file, let written = try file.flush(olderThan: Self.fragmentAge, now: now) { preview(written) }
        } catch {
            fail(error, now: now)
        }
        askForKeyFrame(now: now)
    }

    /// Nothing more will come: what waits is written and the file finished.
    func end(now: UInt64) {
        guard !hasEnded else { return }
        for lane in lanes { lane.flush { accept($0, from: lane) } }
        closeFile(now: now)
        hasEnded = true
    }

    private func lane(_ encoding: UInt8) -> Lane? {
        if let lane = lanes.first(where: { $0.encoding == encoding }) { return lane }
        guard lanes.count < Self.mostLanes, !hasEnded else { return nil }
        let lane = Lane(
            encoding: encoding, codec: codec, declaration: declaration, patience: context.patience,
            opened: context.opened, sender: sender)
        lanes.append(lane)
        return lane
    }

    /// Asks while there is something to hope for: nothing chosen yet, the chosen one broken, or a flowing encoding that has
    /// never shown its size.
    private func askForKeyFrame(now: UInt64) {
        guard codec != .opus, !hasEnded, now >= nextRequest else { return }
        let wanted = lanes.contains { lane in
            guard now < lane.lastPacket || now &- lane.lastPacket < 1_000_000_000 else { return false }
            if lane.area == 0 { return true }
            if lane === selected { return lane.needsKey || file == nil && now >= retryAt }
            return selected.map { !$0.isFlowing(at: now) } ?? true
        }
        guard wanted else {
            requestsInARow = 0
            return
        }
        requestsInARow += 1
        nextRequest = now &+ (requestsInARow < 6 ? 500_000_000 : 2_000_000_000)
        requestKeyFrame()
    }

    // MARK: frames

    private func accept(_ frame: TimedFrame, from lane: Lane) {
        if codec == .opus {
            selected = lane
            return writeAudio(frame, from: lane)
        }
        if frame.frame.isKey, let format = frame.frame.format { lane.area = format.width * format.height }
        if selected !== lane {
            guard frame.frame.isKey else { return }
            if let selected, selected.isFlowing(at: frame.arrival), selected.area >= lane.area { return }
            selected = lane
        }
        writeVideo(frame, from: lane)
    }

    private func writeVideo(_ timed: TimedFrame, from lane: Lane) {
        var time = max(0, timed.time - context.start)
        if timed.frame.isKey, let size = timed.frame.format {
            let format = MediaFormat(
                codec: codec, width: size.width, height: size.height, codecPrivate: size.codecPrivate)
            if let file, !file.format.continues(in: format) { closeFile(now: timed.arrival) }
            if file == nil { openFile(format, now: timed.arrival) }
            if var entry = entries.last, file != nil,
                size.width * size.height > (entry.width ?? 0) * (entry.height ?? 0)
            {
                entry.width = size.width
                entry.height = size.height
                replaceLast(entry)
            }
        }
        guard file != nil else { return }
        if let lastTime {
            if timed.followsRestart {
                note(from: lastTime, to: time, .restart)
            } else if timed.followsLoss, timed.frame.isKey, time - lastTime > 100_000_000 {
                note(from: lastTime, to: time, ringDropped ? .dropped : .loss)
            } else if time - lastTime > Self.shortestPause {
                note(from: lastTime, to: time, .paused)
            }
            time = max(time, lastTime + 1)
        }
        ringDropped = false
        lastTime = time
        append(MediaFrame(time: time, duration: 0, isKey: timed.frame.isKey, bytes: timed.frame.bytes), timed, lane)
    }

    private func writeAudio(_ timed: TimedFrame, from lane: Lane) {
        var time = timed.time - context.start
        guard time >= 0,
            let samples = timed.frame.bytes.withUnsafeBytes({ OpusPacket($0)?.samples })
        else { return }
        let duration = Int64(samples) * 1_000_000_000 / 48_000
        if lastTime != nil {
            let hole = time - expectedEnd
            // The clock moved back: what overlaps what was written is left out, a little jitter is not.
            if hole < -Self.shortestAudioGap, time < expectedEnd - duration { return }
            if hole >= Self.shortestAudioGap, timed.followsLoss || timed.followsRestart || hole > Self.longestFill {
                let cause: Gap.Cause =
                    timed.followsRestart ? .restart : !timed.followsLoss ? .paused : ringDropped ? .dropped : .loss
                note(from: expectedEnd, to: time, cause)
            }
            if hole > Self.longestFill {
                closeFile(now: timed.arrival)
            } else if hole >= OpusContainer.silenceNanoseconds - 5_000_000, file != nil {
                fill(from: expectedEnd, to: time, timed, lane)
            }
            time = max(time, (lastTime ?? 0) + 1)
        }
        ringDropped = false
        if file == nil {
            openFile(MediaFormat(codec: .opus, channels: max(1, min(2, declaration.channels))), now: timed.arrival)
        }
        guard file != nil else { return }
        lastTime = time
        expectedEnd = time + duration
        append(MediaFrame(time: time, duration: duration, isKey: true, bytes: timed.frame.bytes), timed, lane)
    }

    private func fill(from start: Int64, to end: Int64, _ timed: TimedFrame, _ lane: Lane) {
        let silence = OpusContainer.silence(channels: declaration.channels)
        var time = start
        while time + OpusContainer.silenceNanoseconds <= end + 5_000_000, file != nil {
            let duration = OpusContainer.silenceNanoseconds
            append(MediaFrame(time: time, duration: duration, isKey: true, bytes: silence), timed, lane)
            lastTime = time
            time += duration
        }
    }

    private func append(_ frame: MediaFrame, _ timed: TimedFrame, _ lane: Lane) {
        guard let file else { return }
        do throws(StorageError) {
            if let written = try file.append(frame, now: timed.arrival) { preview(written) }
            guard var entry = entries.last else { return }
            if file.frameCount == 1 { entry.start = context.start + frame.time }
            entry.end = context.start + file.end
            entry.bytes = file.size
            entry.frames = file.frameCount
            entry.packetsLost = lane.packetsLost
            entry.sync = max(entry.sync, lane.quality)
            entries[entries.count - 1] = entry
        } catch {
            fail(error, now: timed.arrival)
        }
    }

    private func preview(_ fragment: [UInt8]) {
        guard let entry = entries.last else { return }
        context.preview(
            PreviewSource(
                file: entry.file, role: declaration.role, isVideo: codec != .opus, codec: codec.rawValue,
                fragment: fragment))
    }

    private func note(from start: Int64, to end: Int64, _ cause: Gap.Cause) {
        guard end > start, var entry = entries.last else { return }
        let gap = Gap(start: context.start + start, end: context.start + end, cause: storageGap ? .storage : cause)
        storageGap = false
        guard entry.gaps.count < Self.mostGaps else { return }
        entry.gaps.append(gap)
        replaceLast(entry)
        context.report(.gap(file: entry.file, gap))
    }

    private func replaceLast(_ entry: Manifest.Track) {
        entries[entries.count - 1] = entry
        hasChanged = true
    }

    // MARK: files

    private func openFile(_ format: MediaFormat, now: UInt64) {
        guard now >= retryAt else { return }
        let name =
            "\(fileNamePart(declaration.participant))-\(fileNamePart(declaration.stream))-\(declaration.track)-"
            + "\(entries.count).\(format.fileExtension)"
        do throws(StorageError) {
            file = try MediaFile(
                storage: context.storage, path: context.folder + "/" + name, format: format, sync: context.sync)
        } catch {
            return fail(error, now: now)
        }
        entries.append(
            Manifest.Track(
                participant: declaration.participant, stream: declaration.stream, kind: declaration.kind,
                role: declaration.role, codec: codec.rawValue, file: context.folderName + "/" + name, mime: format.mime,
                start: 0, end: 0, width: format.isVideo ? format.width : nil,
                height: format.isVideo ? format.height : nil, bytes: 0, frames: 0, packetsLost: 0, sync: .arrival,
                gaps: [], thumbnails: []))
        hasChanged = true
    }

    private func closeFile(now: UInt64) {
        guard let file else { return }
        do throws(StorageError) {
            if let written = try file.flush() { preview(written) }
            try file.finish()
        } catch {
            return fail(error, now: now)
        }
        file.close()
        self.file = nil
        if var entry = entries.last {
            entry.bytes = file.size
            replaceLast(entry)
        }
    }

    /// This file is done for; the other tracks do not notice. A new file is tried a little later, at a key frame.
    private func fail(_ error: StorageError, now: UInt64) {
        file?.close()
        file = nil
        retryAt = now &+ Self.retryDelay
        storageGap = true
        hasChanged = true
        context.report(.failed(file: entries.last?.file ?? "", error))
    }
}

/// A name's harmless part: what may stand in a file name everywhere.
func fileNamePart(_ text: String, limit: Int = 64) -> String {
    let kept = text.utf8.prefix(limit).map { byte -> UInt8 in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."):
            byte
        default: UInt8(ascii: "-")
        }
    }
    let name = String(decoding: kept, as: UTF8.self)
    return name.isEmpty ? "-" : name.hasPrefix(".") ? "-" + name.dropFirst() : name
}

extension SyncQuality: Comparable {
    private var rank: Int {
        switch self {
        case .arrival: 0
        case .single: 1
        case .regression: 2
        }
    }

    package static func < (one: SyncQuality, other: SyncQuality) -> Bool { one.rank < other.rank }
}
