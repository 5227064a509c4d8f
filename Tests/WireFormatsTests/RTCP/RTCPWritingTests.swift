// Writing RTCP: what is written reads the same, fits or leaves no trace.

import Testing
import WireFormats

@Suite("RTCP writing")
struct RTCPWritingTests {
    @Test("every kind of packet in one compound reads as it was written")
    func compound() {
        let blocks = [
            ReportBlock(
                ssrc: 5, fractionLost: 3, cumulativeLost: -1, highestSequence: 70_000, jitter: 9, lastSenderReport: 1,
                delaySinceLastSenderReport: 2),
            ReportBlock(
                ssrc: 6, fractionLost: 255, cumulativeLost: 0x7F_FFFF, highestSequence: 1, jitter: 0,
                lastSenderReport: .max, delaySinceLastSenderReport: .max),
        ]
        write { writer in
            writer.senderReport(
                ssrc: 1, ntp: 0x0102_0304_0506_0708, rtp: 90, packetCount: 3, octetCount: 4, reports: blocks)
            writer.receiverReport(ssrc: 2, reports: blocks.prefix(1))
            writer.sourceDescription(ssrc: 1, cname: "consilium".utf8)
            writer.pictureLoss(sender: 1, media: 8)
            writer.fullIntraRequest(sender: 1, entries: [.init(ssrc: 8, sequence: 200), .init(ssrc: 9, sequence: 0)])
            writer.maximumBitrate(sender: 1, bitsPerSecond: 2_500_000, sources: [8, 9])
            writer.delaySinceLastReport(sender: 1, receiver: 7, lastReport: 10, delay: 11)
            writer.goodbye([1, 2, 3])
        } read: { messages in
            #expect(messages.count == 8)
            guard case .senderReport(let sender) = messages[0], case .receiverReport(let receiver) = messages[1],
                case .sourceDescription(var names) = messages[2], case .pictureLoss(let loss) = messages[3],
                case .fullIntraRequest(let intra) = messages[4], case .maximumBitrate(let rate) = messages[5],
                case .extendedReport(var extended) = messages[6], case .goodbye(let goodbye) = messages[7]
            else {
                Issue.record("misread: \(messages)")
                return
            }
            #expect(sender.ntp == 0x0102_0304_0506_0708 && sender.rtp == 90)
            #expect(Array(sender.reports) == blocks)
            #expect(Array(receiver.reports) == Array(blocks.prefix(1)))
            #expect(names.next()?.cname.map { String(decoding: $0, as: UTF8.self) } == "consilium")
            #expect(loss.sender == 1 && loss.media == 8)
            #expect(Array(intra.entries) == [.init(ssrc: 8, sequence: 200), .init(ssrc: 9, sequence: 0)])
            #expect(rate.bitsPerSecond <= 2_500_000 && rate.bitsPerSecond > 2_499_980)
            #expect(Array(rate.sources) == [8, 9])
            guard case .delaysSinceLastReport(var delays)? = extended.next(), let delay = delays.next() else {
                Issue.record("no DLRR")
                return
            }
            #expect(delay.ssrc == 7 && delay.lastReport == 10 && delay.delay == 11)
            #expect(Array(goodbye.sources) == [1, 2, 3])
        }
    }

    @Test("CNAMEs of every length up to the limit end on a whole word", arguments: [0, 1, 2, 3, 4, 5, 254, 255, 300])
    func cnames(length: Int) {
        let cname = [UInt8](repeating: 0x61, count: length)
        write { writer in
            writer.sourceDescription(ssrc: 1, cname: cname)
            writer.pictureLoss(sender: 1, media: 2)
        } read: { messages in
            guard messages.count == 2, case .sourceDescription(var names) = messages[0] else {
                Issue.record("misread: \(messages)")
                return
            }
            #expect(names.next()?.cname.map(Array.init) == Array(cname.prefix(255)))
        }
    }

