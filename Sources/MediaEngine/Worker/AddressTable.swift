// An open-addressing table from remote addresses to path ids.

/// Linear probing with backward-shift deletion. It never holds more than the paths that the engine allows.
struct AddressTable: ~Copyable {
    private struct Entry {
        var address: SocketAddress
        /// -1 marks an empty place.
        var value: Int32
    }

    private var entries: UnsafeMutablePointer<Entry>
    private var mask: Int
    private(set) var count = 0

    init(minimumCapacity: Int = 32) {
        var size = 64
        while size < minimumCapacity * 2 { size *= 2 }
        entries = .allocate(capacity: size)
        entries.initialize(repeating: AddressTable.empty, count: size)
        mask = size - 1
    }

    deinit { entries.deallocate() }

    private static let empty = Entry(address: SocketAddress(v4: 0, port: 0), value: -1)

    private static func hash(_ address: SocketAddress) -> Int {
        var z = address.low ^ (address.high &* 0x9E37_79B9_7F4A_7C15) ^ (UInt64(address.port) << 48)
        z ^= UInt64(address.scope) << 20
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int(truncatingIfNeeded: z ^ (z >> 31))
    }

    func find(_ address: SocketAddress) -> Int32? {
        var place = AddressTable.hash(address) & mask
        while entries[place].value >= 0 {
            if entries[place].address == address { return entries[place].value }
            place = (place &+ 1) & mask
        }
        return nil
    }

    mutating func set(_ address: SocketAddress, to value: Int32) {
        if (count + 1) * 2 > mask + 1 { grow() }
        var place = AddressTable.hash(address) & mask
        while entries[place].value >= 0 {
            if entries[place].address == address {
                entries[place].value = value
                return
            }
            place = (place + 1) & mask
        }
        entries[place] = Entry(address: address, value: value)
        count += 1
    }

    mutating func remove(_ address: SocketAddress) {
        var hole = AddressTable.hash(address) & mask
        while entries[hole].value >= 0, entries[hole].address != address { hole = (hole + 1) & mask }
        guard entries[hole].value >= 0 else { return }
        var next = (hole + 1) & mask
        while entries[next].value >= 0 {
            let home = AddressTable.hash(entries[next].address) & mask
            if (next - home) & mask >= (next - hole) & mask {
                entries[hole] = entries[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        entries[hole] = AddressTable.empty
        count -= 1
    }

    private mutating func grow() {
        let old = entries
        let oldSize = mask + 1
        entries = .allocate(capacity: oldSize * 2)
        entries.initialize(repeating: AddressTable.empty, count: oldSize * 2)
        mask = oldSize * 2 - 1
        for index in 0..<oldSize where old[index].value >= 0 {
            var place = AddressTable.hash(old[index].address) & mask
            while entries[place].value >= 0 { place = (place + 1) & mask }
            entries[place] = old[index]
        }
        old.deallocate()
    }
}
