// Bytes of a data set to elements, up to the pixels; every length is compared with what encloses it before it is used.

/// Bounds that no clinical header comes near.
package struct DICOMLimits: Sendable {
    package var nestingDepth = 64
    package var elements = 500_000
    package var headerBytes = 64 << 20

    package init() {}
}

/// Where the pixels lie. `length` is nil for undefined length, which is what encapsulated pixels have.
package struct PixelDataLocation: Sendable, Equatable {
    package let tag: Tag
    package let vr: ValueRepresentation
    package let offset: Int
    package let length: Int?
}

/// Reads one data set from a prefix of a file. Thrown when the prefix ends before the header does: `PrefixTooShort`.
struct DICOMParser {
    struct PrefixTooShort: Error {}

    private let bytes: [UInt8]
    /// Length of the whole file; `bytes` may hold only its beginning.
    private let fileLength: Int
    private let limits: DICOMLimits
    private var offset: Int
    private var elementCount = 0
    private(set) var pixelData: PixelDataLocation?

    private static let undefinedLength: UInt32 = 0xFFFF_FFFF

    init(bytes: [UInt8], fileLength: Int, offset: Int, limits: DICOMLimits) {
        self.bytes = bytes
        self.fileLength = max(fileLength, bytes.count)
        self.offset = offset
        self.limits = limits
    }

    // MARK: - Data sets

    /// The file meta information: group 2, always explicit little endian (PS3.10 7.1). Its group length is not trusted.
    mutating func parseFileMeta() throws -> (meta: DataSet, endOffset: Int) {
        var meta = DataSet(bytes: bytes)
        while offset < fileLength, try peekGroup() == 0x0002 {
            let header = try elementHeader(.explicitLittleEndian)
            try append(header, to: &meta, end: fileLength, encoding: .explicitLittleEndian, depth: 0)
        }
        return (meta, offset)
    }

    /// The data set itself, up to its pixel data or the end of the file.
    mutating func parseDataSet(_ encoding: HeaderEncoding) throws -> DataSet {
        var dataSet = DataSet(bytes: bytes)
        while offset < fileLength {
            if try isTrailingPadding() { break }
            let header = try elementHeader(encoding)
            if header.tag.isPixelData {
                pixelData = PixelDataLocation(tag: header.tag, vr: header.vr, offset: offset, length: header.length)
                break
            }
            try append(header, to: &dataSet, end: fileLength, encoding: encoding, depth: 0)
        }
        return dataSet
    }

    private mutating func append(
        _ header: ElementHeader, to dataSet: inout DataSet, end: Int, encoding: HeaderEncoding, depth: Int
    ) throws {
        guard header.tag.group != 0xFFFE else {
            throw DICOMError.unexpectedTag(offset: header.offset, seen: header.tag, expected: "an attribute")
        }
        let value = try self.value(
            of: header, end: end, encoding: encoding, depth: depth, characterSet: dataSet.characterSet)
        dataSet.append(DataElement(tag: header.tag, vr: header.vr, value: value))
    }

    private mutating func value(
        of header: ElementHeader, end: Int, encoding: HeaderEncoding, depth: Int, characterSet: CharacterSet
    ) throws -> DataElement.Value {
        if let length = header.length {
            guard length <= end - offset else {
                throw DICOMError.lengthTooLarge(
                    offset: header.offset, tag: header.tag, length: length, available: max(0, end - offset))
            }
            if header.vr == .SQ {
                return .items(
                    try items(
                        in: header, end: offset + length, encoding: encoding, depth: depth + 1,
                        characterSet: characterSet))
            }
            try require(length)
            defer { offset += length }
            return .bytes(offset..<offset + length)
        }
        switch header.vr {
        case .OB, .OW:
            return .fragments(try fragments(of: header, end: end))
        case .UN:
            // PS3.5 6.2.2 note 2: UN of undefined length is a sequence written implicitly.
            return .items(
                try items(
                    in: header, end: end, encoding: .implicitLittleEndian, depth: depth + 1,
                    characterSet: characterSet))
        case .SQ:
            return .items(
                try items(in: header, end: end, encoding: encoding, depth: depth + 1, characterSet: characterSet))
        default:
            throw DICOMError.lengthTooLarge(
                offset: header.offset, tag: header.tag, length: Int(Self.undefinedLength),
                available: max(0, end - offset))
        }
    }

    // MARK: - Sequences

    /// The items of a sequence of `header.length` bytes (then `end` is its end), or up to its delimiter.
    private mutating func items(
        in header: ElementHeader, end: Int, encoding: HeaderEncoding, depth: Int, characterSet: CharacterSet
    ) throws -> [DataSet] {
        guard depth <= limits.nestingDepth else {
            throw DICOMError.nestedTooDeep(offset: header.offset, limit: limits.nestingDepth)
        }
        let isDelimited = header.length == nil
        var items: [DataSet] = []
        while isDelimited || offset < end {
            let item = try delimiterHeader(end: end)
            if isDelimited, item.tag == .sequenceDelimitation { return items }
            guard item.tag == .item else {
                throw DICOMError.unexpectedTag(
                    offset: item.offset, seen: item.tag, expected: "an item of \(header.tag)")
            }
            try countElement()
            items.append(
                try self.item(item, end: end, encoding: encoding, depth: depth, characterSet: characterSet))
        }
        return items
    }

