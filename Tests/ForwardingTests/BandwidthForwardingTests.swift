// The whole core with a simulcast publisher and a receiver behind a narrow path: packets, feedback and all.
import NetworkSimulator
import Testing
import WireFormats

@testable import Forwarding

/// Three layers of VP8 at 30 frames a second towards one receiver, who gives transport-wide feedback.
final class NarrowPath {
    struct Layer {
        let ssrc: UInt32
        let rid: String
        let size: (UInt16, UInt16)
        let packets: Int
        var sequence: UInt16 = 100
        var picture: UInt16 = 1
        var timestamp: UInt32 = 0
        var wantsKey = true
    }

    let world = ForwardingWorld(rids: ["q", "h", "f"])
    let receiver: (peer: Int32, stream: Int32)
    var link: SimulatedLink<[UInt8]>
    var arrivals = ArrivalLog()
    var report = ArrivalLog.Report()
    var layers = [
        Layer(ssrc: 1, rid: "q", size: (320, 180), packets: 1), Layer(ssrc: 2, rid: "h", size: (640, 360), packets: 3),
        Layer(ssrc: 3, rid: "f", size: (1280, 720), packets: 9),
    ]
    var delivered: [ReceivedPacket] = []
    var deliveredBytes = 0
    /// The publisher has not been told that nobody watches.
    var isSending = true
    let start: UInt64

    init(_ conditions: LinkConditions) {
        receiver = world.addReceiver()
        start = world.now
        link = SimulatedLink(conditions, seed: 5, start: world.now)
        world.forwarder.setBandwidthSource(.transportFeedback, peer: receiver.peer, now: world.now)
    }

    func sendFrames() {
        for index in layers.indices {
            let isKey = layers[index].wantsKey
            layers[index].wantsKey = false
            let count = layers[index].packets * (isKey ? 3 : 1)
            for number in 0..<count {
                let body =
                    Packets.vp8(
                        picture: layers[index].picture, key: isKey && number == 0, starts: number == 0,
                        width: layers[index].size.0, height: layers[index].size.1) + [UInt8](repeating: 7, count: 1000)
                var packet = Packets.rtp(
                    marker: number == count - 1, sequence: layers[index].sequence,
                    timestamp: layers[index].timestamp, ssrc: layers[index].ssrc,
                    extensions: [
                        (ForwardingWorld.mid, Array("0".utf8)), (ForwardingWorld.rid, Array(layers[index].rid.utf8)),
                    ], payload: body)
                _ = packet.withUnsafeMutableBytes {
                    world.forwarder.receive(rtp: $0, from: world.publisher, now: world.now, arrival: world.now)
                }
                layers[index].sequence &+= 1
            }
            layers[index].picture &+= 1
            layers[index].timestamp &+= 3000
        }
    }

    /// Timers are kept as a loop keeps them.
    func run(seconds: Double) {
        let end = world.now + .seconds(seconds)
        while world.now < end {
            world.now += millisecond
            if world.now >= world.forwarder.nextDeadline { world.forwarder.handleTimeout(now: world.now) }
            if world.now / millisecond % 33 == 0, isSending { sendFrames() }
            while let delivery = link.receive(now: world.now) { deliver(delivery) }
            if world.now >= arrivals.nextDeadline { giveFeedback() }
            world.drain()
            for packet in world.takePackets(receiver.peer) {
                link.send(packet.bytes, bytes: packet.bytes.count + 16, now: world.now)
            }
            for ssrc in world.keyFrameRequests() {
                if let index = layers.firstIndex(where: { $0.ssrc == ssrc }) { layers[index].wantsKey = true }
            }
        }
    }

    private func deliver(_ delivery: Delivery<[UInt8]>) {
        let packet = ReceivedPacket(bytes: delivery.payload, slot: 0)
        deliveredBytes += packet.bytes.count
        delivered.append(packet)
        if let number = packet.element(2), number.count == 2 {
            arrivals.record(UInt16(number[0]) << 8 | UInt16(number[1]), arrival: delivery.arrival)
        }
    }

