// The log: one JSON object a line on standard error. It carries opaque ids, never names of people, rooms or tokens.
import Glibc

package struct Log: Sendable {
    package enum Level: String, Sendable, CaseIterable, Comparable {
        case debug, info, warning, error

        private var rank: Int {
            switch self {
            case .debug: 0
            case .info: 1
            case .warning: 2
            case .error: 3
            }
        }

        package static func < (left: Level, right: Level) -> Bool { left.rank < right.rank }
    }

    private let minimum: Level
    private let sink: @Sendable ([UInt8]) -> Void

    package init(minimum: Level = .info, sink: @escaping @Sendable ([UInt8]) -> Void = Log.standardError) {
        self.minimum = minimum
        self.sink = sink
    }

    /// A log that nobody reads.
    package static let silent = Log(minimum: .error) { _ in }

    package static let standardError: @Sendable ([UInt8]) -> Void = { line in
        line.withUnsafeBytes { bytes in
            // One write a line, so that lines of several threads do not mix.
            _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }

    package func callAsFunction(_ level: Level, _ event: String, _ fields: (inout JSONText) -> Void = { _ in }) {
        guard level >= minimum else { return }
        var json = JSONText()
        json.object { json in
            json.field("at", WallClock.now().rfc3339)
            json.field("level", level.rawValue)
            json.field("event", event)
            fields(&json)
        }
        sink(json.bytes + [0x0A])
    }
}

package struct WallClock: Sendable {
    package var seconds: Int64
    package var milliseconds: Int

    package static func now() -> WallClock {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallClock(seconds: Int64(time.tv_sec), milliseconds: Int(time.tv_nsec / 1_000_000))
    }

    package var rfc3339: String {
        var parts = tm()
        var seconds = time_t(seconds)
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let fraction = String(1000 + milliseconds).dropFirst()
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
            + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(fraction)Z"
    }
}

/// CLOCK_MONOTONIC in nanoseconds: the clock of every deadline and of the session time.
package func monotonicNow() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
