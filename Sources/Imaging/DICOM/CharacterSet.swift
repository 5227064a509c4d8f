// Specific Character Set (0008,0005): bytes of text to a String. Code extensions (ISO 2022) are not read here yet.

package enum CharacterSet: Sendable, Equatable {
    case ascii
    case latin1
    case utf8
    /// Read as ASCII, every other byte becomes U+FFFD.
    case unsupported(String)

    package init(definedTerms: [String]) {
        switch definedTerms.first(where: { !$0.isEmpty }) {
        case nil, "ISO_IR 6", "ISO 2022 IR 6": self = .ascii
        case "ISO_IR 100", "ISO 2022 IR 100": self = .latin1
        case "ISO_IR 192": self = .utf8
        case .some(let term): self = .unsupported(term)
        }
    }

    /// Decodes and removes padding: trailing spaces and NULs, leading spaces.
    package func decode(_ bytes: ArraySlice<UInt8>) -> String {
        var slice = bytes
        while let last = slice.last, last == 0x20 || last == 0 { slice.removeLast() }
        while slice.first == 0x20 { slice.removeFirst() }
        switch self {
        case .utf8: return String(decoding: slice, as: UTF8.self)
        case .latin1:
            return String(String.UnicodeScalarView(slice.map { Unicode.Scalar($0) }))
        case .ascii, .unsupported:
            let replacement: Unicode.Scalar = "\u{FFFD}"
            return String(String.UnicodeScalarView(slice.map { $0 < 0x80 ? Unicode.Scalar($0) : replacement }))
        }
    }
}
