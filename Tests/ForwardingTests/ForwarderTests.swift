// The whole core in virtual time: gating, switching, repairs, reports, muting, bounds.
import Testing
import WireFormats

@testable import Forwarding

/// One picture after the other on one SSRC.
private struct Source {
    let world: ForwardingWorld
    let ssrc: UInt32
    var rid: String?
    var sequence: UInt16 = 1000
    var timestamp: UInt32 = 50_000
    var picture: UInt16 = 10
    var size: (UInt16, UInt16) = (640, 360)

    mutating func next(key: Bool = false) -> [UInt8] {
        var extensions: [(id: UInt8, bytes: [UInt8])] = [(ForwardingWorld.mid, Array("0".utf8))]
        if let rid { extensions.append((ForwardingWorld.rid, Array(rid.utf8))) }
        defer {
            sequence &+= 1
            timestamp &+= 3000
            picture &+= 1
        }
        return Packets.rtp(
            sequence: sequence, timestamp: timestamp, ssrc: ssrc, extensions: extensions,
            payload: Packets.vp8(picture: picture, key: key, width: size.0, height: size.1))
    }

    mutating func send(key: Bool = false) { world.send(next(key: key)) }
}

@Suite("Forwarder")
struct ForwarderTests {
    @Test("a receiver gets nothing before a key frame, which is asked for once, and everything after it")
    func gating() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1)
        source.send()
        source.send()
        world.pass(100)
        #expect(world.packets(receiver.peer).isEmpty)
        #expect(world.keyFrameRequests() == [1])
        source.send(key: true)
        for _ in 0..<10 { source.send() }
        let packets = world.packets(receiver.peer)
        #expect(packets.count == 11)
        #expect(
            packets.allSatisfy { $0.header.payloadType == 120 && $0.header.ssrc == 5000 + 10 * UInt32(receiver.peer) })
        for (index, packet) in packets.enumerated() {
            #expect(packet.header.sequence == packets[0].header.sequence &+ UInt16(index))
        }
        world.pass(300)
        #expect(world.keyFrameRequests().isEmpty)
    }

    @Test("a key frame whose first packet was repaired late is forwarded whole")
    func lateKeyFrameStart() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1)
        source.send()
        let first = source.next(key: true)
        source.send()
        source.send()
        #expect(world.packets(receiver.peer).isEmpty)
        world.send(first)
        #expect(world.packets(receiver.peer).count == 3)
        let sequences = world.packets(receiver.peer).map(\.header.sequence)
        #expect(sequences == [sequences[0], sequences[0] &+ 1, sequences[0] &+ 2])
    }

    @Test("a stream that a connected peer was just offered gets its key frame after the answer, not before")
    func graceForTheAnswer() {
        let world = ForwardingWorld()
        let first = world.addReceiver()
        // Added while its peer is connected already.
        let stream = world.forwarder.addStream(
            peer: first.peer, isVideo: true, mid: "8", ssrc: 9000, retransmissionSSRC: 9001, slot: 2,
            retransmissionSlot: 3, extensions: ExtensionNumbers(), now: world.now)
        world.attach(stream)
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        #expect(world.takePackets(first.peer).filter { $0.slot == 2 }.isEmpty)
        // From the cache: nobody is asked for another.
        world.pass(200)
        #expect(world.keyFrameRequests().isEmpty)
        #expect(world.takePackets(first.peer).filter { $0.slot == 2 }.count == 1)
        source.send()
        #expect(world.takePackets(first.peer).filter { $0.slot == 2 }.count == 1)
    }

    @Test("header extensions get the receiver's numbers; mid stops once the receiver has reported")
    func extensions() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        func send(_ sequence: UInt16) {
            world.send(
                Packets.rtp(
                    sequence: sequence, timestamp: 0, ssrc: 1,
                    extensions: [(4, Array("0".utf8)), (13, [0x02]), (3, [0, 1]), (12, [9, 9])],
                    payload: Packets.vp8(picture: 1, key: true)))
        }
        send(1)
        let packet = world.takePackets(receiver.peer)[0]
        #expect(packet.element(9) == Array("7".utf8))
        #expect(packet.element(5) == [0x02])
        #expect(packet.element(2) == [0, 1])
        #expect(packet.element(13) == nil)
        #expect(packet.element(12) == nil)
        world.send(
            rtcp: Packets.compound { writer in
                writer.receiverReport(
                    ssrc: 1,
                    reports: [
                        ReportBlock(
                            ssrc: packet.header.ssrc, fractionLost: 0, cumulativeLost: 0, highestSequence: 0, jitter: 0,
                            lastSenderReport: 0, delaySinceLastSenderReport: 0)
                    ])
            }, from: receiver.peer)
        send(2)
        let next = world.takePackets(receiver.peer)[0]
        #expect(next.element(9) == nil)
        #expect(next.element(2) == [0, 2])
    }

    private func nack(_ receiver: (peer: Int32, stream: Int32), _ sequences: [UInt16], in world: ForwardingWorld) {
        world.send(
            rtcp: Packets.compound { writer in
                writer.receiverReport(ssrc: 1)
                writer.negativeAcknowledgement(
                    sender: 1, media: 5000 + 10 * UInt32(receiver.peer), sequences: sequences)
            }, from: receiver.peer)
    }

    @Test("a repair carries the original number and the same bytes, and is not repeated within a round trip")
    func repairs() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        for _ in 0..<5 { source.send() }
        let sent = world.takePackets(receiver.peer)
        nack(receiver, [sent[2].header.sequence, sent[4].header.sequence, sent[0].header.sequence &- 9], in: world)
        let repairs = world.takePackets(receiver.peer)
        #expect(repairs.count == 2)
        #expect(repairs.allSatisfy { $0.header.payloadType == 121 && $0.slot == 1 })
        #expect(
            repairs.map { UInt16($0.payload[0]) << 8 | UInt16($0.payload[1]) }
                == [sent[2], sent[4]].map(\.header.sequence))
        #expect(Array(repairs[0].payload.dropFirst(2)) == sent[2].payload)
        #expect(repairs[0].header.timestamp == sent[2].header.timestamp)
        #expect(repairs[1].header.sequence == repairs[0].header.sequence &+ 1)
        nack(receiver, [sent[2].header.sequence], in: world)
        #expect(world.takePackets(receiver.peer).isEmpty)
        world.pass(60)
        nack(receiver, [sent[2].header.sequence], in: world)
        #expect(world.takePackets(receiver.peer).count == 1)
    }

    @Test("without RTX the same packet is sent again, bit for bit, whatever time it is")
    func repetitions() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver(repairs: false)
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        for _ in 0..<3 { source.send() }
        let sent = world.takePackets(receiver.peer)
        world.pass(200)
        for _ in 0..<3 { source.send() }
        _ = world.takePackets(receiver.peer)
        nack(receiver, [sent[1].header.sequence], in: world)
        let repeated = world.takePackets(receiver.peer)
        #expect(repeated.map(\.bytes) == [sent[1].bytes])
        #expect(repeated[0].slot == 0)
    }

    @Test("what a stream carried before is not repaired for it any more once it carries something else")
    func repairsEndWithTheSource() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        let sent = world.takePackets(receiver.peer)
        world.forwarder.detach(receiver.stream)
        nack(receiver, sent.map(\.header.sequence), in: world)
        #expect(world.takePackets(receiver.peer).isEmpty)
    }

    @Test("simulcast is bound by rid; the best layer that flows is forwarded, and the next best when it stops")
    func simulcast() {
        let world = ForwardingWorld(rids: ["q", "h", "f"])
        let receiver = world.addReceiver()
        var low = Source(world: world, ssrc: 1, rid: "q", size: (320, 180))
        var high = Source(
            world: world, ssrc: 3, rid: "f", sequence: 30_000, timestamp: 9, picture: 500, size: (1280, 720))
        low.send(key: true)
        low.rid = nil
        #expect(world.packets(receiver.peer).count == 1)
        var highs = 0
        for step in 0..<40 {
            world.pass(30)
            low.send()
            high.send(key: step % 10 == 0)
            high.rid = nil
            highs += 1
        }
        #expect(world.keyFrameRequests().contains(3))
        let stream = world.forwarder.streams[receiver.stream]
        #expect(world.forwarder.encodings[stream.pointee.current].pointee.width == 1280)
        // The high layer stops: after the time of silence its receiver is given the low one, from its key frame on.
        for step in 0..<80 {
            world.pass(30)
            low.send(key: step % 10 == 0)
        }
        #expect(world.forwarder.encodings[stream.pointee.current].pointee.width == 320)
        let packets = world.packets(receiver.peer)
        for (before, after) in zip(packets, packets.dropFirst()) {
            #expect(after.header.sequence == before.header.sequence &+ 1)
            #expect(Int32(bitPattern: after.header.timestamp &- before.header.timestamp) > 0)
            let number = { (packet: ReceivedPacket) in UInt16(packet.payload[2] & 0x7F) << 8 | UInt16(packet.payload[3])
            }
            #expect(number(after) == (number(before) + 1) & 0x7FFF)
        }
        #expect(stream.pointee.switches == 3)
    }

    @Test("sources that name no section, an unknown section, or are too many, cost a counter each")
    func unknownSources() {
        let world = ForwardingWorld(rids: ["q", "f"])
        let payload = Packets.vp8(picture: 1)
        func send(_ ssrc: UInt32, _ extensions: [(id: UInt8, bytes: [UInt8])], payloadType: UInt8 = 96) -> Ingested {
            world.send(
                Packets.rtp(
                    payloadType: payloadType, sequence: 1, timestamp: 1, ssrc: ssrc, extensions: extensions,
                    payload: payload))
        }
        #expect(send(1, []).outcome == .refused(.unknownSource))
        #expect(send(1, [(4, [99])]).outcome == .refused(.unknownSource))
        #expect(send(1, [(4, [48]), (10, [99])]).outcome == .refused(.unknownSource))
        #expect(send(1, [(4, [48]), (10, [113])], payloadType: 77).outcome == .refused(.unknownPayloadType))
        // An encoding whose SSRC changes a thousand times keeps one SSRC.
        for ssrc in 100..<1100 as Range<UInt32> {
            #expect(send(ssrc, [(4, [48]), (10, Array("q".utf8))]).outcome == .media)
        }
        #expect(world.forwarder.peers[world.publisher].pointee.sources.count == 1)
        #expect(world.forwarder.encodings.count == 1)
        #expect(world.forwarder.counters[.unknownSource] == 3)
    }

    @Test("a repair is unwrapped in place, forwarded at its old number, and handed to the recorder as it first was")
    func unwrapping() {
        let world = ForwardingWorld(sources: [(1, 2)])
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        let missing = source.next()
        source.send()
        let sequence = UInt16(missing[2]) << 8 | UInt16(missing[3])
        let body = missing.withUnsafeBytes { raw in Array(raw[RTPHeader(raw)!.headerLength...]) }
        var repair = Packets.rtp(
            payloadType: 97, sequence: 5, timestamp: source.timestamp &- 6000, ssrc: 2,
            payload: [UInt8(sequence >> 8), UInt8(sequence & 0xFF)] + body)
        let result = repair.withUnsafeMutableBytes {
            world.forwarder.receive(rtp: $0, from: world.publisher, now: world.now, arrival: world.now)
        }
        world.drain()
        #expect(result.outcome == .media)
        let original = Array(repair[result.start..<(result.start + result.length)])
        let header = original.withUnsafeBytes { RTPHeader($0)! }
        #expect(header.ssrc == 1)
        #expect(header.sequence == sequence)
        #expect(header.payloadType == 96)
        #expect(Array(original[header.headerLength...]) == body)
        let sequences = world.packets(receiver.peer).map {
            $0.header.sequence &- world.packets(receiver.peer)[0].header.sequence
        }
        #expect(sequences == [0, 2, 1])
        #expect(world.send(missing).outcome == .refused(.duplicate))
    }

    @Test("missing packets are asked of the publisher by their SSRC")
    func asksForMissing() {
        let world = ForwardingWorld()
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        _ = source.next()
        _ = source.next()
        source.send()
        world.pass(20)
        var asked: [UInt16] = []
        world.takeMessages(world.publisher) { message in
            if case .negativeAcknowledgement(let nack) = message, nack.media == 1 { asked += Array(nack.sequences) }
        }
        #expect(asked == [1001, 1002])
    }

    @Test("arrival times go back to the publisher within 110 ms, also of what was padding")
    func transportFeedback() {
        let world = ForwardingWorld()
        for sequence in 0..<5 as Range<UInt16> {
            world.send(
                Packets.rtp(
                    sequence: 1000 + sequence, timestamp: 0, ssrc: 1,
                    extensions: [(4, [48]), (3, [0xFF, 0xF0 + UInt8(sequence)])],
                    payload: sequence == 4 ? [] : Packets.vp8(picture: 1, key: true), padding: sequence == 4 ? 20 : 0))
            world.now += millisecond
        }
        world.pass(110)
        var statuses: [PacketStatus] = []
        world.takeMessages(world.publisher) { message in
            if case .transportFeedback(let feedback) = message { statuses += Array(feedback.statuses) }
        }
        #expect(statuses.map(\.sequence) == [0xFFF0, 0xFFF1, 0xFFF2, 0xFFF3, 0xFFF4])
        #expect(statuses.compactMap(\.arrival).count == 5)
    }

    @Test("padding between pictures leaves no trace at a receiver; when it comes late, it fills its gap")
    func padding() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        let padding = Packets.rtp(
            sequence: source.sequence, timestamp: source.timestamp, ssrc: 1, payload: [], padding: 200)
        source.sequence &+= 1
        #expect(world.send(padding).outcome == .consumed)
        source.send()
        let late = Packets.rtp(
            sequence: source.sequence, timestamp: source.timestamp, ssrc: 1, payload: [], padding: 200)
        source.sequence &+= 1
        source.send()
        world.send(late)
        let packets = world.packets(receiver.peer)
        #expect(packets.map { $0.header.sequence &- packets[0].header.sequence } == [0, 1, 3, 2])
        #expect(packets[3].payload.isEmpty)
    }

    @Test("a muted track is not forwarded; unmuted, its picture starts at a key frame without a gap in the numbers")
    func muting() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        world.forwarder.setMuted(world.track, true, now: world.now)
        for _ in 0..<5 { #expect(world.send(source.next(key: true)).outcome == .refused(.muted)) }
        world.pass(600)
        _ = world.keyFrameRequests()
        world.forwarder.setMuted(world.track, false, now: world.now)
        source.send()
        world.pass(50)
        #expect(world.keyFrameRequests() == [1])
        source.send(key: true)
        let packets = world.packets(receiver.peer)
        #expect(packets.map { $0.header.sequence &- packets[0].header.sequence } == [0, 1])
    }

    @Test("sender reports speak the receiver's timestamps and the server's clock, sound and picture in step")
    func senderReports() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1)
        // The publisher's clock is hours off; its packets take 20 ms.
        let skew: UInt64 = 5 << 43
        let sentAt = world.forwarder.ntp(at: world.now - 20 * millisecond) &- skew
        source.send(key: true)
        let timestamp = source.timestamp &- 3000
        world.send(
            rtcp: Packets.compound {
                $0.senderReport(ssrc: 1, ntp: sentAt, rtp: timestamp, packetCount: 1, octetCount: 1)
            }, from: world.publisher)
        world.pass(200)
        var reports: [(ntp: UInt64, rtp: UInt32, packets: UInt32)] = []
        world.takeMessages(receiver.peer) { message in
            if case .senderReport(let report) = message { reports.append((report.ntp, report.rtp, report.packetCount)) }
        }
        #expect(reports.count == 1)
        let packet = world.packets(receiver.peer)[0]
        // The packet's own moment, by the report's line, is when it arrived here at the least delay seen.
        let passed = Int64(bitPattern: reports[0].ntp &- world.forwarder.ntp(at: 1_000 * millisecond))
        let ticks = Int64(Int32(bitPattern: reports[0].rtp &- packet.header.timestamp))
        #expect(abs(ticks - (passed * 90_000) >> 32) <= 2, "\(ticks)")
        #expect(reports[0].packets == 1)
    }

    @Test("a receiver's report gives the round trip")
    func roundTrip() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        world.now += 500 * millisecond
        let middle = UInt32(truncatingIfNeeded: world.forwarder.ntp(at: world.now) >> 16)
        world.now += 150 * millisecond
        world.send(
            rtcp: Packets.compound { writer in
                writer.receiverReport(
                    ssrc: 1,
                    reports: [
                        ReportBlock(
                            ssrc: 5000 + 10 * UInt32(receiver.peer), fractionLost: 64, cumulativeLost: 1,
                            highestSequence: 1, jitter: 90, lastSenderReport: middle,
                            delaySinceLastSenderReport: 65_536 / 10)
                    ])
            }, from: receiver.peer)
        let roundTrip = world.forwarder.peers[receiver.peer].pointee.roundTrip ?? 0
        #expect(abs(Int64(roundTrip) - 50_000_000) < 1_000_000, "\(roundTrip)")
        #expect(world.forwarder.streams[receiver.stream].pointee.fractionLost == 64)
    }

    @Test("what a publisher sends is reported to it each second, with the sender report it answers")
    func receiverReports() {
        let world = ForwardingWorld()
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        world.send(
            rtcp: Packets.compound {
                $0.senderReport(ssrc: 1, ntp: 0x1111_2222_3333_4444, rtp: 0, packetCount: 1, octetCount: 1)
            }, from: world.publisher)
        world.pass(1000)
        var blocks: [ReportBlock] = []
        world.takeMessages(world.publisher) { message in
            if case .receiverReport(let report) = message { blocks += Array(report.reports) }
        }
        #expect(blocks.count == 1)
        #expect(blocks[0].ssrc == 1)
        #expect(blocks[0].lastSenderReport == 0x2222_3333)
        #expect(blocks[0].delaySinceLastSenderReport > 0)
    }

    @Test("loudness is told for those who spoke, and only while they do")
    func levels() {
        let world = ForwardingWorld(isVideo: false)
        let receiver = world.addReceiver(isVideo: false)
        world.send(
            Packets.rtp(
                payloadType: 111, sequence: 1, timestamp: 0, ssrc: 9, extensions: [(4, [48]), (1, [0x80 | 30])],
                payload: [1, 2, 3]))
        #expect(world.packets(receiver.peer).count == 1)
        #expect(world.packets(receiver.peer)[0].element(6) == [0x80 | 30])
        world.pass(500)
        let levels = world.forwarder.takeNotices().compactMap { notice -> [TrackLevel]? in
            if case .levels(let room, let levels) = notice, room == 1 { return levels }
            return nil
        }
        #expect(levels == [[TrackLevel(track: world.track, level: 97)]])
    }

    @Test("a sender that begins its sequence anew far behind is heard again")
    func restart() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1, sequence: 20_000)
        source.send(key: true)
        source.sequence = 5
        for _ in 0..<33 { source.send() }
        source.send(key: true)
        #expect(world.packets(receiver.peer).count == 2)
    }

    @Test("everything of a peer that leaves is gone, and what it fed waits for another source")
    func leaving() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world, ssrc: 1)
        source.send(key: true)
        world.forwarder.removePeer(world.publisher)
        #expect(world.forwarder.tracks.count == 0)
        #expect(world.forwarder.encodings.count == 0)
        #expect(world.forwarder.streams[receiver.stream].pointee.track == -1)
        world.forwarder.removePeer(receiver.peer)
        #expect(world.forwarder.streams.count == 0)
        #expect(world.forwarder.peers.count == 0)
        #expect(world.forwarder.nextDeadline == .max)
    }

    @Test(
        "random bytes and random changes of good packets are refused or forwarded, never more",
        arguments: [1, 2, 3] as [UInt64])
    func hostile(seed: UInt64) {
        let world = ForwardingWorld(rids: ["q", "f"])
        _ = world.addReceiver()
        var random = SplitMix64(state: seed)
        var source = Source(world: world, ssrc: 1, rid: "q")
        for _ in 0..<5000 {
            var packet = source.next(key: random.next() % 5 == 0)
            for _ in 0..<(random.next() % 6) {
                packet[Int(random.next() % UInt64(packet.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.next() % 4 == 0 { packet = Array(packet.prefix(Int(random.next() % UInt64(packet.count)))) }
            world.send(packet)
            world.send(rtcp: packet, from: world.publisher)
            if random.next() % 50 == 0 { world.pass(20) }
        }
        #expect(world.forwarder.encodings.count <= 2, "seed \(seed)")
        #expect(world.forwarder.peers[world.publisher].pointee.sources.count <= PeerMedia.largestSourceCount)
    }
}
