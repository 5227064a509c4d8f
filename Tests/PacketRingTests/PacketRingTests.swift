// The packet ring: order, wrap-around, overflow, and two threads at full speed.
import Foundation
import PacketRing
import Testing

private struct Copy: Equatable {
    var kind: PacketRecordKind
    var track: UInt32
    var arrival: UInt64
    var payload: [UInt8]
}

extension PacketRing {
    fileprivate func copies(limit: Int = .max) -> [Copy] {
        var all: [Copy] = []
        drain(limit: limit) {
            all.append(Copy(kind: $0.kind, track: $0.track, arrival: $0.arrival, payload: [UInt8]($0.payload)))
        }
        return all
    }

    @discardableResult
    fileprivate func write(_ bytes: [UInt8], track: UInt32 = 1, arrival: UInt64 = 0) -> Bool {
        bytes.withUnsafeBytes { write(packet: $0, track: track, encoding: 0, arrival: arrival) }
    }
}

private func declaration(_ track: UInt32) -> TrackDeclaration {
    TrackDeclaration(
        track: track, participant: "p1", stream: "camera", kind: "video", role: "camera", codec: "VP8",
        clockRate: 90_000, channels: 1, payloadType: 96, parameters: ["x": "y"])
}

@Suite("PacketRing")
struct PacketRingTests {
    @Test("records come out as they went in, whatever their kind")
    func order() throws {
        let ring = PacketRing(capacity: 4096)
        ring.declare(declaration(7), arrival: 1)
        ring.write([1, 2, 3], track: 7, arrival: 2)
        let clock = SenderReportClock(ssrc: 5, ntp: 0x0102_0304_0506_0708, rtp: 9)
        ring.senderReport(track: 7, encoding: 2, arrival: 3, clock: clock)
        ring.end(track: 7, arrival: 4)
        ring.finish(arrival: 5)
        ring.write([9], track: 7, arrival: 6)
        #expect(ring.checkInvariants() == [])

        var kinds: [PacketRecordKind] = []
        var arrivals: [UInt64] = []
        ring.drain { record in
            kinds.append(record.kind)
            arrivals.append(record.arrival)
            switch record.kind {
            case .trackDeclared:
                let decoded = try? JSONDecoder().decode(TrackDeclaration.self, from: Data(record.payload))
                #expect(decoded == declaration(7))
            case .packet: #expect([UInt8](record.payload) == [1, 2, 3])
            case .senderReport:
                #expect(record.senderReport == clock)
                #expect(record.encoding == 2)
            case .trackEnded, .end, .dropped: #expect(record.payload.isEmpty)
            }
        }
        #expect(kinds == [.trackDeclared, .packet, .senderReport, .trackEnded, .end])
        #expect(arrivals == [1, 2, 3, 4, 5])
        #expect(ring.pendingBytes == 0)
    }

