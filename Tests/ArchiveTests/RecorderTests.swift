// The recorder in virtual time: what goes in as RTP over a bad way comes out as files that ffmpeg plays in sync.

import ArchiveWorkshop
import Foundation
import Testing

@testable import Archive

@Suite("the recorder")
struct RecorderTests {
    @Test("sound and picture of one participant are together to 20 ms, in files that ffprobe accepts")
    func inSync() throws {
        let folder = TemporaryFolder()
        let recorder = VirtualRecorder(folder: folder.path)
        let sender = Sender.conversation(seconds: 1..<13, seed: 7, drift: 80e-6)
        recorder.play(sender.deliveries)
        recorder.finish(at: 13_500_000_000)

        let tracks = recorder.core.manifest
        #expect(tracks.map(\.codec) == ["VP8", "opus"])
        #expect(tracks.map(\.gaps) == [[], []])
        #expect(tracks.allSatisfy { $0.sync == .regression })
        for track in tracks {
            let probe = try Probe(recorder.path(track))
            #expect(probe.errors == "")
            // From the recording's start on, so a late track has its silence before it in time.
            #expect(abs((probe.duration ?? 0) - 13) < 0.1)
            #expect(abs((probe.start ?? 0) - 1) < 0.1)
        }
        let flashes = try Onsets.flashes(recorder.path(tracks[0]))
        let beeps = try Onsets.beeps(recorder.path(tracks[1]))
        #expect(flashes.count == 12)
        #expect(beeps.count == 12)
        for (flash, beep) in zip(flashes, beeps) {
            // The picture of a flash is the first one at or after its moment: up to 33 ms late by itself.
            #expect(beep - flash < 0.020 && flash - beep < 0.053, "flash \(flash) beep \(beep)")
        }
        for (index, beep) in beeps.enumerated() {
            #expect(abs(beep - (1.5 + Double(index) + 0.02)) < 0.02, "beep \(index) at \(beep)")
        }
    }

