// The clocks alone, over hours of virtual time: drift, lost reports, wraps, clocks that are set or broken.

import ArchiveWorkshop
import Foundation
import PacketRing
import Testing

@testable import Archive

@Suite("the clocks")
struct ClockTests {
    /// One sender's two streams over `hours`; returns how far their stamps are apart and how far from the truth, per second.
    private func skews(
        hours: Int64, drift: Double, seed: UInt64, reportLoss: Double, jitter: Int64 = 30_000_000
    ) -> (between: [Double], offset: [Double]) {
        var chance = Chance(seed: seed)
        var delay = DelayFilter()
        var streams = [StreamClock(clockRate: 90_000), StreamClock(clockRate: 48_000)]
        let rates: [Double] = [90_000, 48_000]
        // The streams' oscillators are not those of the wall clock either: 20 ppm apart.
        let rateErrors = [1 + 20e-6, 1 - 20e-6]
        var unwrappers = [TimestampUnwrapper(), TimestampUnwrapper()]
        let origins: [UInt32] = [0xFFFF_FF00, 0xF000_0000]
        var between: [Double] = []
        var offset: [Double] = []
        for second in 0..<(hours * 3600) {
            let truth = second * 1_000_000_000
            let senderClock = Double(truth) * (1 + drift)
            let ntp = (UInt64(0xE800_0000) << 32) &+ UInt64(senderClock / 1e9 * 4_294_967_296)
            var stamps: [Double] = []
            for index in 0..<2 {
                let ticks = UInt64(senderClock * rateErrors[index] / 1e9 * rates[index])
                let rtp = origins[index] &+ UInt32(truncatingIfNeeded: ticks)
                let timestamp = unwrappers[index].unwrap(rtp)
                let arrival = truth + 25_000_000 + Int64.random(in: 0...jitter, using: &chance)
                if second % 3 == 0, !chance.happens(reportLoss) { streams[index].report(rtp: timestamp, ntp: ntp) }
                guard let time = streams[index].senderTime(timestamp) else { continue }
                delay.observe(time, arrival: arrival)
                stamps.append(Double(delay.session(of: time)) / 1e6)
            }
            guard stamps.count == 2, second > 10 else { continue }
            between.append(abs(stamps[0] - stamps[1]))
            offset.append(stamps[0] - Double(truth) / 1e6)
        }
        return (between, offset)
    }

    @Test(
        "two streams of one sender stay within 20 ms for four hours, and within 40 ms of the truth",
        arguments: [(-100e-6, 1), (100e-6, 2), (0, 3)] as [(Double, UInt64)])
    func drift(drift: Double, seed: UInt64) {
        let (between, offset) = skews(hours: 4, drift: drift, seed: seed, reportLoss: 0.5)
        let p99 = between.sorted()[between.count * 99 / 100]
        #expect(p99 < 20, "p99 \(p99) ms")
        // The way takes 25 to 55 ms.
        #expect((offset.min() ?? 0) > 0 && (offset.max() ?? 0) < 65, "\(offset.min() ?? 0) to \(offset.max() ?? 0) ms")
    }

