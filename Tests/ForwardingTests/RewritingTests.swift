// Rewriting: what a receiver sees stays one stream through wraps, reordering, loss and changes of source.
import Testing
import WireFormats

@testable import Forwarding

@Suite("Rewriting")
struct RewritingTests {
    private let clock: UInt32 = 90_000

    private func rewrite(
        _ rewriter: inout StreamRewriter, _ sequence: UInt32, timestamp: UInt32, marker: Bool = true,
        picture: UInt16? = nil, temporal: UInt8 = 0, key: UInt8 = 0, now: UInt64 = 0, switching: Bool = false,
        preferred: UInt32? = nil
    ) -> RewrittenPacket? {
        var entry = HistoryEntry()
        entry.sequence = sequence
        entry.timestamp = timestamp
        if marker { entry.flags.insert(.marker) }
        if let picture {
            entry.flags.formUnion([.hasPictureID, .hasTemporalIndex, .hasKeyIndex])
            entry.pictureID = picture
            entry.layers.frame = UInt32(picture)
            entry.temporalIndex = temporal
            entry.keyIndex = key
        }
        return withUnsafePointer(to: entry) { pointer in
            if switching { rewriter.switchSource(at: entry, arrival: now, clockRate: clock, preferred: preferred) }
            return rewriter.rewrite(pointer, now: now)
        }
    }

    private func copied(
        _ payload: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer, entry: inout HistoryEntry
    ) -> Int? {
        VP8Descriptor(payload).flatMap { PictureNumbers.copy(payload, $0, to: target, entry: &entry) }
    }

    @Test("numbers go on by ones through a wrap of the source and of the receiver's own")
    func wraps() throws {
        var rewriter = StreamRewriter(seed: 0xFFFF_FFFF_FFFF_FFFF)
        let first = try #require(rewrite(&rewriter, 0x2_FFFE, timestamp: .max - 1000, switching: true))
        for step in 1..<70_000 as Range<UInt32> {
            let packet = try #require(rewrite(&rewriter, 0x2_FFFE + step, timestamp: (.max - 1000) &+ step * 3000))
            #expect(packet.sequence == first.sequence &+ UInt16(truncatingIfNeeded: step))
            #expect(packet.timestamp == first.timestamp &+ step * 3000)
        }
    }

    @Test("packets that overtook each other keep their distance")
    func reordering() throws {
        var rewriter = StreamRewriter(seed: 7)
        let first = try #require(rewrite(&rewriter, 100, timestamp: 0, switching: true))
        let late = [105, 103, 101, 104, 102] as [UInt32]
        for sequence in late {
            let packet = try #require(rewrite(&rewriter, sequence, timestamp: 0))
            #expect(packet.sequence &- first.sequence == UInt16(sequence - 100))
        }
        #expect(rewrite(&rewriter, 99, timestamp: 0) == nil)
    }

