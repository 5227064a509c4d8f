// What can be wrong with the bytes of a DICOM file: where, what was seen, what was expected.

package enum DICOMError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Neither the magic at byte 128 nor a plausible first attribute.
    case notDICOM(seen: String)
    case endOfFile(offset: Int, expected: Int, available: Int)
    /// A value, item or sequence claims more bytes than what encloses it has.
    case lengthTooLarge(offset: Int, tag: Tag, length: Int, available: Int)
    case unexpectedTag(offset: Int, seen: Tag, expected: String)
    case invalidVR(offset: Int, tag: Tag, seen: UInt16)
    case nestedTooDeep(offset: Int, limit: Int)
    case tooManyElements(offset: Int, limit: Int)
    case headerTooLong(limit: Int)
    case unsupportedTransferSyntax(TransferSyntax)
    case missing(Tag, String)
    case badValue(Tag, seen: String, expected: String)

    package var description: String {
        switch self {
        case .notDICOM(let seen): "not a DICOM file: \(seen) seen, \"DICM\" at byte 128 expected"
        case .endOfFile(let offset, let expected, let available):
            "cut off at byte \(offset): \(expected) bytes expected, \(available) present"
        case .lengthTooLarge(let offset, let tag, let length, let available):
            "byte \(offset): \(tag) claims \(length) bytes where \(available) are left"
        case .unexpectedTag(let offset, let seen, let expected): "byte \(offset): \(seen) seen, \(expected) expected"
        case .invalidVR(let offset, let tag, let seen):
            "byte \(offset): value representation 0x\(String(seen, radix: 16)) of \(tag) is not two capital letters"
        case .nestedTooDeep(let offset, let limit): "byte \(offset): sequences nested deeper than \(limit)"
        case .tooManyElements(let offset, let limit): "byte \(offset): more than \(limit) elements"
        case .headerTooLong(let limit): "more than \(limit) bytes before the pixels"
        case .unsupportedTransferSyntax(let syntax): "unsupported transfer syntax \(syntax)"
        case .missing(let tag, let name): "\(name) \(tag) is missing"
        case .badValue(let tag, let seen, let expected): "\(tag) is \(seen), \(expected) expected"
        }
    }
}
