// The parts of bandwidth one by one: history, hostile feedback, pace, allocation by role, and the whole core on a slow path.
import NetworkSimulator
import Testing
import WireFormats

@testable import Forwarding

@Suite("Bandwidth, part by part")
struct BandwidthPartsTests {
    private func feedback(
        base: UInt16, arrivals: [(UInt16, Int64)], _ body: (TransportFeedback) -> Void
    ) {
        let message = Packets.compound { writer in
            let list = arrivals.map { TransportArrival(sequence: $0.0, arrival: $0.1) }
            _ = writer.transportFeedback(
                sender: 1, media: 2, baseSequence: base, feedbackCount: 0, arrivals: list.span)
        }
        read(message, body)
    }

    private func read(_ message: [UInt8], _ body: (TransportFeedback) -> Void) {
        message.withUnsafeBytes { bytes in
            var packets = RTCPPackets(bytes)
            while let packet = packets.next() {
                if case .transportFeedback(let feedback) = packet.message { body(feedback) }
            }
        }
    }

    @Test("the history finds what was sent across the wrap, and grows rather than forget what is under way")
    func history() {
        var history = SendHistory(capacity: 16)
        for step in 0..<200 {
            history.append(sequence: UInt16(truncatingIfNeeded: 65_500 + step), bytes: 100, cluster: 0, now: 1000)
        }
        do {
            let value = history.capacity
            #expect(value == 256)
        }
        do {
            let value = history.bytesInFlight
            #expect(value == 20_000)
        }
        do {
            let value = history.find(65_500)?.pointee.sequence
            #expect(value == 65_500)
        }
        do {
            let value = history.find(163)?.pointee.sequence
            #expect(value == 163)
        }
        do {
            let value = history.find(164)
            #expect(value == nil)
        }
        do {
            let value = history.reportable(from: 163)
            #expect(value == 1)
        }
        do {
            let value = history.reportable(from: 164)
            #expect(value == 0)
        }
        if let packet = history.find(3) { history.settle(packet, as: .acknowledged) }
        do {
            let value = history.bytesInFlight
            #expect(value == 19_900)
        }
        history.expire(now: 1000 + SendHistory.patience + 1)
        do {
            let value = history.bytesInFlight
            #expect(value == 0)
        }
        for step in 0..<40_000 {
            history.append(
                sequence: UInt16(truncatingIfNeeded: step), bytes: 100, cluster: 0, now: UInt64(step) * 1000)
        }
        do {
            let value = history.capacity
            #expect(value == SendHistory.largestCapacity)
        }
    }

    @Test("one packet that announces 65,535 losses tells of what was sent and of nothing else")
    func hostileFeedback() {
        var bandwidth = PeerBandwidth()
        bandwidth.enable(.transportFeedback, now: 1)
        for step in 0..<100 { bandwidth.sent(sequence: UInt16(step), bytes: 1000, now: 1_000_000_000) }
        // Eight run-length chunks of 8191 lost packets and one of 7.
        var message: [UInt8] = [0x8F, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 50, 0xFF, 0xFF, 0, 0, 1, 0]
        for _ in 0..<8 { message += [0x1F, 0xFF] }
        message += [0x00, 0x07, 0, 0]
        message[3] = UInt8(message.count / 4 - 1)
        var reads = 0
        read(message) { feedback in
            reads += 1
            #expect(feedback.statusCount == 65_535)
            _ = bandwidth.receive(feedback, now: 1_100_000_000)
        }
        #expect(reads == 1)
        do {
            let value = bandwidth.packetsLost
            #expect(value == 50)
        }
        // From a number that was never sent: refused as a whole.
        message[12] = 0x40
        read(message) { _ = bandwidth.receive($0, now: 1_100_000_000) }
        do {
            let value = bandwidth.feedbackRefused
            #expect(value == 1)
        }
        // And no more than some hundred a second.
        for _ in 0..<1000 {
            feedback(base: 10, arrivals: [(10, 5000)]) { _ = bandwidth.receive($0, now: 1_200_000_000) }
        }
        let heard = bandwidth.feedbackCount + bandwidth.feedbackRefused
        #expect(heard >= 1000)
        do {
            let value = bandwidth.feedbackCount
            #expect(value <= UInt64(PeerBandwidth.feedbackLimit))
        }
    }

