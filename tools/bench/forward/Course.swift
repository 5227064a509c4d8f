// One course of the bench: publishers and receivers around a server, and the laps the load's thread runs on it.
import CForwardFloor
import CLinux
import Glibc
import MediaEngine

struct LapResult: Sendable {
    var sent = 0
    var received = 0
    var sampled = 0
    var damaged = 0
    /// CPU of the server's thread, of the load's thread, and wall time, in nanoseconds.
    var serverCPU: UInt64 = 0
    var loadCPU: UInt64 = 0
    var duration: UInt64 = 0
    /// How often the server's thread was woken.
    var wakeUps: UInt64 = 0
}

enum LapMode: String, Sendable, CaseIterable {
    /// 30 frames a second of 12 packets, each frame in three slots of 4 packets, 5 ms apart.
    case paced
    /// 32 packets at once, again as soon as all have come out.
    case burst
}

/// Everything runs on the load's thread; the server is only known by its thread's number.
final class Course: @unchecked Sendable {
    let fanOut: Int
    let serverThread: Int32
    private let sources: [Source]
    private let sinks: [LoadClient]
    private let epoll: Int32
    private let events: UnsafeMutablePointer<clinux_event>
    private var batch = ReceiveBatch(capacity: 16)
    private var result = LapResult()

    private static let sampleEvery = 64
    private static let burstPackets = 32
    private static let slotPackets = 4
    private static let slotsPerFrame = 3
    private static let slotNanoseconds: UInt64 = 5_000_000
    private static let frameNanoseconds: UInt64 = 33_333_333
    private static let eventCapacity = 64

    init(fanOut: Int, publishers: [(LoadClient, ssrc: UInt32)], receivers: [LoadClient], serverThread: Int32) throws {
        self.fanOut = fanOut
        self.serverThread = serverThread
        sources = publishers.map { Source(client: $0.0, ssrc: $0.ssrc) }
        sinks = receivers
        epoll = clinux_epoll_create()
        events = .allocate(capacity: Self.eventCapacity)
        events.initialize(repeating: clinux_event(), count: Self.eventCapacity)
        let all = receivers + publishers.map(\.0)
        for (index, client) in all.enumerated() {
            guard clinux_epoll_add(epoll, client.socket.descriptor, UInt32(CLINUX_READABLE), UInt64(index)) >= 0 else {
                throw BenchError("epoll_ctl failed")
            }
        }
    }

    deinit {
        close(epoll)
        events.deallocate()
    }

    func keepAlive() {
        for client in sinks { client.keepAlive() }
        for source in sources { source.client.keepAlive() }
        drain(timeout: 2_000_000)
    }

    func lap(_ mode: LapMode, seconds: Double, packets: Int) -> LapResult {
        result = LapResult()
        let start = MonotonicClock.now()
        let server = floor_thread_cpu_nanoseconds(serverThread)
        let load = clinux_thread_cpu_nanoseconds()
        let wakeUps = Threads.wakeUps(serverThread)
        switch mode {
        case .paced: runPaced(nanoseconds: UInt64(seconds * 1e9))
        case .burst: runBursts(packets: packets)
        }
        result.serverCPU = floor_thread_cpu_nanoseconds(serverThread) - server
        result.loadCPU = clinux_thread_cpu_nanoseconds() - load
        result.wakeUps = Threads.wakeUps(serverThread) &- wakeUps
        result.duration = MonotonicClock.now() - start
        return result
    }

    private var expected: Int { result.sent * fanOut }

    private func runPaced(nanoseconds: UInt64) {
        let start = MonotonicClock.now()
        let end = start + nanoseconds
        // Publishers are not in step with one another.
        var due = sources.indices.map { start + UInt64($0) * Self.frameNanoseconds / UInt64(sources.count) }
        var slot = sources.map { _ in 0 }
        while true {
            let now = MonotonicClock.now()
            if now >= end { break }
            for index in sources.indices where due[index] <= now {
                let isLastSlot = slot[index] == Self.slotsPerFrame - 1
                result.sent += sources[index].send(
                    Self.slotPackets, beginsFrame: slot[index] == 0, endsFrame: isLastSlot)
                due[index] +=
                    isLastSlot
                    ? Self.frameNanoseconds - Self.slotNanoseconds * UInt64(Self.slotsPerFrame - 1)
                    : Self.slotNanoseconds
                slot[index] = isLastSlot ? 0 : slot[index] + 1
            }
            let next = min(due.min() ?? end, end)
            let current = MonotonicClock.now()
            drain(timeout: next > current ? Int64(next - current) : 0)
        }
        settle()
    }

