// A parsed data set: elements in file order, their values still in the bytes they came from.

/// One attribute. Values are ranges of the file's bytes; nothing is copied until somebody asks.
package struct DataElement: Sendable {
    package enum Value: Sendable {
        case bytes(Range<Int>)
        case items([DataSet])
        /// Encapsulated pixel data inside a sequence: offset table first.
        case fragments([Range<Int>])
    }

    package let tag: Tag
    package let vr: ValueRepresentation
    package let value: Value
}

package struct DataSet: Sendable {
    package private(set) var elements: [DataElement] = []
    private let bytes: [UInt8]
    /// Attributes ascend in every proper file; then look-up is a binary search.
    private var isAscending = true
    private let inherited: CharacterSet

    package init(bytes: [UInt8], characterSet: CharacterSet = .ascii) {
        self.bytes = bytes
        inherited = characterSet
    }

    package mutating func append(_ element: DataElement) {
        if let last = elements.last, last.tag >= element.tag { isAscending = false }
        elements.append(element)
    }

    package subscript(tag: Tag) -> DataElement? {
        guard isAscending else { return elements.first { $0.tag == tag } }
        var low = 0
        var high = elements.count
        while low < high {
            let middle = (low + high) / 2
            if elements[middle].tag < tag { low = middle + 1 } else { high = middle }
        }
        return low < elements.count && elements[low].tag == tag ? elements[low] : nil
    }

    /// The character set of text in this data set: its own, or that of the data set around it (PS3.3 C.12.1.1.2).
    package var characterSet: CharacterSet {
        self[.specificCharacterSet] == nil ? inherited : CharacterSet(definedTerms: strings(.specificCharacterSet))
    }

    package func items(_ tag: Tag) -> [DataSet] {
        if case .items(let items)? = self[tag]?.value { items } else { [] }
    }

    /// The value's bytes, or nil when absent or a sequence.
    package func rawValue(_ tag: Tag) -> ArraySlice<UInt8>? {
        guard case .bytes(let range)? = self[tag]?.value, range.upperBound <= bytes.count else { return nil }
        return bytes[range]
    }

    /// Text values, padding removed, split at the backslash.
    package func strings(_ tag: Tag) -> [String] {
        guard let raw = rawValue(tag), raw.count <= Self.longestText else { return [] }
        return raw.split(separator: 0x5C, omittingEmptySubsequences: false).map { CharacterSet.ascii.decode($0) }
    }

    package func string(_ tag: Tag) -> String? {
        guard let first = strings(tag).first, !first.isEmpty else { return nil }
        return first
    }

    /// Text for people, in the data set's character set, not split (a backslash byte may be half of a character).
    package func text(_ tag: Tag) -> String? {
        guard let raw = rawValue(tag), raw.count <= Self.longestText else { return nil }
        let text = characterSet.decode(raw)
        return text.isEmpty ? nil : text
    }

    /// Whole numbers: IS as text, US, SS, UL, SL in binary.
    package func integers(_ tag: Tag) -> [Int] {
        guard let element = self[tag], let raw = rawValue(tag) else { return [] }
        let vr = element.vr == .UN ? tag.dictionaryVR : element.vr
        switch vr {
        case .US: return words(raw).map { Int($0) }
        case .SS: return words(raw).map { Int(Int16(bitPattern: $0)) }
        case .UL: return longWords(raw).map { Int($0) }
        case .SL: return longWords(raw).map { Int(Int32(bitPattern: $0)) }
        case .FL, .FD: return decimals(tag).compactMap { Int(exactly: $0) }
        default: return strings(tag).compactMap { Int($0) }
        }
    }

    package func integer(_ tag: Tag) -> Int? { integers(tag).first }

    /// Decimal numbers: DS and IS as text, FL and FD in binary; empty when one of them is no finite number.
    package func decimals(_ tag: Tag) -> [Double] {
        guard let element = self[tag], let raw = rawValue(tag) else { return [] }
        let vr = element.vr == .UN ? tag.dictionaryVR : element.vr
        let numbers: [Double?]
        switch vr {
        case .FL: numbers = longWords(raw).map { Double(Float(bitPattern: $0)) }
        case .FD:
            let halves = longWords(raw)
            numbers = (0..<halves.count / 2).map { index in
                let high = UInt64(halves[2 * index + 1])
                return Double(bitPattern: high << 32 | UInt64(halves[2 * index]))
            }
        case .US, .SS, .UL, .SL: numbers = integers(tag).map { Double($0) }
        default: numbers = strings(tag).map(Self.decimal)
        }
        let finite = numbers.compactMap { $0 }.filter(\.isFinite)
        return finite.count == numbers.count ? finite : []
    }

    package func decimal(_ tag: Tag) -> Double? { decimals(tag).first }

    /// `Double.init` also reads "nan", "inf" and hexadecimal, which no DS is.
    private static func decimal(_ text: String) -> Double? {
        let allowed = text.utf8.allSatisfy { (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }
        return allowed ? Double(text) : nil
    }

    private func words(_ raw: ArraySlice<UInt8>) -> [UInt16] {
        (0..<raw.count / 2).map { index in
            let start = raw.startIndex + 2 * index
            return UInt16(raw[start]) | UInt16(raw[start + 1]) << 8
        }
    }

    private func longWords(_ raw: ArraySlice<UInt8>) -> [UInt32] {
        let halves = words(raw)
        return (0..<halves.count / 2).map { UInt32(halves[2 * $0]) | UInt32(halves[2 * $0 + 1]) << 16 }
    }

    /// Longer text is nothing that is read here (UT may have 4 GB).
    private static let longestText = 1 << 16
}
