// Requests of the HTTP server: reads what libwebsockets parsed, runs the handler, writes the answer as the peer takes it.
import CWebSockets

/// One request and its answer, on one connection or HTTP/2 stream.
final class HTTPExchange {
    enum Phase {
        case receiving(expected: Int)
        case handling
        case sending
    }

    let number: UInt64
    let connection: OpaquePointer
    var request: HTTPRequest
    var handler: HTTPHandler
    var phase: Phase
    var task: Task<Void, Never>?

    var response: HTTPResponse?
    var areHeadersSent = false
    var sent: Int64 = 0
    var closesAfterwards = false

    init(number: UInt64, connection: OpaquePointer, request: HTTPRequest, handler: @escaping HTTPHandler, phase: Phase)
    {
        self.number = number
        self.connection = connection
        self.request = request
        self.handler = handler
        self.phase = phase
    }
}

extension HTTPServer {
    private static let http1Chunk = 60 * 1024
    /// The smallest frame every HTTP/2 peer takes is 16,384 bytes; libwebsockets does not split for us.
    static let http2Chunk = 16 * 1000

    // MARK: receiving

    func requestBegan(_ wsi: OpaquePointer) -> Int32 {
        count { $0.requests += 1 }
        exchangeGone(wsi)
        guard let (request, headerBytes) = readRequest(wsi) else {
            return answer(
                wsi, HTTPRequest(method: .get, path: "/"),
                .refusal(
                    405, "method_not_allowed", "This method is not known here.", headers: [("allow", "GET, HEAD")]),
                closing: true)
        }
        guard headerBytes <= configuration.headerLimit else {
            return answer(
                wsi, request,
                .refusal(
                    431, "headers_too_large",
                    "The request's headers have \(headerBytes) bytes; \(configuration.headerLimit) are accepted."),
                closing: true)
        }
        let match = router.match(request.method, request.path)
        var bound = request
        var limit = HTTPRouter.defaultBodyLimit
        let handler: HTTPHandler
        switch match {
        case .found(let route, let parameters):
            bound.parameters = parameters
            limit = route.bodyLimit
            handler = route.handler
        case .methodNotAllowed(let allowed):
            let names = Set(allowed.map(\.rawValue) + (allowed.contains(.get) ? ["HEAD"] : [])).sorted()
            handler = { _ in
                .refusal(
                    405, "method_not_allowed", "This address takes \(names.joined(separator: ", ")).",
                    headers: [("allow", names.joined(separator: ", "))])
            }
        case .notFound:
            handler = fallback
        }

        guard request[.transferEncoding] == nil else {
            return answer(
                wsi, request,
                .refusal(411, "length_required", "A request body needs a Content-Length; chunks are not accepted."),
                closing: true)
        }
        var expected = 0
        if let text = request[.contentLength] {
            guard let length = Int(text), length >= 0 else {
                return answer(
                    wsi, request, .refusal(400, "bad_content_length", "The Content-Length is not a number of bytes."),
                    closing: true)
            }
            expected = length
        } else if [.post, .put, .patch].contains(request.method) {
            return answer(
                wsi, request, .refusal(411, "length_required", "A \(request.method.rawValue) needs a Content-Length."),
                closing: true)
        }
        guard expected <= limit else {
            return answer(
                wsi, request,
                .refusal(413, "body_too_large", "The request body has \(expected) bytes; \(limit) are accepted here."),
                closing: true)
        }

        let exchange = makeExchange(wsi, bound, handler, expected > 0 ? .receiving(expected: expected) : .handling)
        if expected == 0 { dispatch(exchange) }
        return 0
    }

    func requestBody(_ wsi: OpaquePointer, _ bytes: UnsafeRawBufferPointer) -> Int32 {
        guard let exchange = exchanges[wsi] else { return -1 }
        guard case .receiving(let expected) = exchange.phase else { return 0 }
        guard exchange.request.body.count + bytes.count <= expected else { return -1 }
        exchange.request.body.append(contentsOf: bytes)
        return 0
    }

