// WebSockets of the HTTP server: who may open one, what they send, and writing their queues.
import CWebSockets
import MediaEngine

/// Sockets with something to do on the loop. Many requests make one turn.
struct FlushRequests {
    var numbers: Set<UInt64> = []
    var isScheduled = false
}

/// The loop's side of one WebSocket.
final class SocketConnection {
    let socket: WebSocket
    let connection: OpaquePointer
    let messageLimit: Int
    var partial: [UInt8] = []
    var isPaused = false
    var isCloseSent = false
    /// A message that goes out in fragments, and how much of it is out.
    var unfinished: (message: OutgoingMessage, sent: Int)?

    init(socket: WebSocket, connection: OpaquePointer, messageLimit: Int) {
        self.socket = socket
        self.connection = connection
        self.messageLimit = messageLimit
    }
}

extension HTTPServer {
    package static let subprotocol = "consilium.v1"

    // MARK: opening

    /// Looks at an upgrade request while it can still be answered with a reason.
    func upgradeRequested(_ wsi: OpaquePointer) -> Int32 {
        guard let (request, _) = readRequest(wsi) else { return -1 }
        guard let refusal = refusal(ofUpgrade: request) else { return 0 }
        let exchange = HTTPExchange(
            number: 0, connection: wsi, request: request, handler: fallback, phase: .sending)
        exchange.closesAfterwards = true
        guard sendHeaders(refusal, exchange, endsStream: false), case .bytes(let bytes) = refusal.body else {
            return -1
        }
        let message = OutgoingMessage(bytes)
        guard lws_write(wsi, message.payload, message.count, LWS_WRITE_HTTP_FINAL) >= 0 else { return -1 }
        return 1
    }

    private func refusal(ofUpgrade request: HTTPRequest) -> HTTPResponse? {
        guard socketRoute(for: request.path) != nil else {
            return .refusal(404, "not_found", "No WebSocket is served at this address.")
        }
        let offered = (request[.webSocketProtocol] ?? "").split(separator: ",").map {
            $0.drop { $0 == " " }.prefix { $0 != " " }
        }
        guard offered.contains(where: { $0 == Self.subprotocol }) else {
            return .refusal(
                400, "subprotocol_required", "Offer the WebSocket subprotocol \(Self.subprotocol).")
        }
        guard isAllowedOrigin(request) else {
            return .refusal(403, "foreign_origin", "Pages of another origin may not open a WebSocket here.")
        }
        return nil
    }

    func upgradeAccepted(_ wsi: OpaquePointer, protocolName: UnsafeRawBufferPointer) -> Int32 {
        guard let (request, _) = readRequest(wsi), refusal(ofUpgrade: request) == nil,
            let route = socketRoute(for: request.path)
        else { return -1 }
        upgrades[wsi] = route
        return 0
    }

    private func socketRoute(for path: String) -> (route: WebSocketRoute, parameters: [String: String])? {
        for route in sockets {
            var router = HTTPRouter()
            router.on(.get, route.pattern) { _ in HTTPResponse(status: 404) }
            if case .found(_, let parameters) = router.match(.get, path) { return (route, parameters) }
        }
        return nil
    }

    /// Without an Origin it is no browser. With one it must be our own host or on the list.
    nonisolated func isAllowedOrigin(_ request: HTTPRequest) -> Bool {
        guard let origin = request[.origin] else { return true }
        if configuration.allowedOrigins.contains(origin) { return true }
        guard let host = request[.host], !host.isEmpty else { return false }
        return origin.lowercased() == (request.isSecure ? "https://" : "http://") + host.lowercased()
    }

    func socketOpened(_ wsi: OpaquePointer) -> Int32 {
        guard let upgrade = upgrades.removeValue(forKey: wsi) else { return -1 }
        let number = nextNumber
        nextNumber += 1
        let socket = WebSocket(
            id: number, parameters: upgrade.parameters, remoteAddress: peerAddress(wsi), limits: upgrade.route.limits
        ) { [weak self] number in self?.flushRequested(number) }
        let connection = SocketConnection(
            socket: socket, connection: wsi, messageLimit: upgrade.route.messageLimit)
        openSockets[wsi] = connection
        openSocketsByNumber[number] = connection
        count { $0.socketsOpened += 1 }
        let serve = upgrade.route.serve
        Task {
            await serve(socket)
            socket.close(.normal, "")
        }
        return 0
    }

    func socketGone(_ wsi: OpaquePointer) {
        guard let connection = openSockets.removeValue(forKey: wsi) else { return }
        openSocketsByNumber[connection.socket.id] = nil
        connection.socket.didClose()
    }

    // MARK: receiving

    func socketReceived(_ wsi: OpaquePointer, _ bytes: UnsafeRawBufferPointer) -> Int32 {
        guard let connection = openSockets[wsi] else { return -1 }
        guard !connection.isCloseSent else { return 0 }
        guard lws_frame_is_binary(wsi) == 0 else {
            return closeNow(wsi, .policy, "text messages only")
        }
        guard connection.partial.count + bytes.count <= connection.messageLimit else {
            return closeNow(wsi, .tooBig, "message too large")
        }
        connection.partial.append(contentsOf: bytes)
        guard lws_is_final_fragment(wsi) != 0, lws_remaining_packet_payload(wsi) == 0 else { return 0 }
        count { $0.socketMessagesReceived += 1 }
        let message = connection.partial
        connection.partial = []
        if !connection.socket.received(message), !connection.isPaused {
            connection.isPaused = true
            lws_rx_flow_control(wsi, 0)
        }
        return 0
    }

