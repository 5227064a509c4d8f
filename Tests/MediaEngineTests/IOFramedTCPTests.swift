// RFC 4571 frames over TCP: any split, any reader, any stranger.
import CLinux
import Glibc
import MediaEngine
import Testing

/// The server side on its loop: echoes frames back and keeps what it saw.
private actor Server {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private var listener: FramedTCPListener?
    private var frames: [[UInt8]] = []
    private var closed: [TCPCloseReason] = []
    private var closeWaiters: [(Int, CheckedContinuation<Void, Never>)] = []
    private var frameWaiters: [(Int, CheckedContinuation<Void, Never>)] = []
    private var authenticates = true
    private var echoes = true

    init(loop: EventLoop) { self.loop = loop }

    func listen(limits: FramedTCPLimits = FramedTCPLimits(), authenticates: Bool = true, echoes: Bool = true) throws
        -> UInt16
    {
        self.authenticates = authenticates
        self.echoes = echoes
        let listener = try FramedTCPListener(binding: .loopback4(port: 0), loop: loop, limits: limits)
        listener.onFrame = { [self] connection, frame, _ in
            assumeIsolatedFrame(connection, frame)
        }
        listener.onClose = { [self] _, reason in
            assumeIsolated { me in
                me.closed.append(reason)
                me.resumeWaiters()
            }
        }
        try listener.start()
        self.listener = listener
        return listener.localAddress.port
    }

    private func assumeIsolatedFrame(_ connection: FramedTCPConnection, _ frame: UnsafeMutableRawBufferPointer) {
        frames.append([UInt8](frame))
        if authenticates { connection.markAuthenticated() }
        if echoes { connection.send(UnsafeRawBufferPointer(frame), .control) }
        resumeWaiters()
    }

    private func resumeWaiters() {
        for (count, waiter) in closeWaiters where closed.count >= count { waiter.resume() }
        closeWaiters.removeAll { closed.count >= $0.0 }
        for (count, waiter) in frameWaiters where frames.count >= count { waiter.resume() }
        frameWaiters.removeAll { frames.count >= $0.0 }
    }

    func framesSeen(atLeast count: Int) async -> [[UInt8]] {
        if frames.count < count { await withCheckedContinuation { frameWaiters.append((count, $0)) } }
        return frames
    }

    func closedConnections(atLeast count: Int) async -> [TCPCloseReason] {
        if closed.count < count { await withCheckedContinuation { closeWaiters.append((count, $0)) } }
        return closed
    }

    func timeOut(after nanoseconds: UInt64) -> UInt64 {
        let deadline = listener?.nextDeadline ?? 0
        listener?.handleTimeout(now: loop.now + nanoseconds)
        return deadline
    }

    func connectionCount() -> Int { listener?.connectionCount ?? 0 }

    /// Writes media until the reader's slowness shows; returns how many frames were dropped and what waits.
    func flood(_ frames: Int, bytes: Int) -> (dropped: UInt64, pending: Int, controlFits: Bool) {
        guard let connection = listener?.connection(1) else { return (0, 0, false) }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 1)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 7)
        for _ in 0..<frames { connection.send(UnsafeRawBufferPointer(memory), .media) }
        let dropped = connection.droppedFrames
        let controlFits = connection.reserve(100, .control) != nil
        return (dropped, connection.pendingBytes, controlFits)
    }

    func stop() {
        listener?.stop()
        listener = nil
    }
}

/// A blocking client with a receive timeout, so that a failure is a failure and not a hang.
private struct Client: ~Copyable {
    let descriptor: Int32

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0)
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let sent = bytes[offset...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if sent <= 0 { return }
            offset += sent
        }
    }

    func receive(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var offset = 0
        while offset < count {
            let got = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + offset, count - offset, 0) }
            if got <= 0 { return Array(bytes[..<offset]) }
            offset += got
        }
        return bytes
    }
}

private func framed(_ payload: [UInt8]) -> [UInt8] {
    [UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)] + payload
}

@Suite("Framed TCP")
struct IOFramedTCPTests {
    private func withServer(_ body: (Server) async throws -> Void) async throws {
        let loop = try EventLoop(name: "tcp-test")
        try loop.start()
        let server = Server(loop: loop)
        do {
            try await body(server)
        } catch {
            await server.stop()
            loop.stop()
            throw error
        }
        await server.stop()
        loop.stop()
    }