    func requestBodyCompleted(_ wsi: OpaquePointer) -> Int32 {
        guard let exchange = exchanges[wsi] else { return 0 }
        guard case .receiving(let expected) = exchange.phase else { return 0 }
        guard exchange.request.body.count == expected else { return -1 }
        dispatch(exchange)
        return 0
    }

    func exchangeGone(_ wsi: OpaquePointer) {
        guard let exchange = exchanges.removeValue(forKey: wsi) else { return }
        exchangesByNumber[exchange.number] = nil
        exchange.task?.cancel()
    }

    private func makeExchange(
        _ wsi: OpaquePointer, _ request: HTTPRequest, _ handler: @escaping HTTPHandler, _ phase: HTTPExchange.Phase
    ) -> HTTPExchange {
        let exchange = HTTPExchange(
            number: nextNumber, connection: wsi, request: request, handler: handler, phase: phase)
        nextNumber += 1
        exchanges[wsi] = exchange
        exchangesByNumber[exchange.number] = exchange
        return exchange
    }

    private func dispatch(_ exchange: HTTPExchange) {
        exchange.phase = .handling
        lws_set_timeout(
            exchange.connection, PENDING_TIMEOUT_HTTP_CONTENT, Int32(clamping: configuration.handlerTimeoutSeconds))
        let (number, request, handler) = (exchange.number, exchange.request, exchange.handler)
        exchange.request.body = []
        exchange.task = Task { [weak self] in
            let response = await handler(request)
            await self?.deliver(response, to: number)
        }
    }

    private func deliver(_ response: HTTPResponse, to number: UInt64) {
        guard let exchange = exchangesByNumber[number] else { return }
        begin(response, on: exchange)
    }

    private func answer(
        _ wsi: OpaquePointer, _ request: HTTPRequest, _ response: HTTPResponse, closing: Bool
    ) -> Int32 {
        let exchange = makeExchange(wsi, request, fallback, .handling)
        exchange.closesAfterwards = closing
        begin(response, on: exchange)
        return 0
    }

    // MARK: sending

    private func begin(_ response: HTTPResponse, on exchange: HTTPExchange) {
        exchange.response = response
        exchange.phase = .sending
        exchange.task = nil
        lws_set_timeout(exchange.connection, PENDING_TIMEOUT_HTTP_CONTENT, 30)
        lws_callback_on_writable(exchange.connection)
    }

