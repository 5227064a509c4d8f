// Points of care with some screens each: everyone sends all of its screens and shows those of one other point.
import ArgumentParser
import Foundation
import Glibc
import MediaEngine

struct Consultation: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Points that send screens and show those of another point.")

    @OptionGroup var options: ServerOptions
    @OptionGroup var corner: ObserverOptions

    @Option(name: .long, help: "Points of care.")
    var points = 30

    @Option(name: .long, help: "Screens of each point: pictures that it sends, and pictures that it shows.")
    var screens = 3

    @Option(name: .long, help: "Mbit/s of each picture.")
    var megabits = 10.0

    @Option(
        name: .long,
        help: "Points in a room; each shows the next one's screens. In a room of two that is the other.")
    var roomSize = 30

    @Option(name: .long, help: "At most so much of a core.")
    var coreLimit = 0.35

    @Flag(name: .long, help: "Adds points until the server or the load can take no more.")
    var findLimit = false

    @Option(name: .long, help: "Points that are added at a time with --find-limit.")
    var step = 10

    func run() throws {
        let runner = try Runner(options)
        defer { runner.stop() }
        var rooms: [Room] = []
        var added = 0
        while added < points {
            let count = min(roomSize, points - added)
            rooms.append(try fill("consultation-\(rooms.count)", runner, points: count))
            added += count
        }
        for index in 0..<min(corner.observers, points) {
            let room = rooms[index % rooms.count]
            let member = room.members[index / rooms.count % room.members.count]
            try runner.observe(room: room.name, participant: member.participant, name: "observer-\(index)")
        }
        try start(rooms, runner)
        say("\(points) points in \(rooms.count) rooms are in; settling for \(options.settle) s")
        sleep(UInt32(options.settle))
        let before = runner.totals()
        let (interval, measured) = try runner.measure(seconds: options.seconds)
        var report = Report("consultation")
        report.parameters = [
            "points": points, "screens": screens, "megabits": megabits, "room_size": roomSize,
            "observers": corner.observers, "seconds": options.seconds,
        ]
        let expected = points * screens + min(corner.observers, points)
        let table = add(interval, measured, before: before, expected: expected, to: &report)
        report.bound("server, share of a core", interval.server, atMost: coreLimit)
        report.bound("Mbit/s in", interval.megabitsIn, atLeast: Double(points * screens) * megabits * 0.95)
        report.bound("Mbit/s out", interval.megabitsOut, atLeast: Double(points * screens) * megabits * 0.95)
        report.bound("resident memory, MiB", Double(interval.last.peakBytes) / 1_048_576, atMost: 300)
        if findLimit { try findMost(&rooms, runner, first: interval, measured, &report) }
        guard try report.finish(options, runner.machine, table: table) else { throw ExitCode(1) }
    }

    // MARK: - Rooms

    struct Room {
        var name: String
        var members: [Runner.Member]
    }

    private func streamName(_ screen: Int) -> String { screen == 0 ? "camera" : "screen-\(screen)" }

    private func fill(_ name: String, _ runner: Runner, points: Int) throws -> Room {
        var room = Room(name: name, members: [])
        for index in 0..<points {
            var offer = Offer(seed: runner.newSeed())
            let shape = VideoShape(bitsPerSecond: Int(megabits * 1e6), width: 1920, height: 1080, rid: nil)
            offer.streams = (0..<screens).map {
                Offer.Stream(name: streamName($0), role: $0 == 0 ? "camera" : "document", encodings: [shape])
            }
            offer.sendsAudio = true
            offer.receivesVideo = min(128 - 5, (points - 1) * screens)
            offer.receivesAudio = points > 5 ? 5 : max(1, points - 1)
            room.members.append(try runner.join(room: name, name: "\(name)-\(index)", offer))
        }
        return room
    }

    /// Everybody says what it shows before anybody sends: without a word, everybody would get everything.
    private func start(_ rooms: [Room], _ runner: Runner) throws {
        for room in rooms {
            try runner.waitUntilConnected(room.members)
            for (index, member) in room.members.enumerated() {
                let next = room.members[(index + 1) % room.members.count]
                guard next.index != member.index else { continue }
                try member.page?.tell([
                    "do": "view.set",
                    "streams": (0..<screens).map {
                        ["participant": next.participant, "stream": streamName($0), "width": 1920, "height": 1080]
                            as [String: any Sendable]
                    },
                ])
            }
        }
        usleep(300_000)
        for room in rooms { runner.startSending(room.members) }
    }

    // MARK: - The most points

    private func findMost(
        _ rooms: inout [Room], _ runner: Runner, first: ServerInterval, _ measured: Runner.Measurement,
        _ report: inout Report
    ) throws {
        var steps: [[String: any Sendable]] = []
        var most = points
        var total = points
        var reason = ""
        while reason.isEmpty {
            var added: [Room] = []
            var left = step
            while left > 0 {
                let count = min(roomSize, left)
                added.append(try fill("consultation-\(rooms.count + added.count)", runner, points: count))
                left -= count
            }
            try start(added, runner)
            rooms += added
            total += step
            sleep(UInt32(max(3, options.settle)))
            let before = runner.totals()
            let (interval, measured) = try runner.measure(seconds: 10, label: "\(total) points, ")
            let after = measured.totals
            let p99 = max(measured.unpaced.milliseconds(at: 0.99), measured.sound.milliseconds(at: 0.99))
            let gaps = Int(after.gaps + after.lost + after.repaired) - Int(before.gaps + before.lost + before.repaired)
            steps.append([
                "points": total, "server_cores": interval.server.rounded(to: 3),
                "load_cores": interval.load.rounded(to: 3),
                "p99": p99.rounded(to: 3), "gaps": gaps, "dropped": interval.dropped,
                "megabits_out": interval.megabitsOut.rounded(to: 0),
            ])
            if interval.megabitsIn < Double(total * screens) * megabits * 0.95
                || measured.lateness.milliseconds(at: 0.99) > 5
            {
                reason = "the load is the limit"
            } else if interval.dropped > 0 || gaps > 0 {
                reason = "packets were lost"
            } else if p99 > 3 {
                reason = "p99 transit is over 3 ms"
            } else {
                most = total
            }
        }
        report.sections["limit"] = ["points": most, "reason": reason, "steps": steps] as [String: any Sendable]
        report.notes.append("most points: \(most); with \(total) \(reason)")
        for step in steps {
            report.notes.append(step.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        }
    }
}
