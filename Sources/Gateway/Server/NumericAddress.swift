// Numeric IP addresses as text: whether it is one, and whether it stays on this machine.
import Glibc

package enum NumericAddress {
    package static func isValid(_ text: String) -> Bool { version4(text) != nil || isVersion6(text) }

    /// 127.0.0.0/8 or ::1: nothing sent there leaves the machine.
    package static func isLoopback(_ text: String) -> Bool {
        if let first = version4(text) { return first == 127 }
        guard isVersion6(text) else { return false }
        var address = in6_addr()
        guard inet_pton(AF_INET6, text, &address) == 1 else { return false }
        return withUnsafeBytes(of: &address) { $0.dropLast().allSatisfy { $0 == 0 } && $0.last == 1 }
    }

    package static func isVersion6(_ text: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET6, text, &address) == 1
    }

    private static func version4(_ text: String) -> UInt8? {
        var address = in_addr()
        guard inet_pton(AF_INET, text, &address) == 1 else { return nil }
        return UInt8(truncatingIfNeeded: UInt32(bigEndian: address.s_addr) >> 24)
    }
}
