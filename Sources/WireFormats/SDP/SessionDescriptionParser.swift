// Text to SessionDescription: line by line, every size bounded, errors with the line they were found on.

package enum SDPLimits {
    package static let bytes = 1 << 20
    package static let lineBytes = 4096
    package static let lines = 32_768
    package static let sections = 128
    package static let formatsPerSection = 256
}

extension SessionDescription {
    package init(parsing text: String) throws(SDPError) {
        self = try Self.parse(SDPLineReader(text))
    }

    private static func parse(_ lines: consuming SDPLineReader) throws(SDPError) -> SessionDescription {
        guard let first = try lines.next(), first.type == "v" else {
            throw .malformed(line: 1, reason: "a session description begins with v=0")
        }
        guard first.value == "0" else {
            throw .malformed(line: lines.number, reason: "version \(first.value.excerpt), expected 0")
        }
        guard let second = try lines.next(), second.type == "o" else {
            throw .malformed(line: lines.number, reason: "expected o= after v=")
        }
        let origin = try parseOrigin(second.value, line: lines.number)
        guard let third = try lines.next(), third.type == "s" else {
            throw .malformed(line: lines.number, reason: "expected s= after o=")
        }
        var session = SessionDescription(origin: origin, name: third.value)
        while let line = try lines.next() {
            switch line.type {
            case "m":
                guard session.media.count < SDPLimits.sections else {
                    throw .tooLarge(what: "media sections", seen: session.media.count + 1, limit: SDPLimits.sections)
                }
                session.media.append(try parseMedia(line.value, line: lines.number))
            case "v", "o", "s":
                throw .malformed(line: lines.number, reason: "\(line.type)= occurs a second time")
            default:
                if session.media.isEmpty {
                    session.lines.append(line)
                } else {
                    session.media[session.media.count - 1].lines.append(line)
                }
            }
        }
        return session
    }

    private static func parseOrigin(_ value: String, line: Int) throws(SDPError) -> Origin {
        let words = value.words
        guard words.count == 6 else {
            throw .malformed(line: line, reason: "o= has \(words.count) words, expected 6")
        }
        guard let version = words[2].decimal(UInt64.self) else {
            throw .malformed(line: line, reason: "session version \(words[2].excerpt) is no number of 64 bits")
        }
        return Origin(
            username: String(words[0]), sessionID: String(words[1]), version: version,
            address: words[3...].joined(separator: " "))
    }

    static func parseMedia(_ value: String, line: Int) throws(SDPError) -> MediaDescription {
        let words = value.words
        guard words.count >= 4 else {
            throw .malformed(line: line, reason: "m= has \(words.count) words, expected at least 4")
        }
        let formats = words[3...]
        guard formats.count <= SDPLimits.formatsPerSection else {
            throw .tooLarge(what: "formats on line \(line)", seen: formats.count, limit: SDPLimits.formatsPerSection)
        }
        let ports = words[1].split(separator: "/", omittingEmptySubsequences: false)
        guard ports.count <= 2, let port = ports[0].decimal(UInt16.self) else {
            throw .malformed(line: line, reason: "port \(words[1].excerpt) is none")
        }
        var portCount: UInt16?
        if ports.count == 2 {
            guard let count = ports[1].decimal(UInt16.self) else {
                throw .malformed(line: line, reason: "port count \(words[1].excerpt) is none")
            }
            portCount = count
        }
        return MediaDescription(
            kind: String(words[0]), port: port, portCount: portCount, protocolText: String(words[2]),
            formats: formats.map(String.init))
    }
}

/// Hands out one `type=value` line after the other and knows its number.
struct SDPLineReader: ~Copyable {
    private let bytes: [UInt8]
    private var position = 0
    private(set) var number = 0

    init(_ text: String) throws(SDPError) {
        guard text.utf8.count <= SDPLimits.bytes else {
            throw .tooLarge(what: "bytes of the description", seen: text.utf8.count, limit: SDPLimits.bytes)
        }
        bytes = Array(text.utf8)
    }

    /// Nil at the end. Accepts LF alone as an end of line, and empty lines after the last one.
    mutating func next() throws(SDPError) -> SDPLine? {
        guard position < bytes.count else { return nil }
        number += 1
        guard number <= SDPLimits.lines else {
            throw .tooLarge(what: "lines", seen: number, limit: SDPLimits.lines)
        }
        let start = position
        var end = start
        while end < bytes.count, bytes[end] != 0x0A {
            guard bytes[end] != 0 else { throw .malformed(line: number, reason: "contains a zero byte") }
            end += 1
        }
        position = end + 1
        if end > start, bytes[end - 1] == 0x0D { end -= 1 }
        guard end - start <= SDPLimits.lineBytes else {
            throw .tooLarge(what: "bytes in line \(number)", seen: end - start, limit: SDPLimits.lineBytes)
        }
        if end == start {
            guard bytes[start...].allSatisfy({ $0 == 0x0A || $0 == 0x0D }) else {
                throw .malformed(line: number, reason: "empty line")
            }
            position = bytes.count
            return nil
        }
        guard end - start >= 2, bytes[start + 1] == UInt8(ascii: "="), bytes[start] >= 0x61, bytes[start] <= 0x7A else {
            throw .malformed(line: number, reason: "no type=value line")
        }
        // A carriage return inside a line would let one line be read as two by the other side.
        guard !bytes[start..<end].contains(0x0D) else {
            throw .malformed(line: number, reason: "contains a carriage return")
        }
        let type = Character(Unicode.Scalar(bytes[start]))
        return SDPLine(type, String(decoding: bytes[(start + 2)..<end], as: UTF8.self))
    }
}

extension StringProtocol {
    /// What an error message may repeat of the input: short, printable.
    var excerpt: String {
        let shown = utf8.prefix(40).map { $0 >= 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: "?") }
        let text = String(decoding: shown, as: UTF8.self)
        return utf8.count > 40 ? "\"\(text)…\"" : "\"\(text)\""
    }
}
