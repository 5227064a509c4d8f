// Redundant audio in both directions, in virtual time: who sends it or not, who gets it or not, and what it is good for.
import Testing
import WireFormats

@testable import Forwarding

@Suite("Redundant audio")
struct AudioRedundancyTests {
    /// One microphone, one listener, and a network that loses packets either way.
    private final class Line {
        let world = ForwardingWorld(isVideo: false)
        let receiver: (peer: Int32, stream: Int32)
        var sequence: UInt16 = 65_500
        var timestamp: UInt32 = 4_000_000_000
        var payloads: [[UInt8]] = []
        static let red: UInt8 = 63

        init(listenerKnows: Bool) {
            receiver = world.addReceiver(attached: false, isVideo: false)
            let peer = world.publisher
            world.forwarder.peers[peer].pointee.formats[Int(Line.red)] = PayloadFormat(
                codec: .opus, holds: 111, clockRate: 48_000)
            world.forwarder.peers[peer].pointee.sections[0].payloadTypes.insert(Line.red)
            world.forwarder.attach(
                receiver.stream, to: world.track, codec: .opus, payloadType: 109, retransmissionPayloadType: nil,
                redundancyPayloadType: listenerKnows ? 108 : nil, clockRate: 48_000, now: world.now)
        }

        /// The next packet, which holds up to so many of those before it; `isLost` on its way here.
        func send(depth: Int?, isLost: Bool = false) -> Ingested? {
            var payload = [UInt8](repeating: 9, count: 40 + payloads.count % 5)
            payload[0] = 0x78
            payload[1] = UInt8(truncatingIfNeeded: payloads.count)
            payload[2] = UInt8(payloads.count >> 8)
            payloads.append(payload)
            sequence &+= 1
            timestamp &+= 960
            world.pass(20)
            guard !isLost else { return nil }
            var body = payload
            if let depth {
                let former = Array(payloads.dropLast().suffix(depth))
                body = []
                for (index, block) in former.enumerated() {
                    let header = (former.count - index) * 960 << 10 | block.count
                    body += [0x80 | 111, UInt8(header >> 16), UInt8(header >> 8 & 0xFF), UInt8(header & 0xFF)]
                }
                body += [111] + former.joined() + payload
            }
            return world.send(
                Packets.rtp(
                    payloadType: depth == nil ? 111 : Line.red, marker: false, sequence: sequence, timestamp: timestamp,
                    ssrc: 7, extensions: [(1, [20])], payload: body))
        }

        /// What a listener can play of these packets, by its place in the conversation.
        func played(_ packets: [ReceivedPacket]) throws -> Set<Int> {
            var played: Set<Int> = []
            for packet in packets {
                guard packet.header.payloadType == 108 else {
                    played.insert(Int(packet.payload[1]) | Int(packet.payload[2]) << 8)
                    continue
                }
                let audio = try #require(packet.payload.withUnsafeBytes { RedundantAudio($0) })
                for block in (0..<audio.count).map({ audio[$0] }) + [audio.primary] {
                    #expect(block.payloadType == 109)
                    let bytes = packet.payload[Int(block.offset)...].prefix(Int(block.length))
                    let index = Int(bytes[bytes.startIndex + 1]) | Int(bytes[bytes.startIndex + 2]) << 8
                    #expect(Array(bytes) == payloads[index])
                    let primary =
                        Int(packet.payload[Int(audio.primary.offset) + 1])
                        | Int(packet.payload[Int(audio.primary.offset) + 2]) << 8
                    #expect(Int(block.timestampOffset) == (primary - index) * 960)
                    played.insert(index)
                }
            }
            return played
        }
    }

    @Test("a listener without RED gets plain Opus, whatever the publisher sends", arguments: [nil, 0, 1, 2])
    func fallback(depth: Int?) throws {
        let line = Line(listenerKnows: false)
        for _ in 0..<100 { _ = line.send(depth: depth) }
        let packets = line.world.takePackets(line.receiver.peer)
        #expect(packets.map(\.payload) == line.payloads)
        #expect(packets.allSatisfy { $0.header.payloadType == 109 })
        for (one, next) in zip(packets, packets.dropFirst()) {
            #expect(next.header.sequence == one.header.sequence &+ 1)
            #expect(next.header.timestamp == one.header.timestamp &+ 960)
        }
    }

    @Test("a listener with RED gets each packet twice, also from a publisher without", arguments: [nil, 1])
    func built(depth: Int?) throws {
        let line = Line(listenerKnows: true)
        for _ in 0..<100 { _ = line.send(depth: depth) }
        let packets = line.world.takePackets(line.receiver.peer)
        #expect(packets.count == 100)
        // Every second one is lost, and nothing is missing.
        let kept = packets.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        #expect(try line.played(kept).count == 100)
        #expect(packets.allSatisfy { $0.payload.count < 100 })
    }