    @Test("frames split at every byte arrive whole and are echoed whole")
    func split() async throws {
        try await withServer { server in
            let port = try await server.listen()
            let client = try Client(port: port)
            let payloads: [[UInt8]] = [[1], [2, 3], [UInt8](repeating: 4, count: 300)]
            let stream = payloads.flatMap(framed)
            var expected: [[UInt8]] = []
            for cut in 1..<stream.count {
                client.send(Array(stream[..<cut]))
                client.send(Array(stream[cut...]))
                #expect(client.receive(stream.count) == stream)
                expected += payloads
            }
            #expect(await server.framesSeen(atLeast: expected.count) == expected)
        }
    }

    @Test("one byte at a time is enough, and the largest frame fits")
    func extremes() async throws {
        try await withServer { server in
            let port = try await server.listen()
            let client = try Client(port: port)
            for byte in framed([1, 2, 3, 4]) { client.send([byte]) }
            #expect(client.receive(6) == framed([1, 2, 3, 4]))
            let large = framed([UInt8](repeating: 9, count: 65_535))
            client.send(large)
            #expect(client.receive(large.count) == large)
            client.send([0, 0] + framed([5]))
            #expect(client.receive(3) == framed([5]))
        }
    }

    @Test("a stranger may say neither a large frame nor many small ones")
    func strangers() async throws {
        try await withServer { server in
            let port = try await server.listen(authenticates: false, echoes: false)
            let loud = try Client(port: port)
            loud.send(framed([UInt8](repeating: 0, count: 5000)))
            #expect(
                await server.closedConnections(atLeast: 1) == [.tooMuchBeforeAuthentication(limit: 2048)])
            let chatty = try Client(port: port)
            for _ in 0..<100 { chatty.send(framed([UInt8](repeating: 0, count: 1000))) }
            #expect(
                await server.closedConnections(atLeast: 2).last == .tooMuchBeforeAuthentication(limit: 8192))
        }
    }

    @Test("a stranger who stays silent is closed after ten seconds, an authenticated one is not")
    func silence() async throws {
        try await withServer { server in
            let port = try await server.listen()
            let known = try Client(port: port)
            known.send(framed([1]))
            _ = await server.framesSeen(atLeast: 1)
            let silent = try Client(port: port)
            while await server.connectionCount() < 2 { await Task.yield() }
            let deadline = await server.timeOut(after: 9_000_000_000)
            #expect(deadline != .max)
            #expect(await server.connectionCount() == 2)
            _ = await server.timeOut(after: 11_000_000_000)
            #expect(await server.closedConnections(atLeast: 1) == [.timedOut])
            #expect(await server.connectionCount() == 1)
            #expect(silent.receive(1) == [])
        }
    }

    @Test("a reader that does not read loses media, keeps room for control, and never grows the buffer")
    func slowReader() async throws {
        try await withServer { server in
            let port = try await server.listen(echoes: false)
            let client = try Client(port: port)
            client.send(framed([1]))
            _ = await server.framesSeen(atLeast: 1)
            // More than loopback's socket buffers can hold.
            let result = await server.flood(20_000, bytes: 1200)
            #expect(result.dropped > 0)
            #expect(result.pending <= 384 * 1024)
            #expect(result.controlFits)
            // What was taken still arrives in whole frames.
            for _ in 0..<100 { #expect(client.receive(1202) == framed([UInt8](repeating: 7, count: 1200))) }
        }
    }

    @Test("no more connections than allowed, in all and per host")
    func bounded() async throws {
        try await withServer { server in
            var limits = FramedTCPLimits()
            limits.connectionsPerHost = 2
            let port = try await server.listen(limits: limits)
            let first = try Client(port: port)
            let second = try Client(port: port)
            let third = try Client(port: port)
            #expect(third.receive(1) == [])
            first.send(framed([1]))
            second.send(framed([2]))
            #expect(first.receive(3) == framed([1]))
            #expect(second.receive(3) == framed([2]))
        }
    }

    @Test("stopping tells every connection")
    func stopping() async throws {
        try await withServer { server in
            let port = try await server.listen()
            let client = try Client(port: port)
            client.send(framed([1]))
            _ = await server.framesSeen(atLeast: 1)
            await server.stop()
            #expect(await server.closedConnections(atLeast: 1) == [.listenerStopped])
            #expect(client.receive(4) == framed([1]))
        }
    }
}
