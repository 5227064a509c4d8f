// The HTTP side of the server over real sockets: answers, limits, ranges, hostile input.
import Foundation
import Gateway
import Testing

@Suite("The HTTP server") struct HTTPServerTests {
    static func withServer<Value>(
        _ change: (inout HTTPServerConfiguration) -> Void = { _ in }, sockets: [WebSocketRoute] = [],
        routes: (inout HTTPRouter) -> Void = { _ in }, fallback: HTTPHandler? = nil,
        _ body: (Int, HTTPServer) async throws -> Value
    ) async throws -> Value {
        var configuration = HTTPServerConfiguration()
        change(&configuration)
        var router = HTTPRouter()
        router.on(.get, "/hello/{who}") { .text("Hello \($0.parameter("who")) \($0.query["q"] ?? "-")") }
        router.on(.post, "/echo", bodyLimit: 200_000) { request in
            HTTPResponse(status: 200, headers: [("content-type", "text/plain")], body: .bytes(request.body))
        }
        router.on(.get, "/slow") { _ in
            await Task.yield()
            return .text("slow")
        }
        routes(&router)
        let server =
            if let fallback {
                HTTPServer(configuration: configuration, router: router, sockets: sockets, fallback: fallback)
            } else {
                HTTPServer(configuration: configuration, router: router, sockets: sockets)
            }
        let port = try await server.start()
        do {
            let value = try await body(port, server)
            await server.stop()
            return value
        } catch {
            await server.stop()
            throw error
        }
    }

    @Test("answers a route with its parameters and query")
    func route() async throws {
        try await Self.withServer { port, _ in
            let answer = try await RawClient.request(port: port, "GET", "/hello/you%20there?q=1%2B1")
            #expect(answer.status == 200)
            #expect(answer.text == "Hello you there 1+1")
            #expect(answer.headers["x-content-type-options"] == "nosniff")
            #expect(answer.headers["content-security-policy"]?.contains("default-src 'self'") == true)
            #expect(answer.headers["cache-control"] == "no-store")
        }
    }

