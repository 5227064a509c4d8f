// The HTTP and WebSocket server: libwebsockets behind async handlers. This file starts, stops and counts connections.
import CWebSockets
import Glibc
import MediaEngine

package struct TLSFiles: Sendable {
    package var certificate: String
    package var privateKey: String

    package init(certificate: String, privateKey: String) {
        self.certificate = certificate
        self.privateKey = privateKey
    }
}

package struct HTTPServerConfiguration: Sendable {
    /// A numeric address of this host; `0.0.0.0` and `::` mean all.
    package var bindAddress = "127.0.0.1"
    /// 0: any free port; `HTTPServer.port` tells which.
    package var port = 0
    package var tls: TLSFiles?
    package var maximumConnections = 4096
    package var maximumConnectionsPerAddress = 256
    /// Header bytes of one request that are accepted; more are answered with 431.
    package var headerLimit = 16 * 1024
    package var handlerTimeoutSeconds = 60
    /// Origins besides the server's own that may open a WebSocket or send requests with a cookie.
    package var allowedOrigins: [String] = []
    package var compressesWebSockets = false
    package var webSocketPingSeconds = 20
    package var webSocketHangUpSeconds = 50

    package init() {}
}

package enum HTTPServerError: Error, CustomStringConvertible {
    case contextFailed
    case listenFailed(address: String, port: Int, reason: String)

    package var description: String {
        switch self {
        case .contextFailed:
            "libwebsockets did not start; is the package libwebsockets-evlib-uv installed?"
        case .listenFailed(let address, let port, let reason):
            "cannot listen on \(address) port \(port): \(reason)"
        }
    }
}

package actor HTTPServer {
    package nonisolated let loop: GatewayLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    let configuration: HTTPServerConfiguration
    let router: HTTPRouter
    let fallback: HTTPHandler
    let sockets: [WebSocketRoute]
    let log: Log

    private var virtualHost: OpaquePointer?
    private var native: NativeConfiguration?
    package private(set) var port = 0

    /// Network connections (not streams of HTTP/2), by their address.
    private var connections: [OpaquePointer: String] = [:]
    private var connectionsPerAddress: [String: Int] = [:]

    /// Requests in the works, found by connection when libwebsockets calls and by number when a handler answers.
    var exchanges: [OpaquePointer: HTTPExchange] = [:]
    var exchangesByNumber: [UInt64: HTTPExchange] = [:]
    var nextNumber: UInt64 = 1

    var upgrades: [OpaquePointer: (route: WebSocketRoute, parameters: [String: String])] = [:]
    var openSockets: [OpaquePointer: SocketConnection] = [:]
    var openSocketsByNumber: [UInt64: SocketConnection] = [:]
    nonisolated let flushes = Lock(FlushRequests())

    package private(set) var counters = Counters()

    package struct Counters: Sendable {
        package var requests = 0
        package var refusedConnections = 0
        package var responsesByClass = [Int](repeating: 0, count: 6)
        package var bytesSent: Int64 = 0
        package var socketsOpened = 0
        package var socketMessagesReceived = 0
        package var socketMessagesSent = 0
        package var openConnections = 0
        package var openSockets = 0
    }

    /// `fallback` answers what no route knows (static pages, or a 404).
    package init(
        configuration: HTTPServerConfiguration, router: HTTPRouter, sockets: [WebSocketRoute] = [],
        fallback: @escaping HTTPHandler = { _ in .refusal(404, "not_found", "There is nothing at this address.") },
        log: Log = .silent
    ) {
        self.configuration = configuration
        self.router = router
        self.sockets = sockets
        self.fallback = fallback
        self.log = log
        loop = GatewayLoop()
        loop.start()
    }

    /// Listens. Returns the port.
    @discardableResult
    package func start() throws(HTTPServerError) -> Int {
        let owner = Unmanaged.passRetained(self)
        let native = NativeConfiguration(configuration, loop: loop, owner: owner.toOpaque())
        LibraryLog.install(log)
        guard let context = lws_create_context(&native.info) else {
            owner.release()
            throw .contextFailed
        }
        // From here on the context may call back, so it keeps its reference to us.
        LibraryLog.clearLast()
        guard let virtualHost = lws_create_vhost(context, &native.info) else {
            let reason =
                PortProbe.fault(.tcp, address: configuration.bindAddress, port: configuration.port)
                ?? LibraryLog.last() ?? "libwebsockets gave no reason"
            self.native = native
            throw .listenFailed(address: configuration.bindAddress, port: configuration.port, reason: reason)
        }
        self.virtualHost = virtualHost
        self.native = native
        port = Int(lws_get_vhost_listen_port(virtualHost))
        return port
    }

    /// Closes the door and every connection, and ends the thread.
    ///
    /// The library's context stays in memory: libwebsockets 4.1 closes its wake-up descriptor twice when a context is
    /// destroyed, and the second time the number may be another thread's file. A process starts one server, then ends.
    package func stop() {
        guard let virtualHost else { return loop.stop() }
        self.virtualHost = nil
        for exchange in exchanges.values { exchange.task?.cancel() }
        lws_vhost_destroy(virtualHost)
        loop.stop()
    }

    package func snapshotCounters() -> Counters {
        var result = counters
        result.openConnections = connections.count
        result.openSockets = openSockets.count
        return result
    }

    func count(_ change: (inout Counters) -> Void) { change(&counters) }

    // MARK: what libwebsockets says

    fileprivate func handle(_ call: LibraryCall) -> Int32 {
        guard let wsi = call.connection else { return 0 }
        switch call.reason {
        case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
            connectionOpened(wsi)
            return 0
        case LWS_CALLBACK_WSI_DESTROY:
            connectionGone(wsi)
            return 0
        case LWS_CALLBACK_HTTP:
            return requestBegan(wsi)
        case LWS_CALLBACK_HTTP_BODY:
            return requestBody(wsi, call.bytes)
        case LWS_CALLBACK_HTTP_BODY_COMPLETION:
            return requestBodyCompleted(wsi)
        case LWS_CALLBACK_HTTP_WRITEABLE:
            return responseWritable(wsi)
        case LWS_CALLBACK_CLOSED_HTTP, LWS_CALLBACK_HTTP_DROP_PROTOCOL:
            exchangeGone(wsi)
            return 0
        case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
            return upgradeRequested(wsi)
        case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
            return upgradeAccepted(wsi, protocolName: call.bytes)
        case LWS_CALLBACK_ESTABLISHED:
            return socketOpened(wsi)
        case LWS_CALLBACK_RECEIVE:
            return socketReceived(wsi, call.bytes)
        case LWS_CALLBACK_SERVER_WRITEABLE:
            return socketWritable(wsi)
        case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
            return peerCloses(wsi)
        case LWS_CALLBACK_CLOSED:
            socketGone(wsi)
            return 0
        default:
            return 0
        }
    }

    fileprivate func acceptsConnection(from address: String) -> Bool {
        guard connections.count < configuration.maximumConnections,
            connectionsPerAddress[address, default: 0] < configuration.maximumConnectionsPerAddress
        else {
            counters.refusedConnections += 1
            log(.warning, "connection.refused") { $0.field("open", connections.count) }
            return false
        }
        return true
    }

    private func connectionOpened(_ wsi: OpaquePointer) {
        let address = peerAddress(wsi)
        connections[wsi] = address
        connectionsPerAddress[address, default: 0] += 1
    }

    private func connectionGone(_ wsi: OpaquePointer) {
        exchangeGone(wsi)
        socketGone(wsi)
        upgrades[wsi] = nil
        guard let address = connections.removeValue(forKey: wsi) else { return }
        let left = connectionsPerAddress[address, default: 1] - 1
        connectionsPerAddress[address] = left > 0 ? left : nil
    }

    func peerAddress(_ wsi: OpaquePointer) -> String {
        if let network = lws_get_network_wsi(wsi), let known = connections[network] { return known }
        return numericAddress { name, size in lws_get_peer_simple(wsi, name, size) }
    }
}

