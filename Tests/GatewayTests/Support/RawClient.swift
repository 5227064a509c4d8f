// A client on a plain TCP socket: sends exactly the bytes of a test, reads answers and WebSocket frames.
import Foundation
import Glibc

/// Runs blocking socket calls on a thread of their own, away from the few that tasks share.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Result { try body() }) }.start()
    }
}

struct RawFault: Error, CustomStringConvertible {
    var description: String
}

struct RawResponse: Sendable {
    var status: Int
    var headers: [String: String]
    var body: [UInt8]
    var text: String { String(decoding: body, as: UTF8.self) }
}

final class RawClient: @unchecked Sendable {
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    init(port: Int, timeoutSeconds: Int = 10) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // Thrown with everything initialised: deinit closes.
        guard connected == 0 else {
            throw RawFault(description: "no connection to port \(port): \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw RawFault(description: "the server took \(sent) of \(bytes.count) bytes") }
            sent += count
        }
    }

    /// False at the end of the stream.
    private func fill() throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        if count < 0 {
            if errno == ECONNRESET { return false }
            throw RawFault(description: "nothing came: \(String(cString: strerror(errno)))")
        }
        buffer += chunk[..<count]
        return count > 0
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while buffer.count < count {
            guard try fill() else { throw RawFault(description: "the server closed; \(buffer.count) bytes were left") }
        }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    /// True when the server closes the connection without another byte.
    func isClosedByServer() throws -> Bool {
        while try fill() {}
        return true
    }

    func response(toHead: Bool = false) throws -> RawResponse {
        var end: Int?
        while end == nil {
            end = (0..<max(0, buffer.count - 3)).first { Array(buffer[$0..<$0 + 4]) == [13, 10, 13, 10] }
            if end == nil, try !fill() { throw RawFault(description: "closed before an answer") }
        }
        let head = String(decoding: try take(end! + 4), as: UTF8.self)
        let lines = head.split(separator: "\r\n")
        let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].drop { $0 == " " }.description
        }
        let length = toHead || status == 204 || status == 304 ? 0 : Int(headers["content-length"] ?? "0") ?? 0
        return RawResponse(status: status, headers: headers, body: try take(length))
    }

    static func request(
        port: Int, _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil
    ) async throws -> RawResponse {
        try await blocking {
            let client = try RawClient(port: port)
            var text = "\(method) \(path) HTTP/1.1\r\nHost: localhost:\(port)\r\n"
            for (name, value) in headers { text += "\(name): \(value)\r\n" }
            if let body { text += "Content-Length: \(body.count)\r\n" }
            try client.send(Array((text + "\r\n").utf8) + (body ?? []))
            return try client.response(toHead: method == "HEAD")
        }
    }

    // MARK: WebSocket (RFC 6455)

    struct Frame: Sendable {
        var opcode: UInt8
        var payload: [UInt8]
        var text: String { String(decoding: payload, as: UTF8.self) }
        var closeCode: Int? { opcode == 8 && payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : nil }
    }

    func upgrade(
        _ path: String, subprotocol: String? = "consilium.v1", origin: String? = nil, host: String = "localhost"
    ) throws -> RawResponse {
        var text = "GET \(path) HTTP/1.1\r\nHost: \(host)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        text += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        if let subprotocol { text += "Sec-WebSocket-Protocol: \(subprotocol)\r\n" }
        if let origin { text += "Origin: \(origin)\r\n" }
        try send(text + "\r\n")
        return try response()
    }

    func sendFrame(_ text: String, opcode: UInt8 = 1) throws { try sendFrame(Array(text.utf8), opcode: opcode) }

    func sendFrame(_ payload: [UInt8], opcode: UInt8 = 1) throws {
        let mask: [UInt8] = [0x12, 0x34, 0x56, 0x78]
        var frame: [UInt8] = [0x80 | opcode]
        switch payload.count {
        case 0..<126: frame.append(0x80 | UInt8(payload.count))
        case 126..<65536: frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default: frame += [0x80 | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        frame += mask
        frame += payload.enumerated().map { $0.element ^ mask[$0.offset & 3] }
        try send(frame)
    }

    /// The next data or close frame; pings are answered on the way.
    func frame() throws -> Frame {
        while true {
            let frame = try rawFrame()
            guard frame.opcode == 9 else { return frame }
            try sendFrame(frame.payload, opcode: 10)
        }
    }

    /// The next frame of any kind.
    func rawFrame() throws -> Frame {
        let head = try take(2)
        var length = Int(head[1] & 0x7F)
        if length == 126 { length = try take(2).reduce(0) { $0 << 8 | Int($1) } }
        if length == 127 { length = try take(8).reduce(0) { $0 << 8 | Int($1) } }
        return Frame(opcode: head[0] & 15, payload: try take(length))
    }
}