    func responseWritable(_ wsi: OpaquePointer) -> Int32 {
        guard let exchange = exchanges[wsi], let response = exchange.response else { return 0 }
        guard exchange.areHeadersSent else {
            exchange.areHeadersSent = true
            let hasBody = exchange.request.method != .head && response.bodyLength > 0
            guard sendHeaders(response, exchange, endsStream: !hasBody) else { return -1 }
            guard hasBody else { return finish(exchange) }
            lws_callback_on_writable(wsi)
            return 0
        }
        switch sendChunk(response, exchange) {
        case .more:
            lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, 30)
            lws_callback_on_writable(wsi)
            return 0
        case .done: return finish(exchange)
        case .failed: return -1
        }
    }

    private func finish(_ exchange: HTTPExchange) -> Int32 {
        let wsi = exchange.connection
        let closes = exchange.closesAfterwards
        exchangeGone(wsi)
        if closes { return -1 }
        return lws_http_transaction_completed(wsi) == 0 ? 0 : -1
    }

    func sendHeaders(_ response: HTTPResponse, _ exchange: HTTPExchange, endsStream: Bool) -> Bool {
        let status = response.status
        count { $0.responsesByClass[min(max(status / 100, 0), 5)] += 1 }
        var headers = SecurityHeaders.complete(response.headers, path: exchange.request.path)
        if status != 204 && status != 304 { headers.append(("content-length", String(response.bodyLength))) }
        if exchange.closesAfterwards && !isHTTP2(exchange.connection) { headers.append(("connection", "close")) }
        return writeHeaders(exchange.connection, status: status, headers: headers, endsStream: endsStream)
    }

    private enum ChunkResult { case more, done, failed }

    private func sendChunk(_ response: HTTPResponse, _ exchange: HTTPExchange) -> ChunkResult {
        let wsi = exchange.connection
        let remaining = response.bodyLength - exchange.sent
        var limit = isHTTP2(wsi) ? Self.http2Chunk : Self.http1Chunk
        let allowance = lws_get_peer_write_allowance(wsi)
        if allowance >= 0 { limit = min(limit, Int(allowance)) }
        let size = Int(min(Int64(limit), remaining))
        guard size > 0 else { return .more }
        let headroom = Int(CWS_WRITE_HEADROOM)
        return withUnsafeTemporaryAllocation(byteCount: headroom + size, alignment: 16) { buffer in
            let payload = UnsafeMutableRawBufferPointer(rebasing: buffer[headroom...])
            var filled = size
            switch response.body {
            case .none: return .done
            case .bytes(let bytes):
                let start = Int(exchange.sent)
                bytes.withUnsafeBytes {
                    payload.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + size]))
                }
            case .file(let file, let offset, _):
                filled = file.read(into: payload, at: offset + exchange.sent)
                // A file that became shorter meanwhile: the promised length cannot be kept, so hang up.
                guard filled > 0 else { return .failed }
            }
            let isLast = Int64(filled) == remaining
            let mode = isLast ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP
            guard let base = payload.baseAddress,
                lws_write(wsi, base.assumingMemoryBound(to: UInt8.self), filled, mode) >= 0
            else { return .failed }
            exchange.sent += Int64(filled)
            count { $0.bytesSent += Int64(filled) }
            return isLast ? .done : .more
        }
    }

    // MARK: libwebsockets' header tables

    func writeHeaders(
        _ wsi: OpaquePointer, status: Int, headers: [(name: String, value: String)], endsStream: Bool
    ) -> Bool {
        let capacity = 512 + headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 8 }
        let headroom = Int(CWS_WRITE_HEADROOM)
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: headroom + capacity) { buffer in
            guard let base = buffer.baseAddress else { return false }
            let start = base + headroom
            let end = start + capacity
            var position: UnsafeMutablePointer<UInt8>? = start
            guard lws_add_http_header_status(wsi, UInt32(status), &position, end) == 0 else { return false }
            for header in headers {
                let value = Array(header.value.utf8.filter { $0 >= 0x20 && $0 != 0x7F })
                let added = value.withUnsafeBufferPointer { value in
                    (header.name.lowercased() + ":").withCString { name in
                        name.withMemoryRebound(to: UInt8.self, capacity: header.name.utf8.count + 2) { name in
                            // An empty array has no base address, and libwebsockets wants one.
                            var nothing: UInt8 = 0
                            return withUnsafePointer(to: &nothing) { empty in
                                lws_add_http_header_by_name(
                                    wsi, name, value.baseAddress ?? empty, Int32(value.count), &position, end)
                            }
                        }
                    }
                }
                guard added == 0 else { return false }
            }
            guard lws_finalize_http_header(wsi, &position, end) == 0, let position else { return false }
            let mode =
                endsStream
                ? lws_write_protocol(LWS_WRITE_HTTP_HEADERS.rawValue | LWS_WRITE_H2_STREAM_END.rawValue)
                : LWS_WRITE_HTTP_HEADERS
            return lws_write(wsi, start, position - start, mode) >= 0
        }
    }

    func isHTTP2(_ wsi: OpaquePointer) -> Bool { lws_get_network_wsi(wsi) != wsi }

    /// The request as values, and how many bytes of headers it had. `nil` when the method is none that we know.
    func readRequest(_ wsi: OpaquePointer) -> (HTTPRequest, headerBytes: Int)? {
        guard let (method, path) = readRequestLine(wsi) else { return nil }
        var request = HTTPRequest(
            method: method, path: path, remoteAddress: peerAddress(wsi),
            isSecure: lws_is_ssl(lws_get_network_wsi(wsi)) != 0
        )
        var headerBytes = path.utf8.count
        for name in HTTPHeaderName.allCases {
            for token in name.tokens {
                let length = lws_hdr_total_length(wsi, token)
                guard length > 0 else { continue }
                headerBytes += Int(length)
                if request.headers[name] == nil { request.headers[name] = copyHeader(wsi, token) }
            }
        }
        for token in [WSI_TOKEN_HTTP_USER_AGENT, WSI_TOKEN_HTTP_REFERER, WSI_TOKEN_HTTP_ACCEPT_LANGUAGE] {
            headerBytes += Int(max(0, lws_hdr_total_length(wsi, token)))
        }
        var fragment: Int32 = 0
        while fragment < 32, let pair = copyFragment(wsi, WSI_TOKEN_HTTP_URI_ARGS, fragment) {
            headerBytes += pair.utf8.count
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if let key = parts.first { request.query[String(key)] = parts.count > 1 ? String(parts[1]) : "" }
            fragment += 1
        }
        return (request, headerBytes)
    }

    private func readRequestLine(_ wsi: OpaquePointer) -> (HTTPMethod, String)? {
        let tokens: [(lws_token_indexes, HTTPMethod)] = [
            (WSI_TOKEN_GET_URI, .get), (WSI_TOKEN_POST_URI, .post), (WSI_TOKEN_HEAD_URI, .head),
            (WSI_TOKEN_DELETE_URI, .delete), (WSI_TOKEN_PATCH_URI, .patch), (WSI_TOKEN_PUT_URI, .put),
            (WSI_TOKEN_OPTIONS_URI, .options),
        ]
        for (token, method) in tokens {
            if lws_hdr_total_length(wsi, token) > 0, let path = copyHeader(wsi, token) { return (method, path) }
        }
        guard let name = copyHeader(wsi, WSI_TOKEN_HTTP_COLON_METHOD),
            let path = copyHeader(wsi, WSI_TOKEN_HTTP_COLON_PATH)
        else { return nil }
        if let method = HTTPMethod(rawValue: name.uppercased()) { return (method, path) }
        // A WebSocket over HTTP/2 (RFC 8441) asks with CONNECT.
        return name.uppercased() == "CONNECT" ? (.get, path) : nil
    }

    func copyHeader(_ wsi: OpaquePointer, _ token: lws_token_indexes) -> String? {
        let length = Int(lws_hdr_total_length(wsi, token))
        guard length > 0 else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: length + 8) { buffer in
            guard let base = buffer.baseAddress, lws_hdr_copy(wsi, base, Int32(buffer.count), token) >= 0 else {
                return nil
            }
            return String(validatingCString: base)
        }
    }

    private func copyFragment(_ wsi: OpaquePointer, _ token: lws_token_indexes, _ index: Int32) -> String? {
        let length = Int(lws_hdr_fragment_length(wsi, token, index))
        guard length > 0 else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: length + 8) { buffer in
            guard let base = buffer.baseAddress,
                lws_hdr_copy_fragment(wsi, base, Int32(buffer.count), token, index) >= 0
            else { return nil }
            return String(validatingCString: base)
        }
    }
}

