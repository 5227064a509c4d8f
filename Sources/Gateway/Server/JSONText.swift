// Writes JSON text. For answers and log lines whose shape is fixed; values with a Codable form use JSONEncoder.

package struct JSONText: Sendable {
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    package init() {}

    package mutating func object(_ content: (inout JSONText) -> Void) {
        open("{")
        content(&self)
        close("}")
    }

    package mutating func array(_ content: (inout JSONText) -> Void) {
        open("[")
        content(&self)
        close("]")
    }

    package mutating func key(_ name: String, _ value: (inout JSONText) -> Void) {
        separate()
        appendString(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
        value(&self)
        needsComma = true
    }

    package mutating func field(_ name: String, _ value: String?) { key(name) { $0.value(value) } }
    package mutating func field(_ name: String, _ value: Int) { key(name) { $0.value(value) } }
    package mutating func field(_ name: String, _ value: Bool) { key(name) { $0.value(value) } }
    /// JSON that is already text. The caller answers for its form.
    package mutating func field(_ name: String, raw: [UInt8]) { key(name) { $0.value(raw: raw) } }

    package mutating func value(_ value: String?) {
        separate()
        if let value { appendString(value) } else { bytes += "null".utf8 }
        needsComma = true
    }

    package mutating func value(_ value: Int) {
        separate()
        bytes += String(value).utf8
        needsComma = true
    }

    package mutating func value(_ value: Bool) {
        separate()
        bytes += (value ? "true" : "false").utf8
        needsComma = true
    }

    package mutating func value(raw: [UInt8]) {
        separate()
        bytes += raw
        needsComma = true
    }

    private mutating func open(_ bracket: Unicode.Scalar) {
        separate()
        bytes.append(UInt8(ascii: bracket))
        needsComma = false
    }

    private mutating func close(_ bracket: Unicode.Scalar) {
        bytes.append(UInt8(ascii: bracket))
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = false
    }

    private mutating func appendString(_ text: String) {
        let hex = Array("0123456789abcdef".utf8)
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case 0x0A: bytes += "\\n".utf8
            case 0x0D: bytes += "\\r".utf8
            case 0x09: bytes += "\\t".utf8
            case 0..<0x20: bytes += "\\u00".utf8 + [hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