    @Test("any set of lost packets is asked for exactly, around the wrap as well")
    func negativeAcknowledgements() {
        let seed: UInt64 = 20_261_124
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            var sequence = UInt16.random(in: 0...UInt16.max, using: &generator)
            var lost: [UInt16] = []
            for _ in 0..<Int.random(in: 1...60, using: &generator) {
                lost.append(sequence)
                sequence &+= UInt16.random(in: 1...24, using: &generator)
            }
            write {
                $0.negativeAcknowledgement(sender: 1, media: 2, sequences: lost)
            } read: { messages in
                guard case .negativeAcknowledgement(let request)? = messages.first else {
                    Issue.record("misread: \(messages)")
                    return
                }
                #expect(Array(request.sequences) == lost)
            }
        }
    }

    @Test("a bit rate is rounded down to eighteen bits", arguments: [0, 1, 262_143, 262_144, 1 << 40, UInt64.max])
    func bitrates(rate: UInt64) {
        write {
            $0.maximumBitrate(sender: 1, bitsPerSecond: rate, sources: [2])
        } read: { messages in
            guard case .maximumBitrate(let read)? = messages.first else {
                Issue.record("misread: \(messages)")
                return
            }
            #expect(read.bitsPerSecond <= rate && rate - read.bitsPerSecond <= rate >> 17)
        }
    }

    @Test("arrivals of any pattern are told exactly to a quarter of a millisecond, in as many messages as it takes")
    func transportFeedback() {
        let seed: UInt64 = 4_711
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for round in 0..<600 {
            let arrivals = Self.arrivals(using: &generator)
            let base = arrivals[0].sequence &- UInt16.random(in: 0...40, using: &generator)
            checkFeedback(arrivals, base: base, capacity: [28, 64, 200, 1200][round % 4])
        }
    }

    @Test("long runs, long gaps and large steps are told exactly")
    func transportFeedbackExtremes() {
        let steady = (0..<20_000).map { TransportArrival(sequence: UInt16($0), arrival: Int64($0) * 250) }
        checkFeedback(steady, base: 0, capacity: 65_000)
        let gap = [
            TransportArrival(sequence: 65_000, arrival: 1_000_000),
            TransportArrival(sequence: 20_000, arrival: 1_000_250),
        ]
        checkFeedback(gap, base: 65_000, capacity: 1200)
        let jumps = (0..<50).map { TransportArrival(sequence: UInt16($0), arrival: Int64($0) * 8_190_000) }
        checkFeedback(jumps, base: 0, capacity: 1200)
        // Further apart than one message can say.
        let leaps = (0..<5).map { TransportArrival(sequence: UInt16($0), arrival: Int64($0) * 60_000_000) }
        checkFeedback(leaps, base: 0, capacity: 1200)
    }

    private static func arrivals(using generator: inout SeededGenerator) -> [TransportArrival] {
        var sequence = UInt16.random(in: 0...UInt16.max, using: &generator)
        var time = Int64.random(in: 0...(1 << 42), using: &generator)
        let lossiness = UInt16.random(in: 1...12, using: &generator)
        let spread = Int64([300, 20_000, 200_000, 9_000_000].randomElement(using: &generator) ?? 300)
        return (0..<Int.random(in: 1...120, using: &generator)).map { _ in
            defer {
                sequence &+= UInt16.random(in: 1...lossiness, using: &generator)
                // Packets overtake each other now and then.
                time = max(0, time + Int64.random(in: (-spread / 4)...spread, using: &generator))
            }
            return TransportArrival(sequence: sequence, arrival: time)
        }
    }

    private func checkFeedback(_ arrivals: [TransportArrival], base: UInt16, capacity: Int) {
        var told: [PacketStatus] = []
        var next = 0
        var base = base
        while next < arrivals.count {
            var consumed = 0
            write(capacity: capacity) { writer in
                consumed = writer.transportFeedback(
                    sender: 1, media: 2, baseSequence: base, feedbackCount: 3, arrivals: Array(arrivals[next...]).span)
            } read: { messages in
                guard case .transportFeedback(let feedback)? = messages.first else { return }
                told += Array(feedback.statuses)
                if let last = told.last { base = last.sequence &+ 1 }
            }
            guard consumed > 0 else { break }
            next += consumed
        }
        #expect(next == arrivals.count)
        let received = told.filter { $0.arrival != nil }
        #expect(received.map(\.sequence) == arrivals.map(\.sequence))
        let period = Int64(1 << 24) * TransportFeedback.referenceTick
        for (status, arrival) in zip(received, arrivals) {
            let difference = ((status.arrival ?? 0) - arrival.arrival) % period
            #expect(min(abs(difference), period - abs(difference)) <= 125)
        }
        for (before, after) in zip(told, told.dropFirst()) { #expect(after.sequence == before.sequence &+ 1) }
    }

    @Test("what does not fit leaves no trace")
    func noRoom() {
        for capacity in 0..<80 {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 1)
            defer { buffer.deallocate() }
            var writer = RTCPWriter(buffer)
            while writer.pictureLoss(sender: 1, media: 2) {}
            let before = writer.count
            #expect(before == capacity / 12 * 12)
            let fitted = writer.negativeAcknowledgement(sender: 1, media: 2, sequences: [1, 100, 200])
            #expect(!fitted && writer.count == before)
            #expect(!writer.sourceDescription(ssrc: 1, cname: "consilium".utf8) && writer.count == before)
        }
    }

    private func write(
        capacity: Int = 4096, _ body: (inout RTCPWriter) -> Void, read: ([RTCPMessage]) -> Void
    ) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 8)
        defer { buffer.deallocate() }
        var writer = RTCPWriter(buffer)
        body(&writer)
        var packets = RTCPPackets(writer.bytes)
        var messages: [RTCPMessage] = []
        while let packet = packets.next() { messages.append(packet.message) }
        #expect(!packets.isMalformed)
        #expect(writer.count & 3 == 0)
        read(messages)
    }
}