    @Test("what is lost on the way here comes back from the packet after it, in order and for the recorder, too")
    func recovered() throws {
        let line = Line(listenerKnows: false)
        var recorded: [[UInt8]] = []
        for index in 0..<100 {
            let result = line.send(depth: 1, isLost: index > 0 && index % 3 == 0)
            for place in 0..<line.world.forwarder.recoveredCount where result != nil {
                recorded.append(Array(line.world.forwarder.recovered(place)))
            }
        }
        let packets = line.world.takePackets(line.receiver.peer)
        // The last is one that was lost.
        #expect(packets.map(\.payload) == Array(line.payloads.dropLast()))
        for (one, next) in zip(packets, packets.dropFirst()) {
            #expect(next.header.sequence == one.header.sequence &+ 1)
            #expect(next.header.timestamp == one.header.timestamp &+ 960)
        }
        #expect(line.world.forwarder.counters.packetsFromRedundancy == 32)
        #expect(recorded.count == 32)
        for packet in recorded {
            let header = try #require(packet.withUnsafeBytes { RTPHeader($0) })
            #expect(header.payloadType == 111)
            #expect(line.payloads.contains(Array(packet[header.headerLength...])))
        }
        // The publisher hears of the loss.
        let source = line.world.forwarder.tracks[line.world.track].pointee.encodings[0]
        #expect(line.world.forwarder.encodings[source].pointee.statistics.cumulativeLost == 32)
    }

    @Test(
        "of a fifth of all packets lost at random on both ways a twentieth is missed, and a hundredth once it is told")
    func concealment() throws {
        func missing(_ line: Line, redundant: Bool, seed: UInt64, report: UInt8) throws -> Double {
            var random = SplitMix64(state: seed)
            func isLost() -> Bool { random.next() % 5 == 0 }
            line.world.forwarder.streams[line.receiver.stream].pointee.fractionLost = report
            for _ in 0..<2000 { _ = line.send(depth: redundant ? 2 : nil, isLost: isLost()) }
            let packets = line.world.takePackets(line.receiver.peer).filter { _ in !isLost() }
            return 1 - Double(try line.played(packets).count) / 2000
        }
        let plain = try missing(Line(listenerKnows: false), redundant: false, seed: 1, report: 0)
        let single = try missing(Line(listenerKnows: true), redundant: true, seed: 2, report: 0)
        let double = try missing(Line(listenerKnows: true), redundant: true, seed: 3, report: 51)
        print("missing of 2000 packets at 20 % loss both ways: plain \(plain), RED \(single), after reports \(double)")
        #expect(plain > 0.33)
        #expect(single < 0.07)
        #expect(double < 0.03)
    }

    @Test("a narrow path carries each packet once")
    func narrow() {
        let line = Line(listenerKnows: true)
        for _ in 0..<3 { _ = line.send(depth: 1) }
        line.world.forwarder.setBandwidthSource(.maximumBitrate, peer: line.receiver.peer, now: line.world.now)
        line.world.forwarder.peers[line.receiver.peer].pointee.bandwidth.receive(
            maximumBitrate: 100_000)
        line.world.pass(2000)
        _ = line.world.takePackets(line.receiver.peer)
        for _ in 0..<10 { _ = line.send(depth: 1) }
        let packets = line.world.takePackets(line.receiver.peer)
        #expect(packets.count == 10)
        for packet in packets {
            #expect(packet.payload.withUnsafeBytes { RedundantAudio($0)?.count } == 0)
        }
    }

    @Test("damaged redundancy is refused, and packets with numbers that do not fit bring nothing back")
    func damaged() {
        let line = Line(listenerKnows: false)
        _ = line.send(depth: nil)
        _ = line.send(depth: nil, isLost: true)
        func packet(_ payload: [UInt8]) -> Ingested.Outcome {
            line.sequence &+= 1
            line.timestamp &+= 960
            return line.world.send(
                Packets.rtp(
                    payloadType: Line.red, marker: false, sequence: line.sequence, timestamp: line.timestamp, ssrc: 7,
                    payload: payload)
            ).outcome
        }
        #expect(packet([0x80]) == .refused(.malformed))
        #expect(packet([111]) == .refused(.malformed))
        #expect(packet([0x80 | 111, 0x0F, 0, 200, 111, 1, 2, 3]) == .refused(.malformed))
        // Another format inside, and redundancy of redundancy.
        #expect(packet([96, 1, 2, 3]) == .refused(.malformed))
        #expect(packet([Line.red, 111, 1, 2, 3]) == .refused(.malformed))
        // Older than the packet two places before it, and blocks of no age, no length, another type.
        _ = line.send(depth: nil, isLost: true)
        #expect(packet([0x80 | 111, 0xFF, 0xFC, 1, 111, 1, 2, 3]) == .media)
        _ = line.send(depth: nil, isLost: true)
        #expect(packet([0x80 | 111, 0, 0, 1, 111, 1, 2, 3]) == .media)
        _ = line.send(depth: nil, isLost: true)
        #expect(packet([0x80 | 111, 0x0F, 0, 0, 111, 1, 2, 3]) == .media)
        _ = line.send(depth: nil, isLost: true)
        #expect(packet([0x80 | 96, 0x0F, 0, 1, 111, 1, 2, 3]) == .media)
        #expect(line.world.forwarder.counters.packetsFromRedundancy <= 1)
    }
}
