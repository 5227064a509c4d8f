// The addresses this host can be reached at: what the server offers as host candidates.
import CLinux
import Glibc

/// All addresses of interfaces that are up, loopback last, without link-local ones (a browser cannot use their scope)
/// and without duplicates. Ports are zero.
package func hostAddresses() -> [SocketAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [.loopback4(port: 0)] }
    defer { freeifaddrs(list) }
    var routable: [SocketAddress] = []
    var loopback: [SocketAddress] = []
    var next = list
    while let entry = next {
        next = entry.pointee.ifa_next
        guard entry.pointee.ifa_flags & UInt32(CLINUX_INTERFACE_UP) != 0, let raw = entry.pointee.ifa_addr,
            let address = SocketAddress(sockaddr: raw, length: MemoryLayout<sockaddr_in6>.size),
            !address.isLinkLocal, !address.isUnspecified
        else { continue }
        if address.isLoopback {
            if !loopback.contains(address) { loopback.append(address) }
        } else if !routable.contains(address) {
            routable.append(address)
        }
    }
    return routable + loopback
}