    @Test("stamps never go back and never jump more than a picture's time once the reports are there")
    func smooth() {
        let (_, offset) = skews(hours: 1, drift: 50e-6, seed: 9, reportLoss: 0.2)
        for (one, other) in zip(offset, offset.dropFirst()) { #expect(abs(one - other) < 15) }
    }

    @Test("a sender whose wall clock is set starts a new line after three reports; one bad report changes nothing")
    func setClock() {
        var clock = StreamClock(clockRate: 90_000)
        func ntp(_ seconds: Double) -> UInt64 { UInt64(seconds * 4_294_967_296) }
        for second in 0..<10 as Range<Int64> {
            let isTaken = clock.report(rtp: second * 90_000, ntp: ntp(3_900_000_000 + Double(second)))
            #expect(isTaken)
        }
        let before = clock.senderTime(900_000)
        var taken = [clock.report(rtp: 900_000, ntp: ntp(3_900_003_610))]
        #expect(clock.senderTime(900_000) == before)
        taken.append(clock.report(rtp: 0, ntp: 0))
        taken.append(clock.report(rtp: 990_000, ntp: ntp(3_900_003_611)))
        taken.append(clock.report(rtp: 1_080_000, ntp: ntp(3_900_003_612)))
        #expect(taken == [false, false, false, true])
        #expect(abs((clock.senderTime(1_080_000) ?? 0) - 3_900_003_612_000_000_000) < 1_000_000)
        #expect(clock.quality == .single)
    }

    @Test("without reports the arrival leads, and the quality says so")
    func arrivalOnly() throws {
        let folder = TemporaryFolder()
        let recorder = VirtualRecorder(folder: folder.path)
        let sender = Sender.conversation(seconds: 0..<5, seed: 44)
        let silent = sender.deliveries.filter { if case .report = $0.content { false } else { true } }
        recorder.play(silent)
        recorder.finish(at: 5_500_000_000)
        let tracks = recorder.core.manifest
        #expect(tracks.allSatisfy { $0.sync == .arrival })
        let flashes = try Onsets.flashes(recorder.path(tracks[0]))
        let beeps = try Onsets.beeps(recorder.path(tracks[1]))
        #expect(flashes.count == 5 && beeps.count == 5)
        for (flash, beep) in zip(flashes, beeps) { #expect(abs(flash - beep) < 0.06) }
    }

    @Test("sequence numbers and timestamps go on over their wraps, and back for late packets")
    func wraps() {
        var sequence = SequenceUnwrapper()
        let first = sequence.unwrap(65_534)
        var offsets: [Int64] = []
        for value in [65_535, 0, 2, 1, 65_535] as [UInt16] { offsets.append(sequence.unwrap(value) - first) }
        #expect(offsets == [1, 2, 4, 3, 1])
        var timestamp = TimestampUnwrapper()
        let start = timestamp.unwrap(0xFFFF_FFF0)
        let later = timestamp.unwrap(0x10)
        #expect(later - start == 0x20)
        #expect(timestamp.nearest(0xFFFF_FFFF) - start == 0xF)
    }

    @Test("a reorder window delivers every packet once and in order, whatever the order of arrival")
    func window() {
        for seed in 1...200 as ClosedRange<UInt64> {
            var chance = Chance(seed: seed)
            var window = ReorderWindow(patience: 1_000_000_000)
            var expected: [UInt16] = []
            var arrivals: [(time: UInt64, sequence: UInt16)] = []
            for index in 0..<300 as Range<UInt16> {
                let sequence = 65_400 &+ index
                if index > 0, chance.happens(0.03) { continue }
                expected.append(sequence)
                arrivals.append(
                    (UInt64(index) * 5_000_000 + UInt64.random(in: 0...200_000_000, using: &chance), sequence))
                if chance.happens(0.05) { arrivals.append((UInt64(index) * 5_000_000 + 210_000_000, sequence)) }
            }
            // The first packet opens the window: nothing before it is waited for.
            arrivals[0].time = 0
            arrivals.sort { $0.time < $1.time }
            var delivered: [UInt16] = []
            var lost: Int64 = 0
            let take: (Ordered) -> Void = { ordered in
                switch ordered {
                case .packet(let bytes, _): delivered.append(UInt16(bytes[0]) << 8 | UInt16(bytes[1]))
                case .lost(let count): lost += count
                }
            }
            for arrival in arrivals {
                let bytes = [UInt8(arrival.sequence >> 8), UInt8(arrival.sequence & 0xFF)]
                window.advance(now: arrival.time, deliver: take)
                bytes.withUnsafeBytes {
                    window.insert(sequence: arrival.sequence, arrival: arrival.time, bytes: $0, deliver: take)
                }
                window.checkInvariants()
            }
            window.flush(deliver: take)
            #expect(delivered == expected, "seed \(seed)")
            let span = Int64((expected.last ?? 0) &- (expected.first ?? 0)) + 1
            #expect(lost == span - Int64(expected.count), "seed \(seed)")
        }
    }
}
