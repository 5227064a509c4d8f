// A session description as lines (RFC 8866), parsed just far enough that nothing is lost when it is written again.

/// One `type=value` line.
package struct SDPLine: Sendable, Hashable {
    package var type: Character
    package var value: String

    package init(_ type: Character, _ value: String) {
        self.type = type
        self.value = value
    }

    /// `a=name` or `a=name:value`.
    package static func attribute(_ name: String, _ value: String? = nil) -> SDPLine {
        SDPLine("a", value.map { "\(name):\($0)" } ?? name)
    }

    /// Nil unless this is an attribute of that name; the empty string for one without value.
    package func value(ofAttribute name: String) -> Substring? {
        guard type == "a", value.utf8.starts(with: name.utf8) else { return nil }
        let end = value.utf8.index(value.utf8.startIndex, offsetBy: name.utf8.count)
        if end == value.utf8.endIndex { return value[end...] }
        guard value.utf8[end] == UInt8(ascii: ":") else { return nil }
        return value[value.utf8.index(after: end)...]
    }
}

/// Anything that holds attribute lines: the session, a media section, a trickle fragment.
package protocol AttributeLines {
    var lines: [SDPLine] { get set }
}

extension AttributeLines {
    /// The value of the first attribute of that name.
    package func attribute(_ name: String) -> Substring? {
        for line in lines {
            if let value = line.value(ofAttribute: name) { return value }
        }
        return nil
    }

    package func attributes(_ name: String) -> [Substring] {
        lines.compactMap { $0.value(ofAttribute: name) }
    }

    package func hasAttribute(_ name: String) -> Bool { attribute(name) != nil }
}

package struct SessionDescription: Sendable, Hashable, AttributeLines {
    package struct Origin: Sendable, Hashable {
        package var username: String
        package var sessionID: String
        package var version: UInt64
        /// `IN IP4 127.0.0.1`: of no use to anyone, kept to be written again.
        package var address: String

        package init(username: String = "-", sessionID: String, version: UInt64, address: String = "IN IP4 0.0.0.0") {
            self.username = username
            self.sessionID = sessionID
            self.version = version
            self.address = address
        }
    }

    package var origin: Origin
    package var name: String
    /// Everything between `s=` and the first `m=`, in order.
    package var lines: [SDPLine]
    package var media: [MediaDescription]

    package init(origin: Origin, name: String = "-", lines: [SDPLine] = [], media: [MediaDescription] = []) {
        self.origin = origin
        self.name = name
        self.lines = lines
        self.media = media
    }
}

package struct MediaDescription: Sendable, Hashable, AttributeLines {
    package var kind: String
    package var port: UInt16
    /// `m=video 49170/2 …`; nil in every description of a browser.
    package var portCount: UInt16?
    package var protocolText: String
    package var formats: [String]
    package var lines: [SDPLine]

    package init(
        kind: String, port: UInt16, portCount: UInt16? = nil, protocolText: String, formats: [String],
        lines: [SDPLine] = []
    ) {
        self.kind = kind
        self.port = port
        self.portCount = portCount
        self.protocolText = protocolText
        self.formats = formats
        self.lines = lines
    }
}

extension SessionDescription: CustomStringConvertible {
    /// The text, with CRLF ends.
    package var description: String {
        var text = "v=0\r\n"
        text += "o=\(origin.username) \(origin.sessionID) \(origin.version) \(origin.address)\r\n"
        text += "s=\(name)\r\n"
        for line in lines { text += "\(line.type)=\(line.value)\r\n" }
        for section in media { text += section.description }
        return text
    }
}

extension MediaDescription: CustomStringConvertible {
    package var description: String {
        let ports = portCount.map { "\(port)/\($0)" } ?? String(port)
        var text = "m=\(kind) \(ports) \(protocolText) \(formats.joined(separator: " "))\r\n"
        for line in lines { text += "\(line.type)=\(line.value)\r\n" }
        return text
    }
}
