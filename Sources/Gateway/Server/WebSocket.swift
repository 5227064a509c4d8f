// One WebSocket of a client as the rest of the program sees it: messages in, a bounded queue out.
import CWebSockets
import MediaEngine

/// Text encoded once and shared by every connection it goes to. libwebsockets writes its frame header into the head
/// room in front, on the loop's thread only.
package final class OutgoingMessage: @unchecked Sendable {
    private let storage: UnsafeMutableRawPointer
    package let count: Int

    package init(_ bytes: [UInt8]) {
        count = bytes.count
        storage = .allocate(byteCount: Int(CWS_WRITE_HEADROOM) + bytes.count, alignment: 16)
        bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            (storage + Int(CWS_WRITE_HEADROOM)).copyMemory(from: base, byteCount: source.count)
        }
    }

    deinit { storage.deallocate() }

    var payload: UnsafeMutablePointer<UInt8> {
        (storage + Int(CWS_WRITE_HEADROOM)).assumingMemoryBound(to: UInt8.self)
    }

    package var bytes: [UInt8] { Array(UnsafeBufferPointer(start: payload, count: count)) }
}

/// Presence is ephemeral: of two unsent values with the same key, the later replaces the earlier.
package struct PresenceKey: Hashable, Sendable {
    package var kind: String
    package var by: String

    package init(kind: String, by: String) {
        self.kind = kind
        self.by = by
    }
}

