// The candidates that every answer carries: the host's addresses with the UDP port and, behind them, the TCP port.
import WireFormats

/// A lite agent has host candidates only (RFC 8445 §2.5). UDP comes before TCP (RFC 6544 §4.2) and loopback last:
/// Firefox and GStreamer do not connect to a server that offers nothing else, but a test on one host is quickest by it.
struct LocalCandidates {
    let list: [ICECandidate]

    init(bound: String, announced: [String], udpPort: UInt16, tcpPort: UInt16) {
        var hosts = announced
        if hosts.isEmpty {
            if let address = SocketAddress(bound, port: 0), !address.isUnspecified {
                hosts = [address.host]
            } else {
                let isV4Only = SocketAddress(bound, port: 0)?.family == .v4
                hosts = hostAddresses().filter { !isV4Only || $0.family == .v4 }.map(\.host)
            }
        }
        var list: [ICECandidate] = []
        for (index, host) in hosts.prefix(16).enumerated() {
            list.append(
                ICECandidate(
                    foundation: "u\(index)", transport: .udp,
                    priority: LocalCandidates.priority(type: 126, local: 65_535 - index), address: host, port: udpPort))
        }
        if tcpPort != 0 {
            for (index, host) in hosts.prefix(16).enumerated() {
                // RFC 6544 §4.2: passive candidates have a direction preference of 4.
                let preference = 4 << 13 | (8191 - index)
                list.append(
                    ICECandidate(
                        foundation: "t\(index)", transport: .tcp,
                        priority: LocalCandidates.priority(type: 90, local: preference), address: host, port: tcpPort,
                        tcpType: .passive))
            }
        }
        self.list = list
    }

    /// RFC 8445 §5.1.2.1, component 1.
    private static func priority(type: UInt32, local: Int) -> UInt32 {
        type << 24 | UInt32(truncatingIfNeeded: local & 0xFFFF) << 8 | 255
    }
}