extension HTTPHeaderName {
    /// Where libwebsockets keeps it; HTTP/2 has its own place for the host.
    fileprivate var tokens: [lws_token_indexes] {
        switch self {
        case .accept: [WSI_TOKEN_HTTP_ACCEPT]
        case .authorization: [WSI_TOKEN_HTTP_AUTHORIZATION]
        case .contentLength: [WSI_TOKEN_HTTP_CONTENT_LENGTH]
        case .contentType: [WSI_TOKEN_HTTP_CONTENT_TYPE]
        case .cookie: [WSI_TOKEN_HTTP_COOKIE]
        case .host: [WSI_TOKEN_HOST, WSI_TOKEN_HTTP_COLON_AUTHORITY]
        case .ifMatch: [WSI_TOKEN_HTTP_IF_MATCH]
        case .ifNoneMatch: [WSI_TOKEN_HTTP_IF_NONE_MATCH]
        case .ifRange: [WSI_TOKEN_HTTP_IF_RANGE]
        case .origin: [WSI_TOKEN_ORIGIN]
        case .range: [WSI_TOKEN_HTTP_RANGE]
        case .transferEncoding: [WSI_TOKEN_HTTP_TRANSFER_ENCODING]
        case .webSocketProtocol: [WSI_TOKEN_PROTOCOL]
        }
    }
}
