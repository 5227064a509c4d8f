// An IP address with a port as plain old data, the form in which STUN speaks of addresses.

/// An IPv4 or IPv6 transport address, 24 bytes, no allocation.
package struct TransportAddress: Hashable, Sendable {
    package enum Family: UInt8, Sendable {
        case ipv4 = 1
        case ipv6 = 2
    }

    package let family: Family
    package let port: UInt16
    /// The address in network order, read as big endian numbers. An IPv4 address sits in the low 32 bits of `low`.
    package let high: UInt64
    package let low: UInt64

    package init(ipv4 address: UInt32, port: UInt16) {
        family = .ipv4
        self.port = port
        high = 0
        low = UInt64(address)
    }

    package init(ipv6High high: UInt64, low: UInt64, port: UInt16) {
        family = .ipv6
        self.port = port
        self.high = high
        self.low = low
    }

    /// The 4 or 16 address bytes in network order.
    package var addressBytes: [UInt8] {
        switch family {
        case .ipv4:
            (0..<4).map { UInt8(truncatingIfNeeded: low >> UInt64(24 - 8 * $0)) }
        case .ipv6:
            (0..<8).map { UInt8(truncatingIfNeeded: high >> UInt64(56 - 8 * $0)) }
                + (0..<8).map { UInt8(truncatingIfNeeded: low >> UInt64(56 - 8 * $0)) }
        }
    }
}