private func numericAddress(_ read: (UnsafeMutablePointer<CChar>, Int) -> UnsafePointer<CChar>?) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { name in
        guard let base = name.baseAddress, let text = read(base, name.count) else { return "" }
        let address = String(cString: text)
        return address.hasPrefix("::ffff:") ? String(address.dropFirst(7)) : address
    }
}

// MARK: C side

/// What libwebsockets passes to its callback. Used only while the callback runs, on the loop's thread.
struct LibraryCall: @unchecked Sendable {
    var connection: OpaquePointer?
    var reason: lws_callback_reasons
    var bytes: UnsafeRawBufferPointer
}

private func libraryCalled(
    _ wsi: OpaquePointer?, _ reason: lws_callback_reasons, _ user: UnsafeMutableRawPointer?,
    _ input: UnsafeMutableRawPointer?, _ length: Int
) -> Int32 {
    switch reason {
    case LWS_CALLBACK_GET_THREAD_ID, LWS_CALLBACK_PROTOCOL_INIT, LWS_CALLBACK_PROTOCOL_DESTROY,
        LWS_CALLBACK_ADD_HEADERS, LWS_CALLBACK_HTTP_BIND_PROTOCOL, LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        return 0
    default:
        break
    }
    guard let wsi, let context = lws_get_context(wsi), let owner = lws_context_user(context) else { return 0 }
    let server = Unmanaged<HTTPServer>.fromOpaque(owner).takeUnretainedValue()
    if reason == LWS_CALLBACK_FILTER_NETWORK_CONNECTION {
        let descriptor = Int32(truncatingIfNeeded: Int(bitPattern: input))
        let address = numericAddress { name, size in lws_get_peer_simple_fd(descriptor, name, size) }
        return server.assumeIsolated { $0.acceptsConnection(from: address) } ? 0 : 1
    }
    let call = LibraryCall(
        connection: wsi, reason: reason, bytes: UnsafeRawBufferPointer(start: input, count: input == nil ? 0 : length))
    return server.assumeIsolated { $0.handle(call) }
}

