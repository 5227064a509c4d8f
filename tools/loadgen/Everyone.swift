// One room in which everybody sends a simulcast and sees everybody: one picture large, four in between, the rest small.
import ArgumentParser
import Foundation
import Glibc

struct Everyone: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A room in which everybody sees everybody, with simulcast and open microphones.")

    @OptionGroup var options: ServerOptions
    @OptionGroup var corner: ObserverOptions

    @Option(name: .long, help: "Participants.")
    var points = 30

    @Option(name: .long, help: "Pictures that each page shows in 1080p.")
    var large = 1

    @Option(name: .long, help: "Pictures that each page shows in 540p; the rest is shown in 270p.")
    var medium = 4

    @Option(name: .long, help: "kbit/s of the layers, from small to large.")
    var kilobits: [Int] = [150, 500, 2500]

    @Option(name: .long, help: "At most so much of a core.")
    var coreLimit = 0.5

    func validate() throws {
        guard kilobits.count == 3 else { throw ValidationError("There are three layers: give --kilobits three times.") }
        guard (2...43).contains(points) else { throw ValidationError("--points is 2 to 43.") }
    }

    private static let sizes = [(480, 270), (960, 540), (1920, 1080)]

    func run() throws {
        let runner = try Runner(options)
        defer { runner.stop() }
        var members: [Runner.Member] = []
        for index in 0..<points {
            var offer = Offer(seed: runner.newSeed())
            let layers = zip(kilobits, zip(Everyone.sizes, ["q", "h", "f"])).map { rate, rest in
                VideoShape(bitsPerSecond: rate * 1000, width: rest.0.0, height: rest.0.1, rid: rest.1)
            }
            offer.streams = [Offer.Stream(name: "camera", role: "camera", encodings: layers)]
            offer.sendsAudio = true
            offer.receivesVideo = points - 1
            offer.receivesAudio = points > 5 ? 5 : points - 1
            members.append(try runner.join(room: "everyone", name: "point-\(index)", offer))
        }
        try runner.waitUntilConnected(members)
        for (index, member) in members.enumerated() { try show(members, at: index, member) }
        for index in 0..<min(corner.observers, points) {
            try runner.observe(room: "everyone", participant: members[index].participant)
        }
        usleep(300_000)
        runner.startSending(members)
        say("\(points) participants are in; settling for \(options.settle) s")
        sleep(UInt32(options.settle))
        let before = runner.totals()
        let (interval, measured) = try runner.measure(seconds: options.seconds)
        var report = Report("everyone sees everyone")
        report.parameters = [
            "points": points, "large": large, "medium": medium, "kilobits": kilobits, "observers": corner.observers,
            "seconds": options.seconds,
        ]
        let streams = points * (points - 1)
        let table = add(
            interval, measured, before: before, expected: streams + min(corner.observers, points), to: &report)
        report.bound("server, share of a core", interval.server, atMost: coreLimit)
        report.bound("video streams received", Double(measured.totals.videoFlowing), atLeast: Double(streams))
        report.bound("resident memory, MiB", Double(interval.last.peakBytes) / 1_048_576, atMost: 300)
        guard try report.finish(options, runner.machine, table: table) else { throw ExitCode(1) }
    }

    /// Large is the next participant, then come those in between, so that every layer of everybody is seen by somebody.
    private func show(_ members: [Runner.Member], at index: Int, _ member: Runner.Member) throws {
        let streams = (1..<members.count).map { step -> [String: any Sendable] in
            let size = Everyone.sizes[step <= large ? 2 : step <= large + medium ? 1 : 0]
            let other = members[(index + step) % members.count]
            return ["participant": other.participant, "stream": "camera", "width": size.0, "height": size.1]
        }
        try member.page?.tell(["do": "view.set", "streams": streams])
    }
}