    private func runBursts(packets: Int) {
        while expected < packets {
            for source in sources {
                result.sent += source.send(Self.burstPackets, beginsFrame: true, endsFrame: true)
                settle()
            }
        }
    }

    /// Waits until everything sent has come out, or nothing has come for 20 ms.
    private func settle() {
        while result.received < expected {
            let before = result.received
            drain(timeout: 20_000_000)
            if result.received == before { return }
        }
    }

    private func drain(timeout: Int64) {
        let ready = clinux_epoll_wait(epoll, events, Int32(Self.eventCapacity), timeout)
        guard ready > 0 else { return }
        for event in 0..<Int(ready) {
            let index = Int(events[event].data)
            if index < sinks.count {
                collect(sinks[index])
            } else {
                // Feedback to a publisher; only taken out of the way.
                sources[index - sinks.count].client.socket.receive(into: &batch)
            }
        }
    }

    private func collect(_ client: LoadClient) {
        client.socket.receive(into: &batch)
        for index in 0..<batch.count {
            let message = batch[index]
            var offset = 0
            while offset < message.length {
                let length = min(message.segmentSize, message.length - offset)
                let packet = UnsafeMutableRawBufferPointer(start: message.base + offset, count: length)
                // Media only: version 2, and no RTCP packet type.
                if length >= 12, packet[0] >> 6 == 2, !(192...223).contains(packet[1]) {
                    result.received += 1
                    if result.received % Self.sampleEvery == 0 { check(packet, client) }
                }
                offset += length
            }
        }
    }

    private func check(_ packet: UnsafeMutableRawBufferPointer, _ client: LoadClient) {
        result.sampled += 1
        let length = client.unprotect(packet)
        let isIntact = length > 0 && MediaShape.isIntact(UnsafeRawBufferPointer(rebasing: packet[..<length]))
        if !isIntact { result.damaged += 1 }
    }
}

/// A publisher's stream: its numbers and clock.
private final class Source {
    let client: LoadClient
    private let ssrc: UInt32
    private var sequence: UInt16 = 1000
    private var transportSequence: UInt16 = 1
    private var number: UInt64 = 0
    private var frames = 0
    private let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: MediaShape.payloadBytes, alignment: 16)

    /// The receivers wait for one, and what was lost is not asked for.
    private static let keyFrameEvery = 30

    init(client: LoadClient, ssrc: UInt32) {
        self.client = client
        self.ssrc = ssrc
    }

    deinit { payload.deallocate() }

    /// Sends packets of the current frame and returns how many went out.
    func send(_ count: Int, beginsFrame: Bool, endsFrame: Bool) -> Int {
        let frame = MediaShape.Frame(
            isKey: frames % Self.keyFrameEvery == 0, picture: UInt16(frames & 0x7FFF),
            timestamp: UInt32(truncatingIfNeeded: frames &* 3000))
        var sent = 0
        for index in 0..<count {
            let isLast = endsFrame && index == count - 1
            guard let space = client.queue.reserve(client.server, MediaShape.packetBytes + 2 * MediaShape.tagBytes)
            else {
                break
            }
            MediaShape.writeHeader(
                space, sequence: sequence, transportSequence: transportSequence, ssrc: ssrc, frame: frame,
                isLast: isLast)
            MediaShape.writePayload(payload, number: number, frame: frame, isFirst: beginsFrame && index == 0)
            let length = client.protect(
                space, headerLength: MediaShape.headerBytes, payload: UnsafeRawBufferPointer(payload))
            guard length > 0 else { break }
            client.queue.commit(length)
            sequence &+= 1
            transportSequence &+= 1
            number += 1
            sent += 1
        }
        client.queue.flush()
        if endsFrame { frames += 1 }
        return sent
    }
}