    @Test("random feedback never stops the estimator, and the estimate stays a number above its floor")
    func randomFeedback() {
        var random = SeededRandom(seed: 11)
        for _ in 0..<60 {
            var bandwidth = PeerBandwidth()
            bandwidth.enable(.transportFeedback, now: 1)
            var now: UInt64 = 1_000_000_000
            var sequence = UInt16(truncatingIfNeeded: random.next())
            for _ in 0..<60 {
                for _ in 0..<Int(random.next() % 40) {
                    bandwidth.sent(sequence: sequence, bytes: Int(random.next() % 1400), now: now)
                    sequence &+= 1
                }
                var arrivals: [(UInt16, Int64)] = []
                let base = sequence &- UInt16(random.next() % 60)
                for step in 0..<UInt16(random.next() % 50) where random.chance(0.8) {
                    arrivals.append((base &+ step, Int64(random.next() % 4_000_000_000)))
                }
                if !arrivals.isEmpty {
                    feedback(base: base, arrivals: arrivals) { _ = bandwidth.receive($0, now: now) }
                }
                bandwidth.tick(goal: 1e7, queuedBytes: Int(random.next() % 1_000_000), now: now)
                now &+= random.next() % 300_000_000
                do {
                    let value = bandwidth.estimate
                    #expect(value >= PeerBandwidth.smallest)
                }
            }
        }
    }

    @Test("a receiver that negotiated feedback but gives none is not held back for longer than a second")
    func silentReceiver() {
        var bandwidth = PeerBandwidth()
        bandwidth.enable(.transportFeedback, now: 1)
        bandwidth.sent(sequence: 1, bytes: 1000, now: 1_000_000_000)
        bandwidth.tick(goal: 1e7, queuedBytes: 0, now: 1_500_000_000)
        let isHeld = !bandwidth.isOpen
        #expect(isHeld)
        bandwidth.tick(goal: 1e7, queuedBytes: 0, now: 2_100_000_000)
        let isOpen = bandwidth.isOpen && bandwidth.mayRelease(now: 2_100_000_000)
        #expect(isOpen)
    }

    @Test("without transport-wide feedback the receiver's own estimate is the bound, and its losses lower it")
    func maximumBitrate() {
        var bandwidth = PeerBandwidth()
        bandwidth.enable(.maximumBitrate, now: 1)
        let isOpen = bandwidth.isOpen
        #expect(isOpen)
        bandwidth.receive(maximumBitrate: 800_000)
        do {
            let value = bandwidth.estimate
            #expect(value == 800_000)
        }
        bandwidth.receive(fractionLost: 64)
        do {
            let value = bandwidth.estimate
            #expect(value == 700_000)
        }
        for _ in 0..<10 { bandwidth.receive(fractionLost: 0) }
        do {
            let value = bandwidth.estimate
            #expect(value == 800_000)
        }
    }

    @Test("the pacer lets a slot's worth go at once and the rest slot by slot, at the rate that was set")
    func pace() {
        var pacing = Pacing()
        let isFree = pacing.mayRelease(now: 5)
        #expect(isFree)
        pacing.bytesPerSecond = 1_000_000
        var now: UInt64 = 1_000_000_000
        var released = 0
        var runs = 0
        while now < 2_000_000_000 {
            var run = 0
            while pacing.mayRelease(now: now) {
                pacing.spend(1200)
                run += 1
            }
            released += run * 1200
            if run > 0 { runs += 1 }
            now += 1_000_000
        }
        #expect(abs(released - 1_000_000) < 20_000)
        #expect(runs <= 201)
    }

