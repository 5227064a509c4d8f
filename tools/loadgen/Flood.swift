// A small consultation, then the same under five times its traffic in malformed, replayed and unknown packets.
import ArgumentParser
import Foundation
import Glibc
import MediaEngine

struct Flood: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hostile packets beside a consultation: what they do to those who talk.")

    @OptionGroup var options: ServerOptions

    @Option(name: .long, help: "Hostile packets in all, sent within --seconds.")
    var packets: UInt64 = 1_000_000

    @Option(name: .long, help: "Points of care that talk meanwhile.")
    var points = 4

    @Option(name: .long, help: "Mbit/s that each point sends.")
    var megabits = 8.0

    func run() throws {
        let runner = try Runner(options)
        defer { runner.stop() }
        var members: [Runner.Member] = []
        for index in 0..<points + 1 {
            var offer = Offer(seed: runner.newSeed())
            // The last one is the insider: a picture of little rate, so that there is something to repeat.
            let rate = index < points ? megabits * 1e6 : 500_000
            let shape = VideoShape(bitsPerSecond: Int(rate), width: 1280, height: 720, rid: nil)
            offer.streams = [Offer.Stream(name: "camera", role: "camera", encodings: [shape])]
            offer.sendsAudio = index < points
            offer.receivesVideo = points
            offer.receivesAudio = 4
            members.append(try runner.join(room: "flood", name: "point-\(index)", offer, isMeasured: index < points))
        }
        try runner.waitUntilConnected(members)
        let insider = members[points].index
        runner.loop.perform { $0.peers[Int(insider)]?.keepsCopies = true }
        for (index, member) in members.enumerated() {
            let next = members[(index + 1) % points]
            try member.page?.tell([
                "do": "view.set",
                "streams": [
                    ["participant": next.participant, "stream": "camera", "width": 1280, "height": 720]
                        as [String: any Sendable]
                ],
            ])
        }
        try runner.observe(room: "flood", participant: members[0].participant)
        usleep(300_000)
        runner.startSending(members)
        say("\(points) points are in; settling for \(options.settle) s")
        sleep(UInt32(options.settle))

        let begun = runner.totals()
        let (calm, calmMeasured) = try runner.measure(seconds: options.seconds, label: "calm, ")
        let before = runner.totals()
        let attack = try begin(runner, insider: insider)
        let (flooded, floodedMeasured) = try runner.measure(seconds: options.seconds, label: "flood, ")
        let sent = attack.total
        sleep(2)
        let (after, _) = try runner.measure(seconds: min(10, options.seconds), label: "after, ")

        var report = Report("flood")
        report.parameters = [
            "packets": Int(packets), "points": points, "megabits": megabits, "seconds": options.seconds,
        ]
        // The insider shows a picture as well, and the player one.
        let table = add(flooded, floodedMeasured, before: before, expected: points + 2, to: &report)
        report.sections["calm"] =
            [
                "interval": calm.json, "video_not_paced": calmMeasured.unpaced.summary,
                "sound": calmMeasured.sound.summary, "gaps": Int(before.gaps + before.lost - begun.gaps - begun.lost),
            ] as [String: any Sendable]
        report.sections["after"] = after.json
        report.sections["sent"] = attack.counts
        let moved = Flood.p99(floodedMeasured) - Flood.p99(calmMeasured)
        let grown =
            Double(max(flooded.last.residentBytes, after.last.residentBytes) - calm.last.residentBytes) / 1_048_576
        report.bound("p99 transit moved by, ms", moved, atMost: 1)
        report.bound("memory grown by, MiB", grown, atMost: 10)
        report.bound("hostile packets sent", Double(sent), atLeast: Double(packets) * 0.98)
        report.bound(
            "hostile packets over the traffic", Double(sent) / max(1, calm.packetsIn * calm.seconds), atLeast: 4.5)
        let good = try report.finish(
            options, runner.machine,
            table: [
                ("calm: server", String(format: "%.3f of a core, %.0f packets/s in", calm.server, calm.packetsIn)),
                ("calm: transit, video not paced", calmMeasured.unpaced.words),
                ("calm: transit, sound", calmMeasured.sound.words),
                ("hostile packets", "\(sent), refused \(Int(flooded.sum(prefix: "media_refused_total")))"),
            ] + table)
        guard good else { throw ExitCode(1) }
    }

    static func p99(_ measured: Runner.Measurement) -> Double {
        max(measured.unpaced.milliseconds(at: 0.99), measured.sound.milliseconds(at: 0.99))
    }

    private func begin(_ runner: Runner, insider: Int32) throws -> Attack {
        let begun = Runner.Collected<Result<Attack, any Error>>()
        let rate = Double(packets) / Double(options.seconds)
        let limit = packets
        runner.loop.perform { loop in
            guard let peer = loop.peers[Int(insider)] else { return }
            let made = Result { try Attack(insider: peer, packetsPerSecond: rate, packets: limit) }
            begun.append(made)
            guard case .success(let attack) = made else { return }
            loop.onFlood = { now in attack.run(now: now) ? now &+ Attack.tick : .max }
            loop.timetable.add(Timetable.Entry(due: MonotonicClock.now(), kind: .flood, peer: insider))
        }
        guard let made = begun.values.first else { throw LoadFault("the insider is gone") }
        return try made.get()
    }
}
