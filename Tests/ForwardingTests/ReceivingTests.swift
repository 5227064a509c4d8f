// What the server tells and asks a publisher: reports, missing packets, arrival times, key frames.
import Testing
import WireFormats

@testable import Forwarding

@Suite("Receiving")
struct ReceivingTests {
    @Test("a report counts what was lost since the one before, and jitter by the RFC's rule")
    func statistics() {
        var statistics = ReceptionStatistics()
        var time: UInt64 = 1_000_000_000
        for position in 0..<100 as Range<UInt32> where position % 10 != 0 || position == 0 {
            time += 20 * millisecond
            statistics.record(
                position: position, timestamp: position * 960, bytes: 100, arrival: UInt64(position) * 20 * millisecond,
                clockRate: 48_000, isRecovered: false)
        }
        let first = statistics.makeReport()
        #expect(first.cumulativeLost == 9)
        // 9 of 100, in 256ths.
        #expect(first.fractionLost == 23)
        #expect(first.jitter == 0)
        #expect(first.highestSequence == 99)
        for position in 100..<110 as Range<UInt32> {
            statistics.record(
                position: position, timestamp: position * 960, bytes: 100,
                arrival: UInt64(position) * 20 * millisecond + (position % 2 == 0 ? 5 * millisecond : 0),
                clockRate: 48_000, isRecovered: false)
        }
        let second = statistics.makeReport()
        #expect(second.fractionLost == 0)
        #expect(second.cumulativeLost == 9)
        // Ten steps of 5 ms = 240 ticks, each a sixteenth of the way.
        #expect((90...130).contains(second.jitter), "\(second.jitter)")
    }

    @Test("a gap is asked for after the time of reordering, then once a round trip, and given up after ten times")
    func nack() {
        var nack = NackGenerator()
        #expect(nack.receive(10, now: 0) == .inOrder)
        #expect(nack.receive(13, now: 0) == .inOrder)
        var asked: [UInt16] = []
        #expect(nack.collect(now: 1 * millisecond, into: &asked) == false)
        #expect(asked.isEmpty)
        _ = nack.collect(now: 5 * millisecond, into: &asked)
        #expect(asked == [11, 12])
        asked = []
        _ = nack.collect(now: 50 * millisecond, into: &asked)
        #expect(asked.isEmpty)
        #expect(nack.receive(11, now: 35 * millisecond) == .filledGap)
        // The answer took 30 ms of the 100 assumed.
        #expect(nack.roundTrip == (100 * 7 + 30) * millisecond / 8)
        var now = 5 * millisecond
        var times = 1
        var gaveUp = false
        while !gaveUp, now < 10_000 * millisecond {
            now += millisecond
            asked = []
            gaveUp = nack.collect(now: now, into: &asked)
            times += asked.count
        }
        #expect(times == 10)
        #expect(nack.missingCount == 0)
        #expect(nack.receive(12, now: now) == .late)
    }

    @Test("a gap wider than what can be asked for is no list of requests but the wish for a key frame")
    func nackOverflow() {
        var nack = NackGenerator()
        _ = nack.receive(0, now: 0)
        #expect(nack.receive(400, now: 0) == .inOrder)
        #expect(nack.missingCount == 399)
        #expect(nack.receive(600, now: 0) == .lostTooMuch)
        #expect(nack.missingCount == 0)
        #expect(nack.receive(601, now: 0) == .inOrder)
    }

    @Test("arrival times are reported once, gaps stay open, and a late packet is reported again from there")
    func arrivals() {
        var log = ArrivalLog()
        var report = ArrivalLog.Report()
        #expect(log.collect(into: &report) == false)
        for sequence in [65_534, 65_535, 1, 2] as [UInt16] { log.record(sequence, arrival: 1_000 * millisecond) }
        #expect(log.nextDeadline == 1_100 * millisecond)
        #expect(log.collect(into: &report) == true)
        #expect(report.baseSequence == 65_534)
        #expect(report.arrivals.map(\.sequence) == [65_534, 65_535, 1, 2])
        #expect(report.arrivals[0].arrival == 1_000_000)
        log.confirm(report, told: 4)
        #expect(log.nextDeadline == .max)
        #expect(log.collect(into: &report) == false)
        log.record(0, arrival: 1_200 * millisecond)
        #expect(log.collect(into: &report) == true)
        #expect(report.baseSequence == 0)
        #expect(report.arrivals.map(\.sequence) == [0, 1, 2])
        #expect(report.feedbackCount == 1)
        // Only two of three found room: the rest follows at once.
        log.confirm(report, told: 2)
        #expect(log.collect(into: &report) == true)
        #expect(report.baseSequence == 2)
        log.confirm(report, told: 1)
        #expect(log.nextDeadline == .max)
    }

