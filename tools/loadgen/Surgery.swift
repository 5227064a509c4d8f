// An operating theatre that sends four pictures by WHIP to as many viewers as one core carries, and three hundred who come
// within ten seconds.
import ArgumentParser
import Foundation
import Glibc
import MediaEngine

struct Surgery: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A broadcast of two 2160p and two 1080p pictures: many viewers, and a storm of joins.")

    @OptionGroup var options: ServerOptions
    @OptionGroup var corner: ObserverOptions

    @Option(name: .long, help: "Viewers that get all four pictures.")
    var viewers = 100

    @Option(name: .long, help: "Mbit/s of each of the two 2160p pictures.")
    var megabits = 15.0

    @Option(name: .long, help: "Mbit/s of each of the two 1080p pictures.")
    var megabitsPanorama = 6.0

    @Option(name: .long, help: "Viewers that join in the storm, within --storm-seconds. 0: none.")
    var joins = 300

    @Option(name: .long, help: "Seconds in which they come.")
    var stormSeconds = 10

    @Option(name: .long, help: "Pictures that each of them shows, the 2160p ones first.")
    var joinPictures = 1

    @Option(name: .long, help: "Viewers that stay during the storm.")
    var stayers = 10

    @Option(name: .long, help: "Gbit/s that are to leave the server.")
    var gigabits = 4.0

    @Flag(name: .long, help: "Adds viewers until the server or the load can take no more.")
    var findLimit = false

    private static let room = "theatre"

    private struct Picture {
        var stream: String
        var width: Int
        var height: Int
    }

    /// As WHIP names what it is sent: the name in the address, then that with a number.
    private static let pictures = [
        Picture(stream: "field", width: 3840, height: 2160), Picture(stream: "field-1", width: 3840, height: 2160),
        Picture(stream: "panorama", width: 1920, height: 1080),
        Picture(stream: "panorama-1", width: 1920, height: 1080),
    ]

    func run() throws {
        let runner = try Runner(options)
        defer { runner.stop() }
        let theatre = try openTheatre(runner)
        var report = Report("surgery")
        report.parameters = [
            "viewers": viewers, "megabits": megabits, "megabits_panorama": megabitsPanorama, "joins": joins,
            "storm_seconds": stormSeconds, "join_pictures": joinPictures, "seconds": options.seconds,
        ]
        var audience: [Runner.Member] = []
        for index in 0..<viewers { audience.append(try join(runner, name: "viewer-\(index)")) }
        for index in 0..<corner.observers {
            let stream = Surgery.pictures[index % 4].stream
            let participant = stream.hasPrefix("field") ? "field" : "panorama"
            try runner.observe(room: Surgery.room, participant: participant, stream: stream)
        }
        try runner.waitUntilConnected(audience)
        say("\(viewers) viewers are in; settling for \(options.settle) s")
        sleep(UInt32(options.settle))
        let before = runner.totals()
        let (interval, measured) = try runner.measure(seconds: options.seconds)
        var table = add(
            interval, measured, before: before, expected: viewers * 4 + corner.observers, to: &report, p99Limit: nil)
        report.bound("Gbit/s out", interval.megabitsOut / 1000, atLeast: gigabits)
        report.bound("server, share of a core", interval.server, atMost: 1)
        if findLimit { try findMost(&audience, runner, &report) }
        if joins > 0 { try storm(runner, theatre, &audience, &report, &table) }
        guard try report.finish(options, runner.machine, table: table) else { throw ExitCode(1) }
    }

    private func openTheatre(_ runner: Runner) throws -> [Runner.Member] {
        var members: [Runner.Member] = []
        for (name, role, rate) in [("field", "surgicalField", megabits), ("panorama", "panorama", megabitsPanorama)] {
            var offer = Offer(seed: runner.newSeed())
            offer.streams = Surgery.pictures.filter { $0.stream.hasPrefix(name) }.map { picture in
                Offer.Stream(
                    name: picture.stream, role: role,
                    encodings: [
                        VideoShape(
                            bitsPerSecond: Int(rate * 1e6), width: picture.width, height: picture.height, rid: nil)
                    ])
            }
            offer.sendsAudio = name == "panorama"
            members.append(
                try runner.post("/whip/\(Surgery.room)/\(name)/\(name)?role=\(role)", name: name, offer))
        }
        try runner.waitUntilConnected(members)
        runner.startSending(members)
        return members
    }

    private func join(_ runner: Runner, name: String, isMeasured: Bool = true) throws -> Runner.Member {
        try runner.join(room: Surgery.room, name: name, viewerOffer(runner), isMeasured: isMeasured)
    }

    private func viewerOffer(_ runner: Runner) -> Offer {
        var offer = Offer(seed: runner.newSeed())
        offer.receivesVideo = 4
        offer.receivesAudio = 1
        return offer
    }

    // MARK: - Three hundred who come at once

    private func storm(
        _ runner: Runner, _ theatre: [Runner.Member], _ audience: inout [Runner.Member], _ report: inout Report,
        _ table: inout [(String, String)]
    ) throws {
        for member in audience.dropFirst(stayers) { runner.leave(member) }
        audience = Array(audience.prefix(stayers))
        sleep(3)
        say("\(joins) viewers join within \(stormSeconds) s")
        let before = runner.totals()
        let asked = runner.keyFrameRequests(of: theatre)
        let joined = Joined()
        runner.beginMeasuring()
        let first = try runner.probe.read()
        let begun = MonotonicClock.now()
        let interval = UInt64(stormSeconds) * 1_000_000_000 / UInt64(joins)
        let threads = 12
        let done = DispatchGroup()
        for thread in 0..<threads {
            done.enter()
            Thread { [self] in
                defer { done.leave() }
                for index in stride(from: thread, to: joins, by: threads) {
                    let due = begun + UInt64(index) * interval
                    let now = MonotonicClock.now()
                    if due > now { usleep(UInt32((due - now) / 1000)) }
                    joined.note(now: MonotonicClock.now(), due: due)
                    do {
                        joined.add(try joinStorm(runner, name: "student-\(index)"))
                    } catch {
                        joined.fail("\(error)")
                    }
                }
            }.start()
        }
        done.wait()
        usleep(1_500_000)
        let last = try runner.probe.read()
        let measured = runner.endMeasuring()
        let span = ServerInterval(first: first, last: last)
        let firsts = runner.firstPictures(of: joined.members)
        let requests = zip(asked, runner.keyFrameRequests(of: theatre)).map { $1 - $0 }
        let after = measured.totals
        report.sections["storm"] =
            [
                "first_picture_milliseconds": firsts.histogram.summary, "without_picture": firsts.missing,
                "failed": joined.faults.count, "key_frame_requests_by_stream": requests.map { Int($0) },
                "interval": span.json, "joins_late_milliseconds": joined.lateness.summary,
                "sound": measured.sound.summary, "video_not_paced": measured.unpaced.summary,
            ] as [String: any Sendable]
        let tens = Double(max(1, (stormSeconds + 9) / 10))
        report.bound(
            "key frame requests of a stream in 10 s of joins", Double(requests.max() ?? 0) / tens, atMost: 1)
        report.bound("first picture of joiners, p95, ms", firsts.histogram.milliseconds(at: 0.95), atMost: 400)
        report.bound("joiners without a picture", Double(firsts.missing), atMost: 0, isOfSpeed: false)
        report.bound("joins that failed", Double(joined.faults.count), atMost: 0, isOfSpeed: false)
        let gaps = Int(after.gaps + after.lost + after.repaired) - Int(before.gaps + before.lost + before.repaired)
        report.bound("packets dropped during the joins", Double(span.dropped), atMost: 0)
        table += [
            (
                "joins",
                "\(joined.members.count) within \(stormSeconds) s, the last \(String(format: "%.1f", Double(joined.lateness.largest) / 1e6)) ms late; failed: \(joined.faults.count)"
            ),
            ("joins: first picture", firsts.histogram.words),
            ("joins: key frames asked for", requests.map(String.init).joined(separator: ", ")),
            (
                "joins: server",
                String(
                    format: "%.3f of a core, %.0f Mbit/s out, load %.3f, gaps %d", span.server, span.megabitsOut,
                    span.load,
                    gaps)
            ),
            ("joins: transit, sound", measured.sound.words),
            (
                "joins: repaired, lost, by the load",
                "\(after.repaired - before.repaired), \(after.lost - before.lost), \(after.socketDrops)"
            ),
        ]
        for fault in Set(joined.faults).prefix(3) { report.notes.append("join failed: \(fault)") }
    }

    /// Pages of students say what they show as soon as they are in.
    private func joinStorm(_ runner: Runner, name: String) throws -> Runner.Member {
        let began = MonotonicClock.now()
        let page = try Page(port: options.port, room: Surgery.room, token: options.token)
        let shown = Surgery.pictures.prefix(joinPictures).compactMap { picture -> [String: any Sendable]? in
            guard let participant = page.publisher(of: picture.stream) else { return nil }
            return [
                "participant": participant, "stream": picture.stream, "width": picture.width, "height": picture.height,
            ]
        }
        let member = try runner.enter(
            page, name: name, viewerOffer(runner), began: began, isMeasured: false,
            first: ["do": "view.set", "streams": shown])
        return member
    }

    final class Joined: @unchecked Sendable {
        private let lock = NSLock()
        private(set) var members: [Runner.Member] = []
        private(set) var faults: [String] = []
        private(set) var lateness = Histogram()

        func add(_ member: Runner.Member) { locked { members.append(member) } }
        func fail(_ words: String) { locked { faults.append(words) } }
        func note(now: UInt64, due: UInt64) { locked { lateness.record(now > due ? now - due : 0) } }
        private func locked(_ body: () -> Void) {
            lock.lock()
            body()
            lock.unlock()
        }
    }

    // MARK: - The most viewers

    private func findMost(_ audience: inout [Runner.Member], _ runner: Runner, _ report: inout Report) throws {
        var reason = ""
        var most = audience.count
        while reason.isEmpty {
            var added: [Runner.Member] = []
            for index in 0..<16 { added.append(try join(runner, name: "viewer-\(audience.count + index)")) }
            audience += added
            try runner.waitUntilConnected(added)
            sleep(4)
            let before = runner.totals()
            let (interval, measured) = try runner.measure(seconds: 6, label: "\(audience.count) viewers, ")
            let after = measured.totals
            let gaps = Int(after.gaps + after.lost + after.repaired) - Int(before.gaps + before.lost + before.repaired)
            let p99 = max(measured.unpaced.milliseconds(at: 0.99), measured.sound.milliseconds(at: 0.99))
            report.notes.append(
                String(
                    format: "%d viewers: %.2f Gbit/s, server %.3f, load %.3f, p99 %.2f ms, dropped %d, gaps %d",
                    audience.count, interval.megabitsOut / 1000, interval.server, interval.load, p99, interval.dropped,
                    gaps))
            if measured.lateness.milliseconds(at: 0.99) > 5 || after.socketDrops > before.socketDrops {
                reason = "the load is the limit"
            } else if interval.dropped > 0 || gaps > 0 {
                reason = "packets were lost"
            } else if p99 > 3 {
                reason = "p99 transit is over 3 ms"
            } else {
                most = audience.count
                report.sections["limit"] =
                    ["viewers": most, "gigabits_out": (interval.megabitsOut / 1000).rounded(to: 3)]
                    as [String: any Sendable]
            }
        }
        report.notes.append("most viewers: \(most); with \(audience.count) \(reason)")
    }
}