/// The C structures that libwebsockets keeps pointers to as long as the server lives.
private final class NativeConfiguration {
    var info = lws_context_creation_info()
    private var strings: [UnsafeMutablePointer<CChar>] = []
    private let protocols: UnsafeMutablePointer<lws_protocols>
    private let extensions: UnsafeMutablePointer<lws_extension>
    private let retry: UnsafeMutablePointer<lws_retry_bo_t>
    private let loops: UnsafeMutablePointer<UnsafeMutableRawPointer?>

    init(_ configuration: HTTPServerConfiguration, loop: GatewayLoop, owner: UnsafeMutableRawPointer) {
        protocols = .allocate(capacity: 3)
        extensions = .allocate(capacity: 2)
        retry = .allocate(capacity: 1)
        loops = .allocate(capacity: 1)
        protocols.initialize(repeating: lws_protocols(), count: 3)
        extensions.initialize(repeating: lws_extension(), count: 2)
        retry.initialize(to: lws_retry_bo_t())
        loops.initialize(to: UnsafeMutableRawPointer(loop.uvLoop))

        protocols[0].name = UnsafePointer(keep("http"))
        protocols[0].callback = libraryCalled
        protocols[1].name = UnsafePointer(keep(HTTPServer.subprotocol))
        protocols[1].callback = libraryCalled
        protocols[1].rx_buffer_size = 16 * 1024
        retry.pointee.secs_since_valid_ping = UInt16(clamping: configuration.webSocketPingSeconds)
        retry.pointee.secs_since_valid_hangup = UInt16(clamping: configuration.webSocketHangUpSeconds)

        info.options = configuration.tls == nil ? cws_options_plain() : cws_options_tls()
        if !configuration.bindAddress.contains(":") { info.options |= cws_option_no_ipv6() }
        info.foreign_loops = loops
        info.user = owner
        info.protocols = UnsafePointer(protocols)
        info.retry_and_idle_policy = UnsafePointer(retry)
        info.port = Int32(configuration.port)
        if !["0.0.0.0", "::"].contains(configuration.bindAddress) {
            info.iface = UnsafePointer(keep(configuration.bindAddress))
        }
        info.vhost_name = UnsafePointer(keep("consilium"))
        info.server_string = UnsafePointer(keep("consilium"))
        // Twice our own limit, so that what is a little too long can be answered with 431 instead of a closed door.
        info.max_http_header_data2 = UInt32(clamping: configuration.headerLimit * 2)
        info.pt_serv_buf_size = 64 * 1024
        info.timeout_secs = 20
        info.keepalive_timeout = 30
        info.gid = -1
        info.uid = -1
        if configuration.compressesWebSockets {
            extensions[0].name = UnsafePointer(keep("permessage-deflate"))
            extensions[0].callback = lws_extension_callback_pm_deflate
            extensions[0].client_offer = UnsafePointer(keep("permessage-deflate; client_no_context_takeover"))
            info.extensions = UnsafePointer(extensions)
        }
        if let tls = configuration.tls {
            info.ssl_cert_filepath = UnsafePointer(keep(tls.certificate))
            info.ssl_private_key_filepath = UnsafePointer(keep(tls.privateKey))
            info.ssl_options_set = cws_tls_options()
            info.alpn = UnsafePointer(keep("h2,http/1.1"))
        }
    }

    private func keep(_ text: String) -> UnsafeMutablePointer<CChar> {
        let copy = text.utf8CString
        let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: copy.count)
        for (index, character) in copy.enumerated() { (pointer + index).initialize(to: character) }
        strings.append(pointer)
        return pointer
    }
}

/// libwebsockets' own messages go to our log. Its log function is one for the process.
private enum LibraryLog {
    static let current = Lock<Log?>(nil)
    static let lastLine = Lock<String?>(nil)

    static func install(_ log: Log) {
        current.withLock { $0 = log }
        lws_set_log_level(Int32(CWS_LOG_ERROR | CWS_LOG_WARNING), libraryWroteLog)
    }

    static func clearLast() { lastLine.withLock { $0 = nil } }
    static func last() -> String? { lastLine.withLock { $0 } }
}

private func libraryWroteLog(_ level: Int32, _ line: UnsafePointer<CChar>?) {
    guard let line else { return }
    var text = String(cString: line)
    while let last = text.last, last.isWhitespace { text.removeLast() }
    LibraryLog.lastLine.withLock { $0 = text }
    let severity: Log.Level = level == Int32(CWS_LOG_ERROR) ? .error : .warning
    LibraryLog.current.withLock { $0 }?(severity, "libwebsockets") { $0.field("message", text) }
}
