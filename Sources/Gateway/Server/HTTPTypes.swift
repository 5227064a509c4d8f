// Requests and answers of the front door as values. What travels between the server and a handler, and nothing else.
import Glibc

package enum HTTPMethod: String, Sendable, CaseIterable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
    case options = "OPTIONS"
}

/// The request headers that this server understands. Others are not read, so they cannot be trusted by accident.
package enum HTTPHeaderName: String, Sendable, CaseIterable {
    case accept
    case authorization
    case contentLength = "content-length"
    case contentType = "content-type"
    case cookie
    case host
    case ifMatch = "if-match"
    case ifNoneMatch = "if-none-match"
    case ifRange = "if-range"
    case origin
    case range
    case transferEncoding = "transfer-encoding"
    case webSocketProtocol = "sec-websocket-protocol"
}

package struct HTTPRequest: Sendable {
    package var method: HTTPMethod
    /// Percent-decoded, without the query.
    package var path: String
    package var query: [String: String]
    package var headers: [HTTPHeaderName: String]
    package var body: [UInt8]
    /// The peer's numeric address, without the port.
    package var remoteAddress: String
    package var isSecure: Bool
    /// What the route's pattern bound: `{room}` and the like.
    package var parameters: [String: String] = [:]

    package init(
        method: HTTPMethod, path: String, query: [String: String] = [:], headers: [HTTPHeaderName: String] = [:],
        body: [UInt8] = [], remoteAddress: String = "", isSecure: Bool = false
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.remoteAddress = remoteAddress
        self.isSecure = isSecure
    }

    package subscript(header: HTTPHeaderName) -> String? { headers[header] }
    package func parameter(_ name: String) -> String { parameters[name] ?? "" }

    package var bearerToken: String? {
        guard let value = self[.authorization] else { return nil }
        let parts = value.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return String(parts[1])
    }

    package func cookie(_ name: String) -> String? {
        guard let value = self[.cookie] else { return nil }
        for pair in value.split(separator: ";") {
            let trimmed = pair.drop { $0 == " " }
            guard let equals = trimmed.firstIndex(of: "=") else { continue }
            if trimmed[..<equals] == name { return String(trimmed[trimmed.index(after: equals)...]) }
        }
        return nil
    }
}

package struct HTTPResponse: Sendable {
    package enum Body: Sendable {
        case none
        case bytes([UInt8])
        case file(OpenFile, offset: Int64, length: Int64)
    }

    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: Body

    package init(status: Int, headers: [(name: String, value: String)] = [], body: Body = .none) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package static func json(_ bytes: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("content-type", "application/json")], body: .bytes(bytes))
    }

    package static func text(_ text: String, type: String = "text/plain; charset=utf-8") -> HTTPResponse {
        HTTPResponse(status: 200, headers: [("content-type", type)], body: .bytes(Array(text.utf8)))
    }

    /// Every refusal has the same form: `{"error":{"code":…,"message":…}}`, the message in words for people.
    package static func refusal(
        _ status: Int, _ code: String, _ message: String, headers: [(name: String, value: String)] = []
    ) -> HTTPResponse {
        var json = JSONText()
        json.object { json in
            json.key("error") { json in
                json.object { json in
                    json.field("code", code)
                    json.field("message", message)
                }
            }
        }
        var response = HTTPResponse.json(json.bytes, status: status)
        response.headers += headers
        return response
    }

    package var bodyLength: Int64 {
        switch body {
        case .none: 0
        case .bytes(let bytes): Int64(bytes.count)
        case .file(_, _, let length): length
        }
    }

    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name }?.value
    }
}

/// A file descriptor that closes with its last holder.
package final class OpenFile: Sendable {
    package struct Facts: Sendable {
        package var size: Int64
        package var modifiedSeconds: Int64
        package var modifiedNanoseconds: Int64
        package var inode: UInt64
    }

    private let descriptor: Int32
    package let facts: Facts

    /// Opens a regular file for reading; `nil` when there is none (or it is a directory, a device or a symbolic link).
    package init?(path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            return nil
        }
        self.descriptor = descriptor
        facts = Facts(
            size: Int64(status.st_size), modifiedSeconds: Int64(status.st_mtim.tv_sec),
            modifiedNanoseconds: Int64(status.st_mtim.tv_nsec), inode: UInt64(status.st_ino))
    }

    deinit { close(descriptor) }

    /// Bytes read, 0 at the end, < 0 on error.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int {
        pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
    }
}
