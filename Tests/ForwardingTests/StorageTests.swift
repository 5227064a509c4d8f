// The storage that forwarding is built on: tables, slabs, sequence numbers, the history.
import Testing
import WireFormats

@testable import Forwarding

@Suite("Storage")
struct StorageTests {
    @Test("a table answers like a dictionary through any sequence of changes", arguments: [1, 2, 3] as [UInt64])
    func table(seed: UInt64) {
        var random = SplitMix64(state: seed)
        var table = IntegerTable()
        var model: [UInt64: Int32] = [:]
        for _ in 0..<20_000 {
            // Few keys, so that removals meet clusters.
            let key = random.next() % 300
            if random.next() % 3 == 0 {
                table.remove(key)
                model[key] = nil
            } else {
                let value = Int32(truncatingIfNeeded: random.next() % 1000)
                table.set(key, to: value)
                model[key] = value
            }
        }
        #expect(table.checkInvariants() == true, "seed \(seed)")
        #expect(table.count == model.count)
        for key in 0..<400 as Range<UInt64> { #expect(table.find(key) == model[key], "seed \(seed), key \(key)") }
    }

    @Test("a slab gives a place again only after it was freed, and keeps the others where they are")
    func slab() {
        var slab = Slab<Int>(capacity: 2)
        let ids = (0..<10).map { slab.insert($0 * 10) }
        #expect(Set(ids).count == 10)
        slab.remove(ids[3])
        #expect(slab.find(ids[3]) == nil)
        slab.remove(ids[3])
        #expect(slab.count == 9)
        let reused = slab.insert(99)
        #expect(reused == ids[3])
        #expect(slab[reused].pointee == 99)
        #expect(slab[ids[9]].pointee == 90)
        #expect(slab.find(-1) == nil)
        #expect(slab.find(10_000) == nil)
    }

    @Test("sequence numbers become positions across wraps, forward and back")
    func unwrapping() {
        var unwrapper = SequenceUnwrapper()
        let first = unwrapper.position(of: 65_534)
        unwrapper.advance(to: first)
        #expect(unwrapper.position(of: 65_535) == first + 1)
        #expect(unwrapper.position(of: 1) == first + 3)
        #expect(unwrapper.position(of: 65_000) == first - 534)
        unwrapper.advance(to: first + 3)
        #expect(unwrapper.position(of: 65_535) == first + 1)
        unwrapper.advance(to: first - 100)
        #expect(unwrapper.highest == first + 3)
    }

    private func store(_ sequence: UInt32, _ length: Int, in history: inout PacketHistory) {
        guard let room = history.reserve(length + PacketHistory.headroom) else { return }
        for index in 0..<length { room[PacketHistory.headroom + index] = UInt8(truncatingIfNeeded: sequence) }
        var entry = HistoryEntry()
        entry.sequence = sequence
        entry.payloadLength = UInt16(length)
        _ = history.commit(entry, length: length + PacketHistory.headroom)
    }

    private func isIntact(_ sequence: UInt32, _ length: Int, in history: borrowing PacketHistory) -> Bool {
        guard let entry = history.find(sequence) else { return false }
        let payload = history.payload(of: entry)
        return payload.count == length && payload.allSatisfy { $0 == UInt8(truncatingIfNeeded: sequence) }
    }

    @Test("what the history still finds is what was stored, however often it wraps")
    func history() {
        var history = PacketHistory(entries: 64, bytes: 16_384, atMost: 65_536)
        var random = SplitMix64(state: 5)
        var lengths: [UInt32: Int] = [:]
        for sequence in 1000..<4000 as Range<UInt32> {
            let length = Int(random.next() % 1400)
            lengths[sequence] = length
            store(sequence, length, in: &history)
            #expect(isIntact(sequence, length, in: history) == true)
            for back in 1..<80 as Range<UInt32> {
                guard let length = lengths[sequence - back], history.contains(sequence - back) else { continue }
                #expect(isIntact(sequence - back, length, in: history) == true, "\(back) before \(sequence)")
            }
        }
        #expect(history.contains(3000) == false)
        #expect(history.reserve(PacketHistory.largestPacket + 1) == nil)
    }

    @Test("a history that grows keeps what it holds")
    func growth() {
        var history = PacketHistory(entries: 64, bytes: 8192, atMost: 262_144)
        for sequence in 0..<40 as Range<UInt32> { store(sequence, 500, in: &history) }
        let held = (0..<40 as Range<UInt32>).filter { history.contains($0) }
        #expect(!held.isEmpty)
        history.growIfNeeded(bytesPerSecond: 300_000)
        #expect(history.byteCapacity == 262_144)
        for sequence in held { #expect(isIntact(sequence, 500, in: history) == true) }
        for sequence in 40..<100 as Range<UInt32> { store(sequence, 500, in: &history) }
        for sequence in 40..<100 as Range<UInt32> { #expect(isIntact(sequence, 500, in: history) == true) }
    }
}