    @Test("serves many requests on one connection, in order")
    func keepAlive() async throws {
        try await Self.withServer { port, _ in
            try await blocking {
                let client = try RawClient(port: port)
                for index in 0..<50 {
                    try client.send("GET /hello/\(index) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    let answer = try client.response()
                    #expect(answer.text == "Hello \(index) -")
                }
            }
        }
    }

    @Test("reads a body up to the route's limit and refuses a larger one with 413")
    func bodies() async throws {
        try await Self.withServer { port, _ in
            let body = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let answer = try await RawClient.request(port: port, "POST", "/echo", body: body)
            #expect(answer.status == 200)
            #expect(answer.body == body)
            let refused = try await RawClient.request(
                port: port, "POST", "/echo", headers: ["Content-Length": "200001"])
            #expect(refused.status == 413)
            #expect(refused.text.contains("body_too_large"))
        }
    }

    @Test(
        "refuses what it cannot take, with a reason",
        arguments: [
            ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found"),
            ("DELETE /hello/a HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),
            ("POST /echo HTTP/1.1\r\nHost: a\r\n\r\n", 411, "length_required"),
            ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, "length_required"),
            ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", 400, "bad_content_length"),
            (
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400,
                "bad_content_length"
            ),
            (
                "GET /hello/a HTTP/1.1\r\nHost: a\r\nCookie: " + String(repeating: "c", count: 20_000) + "\r\n\r\n",
                431,
                "headers_too_large"
            ),
        ])
    func refusals(request: String, status: Int, code: String) async throws {
        try await Self.withServer { port, _ in
            let answer = try await blocking {
                let client = try RawClient(port: port)
                try client.send(request)
                return try client.response()
            }
            #expect(answer.status == status)
            #expect(answer.text.contains("\"\(code)\""))
            #expect(answer.headers["content-type"] == "application/json")
        }
    }

    @Test(
        "survives bytes that are no HTTP and goes on serving",
        arguments: [
            "\u{16}\u{03}\u{01}\u{02}\0\u{01}\0\u{01}", "GET", "\r\n\r\n\r\n", "FROB / HTTP/1.1\r\n\r\n",
            "GET /../../../../etc/passwd HTTP/1.1\r\n\r\n", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%zz%f HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET " + String(repeating: "/a", count: 40_000) + " HTTP/1.1\r\n\r\n",
            "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET / HTTP/1.1\r\n" + String(repeating: "X-Y: z\r\n", count: 20_000) + "\r\n",
        ])
    func hostile(bytes: String) async throws {
        try await Self.withServer { port, _ in
            try await blocking {
                let client = try RawClient(port: port)
                try? client.send(bytes)
            }
            let answer = try await RawClient.request(port: port, "GET", "/hello/still")
            #expect(answer.status == 200)
        }
    }

    @Test("refuses more connections from one address than configured")
    func connectionLimit() async throws {
        try await Self.withServer({ $0.maximumConnectionsPerAddress = 3 }) { port, server in
            try await blocking {
                var open: [RawClient] = []
                for _ in 0..<3 {
                    let client = try RawClient(port: port)
                    try client.send("GET /hello/a HTTP/1.1\r\nHost: a\r\n\r\n")
                    #expect(try client.response().status == 200)
                    open.append(client)
                }
                let oneMore = try RawClient(port: port)
                try? oneMore.send("GET /hello/a HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try oneMore.isClosedByServer())
                _ = open
            }
            #expect(await server.snapshotCounters().refusedConnections == 1)
        }
    }

    @Test("serves files in ranges, with tags, and answers HEAD without a body")
    func files() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("pages-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        try Data(content).write(to: directory.appendingPathComponent("film.webm"))
        try Data("<!doctype html>".utf8).write(to: directory.appendingPathComponent("index.html"))
        let pages = StaticPages(directory: directory.path)
        try await Self.withServer(fallback: { pages.respond(to: $0) }) { port, _ in
            let whole = try await RawClient.request(port: port, "GET", "/film.webm")
            #expect(whole.status == 200)
            #expect(whole.body == content)
            #expect(whole.headers["content-type"] == "video/webm")
            #expect(whole.headers["accept-ranges"] == "bytes")
            let part = try await RawClient.request(port: port, "GET", "/film.webm", headers: ["Range": "bytes=100-199"])
            #expect(part.status == 206)
            #expect(part.body == Array(content[100..<200]))
            #expect(part.headers["content-range"] == "bytes 100-199/300000")
            let suffix = try await RawClient.request(port: port, "GET", "/film.webm", headers: ["Range": "bytes=-5"])
            #expect(suffix.body == Array(content.suffix(5)))
            let beyond = try await RawClient.request(
                port: port, "GET", "/film.webm", headers: ["Range": "bytes=300000-"])
            #expect(beyond.status == 416)
            #expect(beyond.headers["content-range"] == "bytes */300000")
            let head = try await RawClient.request(port: port, "HEAD", "/film.webm")
            #expect(head.status == 200)
            #expect(head.headers["content-length"] == "300000")
            let tag = try #require(whole.headers["etag"])
            let same = try await RawClient.request(port: port, "GET", "/film.webm", headers: ["If-None-Match": tag])
            #expect(same.status == 304)
            let stale = try await RawClient.request(
                port: port, "GET", "/film.webm", headers: ["Range": "bytes=0-1", "If-Range": "\"other\""])
            #expect(stale.status == 200)
            let index = try await RawClient.request(port: port, "GET", "/")
            #expect(index.headers["content-type"] == "text/html; charset=utf-8")
            for path in ["/..%2f..%2fetc/passwd", "/.hidden", "/a//../../index.html/x", "/film.webm/x", "/none.js"] {
                let answer = try await RawClient.request(port: port, "GET", path)
                #expect(answer.status == 404, "\(path)")
            }
        }
    }
}

@Suite("Byte ranges") struct ByteRangeTests {
    @Test(
        "are read as RFC 9110 says",
        arguments: [
            ("bytes=0-", FileResponses.ByteRange.part(offset: 0, length: 10)),
            ("bytes=0-0", .part(offset: 0, length: 1)), ("bytes=9-100", .part(offset: 9, length: 1)),
            ("bytes=-3", .part(offset: 7, length: 3)), ("bytes=-30", .part(offset: 0, length: 10)),
            ("bytes=-0", .unsatisfiable), ("bytes=10-", .unsatisfiable), ("bytes=5-4", .whole), ("bytes=-", .whole),
            ("bytes=0-1,3-4", .whole), ("items=0-1", .whole), ("bytes=a-b", .whole), ("bytes=+1-2", .whole),
            ("bytes=99999999999999999999-", .unsatisfiable),
            ("bytes=-99999999999999999999", .part(offset: 0, length: 10)),
            ("bytes=1-99999999999999999999", .part(offset: 1, length: 9)),
        ])
    func ranges(header: String, expected: FileResponses.ByteRange) {
        #expect(FileResponses.range(header, size: 10) == expected)
    }
}