    @Test("many receivers' wishes make one request each half second, repeated until the key frame comes")
    func keyFrames() {
        var requester = KeyFrameRequester()
        var sent: [UInt64] = []
        for tick in 0..<400 as Range<UInt64> {
            let now = (10_000 + tick * 10) * millisecond
            for _ in 0..<300 where tick < 100 { requester.request(now: now) }
            guard requester.poll(now: now, pictureLoss: true, fullIntra: true) != nil else { continue }
            sent.append(tick * 10)
            requester.keyFrameArrived()
        }
        #expect(sent == [0, 500, 1000])
        #expect(requester.nextDeadline == nil)
    }

    @Test("a request that is not answered is repeated more and more slowly, as FIR from the third time on")
    func repeatedRequests() {
        var requester = KeyFrameRequester()
        requester.request(now: 0)
        var forms: [KeyFrameRequester.Form] = []
        var times: [UInt64] = []
        for tick in 0..<1000 as Range<UInt64> {
            if let form = requester.poll(now: tick * 10 * millisecond, pictureLoss: true, fullIntra: true) {
                forms.append(form)
                times.append(tick * 10)
            }
        }
        #expect(forms.prefix(4) == [.pictureLoss, .pictureLoss, .fullIntra, .fullIntra])
        #expect(times.prefix(9) == [0, 500, 1000, 1500, 2000, 2500, 3500, 5500, 9500])
        #expect(requester.fullIntraSequence == 1)
        requester.request(now: 20_000 * millisecond)
        requester.cancel()
        #expect(requester.poll(now: 30_000 * millisecond, pictureLoss: true, fullIntra: false) == nil)
    }

    @Test("a peer that knows FIR only is asked by FIR; one that knows neither is not asked")
    func feedbackOfOldPeers() {
        var requester = KeyFrameRequester()
        requester.request(now: 0)
        #expect(requester.poll(now: 0, pictureLoss: false, fullIntra: true) == .fullIntra)
        requester = KeyFrameRequester()
        requester.request(now: 0)
        #expect(requester.poll(now: 0, pictureLoss: false, fullIntra: false) == nil)
        #expect(requester.nextDeadline == nil)
    }

    @Test("the best flowing layer is chosen, without haste upwards and without delay when one stops")
    func layers() {
        func layer(_ pixels: Int, steady: UInt64 = 5_000_000_000, flows: Bool = true, rate: Int = 0) -> LayerState {
            LayerState(isFlowing: flows, steadyFor: steady, pixels: pixels, bitsPerSecond: rate)
        }
        #expect(LayerSelection.best([layer(10), layer(40), layer(160)], current: 0) == 2)
        #expect(LayerSelection.best([layer(10), layer(40), layer(160, steady: 100)], current: 1) == 1)
        #expect(LayerSelection.best([layer(10), layer(40, steady: 1), layer(160, flows: false)], current: 2) == 0)
        #expect(LayerSelection.best([layer(10, flows: false), layer(40, flows: false)], current: 1) == 1)
        #expect(LayerSelection.best([layer(10, flows: false), layer(40, steady: 1)], current: 0) == 1)
        #expect(
            LayerSelection.best([layer(0, rate: 100), layer(0, rate: 900), layer(0, rate: 300)], current: nil) == 1)
        #expect(LayerSelection.best([], current: nil) == nil)
    }

    @Test("sections keep their track, take the next when it goes, and say how many are needed")
    func sections() {
        func plan(_ wanted: Int, _ sections: [Int?], _ canCarry: (Int, Int) -> Bool = { _, _ in true }) -> SectionPlan {
            SectionPlan(wanted: wanted, sections: sections, canCarry: canCarry)
        }
        #expect(plan(2, []).needed == 2)
        #expect(plan(2, [nil]).tracks == [0])
        #expect(plan(2, [nil]).needed == 2)
        #expect(plan(3, [2, nil, 0]).tracks == [2, 1, 0])
        #expect(plan(1, [nil, 0, nil]).tracks == [nil, 0, nil])
        #expect(plan(0, [nil, nil]).needed == 0)
        // Nobody here can decode track 1: more sections would not help.
        #expect(plan(2, [nil, nil]) { _, track in track == 0 }.tracks == [0, nil])
        #expect(plan(2, [nil, nil]) { _, track in track == 0 }.needed == 1)
        // Section 0 has lost the codec of its track, section 1 has it.
        #expect(plan(1, [0, nil]) { section, _ in section == 1 }.tracks == [nil, 0])
    }
}
