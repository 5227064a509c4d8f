// Names that travel in events: of participants, streams and viewports, and the checks that bound them.

/// A participant of one room, `p1`, `p2` … in the order of arrival. Never a person's name.
package struct ParticipantID: Hashable, Sendable, Codable, CodingKeyRepresentable, Comparable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }

    package init(from decoder: any Decoder) throws {
        text = try decoder.singleValueContainer().decode(String.self)
        guard Name.isValid(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "a participant is named like p12"))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    package init?<T: CodingKey>(codingKey: T) { self.init(codingKey.stringValue) }
    package var codingKey: any CodingKey { Name.Key(stringValue: text) }
    package var description: String { text }

    package static func < (a: ParticipantID, b: ParticipantID) -> Bool {
        (a.text.utf8.count, a.text) < (b.text.utf8.count, b.text)
    }
}

/// The rule for every short name chosen by a client: a stream, a viewport.
package enum Name {
    package static let maximumLength = 64

    /// Whether the text is 1 to 64 of `A-Z a-z 0-9 . _ -`.
    package static func isValid(_ text: String) -> Bool {
        (1...maximumLength).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// Whether the text is a DICOM unique identifier (PS3.5 section 9): digits and dots, at most 64.
    package static func isUniqueIdentifier(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".") }
    }

    struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
