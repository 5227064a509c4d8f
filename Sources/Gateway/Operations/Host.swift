// What this host has: addresses, free ports, libraries. For links, certificates and `consilium doctor`.
import COpenSSL
import CWebSockets
import Glibc

package enum HostAddresses {
    /// Numeric addresses of all interfaces that are up; link-local ones are left out, loopback comes last.
    package static func all() -> [String] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return ["127.0.0.1"] }
        defer { freeifaddrs(list) }
        var found: [String] = []
        var entry = list
        while let current = entry {
            entry = current.pointee.ifa_next
            guard let address = current.pointee.ifa_addr, current.pointee.ifa_flags & UInt32(IFF_UP) != 0 else {
                continue
            }
            let family = Int32(address.pointee.sa_family)
            let length =
                family == AF_INET
                ? MemoryLayout<sockaddr_in>.size : family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : 0
            guard length > 0 else { continue }
            var name = [CChar](repeating: 0, count: 64)
            guard getnameinfo(address, socklen_t(length), &name, 64, nil, 0, NI_NUMERICHOST) == 0 else { continue }
            let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if !text.contains("%"), !text.hasPrefix("169.254."), !found.contains(text) { found.append(text) }
        }
        return found.filter { !NumericAddress.isLoopback($0) } + found.filter { NumericAddress.isLoopback($0) }
    }
}

package enum PortProbe {
    package enum Transport: String, Sendable {
        case tcp = "TCP"
        case udp = "UDP"
    }

    /// Why the port cannot be bound, or nil. The probe lets go of it at once.
    package static func fault(_ transport: Transport, address: String, port: Int) -> String? {
        let isVersion6 = NumericAddress.isVersion6(address)
        let kind = transport == .tcp ? Int32(SOCK_STREAM.rawValue) : Int32(SOCK_DGRAM.rawValue)
        let descriptor = socket(isVersion6 ? AF_INET6 : AF_INET, kind | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return SecretFile.words(errno) }
        defer { close(descriptor) }
        var on: Int32 = 1
        if transport == .tcp {
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        let result: Int32
        if isVersion6 {
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_port = UInt16(clamping: port).bigEndian
            inet_pton(AF_INET6, address, &name.sin6_addr)
            result = bindSocket(descriptor, &name)
        } else {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = UInt16(clamping: port).bigEndian
            inet_pton(AF_INET, address, &name.sin_addr)
            result = bindSocket(descriptor, &name)
        }
        guard result != 0 else { return nil }
        switch errno {
        case EADDRINUSE: return "is in use by another program"
        case EACCES: return "may not be used by this user; take one above 1023 or give the program CAP_NET_BIND_SERVICE"
        case EADDRNOTAVAIL: return "is not an address of this host"
        default: return SecretFile.words(errno)
        }
    }

    private static func bindSocket<Name>(_ descriptor: Int32, _ name: inout Name) -> Int32 {
        withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<Name>.size))
            }
        }
    }
}

package enum LibraryVersions {
    package static func all() -> [(name: String, version: String)] {
        [
            ("libwebsockets", lws_get_library_version().map { String(cString: $0) } ?? "unknown"),
            ("libuv", uv_version_string().map { String(cString: $0) } ?? "unknown"),
            ("OpenSSL", OpenSSL_version(OPENSSL_VERSION_TEXT).map { String(cString: $0) } ?? "unknown"),
        ]
    }

    private static let OPENSSL_VERSION_TEXT: Int32 = 0

    /// libwebsockets loads its libuv support at run time.
    package static var hasEventLoopPlugin: Bool {
        guard let handle = dlopen("libwebsockets-evlib_uv.so", RTLD_LAZY) else {
            return ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/local/lib"].contains {
                SecretFile.exists($0 + "/libwebsockets-evlib_uv.so")
            }
        }
        dlclose(handle)
        return true
    }
}
