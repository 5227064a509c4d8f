// UDP in batches over loopback: what is coalesced on the way out comes apart again on the way in.
import Glibc
import MediaEngine
import Testing

/// Receives until `expected` datagrams came, waiting in poll, not in time.
private func receive(
    _ expected: Int, from socket: borrowing DatagramSocket
) -> (datagrams: [[UInt8]], messages: Int, source: SocketAddress?, arrivals: [UInt64]) {
    var batch = ReceiveBatch()
    var datagrams: [[UInt8]] = []
    var arrivals: [UInt64] = []
    var messages = 0
    var source: SocketAddress?
    while datagrams.count < expected {
        var descriptor = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&descriptor, 1, 5000) == 1 else { break }
        socket.receive(into: &batch)
        for index in 0..<batch.count {
            let message = batch[index]
            messages += 1
            source = message.source
            arrivals.append(message.arrival)
            var offset = 0
            while offset < message.length {
                let length = min(message.segmentSize, message.length - offset)
                datagrams.append([UInt8](UnsafeRawBufferPointer(start: message.base + offset, count: length)))
                offset += length
            }
        }
    }
    return (datagrams, messages, source, arrivals)
}

extension SendQueue {
    fileprivate mutating func put(_ bytes: [UInt8], to destination: SocketAddress) {
        guard let space = reserve(destination, bytes.count) else {
            Issue.record("no room for \(bytes.count) bytes")
            return
        }
        space.copyBytes(from: bytes)
        commit(bytes.count)
    }

    fileprivate mutating func flushAll() {
        let outcome = flush()
        #expect(outcome == .drained)
    }
}

private func pattern(_ number: Int, _ length: Int) -> [UInt8] {
    (0..<length).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0) }
}

private enum Wire: CaseIterable {
    case v4, dualStackToV4, v6

    /// Where to bind and under which host the bound socket is reached; nil where this machine has no IPv6.
    var addresses: (bind: SocketAddress, reach: SocketAddress)? {
        let v4 = SocketAddress.loopback4(port: 0)
        switch self {
        case .v4: return (v4, v4)
        case .dualStackToV4: return (.any6(port: 0), v4)
        case .v6:
            guard let v6 = SocketAddress("::1", port: 0), hostAddresses().contains(v6) else { return nil }
            return (v6, v6)
        }
    }
}

@Suite("DatagramSocket and SendQueue")
struct IODatagramTests {
    @Test(
        "equal datagrams to one address are one message in the kernel and many again at the receiver",
        arguments: Wire.allCases)
    fileprivate func segmentation(wire: Wire) throws {
        guard let (bind, reach) = wire.addresses else { return }
        let sender = try DatagramSocket(binding: bind)
        let receiver = try DatagramSocket(binding: bind)
        let destination = reach.withPort(receiver.localAddress.port)
        var queue = SendQueue(socket: sender)
        let sent = (0..<20).map { pattern($0, $0 == 19 ? 700 : 1200) }
        for datagram in sent { queue.put(datagram, to: destination) }
        queue.flushAll()
        let counters = queue.counters
        #expect(counters.datagrams == 20)
        #expect(counters.messages == 1)
        #expect(counters.systemCalls == 1)
        let got = receive(20, from: receiver)
        #expect(got.datagrams == sent)
        #expect(got.messages < 20, "GRO keeps them together")
        #expect(got.source == reach.withPort(sender.localAddress.port))
    }

    @Test("a group ends at a shorter datagram, a longer one, another address, 64 segments and 64 KB")
    func groups() throws {
        let sender = try DatagramSocket(binding: .loopback4(port: 0))
        let receiver = try DatagramSocket(binding: .loopback4(port: 0))
        let other = try DatagramSocket(binding: .loopback4(port: 0))
        let here = receiver.localAddress
        let there = other.localAddress

        func messages(_ datagrams: [(Int, SocketAddress)]) -> UInt64 {
            var queue = SendQueue(socket: sender)
            for (length, destination) in datagrams { queue.put(pattern(1, length), to: destination) }
            queue.flushAll()
            let counters = queue.counters
            #expect(counters.dropped == 0)
            #expect(counters.datagrams == UInt64(datagrams.count))
            return counters.messages
        }
        #expect(messages([(100, here), (100, here), (50, here)]) == 1)
        #expect(messages([(100, here), (50, here), (100, here)]) == 2)
        #expect(messages([(100, here), (50, here), (50, here)]) == 2)
        #expect(messages([(50, here), (100, here)]) == 2)
        #expect(messages([(100, here), (100, there), (100, here)]) == 3)
        #expect(messages(Array(repeating: (100, here), count: 64)) == 1)
        #expect(messages(Array(repeating: (100, here), count: 65)) == 2)
        #expect(messages(Array(repeating: (1400, here), count: 46)) == 1)
        #expect(messages(Array(repeating: (1400, here), count: 47)) == 2)
    }

