// The server seen from outside: its processor time by thread, its memory, its counters, and the kernel's drops.
import Foundation
import Glibc
import MediaEngine

struct ServerProbe: Sendable {
    let process: Int32
    let port: Int
    let mediaPort: Int

    struct Reading: Sendable {
        var at: UInt64 = 0
        /// Nanoseconds on a processor, of all threads that live.
        var process: UInt64 = 0
        var user: UInt64 = 0
        var system: UInt64 = 0
        var threads: [String: UInt64] = [:]
        var residentBytes = 0
        var peakBytes = 0
        var kernelDrops: UInt64 = 0
        var counters: [String: Double] = [:]
        /// Of the load itself.
        var load: UInt64 = 0
        /// Ticks in which each processor was not idle, and all of them.
        var processors: [(busy: UInt64, total: UInt64)] = []
    }

    func read() throws -> Reading {
        var reading = Reading()
        reading.at = MonotonicClock.now()
        guard let tasks = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task") else {
            throw LoadFault("there is no process \(process): the server has ended")
        }
        for task in tasks {
            let folder = "/proc/\(process)/task/\(task)"
            guard let time = ServerProbe.text("\(folder)/schedstat").split(separator: " ").first.flatMap({ UInt64($0) })
            else { continue }
            let name = ServerProbe.text("\(folder)/comm").trimmingCharacters(in: .whitespacesAndNewlines)
            reading.threads[name, default: 0] += time
        }
        // Threads that have ended count here only, in ticks of 10 ms.
        let fields = ServerProbe.text("/proc/\(process)/stat").split(separator: ")").last?.split(separator: " ") ?? []
        if fields.count > 12 {
            reading.user = (UInt64(fields[11]) ?? 0) * 10_000_000
            reading.system = (UInt64(fields[12]) ?? 0) * 10_000_000
        }
        reading.process = reading.threads.values.reduce(0, +)
        for line in ServerProbe.text("/proc/\(process)/status").split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count > 1, let kilobytes = Int(words[1]) else { continue }
            if words[0] == "VmRSS:" { reading.residentBytes = kilobytes << 10 }
            if words[0] == "VmHWM:" { reading.peakBytes = kilobytes << 10 }
        }
        reading.kernelDrops = ServerProbe.drops(atPort: mediaPort)
        let line = try Wireline(port: port)
        let answer = try line.request("GET", "/metrics", headers: ["Connection": "close"])
        for line in answer.body.split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            guard words.count == 2, let value = Double(words[1]) else { continue }
            reading.counters[String(words[0].dropFirst("consilium_".count))] = value
        }
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        reading.load = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        for line in ServerProbe.text("/proc/stat").split(separator: "\n") where line.hasPrefix("cpu") {
            let words = line.split(separator: " ")
            guard words[0] != "cpu" else { continue }
            let ticks = words.dropFirst().prefix(8).compactMap { UInt64($0) }
            guard ticks.count == 8 else { continue }
            let total = ticks.reduce(0, +)
            reading.processors.append((total - ticks[3] - ticks[4], total))
        }
        return reading
    }

    /// What the kernel threw away because the socket's buffer was full.
    private static func drops(atPort port: Int) -> UInt64 {
        var sum: UInt64 = 0
        let suffix = ":" + String(format: "%04X", port)
        for table in ["/proc/net/udp", "/proc/net/udp6"] {
            for line in text(table).split(separator: "\n").dropFirst() {
                let words = line.split(separator: " ")
                guard words.count > 12, words[1].hasSuffix(suffix), let drops = UInt64(words[12]) else { continue }
                sum += drops
            }
        }
        return sum
    }

    static func text(_ path: String) -> String {
        // Files of /proc have no size: they are read until their end.
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }
}

/// What happened between two readings.
struct ServerInterval {
    let first: ServerProbe.Reading
    let last: ServerProbe.Reading

    var seconds: Double { Double(last.at &- first.at) / 1e9 }

    func count(_ name: String) -> Double { (last.counters[name] ?? 0) - (first.counters[name] ?? 0) }

    func sum(prefix: String) -> Double {
        last.counters.filter { $0.key.hasPrefix(prefix) }.reduce(0) { $0 + count($1.key) }
    }

    /// Of one processor.
    var server: Double { Double(last.process &- first.process) / 1e9 / seconds }
    func thread(_ name: String) -> Double {
        Double((last.threads[name] ?? 0) &- (first.threads[name] ?? 0)) / 1e9 / seconds
    }
    var load: Double { Double(last.load &- first.load) / 1e9 / seconds }
    var systemShare: Double {
        let user = Double(last.user &- first.user)
        let system = Double(last.system &- first.system)
        return user + system > 0 ? system / (user + system) : 0
    }
    var processors: [Double] {
        zip(first.processors, last.processors).map {
            Double($1.busy &- $0.busy) / Double(max(1, $1.total &- $0.total))
        }
    }

    var megabitsIn: Double { count("media_bytes_received_total") * 8 / 1e6 / seconds }
    var megabitsOut: Double { count("media_bytes_sent_total") * 8 / 1e6 / seconds }
    var packetsIn: Double { count("media_datagrams_received_total") / seconds }
    var packetsOut: Double { count("media_datagrams_sent_total") / seconds }

    /// Everything that the server had and did not pass on, wherever it was lost.
    var dropped: Int {
        Int(last.kernelDrops &- first.kernelDrops) + Int(count("media_send_failures_total"))
            + Int(count("media_queue_drops_total"))
    }

    var json: [String: any Sendable] {
        [
            "seconds": seconds.rounded(to: 2), "server_cores": server.rounded(to: 4),
            "server_media_thread_cores": thread("media-0").rounded(to: 4),
            "server_system_share": systemShare.rounded(to: 3), "load_cores": load.rounded(to: 4),
            "processors_busy": processors.map { $0.rounded(to: 3) },
            "megabits_in": megabitsIn.rounded(to: 1), "megabits_out": megabitsOut.rounded(to: 1),
            "packets_in_per_second": packetsIn.rounded(to: 0), "packets_out_per_second": packetsOut.rounded(to: 0),
            "resident_mebibytes_before": (Double(first.residentBytes) / 1_048_576).rounded(to: 1),
            "resident_mebibytes": (Double(last.residentBytes) / 1_048_576).rounded(to: 1),
            "resident_mebibytes_peak": (Double(last.peakBytes) / 1_048_576).rounded(to: 1),
            "dropped": [
                "kernel_receive_buffer": Int(last.kernelDrops &- first.kernelDrops),
                "kernel_send": Int(count("media_send_failures_total")),
                "queue": Int(count("media_queue_drops_total")),
            ] as [String: any Sendable],
            "nacks_sent": Int(count("media_nacks_sent_total")),
            "nacks_received": Int(count("media_nacks_received_total")),
            "packets_retransmitted_or_probing": Int(count("media_packets_retransmitted_total")),
            "key_frame_requests_sent": Int(count("media_key_frame_requests_sent_total")),
            "key_frame_requests_received": Int(count("media_key_frame_requests_received_total")),
            "refused": Int(sum(prefix: "media_refused_total")),
        ]
    }
}
