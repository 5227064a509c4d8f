// The steady packet path allocates nothing: heap allocations of the worker's own thread, counted while packets pass.
import AllocationCounter
import CLinux
import PeerTransport
import Testing
import WireFormats

@testable import MediaEngine

/// Reads another thread's counter. The thread lives until the engine's shutdown.
private struct WorkerAllocations: @unchecked Sendable {
    private let counter: UnsafeRawPointer

    init(thisThread: Void) { counter = allocation_counter_of_this_thread() }

    var count: UInt64 { allocation_counter_read(counter) }
}

extension MediaWorker {
    fileprivate func allocations() -> WorkerAllocations { WorkerAllocations(thisThread: ()) }
}

/// The whole demand is kept by optimised code: `swift test -c release -Xswiftc -enable-testing --filter AllocationTests`.
/// Without optimisation accessors keep their frames on the heap, some with every turn of the loop; what a packet
/// allocates still shows.
#if DEBUG
    private let isAllowed: UInt64 = 999
#else
    private let isAllowed: UInt64 = 0
#endif

@Suite("Allocations", .serialized)
struct AllocationTests {
    @Test("the counter sees what its thread allocates")
    func counterCounts() {
        guard allocation_counter_works() == 1 else { return print("skipped: a sanitizer has the allocator") }
        let allocations = WorkerAllocations(thisThread: ())
        let before = allocations.count
        UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 8).deallocate()
        UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 64).deallocate()
        #expect(allocations.count == before + 2)
    }

    @Test("a packet is received, decrypted, rewritten, encrypted and sent without an allocation", arguments: [1, 5])
    func steadyPathAllocatesNothing(fanOut: Int) async throws {
        guard allocation_counter_works() == 1 else { return print("skipped: a sanitizer has the allocator") }
        let engine = try MediaEngine(configuration: MediaEngineConfiguration(bindAddress: "127.0.0.1"))
        let publisher = try MediaClient()
        let published = try await engine.negotiate(
            room: "r", peer: "p0",
            offer: PeerOffer(
                sdp: publisher.offer([.init(mid: "0", kind: "video", direction: "sendonly")]),
                streams: [StreamDeclaration(mid: "0", stream: "camera", role: "camera")], maySend: true,
                subscription: .none))
        try publisher.connect(published.sdp, port: engine.udpPort)
        var clients = [publisher]
        for number in 1...fanOut {
            let receiver = try MediaClient()
            let answer = try await engine.negotiate(
                room: "r", peer: "p\(number)",
                offer: PeerOffer(
                    sdp: receiver.offer([.init(mid: "0", kind: "video", direction: "recvonly")]), streams: [],
                    maySend: false, subscription: .everything))
            try receiver.connect(answer.sdp, port: engine.udpPort)
            clients.append(receiver)
        }
        let receivers = Array(clients.dropFirst())
        let isUp = MediaClient.run(clients) { clients.allSatisfy(\.isConnected) }
        try #require(isUp)
        let worker = await engine.worker.allocations()

        // Windows of 1,000 packets in portions that every socket's buffer holds. A clock may tick in some of them (RTCP
        // goes through a library that allocates); what a packet allocates would be in all.
        var sequence: UInt16 = 65_000
        var counts: [UInt64] = []
        for window in 0..<8 {
            var allocated: UInt64 = 0
            for portion in 0..<20 {
                let packets = (0..<50).map { index in
                    let number = UInt32(window * 1000 + portion * 50 + index)
                    let packet = MediaPackets.rtp(
                        payloadType: 96, sequence: sequence, timestamp: 1000 &+ number &* 3000, ssrc: 0x1111,
                        extensions: [(4, [48]), (3, [UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)])],
                        payload: MediaPackets.vp8(
                            picture: UInt16(number & 0x7FFF), temporal: UInt8(truncatingIfNeeded: number),
                            isKey: number == 0, fill: 1000))
                    sequence &+= 1
                    return publisher.protect(rtp: packet)
                }
                for receiver in receivers { receiver.packets.removeAll(keepingCapacity: true) }
                let before = worker.count
                for packet in packets { publisher.transmit(packet) }
                let hasPassed = MediaClient.run(clients) { receivers.allSatisfy { $0.packets.count >= 50 } }
                allocated += worker.count - before
                try #require(hasPassed, "received \(receivers.map(\.packets.count)) of 50")
            }
            // The first warms up: histories and queues grow to what they need.
            if window > 0 { counts.append(allocated) }
        }
        let fewest = try #require(counts.min())
        #expect(fewest <= isAllowed, "allocations in windows of 1,000 packets with \(fanOut) receivers: \(counts)")
        await engine.shutdown()
    }

    @Test("a packet that is relayed to another worker is forwarded there without an allocation on either")
    func relayedPathAllocatesNothing() async throws {
        guard allocation_counter_works() == 1 else { return print("skipped: a sanitizer has the allocator") }
        let engine = try MediaEngine(
            configuration: MediaEngineConfiguration(bindAddress: "127.0.0.1", workers: 2, peersPerWorker: 1))
        var clients: [MediaClient] = []
        for number in 0...1 {
            let client = try MediaClient()
            let isSender = number == 0
            let answer = try await engine.negotiate(
                room: "r", peer: "p\(number)",
                offer: PeerOffer(
                    sdp: client.offer([
                        .init(mid: "0", kind: "video", direction: isSender ? "sendonly" : "recvonly")
                    ]),
                    streams: isSender ? [StreamDeclaration(mid: "0", stream: "camera", role: "camera")] : [],
                    maySend: isSender, subscription: isSender ? .none : .everything))
            try client.connect(answer.sdp, port: engine.udpPorts[number])
            clients.append(client)
        }
        let (publisher, receiver) = (clients[0], clients[1])
        try #require(MediaClient.run(clients) { clients.allSatisfy(\.isConnected) })
        let workers = [await engine.workers[0].allocations(), await engine.workers[1].allocations()]
        var counts: [UInt64] = []
        for window in 0..<6 {
            var allocated: UInt64 = 0
            for portion in 0..<20 {
                let packets = (0..<50).map { index in
                    let number = UInt32(window * 1000 + portion * 50 + index)
                    return publisher.protect(
                        rtp: MediaPackets.rtp(
                            payloadType: 96, sequence: UInt16(truncatingIfNeeded: number),
                            timestamp: 1000 &+ number &* 3000, ssrc: 0x1111, extensions: [(4, [48])],
                            payload: MediaPackets.vp8(
                                picture: UInt16(number & 0x7FFF), temporal: UInt8(truncatingIfNeeded: number),
                                isKey: number == 0, fill: 1000)))
                }
                receiver.packets.removeAll(keepingCapacity: true)
                let before = workers.map(\.count)
                for packet in packets { publisher.transmit(packet) }
                let hasPassed = MediaClient.run(clients) { receiver.packets.count >= 50 }
                for (worker, earlier) in zip(workers, before) { allocated += worker.count - earlier }
                try #require(hasPassed, "received \(receiver.packets.count) of 50")
            }
            if window > 0 { counts.append(allocated) }
        }
        let fewest = try #require(counts.min())
        #expect(fewest <= isAllowed, "allocations in windows of 1,000 relayed packets: \(counts)")
        await engine.shutdown()
    }
}