    private func giveFeedback() {
        while arrivals.collect(into: &report) {
            var told = 0
            let list = report.arrivals
            let base = report.baseSequence
            let count = report.feedbackCount
            let message = Packets.compound { writer in
                writer.receiverReport(ssrc: 1)
                told = writer.transportFeedback(
                    sender: 1, media: 2, baseSequence: base, feedbackCount: count, arrivals: list.span)
            }
            arrivals.confirm(report, told: told)
            guard told > 0 else { return }
            message.withUnsafeBytes {
                world.forwarder.receive(rtcp: $0, from: receiver.peer, now: world.now, arrival: world.now)
            }
        }
    }

    var lastWidth: UInt16 {
        let stream = world.forwarder.streams[receiver.stream]
        return world.forwarder.encodings.find(stream.pointee.current)?.pointee.width ?? 0
    }
    var reason: LayerReason { world.forwarder.streams[receiver.stream].pointee.reason }
}

@Suite("Bandwidth in the core")
struct BandwidthForwardingTests {
    @Test("a receiver with room gets the largest layer within a second and keeps it")
    func wide() {
        let path = NarrowPath(LinkConditions(delay: .milliseconds(2), rate: .megabits(100)))
        path.run(seconds: 0.8)
        #expect(path.lastWidth == 1280)
        path.run(seconds: 9.5)
        #expect(path.lastWidth == 1280)
        #expect(path.world.forwarder.streams[path.receiver.stream].pointee.switches <= 2)
        #expect(path.link.statistics.droppedByQueue == 0)
    }

    @Test(
        "behind a narrow path the stream falls to the layer that fits, says so, and returns when the path is wide again"
    )
    func narrow() {
        let path = NarrowPath(
            LinkConditions(delay: .milliseconds(20)).with {
                $0.rates = [
                    RateStep(from: 0, rate: .megabits(10)), RateStep(from: .seconds(6), rate: .megabits(1.2)),
                    RateStep(from: .seconds(20), rate: .megabits(10)),
                ]
            })
        path.run(seconds: 6)
        #expect(path.lastWidth == 1280)
        path.run(seconds: 4)
        #expect(path.lastWidth < 1280)
        #expect(path.reason == .bandwidth)
        let before = path.deliveredBytes
        path.run(seconds: 10)
        // Pictures move all the time.
        #expect(path.deliveredBytes - before > 200_000)
        path.run(seconds: 8)
        #expect(path.lastWidth == 1280)
        let statistics = path.link.statistics
        print(
            "dropped \(statistics.droppedByQueue) of \(statistics.sent), longest queue",
            statistics.longestQueueing / millisecond, "ms")
        #expect(Double(statistics.droppedByQueue) < 0.03 * Double(statistics.sent))
        // The numbers of the stream go on without a gap but for what the pacer gave up.
        let counters = path.world.forwarder.counters
        #expect(counters.packetsPadded > 0)
    }

    @Test("what the pacer gives up when a path collapses leaves no gap: its numbers go to what follows")
    func collapse() {
        let path = NarrowPath(
            LinkConditions(delay: .milliseconds(20)).with {
                $0.rates = [
                    RateStep(from: 0, rate: .megabits(10)), RateStep(from: .seconds(4), rate: .megabits(0.2)),
                    RateStep(from: .seconds(8), rate: .megabits(10)),
                ]
                $0.queueBytes = 16 << 20
            })
        path.run(seconds: 20)
        #expect(path.world.forwarder.counters.queueDrops > 0)
        #expect(path.link.statistics.droppedByQueue == 0)
        let ssrc = path.world.forwarder.streams[path.receiver.stream].pointee.ssrc
        let numbers = path.delivered.map(\.header).filter { $0.ssrc == ssrc }.map(\.sequence)
        #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $1 == $0 &+ 1 })
    }
}
