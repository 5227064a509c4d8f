// Lost packets of pictures in spatial layers: what feedback tells of is sent again, whether or not the receiver asks.
import Testing
import WireFormats

@testable import Forwarding

/// VP9 in some spatial layers of one packet each, at 30 pictures a second, towards one receiver with transport feedback.
private final class LayeredPath {
    let world = ForwardingWorld(sources: [(ssrc: 1, retransmission: nil)], picture: .vp9)
    let receiver: (peer: Int32, stream: Int32)
    let layers: UInt8
    private var sequence: UInt16 = 100
    private var picture: UInt16 = 1
    private var arrivals = ArrivalLog()
    private var report = ArrivalLog.Report()

    init(layers: UInt8) {
        self.layers = layers
        receiver = world.addReceiver()
        world.forwarder.setBandwidthSource(.transportFeedback, peer: receiver.peer, now: world.now)
    }

    func sendPicture() {
        for spatial in 0..<layers {
            // Flexible mode: everything refers to the picture before and to the layer below.
            let isKey = picture == 1
            let head: [UInt8] = [
                0x80 | (isKey ? 0 : 0x40) | 0x20 | 0x10 | 0x0C, 0x80 | UInt8(picture >> 8), UInt8(picture & 0xFF),
                spatial << 1 | (spatial > 0 ? 1 : 0),
            ]
            world.send(
                Packets.rtp(
                    marker: spatial == layers - 1, sequence: sequence, timestamp: UInt32(picture) * 3000, ssrc: 1,
                    payload: head + (isKey ? [] : [2]) + [UInt8](repeating: 7, count: 300)))
            sequence &+= 1
        }
        picture &+= 1
    }

    /// Sends for so long; packets for which `isLost` says so do not arrive. Feedback comes after every picture.
    func run(pictures: Int, isLost: (ReceivedPacket) -> Bool = { _ in false }) -> [ReceivedPacket] {
        var all: [ReceivedPacket] = []
        for _ in 0..<pictures {
            sendPicture()
            for _ in 0..<3 {
                world.pass(11)
                let packets = world.takePackets(receiver.peer)
                all += packets
                for packet in packets where !isLost(packet) {
                    guard let number = packet.element(2), number.count == 2 else { continue }
                    arrivals.record(UInt16(number[0]) << 8 | UInt16(number[1]), arrival: world.now)
                }
            }
            giveFeedback()
        }
        return all
    }

    private func giveFeedback() {
        while arrivals.collect(into: &report) {
            var told = 0
            let (list, base, count) = (report.arrivals, report.baseSequence, report.feedbackCount)
            let message = Packets.compound { writer in
                writer.receiverReport(ssrc: 1)
                told = writer.transportFeedback(
                    sender: 1, media: 2, baseSequence: base, feedbackCount: count, arrivals: list.span)
            }
            arrivals.confirm(report, told: told)
            guard told > 0 else { return }
            world.send(rtcp: message, from: receiver.peer)
        }
    }

    /// Of a repetition, the number that it repeats.
    func original(_ packet: ReceivedPacket) -> UInt16? {
        guard packet.slot == 1, packet.payload.count > 2 else { return nil }
        return UInt16(packet.payload[0]) << 8 | UInt16(packet.payload[1])
    }
}

@Suite("Losses in spatial layers")
struct LayersLossTests {
    @Test("a packet that feedback tells as lost is sent again, and its repetition too, until one arrives")
    func repeated() throws {
        let path = LayeredPath(layers: 3)
        _ = path.run(pictures: 60)
        let before = path.world.forwarder.counters.lossesRepeated
        #expect(before == 0)
        var lost: UInt16?
        var tries = 0
        _ = path.run(pictures: 30) { packet in
            if lost == nil, packet.slot == 0 { lost = packet.header.sequence }
            let number = packet.slot == 0 ? packet.header.sequence : path.original(packet)
            guard number == lost else { return false }
            tries += 1
            return tries <= 3
        }
        #expect(tries == 4, "sent once and repeated until it arrived")
        #expect(path.world.forwarder.counters.lossesRepeated == 3)
    }

    @Test("what arrives is not sent again, and one layer waits for the receiver to ask", arguments: [3, 1] as [UInt8])
    func notRepeated(layers: UInt8) {
        let path = LayeredPath(layers: layers)
        _ = path.run(pictures: 60)
        var lost: UInt16?
        _ = path.run(pictures: 30) { packet in
            guard layers == 1, packet.slot == 0 else { return false }
            lost = lost ?? packet.header.sequence
            return packet.header.sequence == lost
        }
        #expect(path.world.forwarder.counters.lossesRepeated == 0)
    }
}