    @Test("loss leaves a gap in time, and the picture goes on at a key frame", arguments: [11, 12, 13] as [UInt64])
    func loss(seed: UInt64) throws {
        let folder = TemporaryFolder()
        let recorder = VirtualRecorder(folder: folder.path)
        let sender = Sender.conversation(seconds: 0..<12, seed: seed, loss: 0.01, keyEvery: 120)
        recorder.play(sender.deliveries)
        recorder.finish(at: 13_000_000_000)

        let tracks = recorder.core.manifest
        #expect(tracks.count == 2)
        #expect(sender.lost > 0)
        #expect(!recorder.keyFrameRequests.isEmpty)
        #expect(tracks[0].gaps.contains { $0.cause == .loss })
        #expect(tracks.map(\.packetsLost).reduce(0, +) <= Int64(sender.lost))
        let probe = try Probe(recorder.path(tracks[0]))
        #expect(probe.errors == "")
        #expect(zip(probe.times, probe.times.dropFirst()).allSatisfy { $0 < $1 })
        let decoded = try run("ffmpeg", ["-v", "error", "-i", recorder.path(tracks[0]), "-f", "null", "-"])
        #expect(decoded.errors == "", "seed \(seed)")
        // What was lost of the sound is filled, so that players that ignore holes stay in time.
        let beeps = try Onsets.beeps(recorder.path(tracks[1]))
        #expect(beeps.count == 12)
        for (index, beep) in beeps.enumerated() { #expect(abs(beep - (0.52 + Double(index))) < 0.04) }
    }

    @Test("a pause of ten seconds is a gap: the picture's file goes on later, the sound's in a new file")
    func pause() throws {
        let folder = TemporaryFolder()
        let recorder = VirtualRecorder(folder: folder.path)
        let sender = Sender.conversation(seconds: 0..<3, seed: 3)
        let later = Sender.conversation(seconds: 13..<16, seed: 4)
        // The same streams go on with the next sequence numbers.
        var continued = later.deliveries
        let lastSequences = lastSequenceNumbers(sender.deliveries)
        continued = continued.compactMap { delivery in
            var delivery = delivery
            if case .declare = delivery.content { return nil }
            if case .packet(var bytes) = delivery.content {
                let old = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
                let new = old &- 65_500 &+ (lastSequences[delivery.track] ?? 0) &+ 1
                bytes[2] = UInt8(new >> 8)
                bytes[3] = UInt8(new & 0xFF)
                delivery.content = .packet(bytes)
            }
            return delivery
        }
        recorder.play(sender.deliveries + continued)
        recorder.finish(at: 17_000_000_000)

        let tracks = recorder.core.manifest
        #expect(tracks.map(\.kind) == ["video", "audio", "audio"])
        #expect(tracks[0].gaps.map(\.cause) == [.paused])
        #expect(abs(tracks[2].start - 13_000_000_000) < 100_000_000)
        for track in tracks { #expect(try Probe(recorder.path(track)).errors == "") }
        let flashes = try Onsets.flashes(recorder.path(tracks[0]))
        #expect(flashes.count == 6)
        #expect(abs((flashes.last ?? 0) - 15.5) < 0.06)
        let beeps = try Onsets.beeps(recorder.path(tracks[2]))
        #expect(abs((beeps.first ?? 0) - 13.52) < 0.03, "\(beeps)")
    }

    private func lastSequenceNumbers(_ deliveries: [Delivery]) -> [UInt32: UInt16] {
        var last: [UInt32: UInt16] = [:]
        for delivery in deliveries.sorted(by: { $0.order < $1.order }) {
            guard case .packet(let bytes) = delivery.content else { continue }
            last[delivery.track] = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        }
        return last
    }

    @Test("of three simulcast encodings the largest that flows is kept, changed over only at key frames")
    func simulcast() throws {
        let folder = TemporaryFolder()
        let recorder = VirtualRecorder(folder: folder.path)
        let sender = Sender(participant: "p1", seed: 5)
        sender.declare(
            1, stream: "camera", kind: "video", role: "camera", codec: "VP8", clockRate: 90_000, payloadType: 96, at: 0)
        let sizes = [(96, 54), (192, 108), (384, 216)]
        let cameras = sizes.map { SyntheticCamera(width: $0.0, height: $0.1) }
        for number in 0..<300 as Range<Int64> {
            let time = number * 100_000_000 / 3
            for (encoding, camera) in cameras.enumerated() {
                // The largest begins at 2 s and stops at 6 s.
                if encoding == 2, !(60..<180).contains(number) { continue }
                let isKey = number % 30 == Int64(encoding)
                let stream = StreamSpecification(
                    track: 1, encoding: UInt8(encoding), ssrc: 0x100 + UInt32(encoding), clockRate: 90_000,
                    payloadType: 96)
                sender.sendVP8(camera.frame(at: time, key: isKey || number == 0), stream, at: time)
            }
        }
        for time in stride(from: 100_000_000 as Int64, to: 10_000_000_000, by: 1_000_000_000) {
            for encoding in 0..<3 as Range<UInt8> {
                sender.report(
                    StreamSpecification(
                        track: 1, encoding: encoding, ssrc: 0x100 + UInt32(encoding), clockRate: 90_000, payloadType: 96
                    ),
                    at: time)
            }
        }
        recorder.play(sender.deliveries)
        recorder.finish(at: 10_500_000_000)

        let tracks = recorder.core.manifest
        #expect(tracks.count == 1)
        #expect(tracks[0].width == 384)
        let sizesSeen = try run(
            "ffprobe",
            ["-v", "error", "-show_entries", "frame=pts_time,width", "-of", "csv=p=0", recorder.path(tracks[0])])
        let rows = String(decoding: sizesSeen.output, as: UTF8.self).split(separator: "\n").compactMap {
            row -> (Double, Int)? in
            let parts = row.split(separator: ",")
            guard parts.count >= 2, let time = Double(parts[0]), let width = Int(parts[1]) else { return nil }
            return (time, width)
        }
        #expect(sizesSeen.errors == "")
        #expect(rows.contains { $0.0 < 1.9 && $0.1 == 192 })
        #expect(rows.filter { $0.0 > 3.2 && $0.0 < 5.8 }.allSatisfy { $0.1 == 384 })
        #expect(rows.filter { $0.0 > 8.2 }.allSatisfy { $0.1 == 192 })
        #expect((rows.last?.0 ?? 0) > 9.8)
    }

    @Test("a full ring is told as a gap, and nothing else suffers")
    func fullRing() throws {
        let folder = TemporaryFolder()
        let recorder = VirtualRecorder(folder: folder.path, ringCapacity: 1 << 14)
        let sender = Sender.conversation(seconds: 0..<8, seed: 21, keyEvery: 30)
        let sorted = sender.deliveries.sorted { ($0.arrival, $0.order) < ($1.arrival, $1.order) }
        // From second 3 to 4 nobody reads.
        recorder.play(sorted.filter { $0.arrival < 3_000_000_000 })
        for delivery in sorted where (3_000_000_000..<6_000_000_000).contains(delivery.arrival) {
            recorder.ring.write(delivery, opened: VirtualRecorder.opened)
        }
        recorder.play(sorted.filter { $0.arrival >= 6_000_000_000 })
        recorder.finish(at: 8_500_000_000)

        #expect(recorder.core.recordsDropped > 0)
        let tracks = recorder.core.manifest
        #expect(tracks.flatMap(\.gaps).contains { $0.cause == .dropped })
        for track in tracks {
            let decoded = try run("ffmpeg", ["-v", "error", "-i", recorder.path(track), "-f", "null", "-"])
            #expect(decoded.errors == "")
        }
    }
}