    @Test("every mix of five datagrams of three sizes arrives whole and in order")
    func exhaustive() throws {
        let sender = try DatagramSocket(binding: .loopback4(port: 0))
        let receiver = try DatagramSocket(binding: .loopback4(port: 0))
        let sizes = [1, 7, 8]
        for code in 0..<243 {
            var queue = SendQueue(socket: sender, messages: 2)
            var rest = code
            var sent: [[UInt8]] = []
            for number in 0..<5 {
                let datagram = pattern(number + code, sizes[rest % 3])
                rest /= 3
                sent.append(datagram)
                queue.put(datagram, to: receiver.localAddress)
            }
            queue.flushAll()
            let got = receive(5, from: receiver).datagrams
            #expect(got == sent, "mix \(code)")
        }
    }

    @Test("a small queue flushes itself and loses nothing")
    func selfFlush() throws {
        let sender = try DatagramSocket(binding: .loopback4(port: 0))
        let receiver = try DatagramSocket(binding: .loopback4(port: 0))
        var queue = SendQueue(socket: sender, messages: 4, slabBytes: 65_536)
        var sent: [[UInt8]] = []
        for number in 0..<300 {
            let datagram = pattern(number, 300 + number % 700)
            sent.append(datagram)
            queue.put(datagram, to: receiver.localAddress)
        }
        queue.flushAll()
        let counters = queue.counters
        #expect(counters.dropped == 0)
        #expect(receive(300, from: receiver).datagrams == sent)
    }

    @Test("an abandoned reservation leaves no trace, and nonsense is refused")
    func abandoned() throws {
        let sender = try DatagramSocket(binding: .loopback4(port: 0))
        let receiver = try DatagramSocket(binding: .loopback4(port: 0))
        var queue = SendQueue(socket: sender)
        _ = queue.reserve(receiver.localAddress, 500)
        _ = queue.reserve(receiver.localAddress, 500)
        queue.commit(0)
        queue.commit(-1)
        queue.commit(501)
        queue.put([1, 2, 3], to: receiver.localAddress)
        let nothing = queue.reserve(receiver.localAddress, 0)
        let tooMuch = queue.reserve(receiver.localAddress, 70_000)
        #expect(nothing == nil && tooMuch == nil)
        queue.flushAll()
        let counters = queue.counters
        #expect(receive(1, from: receiver).datagrams == [[1, 2, 3]])
        #expect(counters.datagrams == 1)
        #expect(counters.dropped == 2)
    }

    @Test("what the kernel refuses is dropped and counted, and what follows still goes out")
    func refused() throws {
        let sender = try DatagramSocket(binding: .loopback4(port: 0))
        let receiver = try DatagramSocket(binding: .loopback4(port: 0))
        let v6 = try #require(SocketAddress("2001:db8::1", port: 1))
        var queue = SendQueue(socket: sender)
        queue.put([1], to: v6)
        queue.put([2], to: v6)
        queue.put([3], to: receiver.localAddress)
        queue.flushAll()
        let counters = queue.counters
        #expect(counters.dropped == 2)
        #expect(receive(1, from: receiver).datagrams == [[3]])
    }

    @Test("when the kernel refuses to segment, every datagram goes out by itself")
    func segmentationRefused() throws {
        let sender = try DatagramSocket(binding: .loopback4(port: 0))
        let receiver = try DatagramSocket(binding: .loopback4(port: 0))
        // Without checksums the kernel does not segment.
        var yes: Int32 = 1
        let result = setsockopt(sender.descriptor, SOL_SOCKET, SO_NO_CHECK, &yes, socklen_t(MemoryLayout<Int32>.size))
        try #require(result == 0)
        var queue = SendQueue(socket: sender)
        let sent = (0..<30).map { pattern($0, $0 % 10 == 9 ? 500 : 1000) }
        for datagram in sent { queue.put(datagram, to: receiver.localAddress) }
        queue.flushAll()
        let counters = queue.counters
        #expect(counters.segmentationRefused == 1)
        #expect(counters.datagrams == 30)
        #expect(counters.messages == 30)
        #expect(counters.dropped == 0)
        #expect(receive(30, from: receiver).datagrams == sent)
    }

    @Test("the arrival is the kernel's moment on the monotonic clock")
    func arrival() throws {
        let sender = try DatagramSocket(binding: .loopback4(port: 0))
        let receiver = try DatagramSocket(binding: .loopback4(port: 0))
        var queue = SendQueue(socket: sender)
        let before = MonotonicClock.now()
        queue.put([1], to: receiver.localAddress)
        queue.flushAll()
        let after = MonotonicClock.now()
        let got = receive(1, from: receiver)
        let arrival = try #require(got.arrivals.first)
        // The two clocks are read one after the other, which costs a little when the machine is busy.
        #expect(arrival + 2_000_000 >= before)
        #expect(arrival <= after + 50_000_000)
    }
}
