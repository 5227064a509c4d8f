// An open-addressing table from 64-bit keys to small integers: SSRCs, username fragments, packed addresses.

/// Linear probing with backward-shift deletion, so that there are no tombstones and a miss stays cheap.
package struct IntegerTable: ~Copyable {
    @frozen @usableFromInline
    struct Entry {
        @usableFromInline var key: UInt64
        /// -1 marks an empty place.
        @usableFromInline var value: Int32
    }

    @usableFromInline var entries: UnsafeMutablePointer<Entry>
    @usableFromInline var mask: Int
    package private(set) var count = 0

    package init(minimumCapacity: Int = 8) {
        var size = 16
        while size < minimumCapacity * 2 { size *= 2 }
        entries = .allocate(capacity: size)
        entries.initialize(repeating: Entry(key: 0, value: -1), count: size)
        mask = size - 1
    }

    deinit { entries.deallocate() }

    /// The finaliser of SplitMix64: neighbouring SSRCs must not become neighbouring places.
    @inlinable @inline(__always)
    static func mix(_ key: UInt64) -> Int {
        var z = key
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int(truncatingIfNeeded: z ^ (z >> 31))
    }

    @inlinable @inline(__always)
    package func find(_ key: UInt64) -> Int32? {
        var place = IntegerTable.mix(key) & mask
        while entries[place].value >= 0 {
            if entries[place].key == key { return entries[place].value }
            place = (place &+ 1) & mask
        }
        return nil
    }

    /// Replaces what was there; negative values are not kept.
    package mutating func set(_ key: UInt64, to value: Int32) {
        guard value >= 0 else { return }
        if (count + 1) * 2 > mask + 1 { grow() }
        var place = IntegerTable.mix(key) & mask
        while entries[place].value >= 0 {
            if entries[place].key == key {
                entries[place].value = value
                return
            }
            place = (place + 1) & mask
        }
        entries[place] = Entry(key: key, value: value)
        count += 1
    }

    package mutating func remove(_ key: UInt64) {
        var place = IntegerTable.mix(key) & mask
        while entries[place].value >= 0, entries[place].key != key { place = (place + 1) & mask }
        guard entries[place].value >= 0 else { return }
        var hole = place
        var next = (hole + 1) & mask
        while entries[next].value >= 0 {
            let home = IntegerTable.mix(entries[next].key) & mask
            if (next - home) & mask >= (next - hole) & mask {
                entries[hole] = entries[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        entries[hole].value = -1
        count -= 1
    }

    package mutating func removeAll() {
        for place in 0...mask { entries[place].value = -1 }
        count = 0
    }

    /// Every key is found from its home place; for tests.
    package func checkInvariants() -> Bool {
        var seen = 0
        for place in 0...mask where entries[place].value >= 0 {
            seen += 1
            if find(entries[place].key) != entries[place].value { return false }
        }
        return seen == count && count * 2 <= mask + 1
    }

    private mutating func grow() {
        let old = entries
        let oldSize = mask + 1
        entries = .allocate(capacity: oldSize * 2)
        entries.initialize(repeating: Entry(key: 0, value: -1), count: oldSize * 2)
        mask = oldSize * 2 - 1
        for place in 0..<oldSize where old[place].value >= 0 {
            var target = IntegerTable.mix(old[place].key) & mask
            while entries[target].value >= 0 { target = (target + 1) & mask }
            entries[target] = old[place]
        }
        old.deallocate()
    }
}
