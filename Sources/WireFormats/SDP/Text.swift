// Byte-wise text helpers for the SDP readers; ASCII rules only, because that is what the grammar is made of.

extension StringProtocol {
    /// Without the spaces and tabs at both ends.
    var trimmed: Substring {
        var rest = Substring(self).utf8
        while let first = rest.first, first == 0x20 || first == 0x09 { rest.removeFirst() }
        while let last = rest.last, last == 0x20 || last == 0x09 { rest.removeLast() }
        return Substring(rest)
    }

    func equalsIgnoringCase(_ other: some StringProtocol) -> Bool {
        utf8.count == other.utf8.count && zip(utf8, other.utf8).allSatisfy { $0.asciiLowercased == $1.asciiLowercased }
    }

    /// A plain decimal number: no sign, no space, no overflow.
    func decimal<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? {
        guard !utf8.isEmpty, utf8.count <= 20, utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return Number(String(self))
    }

    /// The characters of an identifier in RFC 8866's `token`.
    var isToken: Bool {
        !utf8.isEmpty
            && utf8.allSatisfy { byte in
                switch byte {
                case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x30...0x39, 0x41...0x5A, 0x5E...0x7E: true
                default: false
                }
            }
    }

    /// The words between runs of spaces.
    var words: [SubSequence] { split(separator: " ", omittingEmptySubsequences: true) }
}

extension UInt8 {
    var asciiLowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }
}