    @Test("every payload length at every place of the ring survives the wrap", arguments: [1, 7, 8, 24, 500, 1200])
    func wrap(length: Int) {
        let ring = PacketRing(capacity: 4096)
        for round in 0..<1000 {
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: round), count: length + round % 9)
            #expect(ring.write(bytes, arrival: UInt64(round)))
            #expect(ring.checkInvariants() == [])
            #expect(ring.copies() == [Copy(kind: .packet, track: 1, arrival: UInt64(round), payload: bytes)])
        }
    }

    @Test("a full ring drops packets, counts them, and says so in their place")
    func overflow() {
        let ring = PacketRing(capacity: 4096)
        var written = 0
        while ring.write([UInt8](repeating: 1, count: 100), arrival: UInt64(written)) { written += 1 }
        ring.write([2], arrival: 1000)
        ring.write([2], arrival: 1001)
        // The first one that failed was also dropped; small ones may still fit, so ask the ring what it counted.
        let lost = ring.dropped
        #expect(lost >= 1)
        #expect(ring.checkInvariants() == [])
        let before = ring.copies()
        #expect(before.count { $0.kind == .packet } >= written)
        ring.write([3], arrival: 2000)
        let after = before + ring.copies()
        let told = after.filter { $0.kind == .dropped }.reduce(UInt64(0)) { sum, record in
            sum + record.payload.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        }
        #expect(told == lost)
        #expect(after.last == Copy(kind: .packet, track: 1, arrival: 2000, payload: [3]))
    }

    @Test("a declaration finds room where packets no longer do, and is never lost")
    func control() {
        let ring = PacketRing(capacity: 4096)
        while ring.write([UInt8](repeating: 1, count: 100)) {}
        var declared: UInt32 = 0
        while declared < 50 {
            ring.declare(declaration(declared), arrival: 1)
            declared += 1
        }
        // Behind the waiting declarations no packet may slip in.
        #expect(!ring.write([1]))
        var seen: [UInt32] = []
        for _ in 0..<100 {
            seen += ring.copies(limit: 5).filter { $0.kind == .trackDeclared }.map(\.track)
            ring.retryWaiting(now: 2)
            #expect(ring.checkInvariants() == [])
        }
        #expect(seen == Array(0..<50))
        #expect(ring.write([1]))
    }

    @Test("a packet larger than half the ring is dropped, not split")
    func tooLarge() {
        let ring = PacketRing(capacity: 4096)
        #expect(!ring.write([UInt8](repeating: 0, count: 4000)))
        #expect(ring.dropped == 1)
    }

    @Test("key frame requests reach the producer in order and are bounded")
    func keyFrames() {
        let ring = PacketRing(capacity: 4096)
        #expect(ring.takeKeyFrameRequest() == nil)
        var accepted: [UInt32] = []
        for track in 0..<UInt32(100) where ring.requestKeyFrame(track: track) { accepted.append(track) }
        #expect(accepted.count == 64)
        var taken: [UInt32] = []
        while let track = ring.takeKeyFrameRequest() { taken.append(track) }
        #expect(taken == accepted)
        #expect(ring.requestKeyFrame(track: 5))
        #expect(ring.takeKeyFrameRequest() == 5)
    }

    @Test("the end wakes a waiting consumer")
    func wakeUp() async {
        let ring = PacketRing(capacity: 1 << 16)
        let consumer = Thread.detached {
            var hasEnded = false
            while !hasEnded {
                ring.wait(milliseconds: 60_000)
                ring.drain { if $0.kind == .end { hasEnded = true } }
            }
        }
        ring.finish(arrival: 1)
        await consumer.value
    }

    @Test("two threads: nothing torn, nothing reordered, every loss told", arguments: [4096, 1 << 16, 1 << 20])
    func stress(capacity: Int) async {
        let ring = PacketRing(capacity: capacity, wakeBytes: 2048)
        let total: UInt64 = 200_000
        let consumer = Thread.detached { () -> (packets: UInt64, told: UInt64, faults: Int) in
            var packets: UInt64 = 0
            var told: UInt64 = 0
            var faults = 0
            var last: UInt64?
            var hasEnded = false
            while !hasEnded {
                ring.wait(milliseconds: 1000)
                ring.drain { record in
                    switch record.kind {
                    case .packet:
                        packets += 1
                        if let last, record.arrival <= last { faults += 1 }
                        last = record.arrival
                        let expected = UInt8(truncatingIfNeeded: record.arrival)
                        if record.payload.count != Int(record.arrival % 1300) + 1 { faults += 1 }
                        if !record.payload.allSatisfy({ $0 == expected }) { faults += 1 }
                    case .dropped: told += record.droppedCount ?? 0
                    case .end: hasEnded = true
                    case .trackDeclared, .trackEnded, .senderReport: faults += 1
                    }
                }
            }
            return (packets, told, faults)
        }
        let producer = Thread.detached { () -> UInt64 in
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1300, alignment: 8)
            defer { memory.deallocate() }
            var accepted: UInt64 = 0
            for number in 1...total {
                let length = Int(number % 1300) + 1
                memset(memory.baseAddress!, Int32(number & 0xFF), length)
                let bytes = UnsafeRawBufferPointer(rebasing: memory[0..<length])
                if ring.write(packet: bytes, track: 1, encoding: 0, arrival: number) { accepted += 1 }
            }
            ring.finish(arrival: total + 1)
            while !ring.retryWaiting(now: total + 1) { sched_yield() }
            return accepted
        }
        let accepted = await producer.value
        let result = await consumer.value
        #expect(result.faults == 0)
        #expect(result.packets == accepted)
        #expect(result.packets + result.told == total)
        #expect(ring.dropped == result.told)
        #expect(ring.checkInvariants() == [])
    }
}

/// A real thread whose result can be awaited: the ring's sides may block, a task may not.
private enum Thread {
    final class Result<Value: Sendable>: Sendable {
        private let task: Task<Value, Never>
        init(_ task: Task<Value, Never>) { self.task = task }
        var value: Value { get async { await task.value } }
    }

    static func detached<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Result<Value> {
        Result(
            Task {
                await withCheckedContinuation { continuation in
                    Foundation.Thread.detachNewThread { continuation.resume(returning: body()) }
                }
            })
    }
}