    private mutating func item(
        _ header: ElementHeader, end: Int, encoding: HeaderEncoding, depth: Int, characterSet: CharacterSet
    ) throws -> DataSet {
        var itemEnd = end
        if let length = header.length {
            guard length <= end - offset else {
                throw DICOMError.lengthTooLarge(
                    offset: header.offset, tag: header.tag, length: length, available: max(0, end - offset))
            }
            itemEnd = offset + length
        }
        var dataSet = DataSet(bytes: bytes, characterSet: characterSet)
        while header.length == nil || offset < itemEnd {
            if header.length == nil, try peekGroup() == 0xFFFE {
                let delimiter = try delimiterHeader(end: itemEnd)
                guard delimiter.tag == .itemDelimitation else {
                    throw DICOMError.unexpectedTag(
                        offset: delimiter.offset, seen: delimiter.tag, expected: "an item delimiter")
                }
                break
            }
            let element = try elementHeader(encoding)
            try append(element, to: &dataSet, end: itemEnd, encoding: encoding, depth: depth)
        }
        guard offset <= itemEnd else {
            throw DICOMError.lengthTooLarge(
                offset: header.offset, tag: header.tag, length: offset - header.offset, available: 0)
        }
        return dataSet
    }

    /// Encapsulated pixels inside a sequence (an icon): items of bytes up to the delimiter (PS3.5 A.4).
    private mutating func fragments(of header: ElementHeader, end: Int) throws -> [Range<Int>] {
        var fragments: [Range<Int>] = []
        while true {
            let fragment = try delimiterHeader(end: end)
            if fragment.tag == .sequenceDelimitation { return fragments }
            guard fragment.tag == .item, let length = fragment.length else {
                throw DICOMError.unexpectedTag(
                    offset: fragment.offset, seen: fragment.tag, expected: "a fragment of \(header.tag)")
            }
            guard length <= end - offset else {
                throw DICOMError.lengthTooLarge(
                    offset: fragment.offset, tag: fragment.tag, length: length, available: max(0, end - offset))
            }
            try require(length)
            try countElement()
            fragments.append(offset..<offset + length)
            offset += length
        }
    }

    // MARK: - Headers

    private struct ElementHeader {
        let offset: Int
        let tag: Tag
        let vr: ValueRepresentation
        /// nil: undefined.
        let length: Int?
    }

    private mutating func elementHeader(_ encoding: HeaderEncoding) throws -> ElementHeader {
        try countElement()
        let start = offset
        try require(8)
        let tag = Tag(word(at: offset), word(at: offset + 2))
        // Delimiters have no VR in either encoding (PS3.5 7.5).
        if encoding == .implicitLittleEndian || tag.group == 0xFFFE {
            let length = longWord(at: offset + 4)
            offset += 8
            let known = tag.dictionaryVR
            let vr: ValueRepresentation = length == Self.undefinedLength && known == .UN ? .SQ : known
            return ElementHeader(offset: start, tag: tag, vr: vr, length: defined(length))
        }
        let vr = ValueRepresentation(code: UInt16(bytes[offset + 4]) << 8 | UInt16(bytes[offset + 5]))
        guard vr.isPlausible else { throw DICOMError.invalidVR(offset: start, tag: tag, seen: vr.code) }
        if vr.hasShortLength {
            let length = Int(word(at: offset + 6))
            offset += 8
            return ElementHeader(offset: start, tag: tag, vr: vr, length: length)
        }
        try require(12)
        let length = longWord(at: offset + 8)
        offset += 12
        return ElementHeader(offset: start, tag: tag, vr: vr, length: defined(length))
    }

    /// An item, an item delimiter or a sequence delimiter: tag and length, without VR.
    private mutating func delimiterHeader(end: Int) throws -> ElementHeader {
        let start = offset
        guard end - offset >= 8 else {
            throw DICOMError.endOfFile(offset: offset, expected: 8, available: max(0, end - offset))
        }
        try require(8)
        let tag = Tag(word(at: offset), word(at: offset + 2))
        let length = longWord(at: offset + 4)
        offset += 8
        return ElementHeader(offset: start, tag: tag, vr: .UN, length: defined(length))
    }

    private func defined(_ length: UInt32) -> Int? { length == Self.undefinedLength ? nil : Int(length) }

    private mutating func countElement() throws {
        elementCount += 1
        guard elementCount <= limits.elements else {
            throw DICOMError.tooManyElements(offset: offset, limit: limits.elements)
        }
    }

    /// Some writers pad the file to a block size with zeros.
    private func isTrailingPadding() throws -> Bool {
        let remaining = fileLength - offset
        guard remaining < 8 else { return false }
        try require(remaining)
        return bytes[offset..<offset + remaining].allSatisfy { $0 == 0 }
    }

    private func peekGroup() throws -> UInt16 {
        try require(2)
        return word(at: offset)
    }

    /// `count` bytes are there to be read at `offset`. `count` never exceeds 2^32, so nothing here can overflow.
    private func require(_ count: Int) throws {
        guard count <= fileLength - offset else {
            throw DICOMError.endOfFile(offset: offset, expected: count, available: fileLength - offset)
        }
        guard count <= bytes.count - offset else { throw PrefixTooShort() }
    }

    private func word(at position: Int) -> UInt16 {
        UInt16(bytes[position]) | UInt16(bytes[position + 1]) << 8
    }

    private func longWord(at position: Int) -> UInt32 {
        UInt32(word(at: position)) | UInt32(word(at: position + 2)) << 16
    }
}
