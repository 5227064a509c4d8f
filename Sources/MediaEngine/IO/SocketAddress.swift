// An IP address with a port as four integers: what the packet path compares, hashes and sends to.
import CLinux
import Glibc

/// IPv4 is kept as IPv4, also when a dual-stack socket shows it as `::ffff:a.b.c.d`, so that one peer is one value.
package struct SocketAddress: Hashable, Sendable {
    package enum Family: UInt8, Sendable {
        case v4 = 4
        case v6 = 6
    }

    /// The 16 bytes of the address in network order read as two big-endian integers; IPv4 sits in `low`'s last 32 bits.
    package let high: UInt64
    package let low: UInt64
    package let scope: UInt32
    package let port: UInt16
    package let family: Family

    @inlinable
    package init(high: UInt64, low: UInt64, port: UInt16, scope: UInt32 = 0) {
        self.high = high
        self.low = low
        self.port = port
        self.scope = scope
        family = .v6
    }

    @inlinable
    package init(v4: UInt32, port: UInt16) {
        high = 0
        low = UInt64(v4)
        self.port = port
        scope = 0
        family = .v4
    }

    /// Parses `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`; nothing else, no names.
    package init?(_ text: String, port: UInt16) {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4: UInt32(bigEndian: v4.s_addr), port: port)
            return
        }
        let inner = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, inner, &v6) == 1 else { return nil }
        self = withUnsafeBytes(of: &v6) { Self(v6Bytes: $0, port: port, scope: 0) }
    }

    package static func any4(port: UInt16) -> SocketAddress { SocketAddress(v4: 0, port: port) }
    package static func any6(port: UInt16) -> SocketAddress { SocketAddress(high: 0, low: 0, port: port) }
    package static func loopback4(port: UInt16) -> SocketAddress { SocketAddress(v4: 0x7F00_0001, port: port) }

    package func withPort(_ port: UInt16) -> SocketAddress {
        switch family {
        case .v4: SocketAddress(v4: UInt32(truncatingIfNeeded: low), port: port)
        case .v6: SocketAddress(high: high, low: low, port: port, scope: scope)
        }
    }

    package var isUnspecified: Bool { high == 0 && low == 0 }

    package var isLoopback: Bool {
        switch family {
        case .v4: (low >> 24) & 0xFF == 127
        case .v6: high == 0 && low == 1
        }
    }

    package var isLinkLocal: Bool {
        switch family {
        case .v4: (low >> 16) & 0xFFFF == 0xA9FE
        case .v6: (high >> 54) == 0xFE80 >> 6
        }
    }

    /// The address without the port, as SDP candidates write it.
    package var host: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        switch family {
        case .v4:
            var address = in_addr(s_addr: UInt32(truncatingIfNeeded: low).bigEndian)
            inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
        case .v6:
            var halves = (high.bigEndian, low.bigEndian)
            inet_ntop(AF_INET6, &halves, &text, socklen_t(text.count))
        }
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }
}

extension SocketAddress: CustomStringConvertible {
    package var description: String {
        switch family {
        case .v4: "\(host):\(port)"
        case .v6: "[\(host)]:\(port)"
        }
    }
}

// MARK: - sockaddr

extension SocketAddress {
    /// Which `sockaddr` a socket speaks: a dual-stack socket takes IPv4 as mapped IPv6.
    package enum SocketKind: Sendable {
        case v4
        case v6
    }

    static let storageBytes = MemoryLayout<sockaddr_in6>.stride

    private init(v6Bytes bytes: UnsafeRawBufferPointer, port: UInt16, scope: UInt32) {
        let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        if high == 0, low >> 32 == 0xFFFF {
            self.init(v4: UInt32(truncatingIfNeeded: low), port: port)
        } else {
            self.init(high: high, low: low, port: port, scope: scope)
        }
    }