    private func closeNow(_ wsi: OpaquePointer, _ code: WebSocket.CloseCode, _ reason: String) -> Int32 {
        var text = Array(reason.utf8.prefix(120))
        lws_close_reason(wsi, lws_close_status(UInt32(code.rawValue)), &text, text.count)
        return -1
    }

    /// libwebsockets drops the socket without a close frame when the writable callback fails, so the frame is ours; the
    /// connection ends with the peer's answer to it.
    private func sendClose(_ connection: SocketConnection, _ code: UInt16, _ reason: String) -> Int32 {
        let wsi = connection.connection
        connection.isCloseSent = true
        let code = [UInt8(truncatingIfNeeded: code >> 8), UInt8(truncatingIfNeeded: code)]
        let message = OutgoingMessage(code + Array(reason.utf8.prefix(120)))
        guard lws_write(wsi, message.payload, message.count, lws_write_protocol(UInt32(CWS_WRITE_CLOSE))) >= 0 else {
            return -1
        }
        lws_set_timeout(wsi, PENDING_TIMEOUT_CLOSE_ACK, 3)
        return 0
    }

    /// The peer's close frame: an answer to ours needs no further one.
    func peerCloses(_ wsi: OpaquePointer) -> Int32 {
        openSockets[wsi]?.isCloseSent == true ? -1 : 0
    }

    // MARK: sending

    /// Called from any thread by a socket that has something new.
    private nonisolated func flushRequested(_ number: UInt64) {
        let mustSchedule = flushes.withLock { flushes in
            flushes.numbers.insert(number)
            defer { flushes.isScheduled = true }
            return !flushes.isScheduled
        }
        if mustSchedule { Task { await self.flush() } }
    }

    private func flush() {
        let numbers = flushes.withLock { flushes in
            flushes.isScheduled = false
            defer { flushes.numbers = [] }
            return flushes.numbers
        }
        for number in numbers {
            guard let connection = openSocketsByNumber[number] else { continue }
            let (wsi, socket) = (connection.connection, connection.socket)
            socket.flushBegins()
            if connection.isPaused, socket.wantsReading {
                connection.isPaused = false
                lws_rx_flow_control(wsi, 1)
            }
            guard socket.hasOutgoing, !connection.isCloseSent else { continue }
            // Straight to the kernel while it takes it. Compressed and HTTP/2 sockets may hold output back, so theirs
            // goes out when libwebsockets says so.
            var mustWait = configuration.compressesWebSockets || isHTTP2(wsi)
            while !mustWait {
                guard lws_send_pipe_choked(wsi) == 0 else {
                    mustWait = true
                    break
                }
                guard case .message(let message) = socket.nextMessage() else {
                    mustWait = socket.hasOutgoing
                    break
                }
                count { $0.socketMessagesSent += 1 }
                if lws_write(wsi, message.payload, message.count, LWS_WRITE_TEXT) < 0 {
                    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC)
                    break
                }
            }
            if mustWait { lws_callback_on_writable(wsi) }
        }
    }

    func socketWritable(_ wsi: OpaquePointer) -> Int32 {
        guard let connection = openSockets[wsi] else { return -1 }
        guard !connection.isCloseSent else { return 0 }
        if connection.unfinished != nil { return sendFragment(connection) }
        switch connection.socket.next() {
        case .nothing:
            return 0
        case .close(let code, let reason):
            return sendClose(connection, code, reason)
        case .message(let message):
            count { $0.socketMessagesSent += 1 }
            if isHTTP2(wsi) {
                connection.unfinished = (message, 0)
                return sendFragment(connection)
            }
            guard lws_write(wsi, message.payload, message.count, LWS_WRITE_TEXT) >= 0 else { return -1 }
            if connection.socket.hasOutgoing { lws_callback_on_writable(wsi) }
            return 0
        }
    }

    /// Over HTTP/2 a write becomes one DATA frame, which must fit the peer's frame size and window: large messages go out
    /// as fragments of RFC 6455, each from a copy, since the header is written over what lies before it.
    private func sendFragment(_ connection: SocketConnection) -> Int32 {
        let wsi = connection.connection
        guard let (message, sent) = connection.unfinished else { return 0 }
        let allowance = lws_get_peer_write_allowance(wsi)
        // The WebSocket header counts against the window, too.
        let room = allowance < 0 ? Self.http2Chunk : min(Self.http2Chunk, Int(allowance) - 16)
        let size = min(room, message.count - sent)
        guard size > 0 || message.count == 0 else {
            lws_callback_on_writable(wsi)
            return 0
        }
        let isLast = sent + size == message.count
        let mode =
            (sent == 0 ? LWS_WRITE_TEXT.rawValue : LWS_WRITE_CONTINUATION.rawValue)
            | (isLast ? 0 : LWS_WRITE_NO_FIN.rawValue)
        let headroom = Int(CWS_WRITE_HEADROOM)
        let written = withUnsafeTemporaryAllocation(byteCount: headroom + size, alignment: 16) { buffer -> Int32 in
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[headroom...])
            part.copyMemory(from: UnsafeRawBufferPointer(start: message.payload + sent, count: size))
            guard let base = part.baseAddress else { return -1 }
            return lws_write(wsi, base.assumingMemoryBound(to: UInt8.self), size, lws_write_protocol(mode))
        }
        guard written >= 0 else { return -1 }
        connection.unfinished = isLast ? nil : (message, sent + size)
        if !isLast || connection.socket.hasOutgoing { lws_callback_on_writable(wsi) }
        return 0
    }
}
