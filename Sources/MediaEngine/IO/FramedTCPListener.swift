// The TCP port for media (ICE-TCP passive): accepts, bounds and times out connections of RFC 4571 frames.
import CLinux
import Glibc

/// Belongs to its loop. `onFrame` and `onClose` run on the loop's thread; the frame's bytes are good until it returns.
package final class FramedTCPListener {
    package typealias FrameHandler = (FramedTCPConnection, UnsafeMutableRawBufferPointer, _ now: UInt64) -> Void

    package let localAddress: SocketAddress
    package private(set) var refusedConnections: UInt64 = 0
    package var onFrame: FrameHandler?
    package var onClose: ((FramedTCPConnection, TCPCloseReason) -> Void)?

    private let descriptor: Int32
    private var spare = open("/dev/null", O_RDONLY | O_CLOEXEC)
    private let loop: EventLoop
    private let limits: FramedTCPLimits
    private var registration: EventLoop.Registration?
    private var connections: [UInt32: FramedTCPConnection] = [:]
    private var nextIdentifier: UInt32 = 1

    private static let acceptsPerTurn = 16

    package init(
        binding address: SocketAddress, loop: EventLoop, limits: FramedTCPLimits = FramedTCPLimits()
    ) throws(SystemCallError) {
        let descriptor = try SystemCallError.check("socket", clinux_tcp_listener(address.socketFamily))
        do throws(SystemCallError) {
            try SystemCallError.check("setsockopt(SO_REUSEADDR)", clinux_set_reuse_address(descriptor))
            if address.family == .v6 {
                try SystemCallError.check(
                    "setsockopt(IPV6_V6ONLY)", clinux_set_v6_only(descriptor, address.isUnspecified ? 0 : 1))
            }
            try address.bind(descriptor)
            guard listen(descriptor, 128) == 0 else { throw SystemCallError(call: "listen", code: errno) }
            localAddress = try SocketAddress.local(of: descriptor)
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        self.loop = loop
        self.limits = limits
    }

    deinit {
        close(descriptor)
        if spare >= 0 { close(spare) }
    }

    package var connectionCount: Int { connections.count }

    package func connection(_ identifier: UInt32) -> FramedTCPConnection? { connections[identifier] }

    /// Begins to accept. On the loop's thread.
    package func start() throws(SystemCallError) {
        guard registration == nil else { return }
        registration = try loop.register(descriptor, for: .readable) { [weak self] _ in self?.accept() }
    }

    /// Closes every connection and accepts no more. On the loop's thread.
    package func stop() {
        if let registration { loop.deregister(registration) }
        registration = nil
        for connection in Array(connections.values) { connection.close(.listenerStopped) }
    }

    /// When `handleTimeout` wants to be called: the first moment an unauthenticated connection has had its time.
    package var nextDeadline: UInt64 {
        var earliest = UInt64.max
        for connection in connections.values where !connection.isAuthenticated {
            earliest = min(earliest, connection.acceptedAt &+ limits.authenticationTimeout)
        }
        return earliest
    }

    /// Closes connections that did not prove in time who they are.
    package func handleTimeout(now: UInt64) {
        for connection in Array(connections.values)
        where !connection.isAuthenticated && connection.acceptedAt &+ limits.authenticationTimeout <= now {
            connection.close(.timedOut)
        }
    }

    private func accept() {
        for _ in 0..<Self.acceptsPerTurn {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let accepted = clinux_accept(descriptor, &storage, &length)
            if accepted == -EMFILE || accepted == -ENFILE {
                refuseWithSpareDescriptor()
                continue
            }
            guard accepted >= 0 else { return }
            let remote = withUnsafeBytes(of: &storage) { bytes in
                bytes.baseAddress.flatMap { SocketAddress(sockaddr: $0, length: Int(length)) }
            }
            guard let remote, let local = try? SocketAddress.local(of: accepted), isWelcome(remote) else {
                refusedConnections &+= 1
                close(accepted)
                continue
            }
            let connection = FramedTCPConnection(
                identifier: nextIdentifier, descriptor: accepted, remoteAddress: remote, localAddress: local,
                limits: limits, loop: loop, listener: self, now: loop.now)
            guard (try? connection.begin()) != nil else {
                refusedConnections &+= 1
                continue
            }
            connections[nextIdentifier] = connection
            nextIdentifier &+= 1
        }
    }

    /// With no descriptor left the connection would stay in the backlog and keep the loop awake for ever; one kept in
    /// reserve is given up for the moment that turning it away takes.
    private func refuseWithSpareDescriptor() {
        guard spare >= 0 else { return }
        close(spare)
        let refused = clinux_accept(descriptor, nil, nil)
        if refused >= 0 { close(refused) }
        refusedConnections &+= 1
        spare = open("/dev/null", O_RDONLY | O_CLOEXEC)
    }

    private func isWelcome(_ remote: SocketAddress) -> Bool {
        guard connections.count < limits.connections else { return false }
        let host = remote.withPort(0)
        return connections.values.count { $0.remoteAddress.withPort(0) == host } < limits.connectionsPerHost
    }

    func deliver(_ connection: FramedTCPConnection, _ frame: UnsafeMutableRawBufferPointer) {
        onFrame?(connection, frame, loop.now)
    }

    func forget(_ connection: FramedTCPConnection, _ reason: TCPCloseReason) {
        connections[connection.identifier] = nil
        onClose?(connection, reason)
    }
}
