// The figures that all scenarios report alike, and the bounds of correctness among them.
import ArgumentParser
import Foundation

extension ParsableCommand {
    /// `expected` are the pictures that should flow all together.
    func add(
        _ interval: ServerInterval, _ measured: Runner.Measurement, before: Runner.Totals, expected: Int,
        to report: inout Report, p99Limit: Double? = 3
    ) -> [(String, String)] {
        let after = measured.totals
        let gaps = Int(after.gaps + after.lost + after.repaired) - Int(before.gaps + before.lost + before.repaired)
        let p99 = max(measured.unpaced.milliseconds(at: 0.99), measured.sound.milliseconds(at: 0.99))
        report.sections["interval"] = interval.json
        report.sections["transit_milliseconds"] =
            [
                "video_not_paced": measured.unpaced.summary, "video_paced": measured.paced.summary,
                "sound": measured.sound.summary, "over_a_second": Int(measured.old),
            ] as [String: any Sendable]
        report.sections["load"] =
            [
                "lateness_milliseconds": measured.lateness.summary, "cores": interval.load.rounded(to: 4),
                "socket_drops": Int(after.socketDrops), "send_drops": Int(after.sendDrops),
            ] as [String: any Sendable]
        report.sections["received"] =
            [
                "streams": after.streams, "flowing": after.flowing, "with_picture": after.withPicture,
                "packets": Int(after.packets), "gaps": gaps, "lost": Int(after.lost - before.lost),
                "duplicates": Int(after.duplicates), "probes": Int(after.probes), "unknown": Int(after.unknown),
                "decrypted": Int(measured.checked), "damaged": Int(measured.damaged),
                "feedback_sent": Int(after.feedback), "key_frames": Int(after.keyFrames),
                "key_frame_requests": Int(after.keyFrameRequests), "nacks_from_server": Int(after.nacksFromServer),
            ] as [String: any Sendable]
        report.bound("packets dropped by the server", Double(interval.dropped), atMost: 0, isOfSpeed: false)
        report.bound("gaps in what was received", Double(gaps), atMost: 0, isOfSpeed: false)
        report.bound("packets damaged", Double(measured.damaged), atMost: 0, isOfSpeed: false)
        report.bound(
            "pictures that are received", Double(after.withPicture), atLeast: Double(expected), isOfSpeed: false)
        report.bound("participants without a connection", Double(after.disconnected), atMost: 0, isOfSpeed: false)
        if let p99Limit {
            report.bound("p99 transit without pacing, ms", p99, atMost: p99Limit)
            report.bound("packets over a second on their way", Double(measured.old), atMost: 0)
        }
        let late = measured.lateness.milliseconds(at: 0.99)
        if interval.load > 0.9 || late > 5 {
            report.notes.append("THE LOAD IS THE LIMIT: the figures say what the load could do, not the server")
        }
        return [
            ("in, out", String(format: "%.1f, %.1f Mbit/s", interval.megabitsIn, interval.megabitsOut)),
            ("packets in, out", String(format: "%.0f, %.0f /s", interval.packetsIn, interval.packetsOut)),
            (
                "server",
                String(
                    format: "%.3f of a core (media thread %.3f, %.0f %% in the kernel)", interval.server,
                    interval.thread("media-0"), interval.systemShare * 100)
            ),
            (
                "load",
                String(format: "%.3f of a core, 99 %% of frames within %.2f ms of their time", interval.load, late)
            ),
            ("processors busy", interval.processors.map { String(format: "%.2f", $0) }.joined(separator: ", ")),
            (
                "memory",
                String(
                    format: "%.1f MiB, peak %.1f", Double(interval.last.residentBytes) / 1_048_576,
                    Double(interval.last.peakBytes) / 1_048_576)
            ),
            ("transit, video not paced", measured.unpaced.words),
            ("transit, video paced", measured.paced.words),
            ("transit, sound (never paced)", measured.sound.words),
            (
                "pacing adds",
                String(
                    format: "p50 %.2f  p99 %.2f ms",
                    max(0, measured.paced.milliseconds(at: 0.5) - measured.unpaced.milliseconds(at: 0.5)),
                    max(0, measured.paced.milliseconds(at: 0.99) - measured.unpaced.milliseconds(at: 0.99)))
            ),
            (
                "streams",
                "\(after.streams), flowing \(after.flowing), with a picture \(after.withPicture) of \(expected)"
            ),
            ("gaps, repaired, lost", "\(gaps), \(after.repaired - before.repaired), \(after.lost - before.lost)"),
            (
                "dropped",
                "kernel in \(interval.last.kernelDrops &- interval.first.kernelDrops), kernel out "
                    + "\(Int(interval.count("media_send_failures_total"))), pacer "
                    + "\(Int(interval.count("media_queue_drops_total"))); by the load \(after.socketDrops) and \(after.sendDrops)"
            ),
            (
                "NACKs",
                "from receivers \(Int(interval.count("media_nacks_received_total"))), from the server "
                    + "\(after.nacksFromServer - before.nacksFromServer), repairs sent \(after.repairsSent)"
            ),
            ("key frames asked for, made", "\(after.keyFrameRequests), \(after.keyFrames)"),
            ("decrypted, damaged", "\(measured.checked), \(measured.damaged)"),
            ("feedback messages", "\(after.feedback)"),
        ]
    }
}