    @Test("padding in order leaves no gap, and packets from around it still find their numbers")
    func padding() throws {
        var rewriter = StreamRewriter(seed: 7)
        let first = try #require(rewrite(&rewriter, 100, timestamp: 0, switching: true))
        #expect(rewriter.skip(103) == true)
        #expect(rewriter.skip(104) == true)
        #expect(rewriter.skip(102) == false)
        let after = try #require(rewrite(&rewriter, 105, timestamp: 0))
        #expect(after.sequence &- first.sequence == 3)
        let before = try #require(rewrite(&rewriter, 101, timestamp: 0))
        #expect(before.sequence &- first.sequence == 1)
        let filled = try #require(rewrite(&rewriter, 102, timestamp: 0))
        #expect(filled.sequence &- first.sequence == 2)
        #expect(rewrite(&rewriter, 103, timestamp: 0) == nil)
        for more in 0..<600 as Range<UInt32> { #expect(rewriter.skip(106 + more * 2) == true) }
        // From before what is remembered of the gaps: better not at all than under a wrong number.
        #expect(rewrite(&rewriter, 101, timestamp: 0) == nil)
    }

    @Test("another source goes on where the first stopped, its earlier packets are not seen, and time goes forward")
    func switching() throws {
        var rewriter = StreamRewriter(seed: 99)
        _ = rewrite(&rewriter, 10, timestamp: 5000, picture: 300, temporal: 9, key: 3, now: 0, switching: true)
        let last = try #require(
            rewrite(&rewriter, 11, timestamp: 8000, picture: 301, temporal: 10, key: 3, now: 33_000_000))
        let next = try #require(
            rewrite(
                &rewriter, 70_000, timestamp: 123_456_789, picture: 4, temporal: 200, key: 30, now: 133_000_000,
                switching: true))
        #expect(next.sequence == last.sequence &+ 1)
        #expect(next.timestamp &- last.timestamp == 9000)
        #expect(next.pictureID == (last.pictureID + 1) & 0x7FFF)
        #expect(next.temporalIndex == last.temporalIndex &+ 1)
        #expect(next.keyIndex == (last.keyIndex + 1) & 0x1F)
        #expect(rewrite(&rewriter, 69_999, timestamp: 123_450_000) == nil)
        let after = try #require(
            rewrite(&rewriter, 70_001, timestamp: 123_459_789, picture: 5, temporal: 201, key: 30))
        #expect(after.pictureID == (next.pictureID + 1) & 0x7FFF)
        #expect(after.timestamp &- next.timestamp == 3000)
    }

    @Test("a switch in the middle of a picture leaves a number free, so that the picture is not taken for whole")
    func switchWithinPicture() throws {
        var rewriter = StreamRewriter(seed: 1)
        let last = try #require(rewrite(&rewriter, 10, timestamp: 0, marker: false, switching: true))
        let next = try #require(rewrite(&rewriter, 500, timestamp: 0, switching: true))
        #expect(next.sequence == last.sequence &+ 2)
    }

    @Test("the sender's clock is taken at a switch while it is believable, and never backwards")
    func clocks() throws {
        for (offered, expected) in [(2700, 2700), (3300, 3300), (-90_000, 3000), (900_000, 3000), (-3000, 900)] {
            var rewriter = StreamRewriter(seed: 5)
            let last = try #require(rewrite(&rewriter, 1, timestamp: 0, now: 0, switching: true))
            let preferred = last.timestamp &+ UInt32(bitPattern: Int32(offered))
            let next = try #require(
                rewrite(&rewriter, 9000, timestamp: 77, now: 33_333_334, switching: true, preferred: preferred))
            #expect(abs(Int(Int32(bitPattern: next.timestamp &- last.timestamp)) - expected) <= 1, "offered \(offered)")
        }
    }

    @Test("a VP8 picture number of 7 bits grows to 15, and a receiver's numbers are written over it in place")
    func pictureNumbers() throws {
        let rest: [UInt8] = [0x11, 0, 0, 1, 2, 3]
        let short: [UInt8] = [0x90, 0xF0, 0x45, 0x77, 0x2A]
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
        defer { target.deallocate() }
        var entry = HistoryEntry()
        let length = try #require((short + rest).withUnsafeBytes { copied($0, to: target, entry: &entry) })
        #expect(Array(target[..<length]) == [0x90, 0xF0, 0x80, 0x45, 0x77, 0x2A] + rest)
        #expect(entry.pictureID == 0x45)
        #expect(entry.temporalIndex == 0x77)
        #expect(entry.keyIndex == 0x0A)
        var sent = SentPacket()
        sent.pictureID = 0x7ABC
        sent.temporalIndex = 3
        sent.keyIndex = 0x1F
        PictureNumbers.write(sent, over: target, entry)
        #expect(Array(target[..<length]) == [0x90, 0xF0, 0xFA, 0xBC, 3, 0x3F] + rest)
    }

    @Test("every VP8 descriptor that is cut off is refused, none traps")
    func brokenDescriptors() {
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
        defer { target.deallocate() }
        for first in 0...255 as ClosedRange<UInt8> {
            for second in 0...255 as ClosedRange<UInt8> {
                for length in 0...6 {
                    let payload = Array(([first, second, 0x80, 1, 2, 3] as [UInt8]).prefix(length))
                    var entry = HistoryEntry()
                    let written = payload.withUnsafeBytes { copied($0, to: target, entry: &entry) }
                    if let written { #expect(written >= length && written <= length + 1) }
                }
            }
        }
    }

    @Test("a sender report is a line: its timestamps and times lead back to each other")
    func senderClock() {
        let clock = SenderClock(ntp: 0xE000_0000_8000_0000, rtp: 1000, arrival: 0)
        #expect(clock.timestamp(atNTP: clock.ntp &+ (1 << 32), clockRate: 90_000) == 91_000)
        #expect(clock.timestamp(atNTP: clock.ntp &- (1 << 31), clockRate: 90_000) == 1000 &- 45_000)
        #expect(clock.ntp(atTimestamp: 91_000, clockRate: 90_000) == clock.ntp &+ (1 << 32))
        #expect(clock.ntp(atTimestamp: 1000 &- 45_000, clockRate: 90_000) == clock.ntp &- (1 << 31))
    }
}