package final class WebSocket: Sendable, Identifiable {
    package struct Limits: Sendable {
        /// Unsent messages other than presence, and their bytes, before the reader counts as slow.
        package var queuedMessages = 1024
        package var queuedBytes = 4 * 1024 * 1024
        /// Received messages that wait for the handler before reading stops.
        package var receivedBacklog = 32

        package init() {}
    }

    package enum CloseCode: UInt16, Sendable {
        case normal = 1000
        case goingAway = 1001
        case policy = 1008
        case tooBig = 1009
        /// The queue overflowed: come back and resume.
        case slow = 4000
        /// The same identity took the place from elsewhere.
        case replaced = 4001
        /// Removed, rejected or the room has ended.
        case ended = 4002
        case joinTimeout = 4003
    }

    private struct Entry {
        var message: OutgoingMessage
        var presence: PresenceKey?
    }

    private struct State {
        var queue: [Entry] = []
        var head = 0
        var queuedBytes = 0
        var queuedMessages = 0
        var closing: (code: CloseCode, reason: String)?
        /// Replies that are being made; a close waits for them.
        var expectedReplies = 0
        var isClosed = false
        var isFlushRequested = false
        var backlog = 0
        var wantsReading = true
    }

    /// What the loop does next for this socket.
    enum Outgoing {
        case message(OutgoingMessage)
        case close(code: UInt16, reason: String)
        case nothing
    }

    package let id: UInt64
    package let parameters: [String: String]
    package let remoteAddress: String
    private let limits: Limits
    private let slowNotice: OutgoingMessage
    private let state = Lock(State())
    private let continuation: AsyncStream<[UInt8]>.Continuation
    private let stream: AsyncStream<[UInt8]>
    private let requestFlush: @Sendable (UInt64) -> Void

    init(
        id: UInt64, parameters: [String: String], remoteAddress: String, limits: Limits,
        requestFlush: @escaping @Sendable (UInt64) -> Void
    ) {
        self.id = id
        self.parameters = parameters
        self.remoteAddress = remoteAddress
        self.limits = limits
        self.requestFlush = requestFlush
        slowNotice = OutgoingMessage(
            Array(#"{"notice":"slow","message":"The connection is too slow for the room's events; resume."}"#.utf8))
        (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self, bufferingPolicy: .unbounded)
    }

    // MARK: what a handler uses

    package var messages: Messages { Messages(stream: stream, socket: self) }

    /// Queues a message that must arrive. When the queue is full the client is told so and disconnected.
    package func send(_ message: OutgoingMessage) {
        change { state in
            guard !state.isClosed, state.closing == nil else { return }
            append(message, to: &state)
        }
    }

    /// Says that a reply will come: closing waits for it, so that "leave" is answered before the door is shut.
    package func expectReply() { state.withLock { $0.expectedReplies += 1 } }

    package func send(reply message: OutgoingMessage) {
        change { state in
            state.expectedReplies = max(0, state.expectedReplies - 1)
            guard !state.isClosed else { return }
            append(message, to: &state)
        }
    }

    /// There is none after all.
    package func expectNoReply() { change { $0.expectedReplies = max(0, $0.expectedReplies - 1) } }

    private func append(_ message: OutgoingMessage, to state: inout State) {
        state.queue.append(Entry(message: message, presence: nil))
        state.queuedMessages += 1
        state.queuedBytes += message.count
        guard state.queuedMessages > limits.queuedMessages || state.queuedBytes > limits.queuedBytes else { return }
        state.queue = [Entry(message: slowNotice, presence: nil)]
        state.head = 0
        state.queuedMessages = 1
        state.queuedBytes = slowNotice.count
        state.closing = (.slow, "slow")
    }

    package func send(presence message: OutgoingMessage, key: PresenceKey) {
        change { state in
            guard !state.isClosed, state.closing == nil else { return }
            for index in state.queue.indices[state.head...] where state.queue[index].presence == key {
                state.queue[index].message = message
                return
            }
            state.queue.append(Entry(message: message, presence: key))
        }
    }

    /// Closes after what is queued.
    package func close(_ code: CloseCode, _ reason: String) {
        change { state in
            if state.closing == nil { state.closing = (code, reason) }
        }
        continuation.finish()
    }

    package var isOpen: Bool { state.withLock { !$0.isClosed && $0.closing == nil } }

    private func change(_ body: (inout State) -> Void) {
        let isNewRequest = state.withLock { state in
            body(&state)
            guard !state.isClosed, !state.isFlushRequested else { return false }
            state.isFlushRequested = true
            return true
        }
        if isNewRequest { requestFlush(id) }
    }

    // MARK: what the loop uses

    func flushBegins() { state.withLock { $0.isFlushRequested = false } }

    func next() -> Outgoing {
        state.withLock { state in
            guard state.head < state.queue.count else {
                if state.expectedReplies == 0, let closing = state.closing {
                    return .close(code: closing.code.rawValue, reason: closing.reason)
                }
                return .nothing
            }
            let entry = state.queue[state.head]
            state.head += 1
            if entry.presence == nil {
                state.queuedMessages -= 1
                state.queuedBytes -= entry.message.count
            }
            if state.head == state.queue.count {
                state.queue.removeAll(keepingCapacity: state.queue.capacity <= 64)
                state.head = 0
            } else if state.head >= 64 {
                state.queue.removeFirst(state.head)
                state.head = 0
            }
            return .message(entry.message)
        }
    }

    /// The next message, when there is one; a pending close is left for `next()`.
    func nextMessage() -> Outgoing {
        guard state.withLock({ $0.head < $0.queue.count }) else { return .nothing }
        return next()
    }

    var hasOutgoing: Bool {
        state.withLock { state in
            state.head < state.queue.count || (state.closing != nil && !state.isClosed && state.expectedReplies == 0)
        }
    }

    /// Hands a whole message to the handler. False: stop reading until the handler has caught up.
    func received(_ message: [UInt8]) -> Bool {
        continuation.yield(message)
        return state.withLock { state in
            state.backlog += 1
            if state.backlog >= limits.receivedBacklog { state.wantsReading = false }
            return state.wantsReading
        }
    }

    var wantsReading: Bool { state.withLock { $0.wantsReading } }

    fileprivate func consumed() {
        change { state in
            state.backlog -= 1
            if state.backlog <= limits.receivedBacklog / 2 { state.wantsReading = true }
        }
    }

    func didClose() {
        state.withLock { state in
            state.isClosed = true
            state.queue = []
            state.head = 0
        }
        continuation.finish()
    }

    package struct Messages: AsyncSequence, Sendable {
        fileprivate let stream: AsyncStream<[UInt8]>
        fileprivate let socket: WebSocket

        package struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate var base: AsyncStream<[UInt8]>.AsyncIterator
            fileprivate let socket: WebSocket

            package mutating func next() async -> [UInt8]? {
                guard let message = await base.next() else { return nil }
                socket.consumed()
                return message
            }
        }

        package func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(base: stream.makeAsyncIterator(), socket: socket)
        }
    }
}

/// Where a WebSocket may be opened, and who serves it.
package struct WebSocketRoute: Sendable {
    package var pattern: String
    package var messageLimit: Int
    package var limits: WebSocket.Limits
    package var serve: @Sendable (WebSocket) async -> Void

    package init(
        pattern: String, messageLimit: Int, limits: WebSocket.Limits = WebSocket.Limits(),
        serve: @escaping @Sendable (WebSocket) async -> Void
    ) {
        self.pattern = pattern
        self.messageLimit = messageLimit
        self.limits = limits
        self.serve = serve
    }
}