    /// Reads what the kernel wrote into a `sockaddr`; nil for any other family.
    init?(sockaddr pointer: UnsafeRawPointer, length: Int) {
        guard length >= MemoryLayout<sa_family_t>.size else { return nil }
        switch Int32(pointer.loadUnaligned(as: sa_family_t.self)) {
        case AF_INET:
            guard length >= MemoryLayout<sockaddr_in>.size else { return nil }
            let native = pointer.loadUnaligned(as: sockaddr_in.self)
            self.init(v4: UInt32(bigEndian: native.sin_addr.s_addr), port: UInt16(bigEndian: native.sin_port))
        case AF_INET6:
            guard length >= MemoryLayout<sockaddr_in6>.size else { return nil }
            let bytes = UnsafeRawBufferPointer(start: pointer + 8, count: 16)
            self.init(
                v6Bytes: bytes, port: UInt16(bigEndian: pointer.loadUnaligned(fromByteOffset: 2, as: UInt16.self)),
                scope: pointer.loadUnaligned(fromByteOffset: 24, as: UInt32.self))
        default:
            return nil
        }
    }

    /// Writes the `sockaddr` a socket of this kind understands into at least `storageBytes`, and returns its length.
    @discardableResult
    func write(to pointer: UnsafeMutableRawPointer, for kind: SocketKind) -> Int {
        switch (kind, family) {
        case (.v4, _):
            // An IPv6 destination cannot be reached from an IPv4 socket: the kernel refuses 0.0.0.0:0 and we count it.
            var native = sockaddr_in()
            native.sin_family = sa_family_t(AF_INET)
            if family == .v4 {
                native.sin_port = port.bigEndian
                native.sin_addr.s_addr = UInt32(truncatingIfNeeded: low).bigEndian
            }
            pointer.storeBytes(of: native, as: sockaddr_in.self)
            return MemoryLayout<sockaddr_in>.size
        case (.v6, .v4):
            writeV6(to: pointer, high: 0, low: 0xFFFF_0000_0000 | low)
            return MemoryLayout<sockaddr_in6>.size
        case (.v6, .v6):
            writeV6(to: pointer, high: high, low: low)
            return MemoryLayout<sockaddr_in6>.size
        }
    }

    private func writeV6(to pointer: UnsafeMutableRawPointer, high: UInt64, low: UInt64) {
        pointer.storeBytes(of: sa_family_t(AF_INET6), as: sa_family_t.self)
        pointer.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
        pointer.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
        pointer.storeBytes(of: high.bigEndian, toByteOffset: 8, as: UInt64.self)
        pointer.storeBytes(of: low.bigEndian, toByteOffset: 16, as: UInt64.self)
        pointer.storeBytes(of: scope, toByteOffset: 24, as: UInt32.self)
    }

    var socketFamily: Int32 {
        switch family {
        case .v4: AF_INET
        case .v6: AF_INET6
        }
    }

    /// Where a bound or accepted socket sits.
    static func local(of descriptor: Int32) throws(SystemCallError) -> SocketAddress {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { throw SystemCallError(call: "getsockname", code: errno) }
        let address = withUnsafeBytes(of: &storage) { bytes in
            bytes.baseAddress.flatMap { SocketAddress(sockaddr: $0, length: Int(length)) }
        }
        guard let address else { throw SystemCallError(call: "getsockname", code: EAFNOSUPPORT) }
        return address
    }

    func bind(_ descriptor: Int32) throws(SystemCallError) {
        var storage = sockaddr_storage()
        let kind: SocketKind = family == .v4 ? .v4 : .v6
        let result = withUnsafeMutableBytes(of: &storage) { bytes -> Int32 in
            guard let base = bytes.baseAddress else { return -1 }
            let length = write(to: base, for: kind)
            return Glibc.bind(descriptor, UnsafePointer(base.assumingMemoryBound(to: sockaddr.self)), socklen_t(length))
        }
        guard result == 0 else { throw SystemCallError(call: "bind \(self)", code: errno) }
    }
}
