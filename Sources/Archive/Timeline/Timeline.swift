// timeline.ndjson: a header, then one event or snapshot per line, each carrying the SHA-256 of the line before it.

import COpenSSL
import Foundation

/// Reading and checking a timeline. Line 1 is the header: what is recorded, when it began on both clocks, and the room's
/// state. Every further line is one JSON object whose last member is `prev`: an event as it was sent to the room, a
/// snapshot (`{"snapshot":{…},"t":…}`), or the end (`{"timeline":"end","events":…,"t":…}`).
package enum Timeline {
    package static let format = "consilium.timeline.v1"

    /// What a check found.
    package enum Verdict: Equatable, Sendable {
        /// Every line follows from the one before. `isComplete`: the last one is the end.
        case intact(lines: Int, head: String, isComplete: Bool)
        /// This line (from 1 on) does not follow from the one before it, or is no line of a timeline.
        case broken(line: Int, reason: String)
        /// The file ends inside a line; everything before is intact.
        case torn(lines: Int, head: String, intactBytes: Int)
    }

    package static func verify(_ bytes: [UInt8]) -> Verdict {
        var lines = 0
        var head = ""
        var isComplete = false
        var at = 0
        while at < bytes.count {
            guard let end = bytes[at...].firstIndex(of: UInt8(ascii: "\n")) else {
                return .torn(lines: lines, head: head, intactBytes: at)
            }
            let line = bytes[at..<end]
            lines += 1
            if isComplete { return .broken(line: lines, reason: "a line after the end") }
            if lines == 1 {
                guard line.starts(with: Array("{\"timeline\":\"\(format)\"".utf8)), line.last == UInt8(ascii: "}")
                else {
                    return .broken(line: 1, reason: "not the header of a timeline")
                }
            } else {
                guard line.reversed().starts(with: suffix(previous: head).reversed()) else {
                    return .broken(line: lines, reason: "expected the hash \(head) of the line before it")
                }
                isComplete = line.starts(with: Array("{\"timeline\":\"end\"".utf8))
            }
            head = hash(line)
            at = end + 1
        }
        return lines == 0
            ? .broken(line: 1, reason: "empty") : .intact(lines: lines, head: head, isComplete: isComplete)
    }

    /// What every line but the first ends with.
    static func suffix(previous: String) -> [UInt8] { Array("\"prev\":\"\(previous)\"}".utf8) }

    static func hash(_ bytes: some Collection<UInt8>) -> String {
        let input = Array(bytes)
        var digest = [UInt8](repeating: 0, count: 32)
        _ = SHA256(input, input.count, &digest)
        return hexadecimal(digest)
    }

    /// A JSON string literal.
    static func quoted(_ text: String) -> String {
        guard let bytes = try? JSONEncoder().encode(text) else { return "\"\"" }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Appends to one timeline. Any thread; one line is one write.
final class TimelineWriter: @unchecked Sendable {
    private static let longestLine = 4 << 20

    private let file: any StorageFile
    private let sync: SyncGroup
    private let failed: @Sendable (StorageError) -> Void
    private let lock = NSLock()
    // Guarded by `lock`.
    private var size: Int64 = 0
    private var previous = ""
    private var events = 0
    private var lastTime: Int64
    private var isClosed = false
    private var hasFailed = false

    struct Header {
        var recording: String
        var room: String
        var title: String
        var started: String
        /// Session time of the start.
        var start: Int64
        /// CLOCK_MONOTONIC of the start.
        var monotonic: UInt64
        var snapshotJSON: [UInt8]
    }

    init(
        storage: any Storage, path: String, header: Header, sync: SyncGroup,
        failed: @escaping @Sendable (StorageError) -> Void
    ) throws(StorageError) {
        self.sync = sync
        self.failed = failed
        lastTime = header.start
        file = try storage.create(path)
        var line = Array(
            """
            {"timeline":"\(Timeline.format)","recording":\(Timeline.quoted(header.recording)),\
            "room":\(Timeline.quoted(header.room)),"title":\(Timeline.quoted(header.title)),\
            "started":\(Timeline.quoted(header.started)),"t":\(header.start),"monotonic":"\(header.monotonic)","snapshot":
            """.utf8)
        line += Self.oneLine(header.snapshotJSON) ?? Array("{}".utf8)
        line.append(UInt8(ascii: "}"))
        try write(line)
    }

    /// One event, as it was sent to the room.
    func append(event: [UInt8]) {
        guard let object = Self.oneLine(event) else { return }
        add(object) { events += 1 }
    }

    /// The room's whole state at a moment.
    func append(snapshot: [UInt8], t: Int64) {
        guard let state = Self.oneLine(snapshot) else { return }
        add(Array("{\"snapshot\":".utf8) + state + Array(",\"t\":\(t)}".utf8)) {}
    }

    /// The last line; returns its hash.
    func end(t: Int64) -> String {
        add(Array("{\"timeline\":\"end\",\"t\":\(t),\"events\":\(events)}".utf8)) {}
        return lock.withLock {
            isClosed = true
            return previous
        }
    }

    func makeDurable() {
        do throws(StorageError) { try file.sync() } catch { failed(error) }
    }

    private func add(_ object: [UInt8], counted: () -> Void) {
        lock.lock()
        defer { lock.unlock() }
        guard !isClosed else { return }
        var line = Array(object.dropLast())
        if line.count > 1 { line.append(UInt8(ascii: ",")) }
        line += Timeline.suffix(previous: previous)
        do throws(StorageError) {
            try write(line)
            counted()
            hasFailed = false
        } catch {
            // What was half written is overwritten by the next line; the failure is told once.
            if !hasFailed { failed(error) }
            hasFailed = true
        }
    }

    private func write(_ line: [UInt8]) throws(StorageError) {
        try file.write(line + [UInt8(ascii: "\n")], at: size)
        size += Int64(line.count) + 1
        previous = Timeline.hash(line)
        sync.markDirty(file)
    }

    /// The object on one line, or nil for what is none. Line breaks in JSON stand between tokens only.
    private static func oneLine(_ json: [UInt8]) -> [UInt8]? {
        let blank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
        let trimmed = json.drop(while: blank).reversed().drop(while: blank).reversed()
        guard trimmed.first == UInt8(ascii: "{"), trimmed.last == UInt8(ascii: "}"), trimmed.count <= longestLine else {
            return nil
        }
        return trimmed.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }
    }
}

extension Timeline {
    /// Cuts a torn last line off and adds the end, after a crash. Returns the head, the time of the last line and how many
    /// bytes were cut.
    static func recover(
        _ storage: any Storage, path: String
    ) throws(StorageError) -> (head: String, lastTime: Int64?, cut: Int64) {
        let file = try storage.open(path)
        defer { file.close() }
        var bytes = try file.readAll()
        let whole = bytes.count
        var head = ""
        switch verify(bytes) {
        case .intact(_, let found, let isComplete):
            if isComplete { return (found, lastTime(bytes), 0) }
            head = found
        case .torn(_, let found, let intact):
            head = found
            bytes.removeLast(whole - intact)
            try file.truncate(to: Int64(intact))
        case .broken:
            // Not a crash's doing: left as it is, for `verify` to show.
            return (hash(bytes), lastTime(bytes), 0)
        }
        guard !head.isEmpty else { return ("", nil, Int64(whole)) }
        let time = lastTime(bytes)
        let line =
            Array("{\"timeline\":\"end\",\"t\":\(time ?? 0),\"recovered\":true,".utf8) + suffix(previous: head)
        try file.write(line + [UInt8(ascii: "\n")], at: Int64(bytes.count))
        try file.sync()
        return (hash(line), time, Int64(whole - bytes.count))
    }

    /// `t` of the last line that has one.
    private static func lastTime(_ bytes: [UInt8]) -> Int64? {
        struct Timed: Decodable { var t: Int64 }
        for line in bytes.split(separator: UInt8(ascii: "\n")).suffix(8).reversed() {
            if let timed = try? JSONDecoder().decode(Timed.self, from: Data(line)) { return timed.t }
        }
        return nil
    }
}
