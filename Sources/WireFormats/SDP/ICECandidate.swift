// One ICE candidate as it is written in SDP (RFC 8839 section 5.1, RFC 6544 section 4.5).

package struct ICECandidate: Sendable, Hashable {
    package enum Transport: String, Sendable { case udp, tcp }
    package enum Kind: String, Sendable { case host, srflx, prflx, relay }
    package enum TCPType: String, Sendable { case active, passive, so }

    package var foundation: String
    package var component: UInt16
    package var transport: Transport
    package var priority: UInt32
    /// A literal IPv4 or IPv6 address, or a name such as `….local` that can't be resolved here.
    package var address: String
    package var port: UInt16
    package var kind: Kind
    package var tcpType: TCPType?
    /// What followed, kept as it was written: `raddr`, `generation`, `network-id`, …
    package var extensions: String

    package init(
        foundation: String, component: UInt16 = 1, transport: Transport, priority: UInt32, address: String,
        port: UInt16, kind: Kind = .host, tcpType: TCPType? = nil, extensions: String = ""
    ) {
        self.foundation = foundation
        self.component = component
        self.transport = transport
        self.priority = priority
        self.address = address
        self.port = port
        self.kind = kind
        self.tcpType = tcpType
        self.extensions = extensions
    }

    /// Hidden behind multicast DNS: only the peer's own checks will tell its address.
    package var isHiddenName: Bool { address.utf8.suffix(6).elementsEqual(".local".utf8) }
}

extension ICECandidate {
    /// Reads what stands after `a=candidate:` (or after `candidate:`); nil for transports, types and shapes unknown here,
    /// which RFC 8839 says to ignore.
    package init?(parsing text: some StringProtocol) {
        let words = text.words
        guard words.count >= 8, words[6] == "typ",
            words[0].utf8.count <= 32 || words[0].isToken,
            let component = words[1].decimal(UInt16.self),
            let transport = Transport(rawValue: words[2].lowercased()),
            let priority = words[3].decimal(UInt32.self),
            words[4].utf8.count <= 255,
            let port = words[5].decimal(UInt16.self),
            let kind = Kind(rawValue: String(words[7]))
        else { return nil }
        var rest = words[8...]
        var extensions: [Substring] = []
        var tcpType: TCPType?
        while rest.count >= 2 {
            let name = rest.removeFirst()
            let value = rest.removeFirst()
            if name == "tcptype" {
                tcpType = TCPType(rawValue: String(value))
            } else {
                extensions.append(Substring(name))
                extensions.append(Substring(value))
            }
        }
        guard transport == .udp || tcpType != nil else { return nil }
        self.init(
            foundation: String(words[0]), component: component, transport: transport, priority: priority,
            address: String(words[4]), port: port, kind: kind, tcpType: tcpType,
            extensions: extensions.joined(separator: " "))
    }
}

extension ICECandidate: CustomStringConvertible {
    /// What stands after `a=candidate:`.
    package var description: String {
        var text =
            "\(foundation) \(component) \(transport.rawValue) \(priority) \(address) \(port) typ \(kind.rawValue)"
        if let tcpType { text += " tcptype \(tcpType.rawValue)" }
        if !extensions.isEmpty { text += " \(extensions)" }
        return text
    }
}
