// One TCP connection that carries datagrams in RFC 4571 frames: a 16-bit length before each.
import CLinux
import Glibc

package enum FrameKind: Sendable {
    /// Dropped early when the reader is slow: a late picture is worth nothing.
    case media
    /// STUN, DTLS, RTCP: may use the whole buffer.
    case control
}

package enum TCPCloseReason: Sendable, Equatable {
    case peerClosed
    case closedHere
    case timedOut
    case socketError(Int32)
    /// Said more than `limit` bytes, or a frame larger than that, before it proved who it is.
    case tooMuchBeforeAuthentication(limit: Int)
    case listenerStopped
}

package struct FramedTCPLimits: Sendable {
    package var connections = 256
    package var connectionsPerHost = 64
    package var outputBytes = 512 * 1024
    /// Media frames are dropped once this much waits; the rest is kept for control.
    package var mediaOutputBytes = 384 * 1024
    package var bytesBeforeAuthentication = 8 * 1024
    package var frameBytesBeforeAuthentication = 2 * 1024
    package var authenticationTimeout: UInt64 = 10_000_000_000
    package init() {}
}

/// Belongs to the loop of its listener. Frames arrive through the listener's `onFrame`.
package final class FramedTCPConnection {
    package let identifier: UInt32
    package let remoteAddress: SocketAddress
    package let localAddress: SocketAddress
    package private(set) var isAuthenticated = false
    package private(set) var isClosed = false
    package private(set) var droppedFrames: UInt64 = 0

    let acceptedAt: UInt64
    private let descriptor: Int32
    private let limits: FramedTCPLimits
    private let loop: EventLoop
    private weak var listener: FramedTCPListener?
    private var registration: EventLoop.Registration?
    private var wantsWritable = false
    private var bytesBeforeAuthentication = 0

    private let input: UnsafeMutableRawPointer
    private var inputCount = 0
    private let output: UnsafeMutableRawPointer
    private var outputHead = 0
    private var outputTail = 0
    private var reserved = 0

    static let headerBytes = 2
    private static let inputCapacity = headerBytes + 65_535
    /// One connection may not keep the loop from the others.
    private static let readsPerTurn = 8

    init(
        identifier: UInt32, descriptor: Int32, remoteAddress: SocketAddress, localAddress: SocketAddress,
        limits: FramedTCPLimits, loop: EventLoop, listener: FramedTCPListener, now: UInt64
    ) {
        self.identifier = identifier
        self.descriptor = descriptor
        self.remoteAddress = remoteAddress
        self.localAddress = localAddress
        self.limits = limits
        self.loop = loop
        self.listener = listener
        acceptedAt = now
        // Untouched pages cost nothing: a connection that says little stays small.
        input = .allocate(byteCount: Self.inputCapacity, alignment: 16)
        output = .allocate(byteCount: limits.outputBytes, alignment: 16)
        _ = clinux_set_no_delay(descriptor)
    }

    /// Begins to read. Apart from `init`, so that the descriptor has one owner whatever fails.
    func begin() throws(SystemCallError) {
        registration = try loop.register(descriptor, for: [.readable, .peerClosed]) { [weak self] ready in
            self?.handle(ready)
        }
    }

    deinit {
        // Closing the descriptor takes it out of epoll; the loop's slot goes with it where we may touch it.
        if let registration, loop.isOnLoop { loop.deregister(registration) }
        input.deallocate()
        output.deallocate()
        Glibc.close(descriptor)
    }

    /// To be called once the connection has shown a valid STUN request; lifts the limits for strangers.
    package func markAuthenticated() { isAuthenticated = true }

    package var pendingBytes: Int { outputTail - outputHead }

    // MARK: Sending

    /// Space for one frame of at most `maximum` bytes, or nil (counted) when the reader is too slow.
    package func reserve(_ maximum: Int, _ kind: FrameKind) -> UnsafeMutableRawBufferPointer? {
        let limit = kind == .media ? min(limits.mediaOutputBytes, limits.outputBytes) : limits.outputBytes
        guard !isClosed, maximum > 0, maximum <= 65_535, pendingBytes + Self.headerBytes + maximum <= limit else {
            droppedFrames &+= 1
            return nil
        }
        if outputTail + Self.headerBytes + maximum > limits.outputBytes {
            output.copyMemory(from: output + outputHead, byteCount: pendingBytes)
            outputTail -= outputHead
            outputHead = 0
        }
        reserved = maximum
        return UnsafeMutableRawBufferPointer(start: output + outputTail + Self.headerBytes, count: maximum)
    }

    package func commit(_ length: Int) {
        guard length > 0, length <= reserved else { return }
        reserved = 0
        output.storeBytes(of: UInt8(truncatingIfNeeded: length >> 8), toByteOffset: outputTail, as: UInt8.self)
        output.storeBytes(of: UInt8(truncatingIfNeeded: length), toByteOffset: outputTail + 1, as: UInt8.self)
        outputTail += Self.headerBytes + length
    }

    /// Copies one frame in and sends what the socket takes.
    @discardableResult
    package func send(_ frame: UnsafeRawBufferPointer, _ kind: FrameKind) -> Bool {
        guard let space = reserve(frame.count, kind) else { return false }
        space.copyMemory(from: frame)
        commit(frame.count)
        flush()
        return true
    }

    /// Sends what the socket takes; the rest follows by itself when it is writable again.
    package func flush() {
        guard !isClosed else { return }
        while outputHead < outputTail {
            let sent = Glibc.send(descriptor, output + outputHead, outputTail - outputHead, Int32(MSG_NOSIGNAL))
            if sent > 0 {
                outputHead += sent
            } else if sent < 0, errno == EINTR {
                continue
            } else if sent < 0, errno == EAGAIN {
                break
            } else {
                close(.socketError(errno))
                return
            }
        }
        if outputHead == outputTail {
            outputHead = 0
            outputTail = 0
        }
        watchWritable(outputHead < outputTail)
    }

    private func watchWritable(_ wanted: Bool) {
        guard wanted != wantsWritable, let registration else { return }
        wantsWritable = wanted
        loop.modify(registration, for: wanted ? [.readable, .peerClosed, .writable] : [.readable, .peerClosed])
    }

    // MARK: Receiving

    private func handle(_ ready: Readiness) {
        if ready.contains(.writable) { flush() }
        if !isClosed, !ready.isDisjoint(with: [.readable, .peerClosed, .error, .hangup]) { read() }
    }

    private func read() {
        for _ in 0..<Self.readsPerTurn {
            // A whole frame always fits, so after delivery there is room.
            let received = recv(descriptor, input + inputCount, Self.inputCapacity - inputCount, 0)
            if received < 0, errno == EINTR { continue }
            if received < 0, errno == EAGAIN { return }
            guard received > 0 else {
                close(received == 0 ? .peerClosed : .socketError(errno))
                return
            }
            inputCount += received
            if !isAuthenticated {
                bytesBeforeAuthentication += received
            }
            deliverFrames()
            if isClosed { return }
            if !isAuthenticated, bytesBeforeAuthentication > limits.bytesBeforeAuthentication {
                close(.tooMuchBeforeAuthentication(limit: limits.bytesBeforeAuthentication))
                return
            }
        }
    }

    private func deliverFrames() {
        var offset = 0
        while !isClosed, inputCount - offset >= Self.headerBytes {
            let length =
                Int(input.load(fromByteOffset: offset, as: UInt8.self)) << 8
                | Int(input.load(fromByteOffset: offset + 1, as: UInt8.self))
            if !isAuthenticated, length > limits.frameBytesBeforeAuthentication {
                close(.tooMuchBeforeAuthentication(limit: limits.frameBytesBeforeAuthentication))
                return
            }
            guard inputCount - offset - Self.headerBytes >= length else { break }
            if length > 0 {
                listener?.deliver(
                    self, UnsafeMutableRawBufferPointer(start: input + offset + Self.headerBytes, count: length))
            }
            offset += Self.headerBytes + length
        }
        if offset > 0 {
            inputCount -= offset
            input.copyMemory(from: input + offset, byteCount: inputCount)
        }
    }

    // MARK: The end

    /// Safe to call from inside `onFrame`. The listener's `onClose` is told once.
    package func close(_ reason: TCPCloseReason = .closedHere) {
        guard !isClosed else { return }
        isClosed = true
        if let registration { loop.deregister(registration) }
        registration = nil
        shutdown(descriptor, Int32(SHUT_RDWR))
        listener?.forget(self, reason)
    }
}
