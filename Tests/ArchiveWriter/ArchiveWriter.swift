// Records synthetic participants in real time into an archive: for the browser test, and for the tests that kill it.

import Archive
import ArchiveWorkshop
import Foundation
import PacketRing

/// `archive-writer <folder> <seconds> [<participants>]`: prints the recording's id when it has begun, then every tenth
/// of a second how many milliseconds of media it has handed over, and "ready" at the end.
@main
struct ArchiveWriter {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 3, let seconds = Int64(arguments[2]) else {
            print("archive-writer <folder> <seconds> [<participants>]")
            exit(2)
        }
        let participants = arguments.count > 3 ? UInt32(arguments[3]) ?? 1 : 1
        var deliveries: [Delivery] = []
        for number in 1...participants {
            // Each comes a second after the one before.
            let sender = Sender.conversation(
                seconds: Int64(number - 1)..<seconds, seed: UInt64(number), participant: "p\(number)",
                streams: ConversationStreams(participant: number), size: (320, 180))
            deliveries += sender.deliveries
        }
        deliveries.sort { ($0.arrival, $0.order) < ($1.arrival, $1.order) }
        let events = script(seconds: seconds, participants: participants)

        let archive = try await Archive(directory: arguments[1])
        let ring = PacketRing(capacity: 1 << 22)
        let opened = clockNow() - 5_000_000_000
        let recording = try await archive.start(
            room: "board", title: "Tumour board", snapshotJSON: Array(snapshot.utf8), roomOpenedAt: opened, ring: ring)
        say(recording)
        // Session time of the recording's start is 5 s; the deliveries count from there.
        let start = opened + 5_000_000_000
        var nextEvent = 0
        var told: UInt64 = 0
        for delivery in deliveries {
            while start + delivery.arrival > clockNow() { try await Task.sleep(nanoseconds: 2_000_000) }
            while nextEvent < events.count, events[nextEvent].time <= delivery.arrival {
                let t = 5_000_000_000 + events[nextEvent].time
                await archive.append(
                    recording: recording,
                    eventJSON: Array("{\"seq\":\(nextEvent + 1),\"t\":\(t),\"v\":1,\(events[nextEvent].body)}".utf8))
                nextEvent += 1
            }
            ring.write(delivery, opened: start)
            _ = ring.takeKeyFrameRequest()
            if delivery.arrival >= told + 100_000_000 {
                told = delivery.arrival
                say("at \(told / 1_000_000)")
            }
        }
        ring.finish(arrival: clockNow())
        let begin = clockNow()
        _ = try await archive.finish(recording: recording)
        say("ready after \((clockNow() - begin) / 1_000_000) ms")
    }

    private static let snapshot = """
        {"room":"board","kind":"mdt","title":"Tumour board","ended":false,"participants":{},"floor":{"holder":null,"epoch":0},\
        "spotlight":null,"recording":null,"chat":[],"viewports":{}}
        """

    /// What happens besides the media; times from the recording's start.
    private static func script(seconds: Int64, participants: UInt32) -> [(time: UInt64, body: String)] {
        var events: [(time: UInt64, body: String)] = []
        for number in 1...participants {
            let time = UInt64(number - 1) * 1_000_000_000
            events.append(
                (
                    time,
                    "\"event\":\"participant.joined\",\"by\":null,\"participant\":\"p\(number)\",\"name\":\"Dr. Number \(number)\",\"role\":\"expert\",\"device\":false"
                ))
            events.append(
                (
                    time + 1,
                    "\"event\":\"stream.published\",\"by\":\"p\(number)\",\"participant\":\"p\(number)\",\"stream\":\"camera\",\"kind\":\"video\",\"role\":\"camera\",\"label\":\"\",\"codec\":\"VP8\",\"muted\":false"
                ))
        }
        events.append((2_000_000_000, "\"event\":\"floor.changed\",\"by\":\"p1\",\"holder\":\"p1\",\"epoch\":1"))
        for second in 0..<UInt64(seconds) {
            events.append(
                (
                    second * 1_000_000_000 + 500_000_000,
                    "\"event\":\"chat.message\",\"by\":\"p1\",\"message\":\"m\(second)\",\"participant\":\"p1\",\"text\":\"second \(second)\""
                ))
        }
        events.append(
            (
                3_000_000_000,
                "\"event\":\"viewport.opened\",\"by\":\"p1\",\"viewport\":\"main\",\"study\":\"1.2.3\",\"series\":\"1.2.3.4\""
            ))
        for step in 0..<20 as Range<UInt64> {
            events.append(
                (
                    3_100_000_000 + step * 200_000_000,
                    "\"event\":\"viewport.changed\",\"by\":\"p1\",\"viewport\":\"main\",\"patch\":{\"image\":{\"sop\":\"1.2.3.4.\(step)\",\"frame\":0}}"
                ))
        }
        events.append((8_000_000_000, "\"event\":\"hand.raised\",\"by\":\"p1\",\"participant\":\"p1\""))
        return events.sorted { $0.time < $1.time }
    }

    private static func say(_ words: String) {
        FileHandle.standardOutput.write(Data((words + "\n").utf8))
    }

    private static func clockNow() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
