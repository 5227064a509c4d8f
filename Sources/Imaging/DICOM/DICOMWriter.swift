// Values to a DICOM Part 10 file: what the demo data, and later presentation states and reports, are written with.

/// A data set under construction; elements may be set in any order and are written in ascending order.
package struct DataSetBuilder: Sendable {
    package enum Value: Sendable {
        case bytes([UInt8])
        case items([DataSetBuilder])
    }

    fileprivate private(set) var elements: [Tag: (vr: ValueRepresentation, value: Value)] = [:]

    package init() {}

    /// Text, several values joined by a backslash, padded to an even length (UI with NUL, the others with a space).
    package mutating func set(_ tag: Tag, _ vr: ValueRepresentation, _ values: String...) {
        var bytes = Array(values.joined(separator: "\\").utf8)
        if bytes.count % 2 == 1 { bytes.append(vr == .UI ? 0x00 : 0x20) }
        elements[tag] = (vr, .bytes(bytes))
    }

    /// Decimal strings of at most 16 bytes each (PS3.5 6.2).
    package mutating func set(decimals values: [Double], _ tag: Tag) {
        let text = values.map(Self.decimalString).joined(separator: "\\")
        set(tag, .DS, text)
    }

    package mutating func set(integer value: Int, _ tag: Tag) {
        set(tag, .IS, String(value))
    }

    package mutating func set(unsigned values: [UInt16], _ tag: Tag, vr: ValueRepresentation = .US) {
        elements[tag] = (vr, .bytes(values.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }))
    }

    package mutating func set(bytes: [UInt8], _ tag: Tag, vr: ValueRepresentation) {
        elements[tag] = (vr, .bytes(bytes.count % 2 == 1 ? bytes + [0] : bytes))
    }

    package mutating func set(items: [DataSetBuilder], _ tag: Tag) {
        elements[tag] = (.SQ, .items(items))
    }

    private static func decimalString(_ value: Double) -> String {
        let exact = value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
        if exact.utf8.count <= 16 { return exact }
        // Fewer digits until it fits: a position in micrometres needs ten.
        let scaled = (value * 1e6).rounded() / 1e6
        return String(String(scaled).prefix(16))
    }
}

/// Writes data sets and files. Sequences get undefined lengths, so that nothing is measured beforehand.
package struct DICOMWriter {
    private var bytes: [UInt8] = []
    private let encoding: HeaderEncoding

    private init(_ encoding: HeaderEncoding) {
        self.encoding = encoding
    }

    /// A Part 10 file. The SOP class and instance of the file meta information are those of the data set.
    package static func file(_ dataSet: DataSetBuilder, transferSyntax: TransferSyntax) -> [UInt8] {
        var meta = DataSetBuilder()
        meta.set(bytes: [0, 1], .fileMetaVersion, vr: .OB)
        meta.copy(.sopClass, from: dataSet, as: .mediaStorageSOPClass)
        meta.copy(.sopInstance, from: dataSet, as: .mediaStorageSOPInstance)
        meta.set(.transferSyntax, .UI, transferSyntax.uid)
        meta.set(.implementationClass, .UI, "2.25.113043518712740311407286521903347263051")
        meta.set(.implementationVersion, .SH, "CONSILIUM")
        var metaWriter = DICOMWriter(.explicitLittleEndian)
        metaWriter.write(meta)

        var writer = DICOMWriter(.explicitLittleEndian)
        writer.bytes = [UInt8](repeating: 0, count: 128) + Array("DICM".utf8)
        var length = DataSetBuilder()
        let count = UInt32(truncatingIfNeeded: metaWriter.bytes.count)
        length.set(bytes: (0..<4).map { UInt8(count >> ($0 * 8) & 0xFF) }, .fileMetaLength, vr: .UL)
        writer.write(length)
        writer.bytes += metaWriter.bytes

        var body = DICOMWriter(transferSyntax.headerEncoding ?? .explicitLittleEndian)
        body.bytes = writer.bytes
        body.write(dataSet)
        return body.bytes
    }

    private mutating func write(_ dataSet: DataSetBuilder) {
        for (tag, element) in dataSet.elements.sorted(by: { $0.key < $1.key }) {
            switch element.value {
            case .bytes(let value):
                header(tag, element.vr, length: UInt32(truncatingIfNeeded: value.count))
                bytes += value
            case .items(let items):
                header(tag, .SQ, length: 0xFFFF_FFFF)
                for item in items {
                    delimiter(.item, length: 0xFFFF_FFFF)
                    write(item)
                    delimiter(.itemDelimitation, length: 0)
                }
                delimiter(.sequenceDelimitation, length: 0)
            }
        }
    }

    private mutating func header(_ tag: Tag, _ vr: ValueRepresentation, length: UInt32) {
        guard encoding == .explicitLittleEndian else { return delimiter(tag, length: length) }
        word(tag.group)
        word(tag.element)
        bytes += [UInt8(vr.code >> 8), UInt8(vr.code & 0xFF)]
        if vr.hasShortLength {
            precondition(length <= 0xFFFF, "\(tag): a value of \(length) bytes does not fit \(vr)")
            word(UInt16(length))
        } else {
            word(0)
            longWord(length)
        }
    }

    private mutating func delimiter(_ tag: Tag, length: UInt32) {
        word(tag.group)
        word(tag.element)
        longWord(length)
    }

    private mutating func word(_ value: UInt16) {
        bytes.append(UInt8(value & 0xFF))
        bytes.append(UInt8(value >> 8))
    }

    private mutating func longWord(_ value: UInt32) {
        word(UInt16(value & 0xFFFF))
        word(UInt16(value >> 16))
    }
}

extension DataSetBuilder {
    fileprivate mutating func copy(_ tag: Tag, from other: DataSetBuilder, as target: Tag) {
        elements[target] = other.elements[tag]
    }
}