    private func allot(_ streams: [AllottedStream], _ megabits: Double) -> [LayerTarget] {
        var allocator = LayerAllocator()
        allocator.streams = streams
        _ = allocator.decide(estimate: megabits * 1e6, audio: 60_000, mayStepUp: true, now: 1_000_000_000)
        return allocator.streams.map(\.wanted)
    }

    private func rungs(_ role: StreamRole) -> [MeasuredLayer] {
        var layers: [MeasuredLayer] = []
        for (spatial, rate) in [0.2, 0.8, 2.4].enumerated() {
            for (temporal, share) in [0.4, 0.6, 1.0].enumerated() {
                layers.append(
                    MeasuredLayer(
                        target: LayerTarget(spatial: UInt8(spatial), temporal: UInt8(temporal)),
                        pixels: 57_600 << (2 * spatial), bitsPerSecond: rate * share * 1e6))
            }
        }
        return LayerLadder.make(layers, role: role)
    }

    @Test(
        "documents keep their size and give frames away; surgery keeps its frames and gives size away; faces go first")
    func roles() {
        func stream(_ id: Int32, _ role: StreamRole) -> AllottedStream {
            AllottedStream(id: id, role: role, rungs: rungs(role))
        }
        let document = allot([stream(1, .document)], 1.3)
        #expect(document == [LayerTarget(spatial: 2, temporal: 0)])
        let surgery = allot([stream(1, .surgicalField)], 1.3)
        #expect(surgery == [LayerTarget(spatial: 1, temporal: 2)])
        let both = allot([stream(1, .camera), stream(2, .surgicalField), stream(3, .camera)], 0.5)
        #expect(both[1] == LayerTarget(spatial: 0, temporal: 2))
        #expect(both[0].spatial != 1 && both[2].spatial != 1)
        let nothing = allot([stream(1, .camera), stream(2, .camera)], 0.07)
        #expect(nothing == [.none, .none])
        let plenty = allot([stream(1, .camera), stream(2, .document)], 20)
        #expect(plenty == [LayerTarget(spatial: 2, temporal: 2), LayerTarget(spatial: 2, temporal: 2)])
    }

    @Test("the reason names what bounds a layer: the page, the path or the publisher")
    func reasons() {
        var allocator = LayerAllocator()
        let camera = rungs(.camera)
        for (place, demand) in [
            StreamDemand(), StreamDemand(pixels: 57_600), StreamDemand(pixels: 0, isShown: false),
        ].enumerated() {
            allocator.set(place, id: Int32(place), track: 1, role: .camera, rungs: camera, demand: demand)
        }
        allocator.set(3, id: 3, track: 1, role: .camera, rungs: [], demand: StreamDemand())
        _ = allocator.decide(estimate: 1_000_000, audio: 0, mayStepUp: true, now: 1_000_000_000)
        #expect(allocator.streams.map(\.reason) == [.bandwidth, .viewport, .viewport, .publisher])
        #expect(allocator.streams[2].wanted == .none)
        #expect(allocator.streams[1].wanted.spatial == 0)
    }

    @Test("every budget is kept, whatever the streams, from nothing to plenty")
    func budgets() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<300 {
            let roles: [StreamRole] = [.surgicalField, .imaging, .document, .vitals, .panorama, .camera]
            let streams = (0..<Int(1 + random.next() % 12)).map { id in
                let role = roles[Int(random.next() % UInt64(roles.count))]
                return AllottedStream(id: Int32(id), role: role, rungs: rungs(role))
            }
            for megabits in [0.05, 0.3, 1, 3, 9, 30] {
                var allocator = LayerAllocator()
                allocator.streams = streams
                _ = allocator.decide(estimate: megabits * 1e6, audio: 0, mayStepUp: true, now: 1_000_000_000)
                #expect(allocator.givenBitsPerSecond <= megabits * 1e6)
            }
        }
    }
}
