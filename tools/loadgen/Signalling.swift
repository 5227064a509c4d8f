// The load's own line to the server: HTTP requests, and one WebSocket with `consilium.v1` for each participant.
import Foundation
import Glibc

/// A blocking TCP connection that speaks HTTP/1.1 and, after an upgrade, WebSocket frames (RFC 6455).
final class Wireline: @unchecked Sendable {
    let descriptor: Int32
    private var buffer: [UInt8] = []
    private var start = 0
    private let port: Int
    private let sending = NSLock()

    init(port: Int) throws {
        self.port = port
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            throw LoadFault("no connection to port \(port): \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    private func send(_ bytes: [UInt8]) throws {
        sending.lock()
        defer { sending.unlock() }
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw LoadFault("the server took \(sent) of \(bytes.count) bytes") }
            sent += count
        }
    }

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else {
            throw LoadFault(count == 0 ? "the server closed" : "nothing came: \(String(cString: strerror(errno)))")
        }
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer += chunk[..<count]
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while buffer.count - start < count { try fill() }
        defer { start += count }
        return Array(buffer[start..<start + count])
    }

    /// Whether a frame may be read without waiting for its beginning.
    var hasBuffered: Bool { buffer.count > start }

    func request(
        _ method: String, _ path: String, headers: [String: String] = [:], body: String = ""
    ) throws -> (status: Int, headers: [String: String], body: String) {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: localhost:\(port)\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if !body.isEmpty { text += "Content-Length: \(body.utf8.count)\r\n" }
        try send(Array((text + "\r\n" + body).utf8))
        var head: [UInt8] = []
        while head.suffix(4) != [13, 10, 13, 10] { head += try take(1) }
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        let length = status == 101 || status == 204 ? 0 : fields["content-length"].flatMap { Int($0) } ?? 0
        return (status, fields, String(decoding: try take(length), as: UTF8.self))
    }

    // MARK: WebSocket

    func upgrade(_ path: String) throws {
        let answer = try request(
            "GET", path,
            headers: [
                "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "consilium.v1",
            ])
        guard answer.status == 101 else { throw LoadFault("no WebSocket: \(answer.status) \(answer.body)") }
    }

    func sendFrame(_ payload: [UInt8], opcode: UInt8 = 1) throws {
        var frame: [UInt8] = [0x80 | opcode]
        switch payload.count {
        case 0..<126: frame.append(0x80 | UInt8(payload.count))
        case 126..<65536: frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default: frame += [0x80 | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        // A mask of zeros is a mask, and what it hides is no secret here.
        frame += [0, 0, 0, 0]
        frame += payload
        try send(frame)
    }

    /// The next text; pings are answered on the way. Throws at the end of the connection.
    func nextText() throws -> [UInt8] {
        while true {
            let head = try take(2)
            var length = Int(head[1] & 0x7F)
            if length == 126 { length = try take(2).reduce(0) { $0 << 8 | Int($1) } }
            if length == 127 { length = try take(8).reduce(0) { $0 << 8 | Int($1) } }
            let payload = try take(length)
            switch head[0] & 15 {
            case 1: return payload
            case 9: try sendFrame(payload, opcode: 10)
            case 8: throw LoadFault("the server closed the WebSocket: \(Self.closeWords(payload))")
            default: continue
            }
        }
    }

    private static func closeWords(_ payload: [UInt8]) -> String {
        guard payload.count >= 2 else { return "without a word" }
        return "\(Int(payload[0]) << 8 | Int(payload[1])) \(String(decoding: payload[2...], as: UTF8.self))"
    }
}

/// A page: joins, negotiates, says what it shows.
final class Page: @unchecked Sendable {
    let line: Wireline
    private(set) var participant = ""
    /// The room's participants as they were at the join.
    private var others: [String: Any] = [:]
    private var nextID = 1

    init(port: Int, room: String, token: String) throws {
        line = try Wireline(port: port)
        try line.upgrade("/v1/rooms/\(room)/socket")
        let joined = try ask(["do": "join", "token": token])
        guard let participant = joined["participant"] as? String else { throw LoadFault("join: \(joined)") }
        if joined["waiting"] as? Bool == true { throw LoadFault("the role of this token waits in the lobby") }
        self.participant = participant
        let state = (joined["snapshot"] as? [String: Any])?["state"] as? [String: Any]
        others = state?["participants"] as? [String: Any] ?? [:]
    }

    func publisher(of stream: String) -> String? {
        others.first { (($0.value as? [String: Any])?["streams"] as? [String: Any])?[stream] != nil }?.key
    }

    /// Sends a command and waits for its reply; what comes in between is for people.
    @discardableResult
    func ask(_ command: [String: any Sendable]) throws -> [String: Any] {
        let id = try tell(command)
        while true {
            let text = try line.nextText()
            guard let message = try JSONSerialization.jsonObject(with: Data(text)) as? [String: Any] else { continue }
            guard message["re"] as? Int == id else { continue }
            if let error = message["error"] as? [String: Any] {
                throw LoadFault("\(command["do"] ?? ""): \(error["code"] ?? "") \(error["message"] ?? "")")
            }
            return message["ok"] as? [String: Any] ?? [:]
        }
    }

    @discardableResult
    func tell(_ command: [String: any Sendable]) throws -> Int {
        var command = command
        let id = nextID
        nextID += 1
        command["id"] = id
        try line.sendFrame(Array(JSONSerialization.data(withJSONObject: command)))
        return id
    }

    func negotiate(_ sdp: String, _ declarations: [[String: any Sendable]]) throws -> String {
        let reply = try ask(["do": "negotiate", "sdp": sdp, "streams": declarations])
        guard let answer = reply["sdp"] as? String else { throw LoadFault("negotiate: \(reply)") }
        return answer
    }

    struct Shown: Sendable {
        var participant: String
        var stream: String
        var width: Int
        var height: Int
    }

    func show(_ streams: [Shown]) throws {
        try ask([
            "do": "view.set",
            "streams": streams.map {
                ["participant": $0.participant, "stream": $0.stream, "width": $0.width, "height": $0.height]
                    as [String: any Sendable]
            },
        ])
    }
}

/// Reads on behalf of all pages once they are in, so that pings are answered and nobody is taken for slow.
final class PageReader: @unchecked Sendable {
    private let lock = NSLock()
    private var pages: [Page] = []
    private var isStopped = false
    /// Why connections ended that should not have.
    private(set) var faults: [String] = []

    func start() { Thread { self.run() }.start() }

    func add(_ page: Page) {
        lock.lock()
        pages.append(page)
        lock.unlock()
    }

    func remove(_ page: Page) {
        lock.lock()
        pages.removeAll { $0 === page }
        lock.unlock()
    }

    func stop() {
        lock.lock()
        isStopped = true
        lock.unlock()
    }

    private func run() {
        while true {
            lock.lock()
            let current = pages
            let ends = isStopped
            lock.unlock()
            if ends { return }
            var waits = current.map { pollfd(fd: $0.line.descriptor, events: Int16(POLLIN), revents: 0) }
            guard poll(&waits, nfds_t(waits.count), 100) > 0 else { continue }
            for (page, wait) in zip(current, waits) where wait.revents != 0 {
                do {
                    repeat { _ = try page.line.nextText() } while page.line.hasBuffered
                } catch {
                    remove(page)
                    lock.lock()
                    if !isStopped { faults.append("\(error)") }
                    lock.unlock()
                }
            }
        }
    }
}
