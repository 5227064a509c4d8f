// Finds the slot of a synchronisation source: open addressing, bounded, and the longest unused makes room.

/// Slots are small integers that callers index their own storage with. Only authenticated sources are inserted.
struct SSRCTable: ~Copyable {
    private struct Slot {
        var ssrc: UInt32
        var lastUse: UInt64
    }

    /// 8 videos × 3 layers, each with retransmissions, and 2 audios are 50; browsers change sources with every restart
    /// of a stream, so more are remembered.
    static let most = 256
    private static let empty: Int16 = -1

    private let slots: UnsafeMutablePointer<Slot>
    private let buckets: UnsafeMutablePointer<Int16>
    private var uses: UInt64 = 0
    private var recent = 0
    private(set) var count = 0

    private static let bucketCount = 2 * most

    init() {
        slots = .allocate(capacity: Self.most)
        buckets = .allocate(capacity: Self.bucketCount)
        buckets.initialize(repeating: Self.empty, count: Self.bucketCount)
    }

    deinit {
        slots.deallocate()
        buckets.deallocate()
    }

    /// The slot of a known source, or a negative number.
    mutating func find(_ ssrc: UInt32) -> Int {
        uses &+= 1
        if recent < count, slots[recent].ssrc == ssrc {
            slots[recent].lastUse = uses
            return recent
        }
        var bucket = Self.hash(ssrc)
        while buckets[bucket] != Self.empty {
            let slot = Int(buckets[bucket])
            if slots[slot].ssrc == ssrc {
                slots[slot].lastUse = uses
                recent = slot
                return slot
            }
            bucket = (bucket + 1) & (Self.bucketCount - 1)
        }
        return -1
    }

    /// Gives a source that `find` did not know a slot; `evicted` is who had it until now.
    mutating func insert(_ ssrc: UInt32) -> (slot: Int, evicted: UInt32?) {
        uses &+= 1
        if count < Self.most {
            let slot = count
            slots[slot] = Slot(ssrc: ssrc, lastUse: uses)
            count += 1
            link(slot)
            recent = slot
            return (slot, nil)
        }
        var oldest = 0
        for slot in 1..<count where slots[slot].lastUse < slots[oldest].lastUse { oldest = slot }
        let evicted = slots[oldest].ssrc
        slots[oldest] = Slot(ssrc: ssrc, lastUse: uses)
        buckets.update(repeating: Self.empty, count: Self.bucketCount)
        for slot in 0..<count { link(slot) }
        recent = oldest
        return (oldest, evicted)
    }

    private func link(_ slot: Int) {
        var bucket = Self.hash(slots[slot].ssrc)
        while buckets[bucket] != Self.empty { bucket = (bucket + 1) & (Self.bucketCount - 1) }
        buckets[bucket] = Int16(slot)
    }

    private static func hash(_ ssrc: UInt32) -> Int {
        Int((ssrc &* 0x9E37_79B1) >> 23)
    }
}
