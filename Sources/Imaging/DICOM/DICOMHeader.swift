// A DICOM file up to its pixels: file meta information, transfer syntax, data set, and where the pixels begin.

package struct DICOMHeader: Sendable {
    package let meta: DataSet
    package let transferSyntax: TransferSyntax
    package let dataSet: DataSet
    package let pixelData: PixelDataLocation?
    package let fileLength: Int

    /// Parses a whole file, or a prefix that holds at least the header; nil asks for more of the file.
    ///
    /// Files without preamble, and without file meta information, occur and are read when their first attribute is
    /// plausible; then the encoding is recognised by looking at it.
    package static func parse(
        _ bytes: [UInt8], fileLength: Int? = nil, limits: DICOMLimits = DICOMLimits()
    ) throws(DICOMError) -> DICOMHeader? {
        do {
            return try header(bytes, fileLength: fileLength ?? bytes.count, limits: limits)
        } catch is DICOMParser.PrefixTooShort {
            return nil
        } catch let error as DICOMError {
            throw error
        } catch {
            preconditionFailure("the parser throws nothing else")
        }
    }

    private static func header(_ bytes: [UInt8], fileLength: Int, limits: DICOMLimits) throws -> DICOMHeader {
        var parser = DICOMParser(
            bytes: bytes, fileLength: fileLength, offset: try startOffset(bytes, fileLength: fileLength), limits: limits
        )
        let (meta, dataSetOffset) = try parser.parseFileMeta()
        let syntax =
            if let uid = meta.string(.transferSyntax) {
                TransferSyntax(uid: uid)
            } else {
                guess(bytes, at: dataSetOffset)
            }
        guard let encoding = syntax.headerEncoding else { throw DICOMError.unsupportedTransferSyntax(syntax) }
        let dataSet = try parser.parseDataSet(encoding)
        return DICOMHeader(
            meta: meta, transferSyntax: syntax, dataSet: dataSet, pixelData: parser.pixelData, fileLength: fileLength)
    }

    /// Where the first attribute is: behind preamble and magic, or at once.
    private static func startOffset(_ bytes: [UInt8], fileLength: Int) throws -> Int {
        let magic: [UInt8] = [0x44, 0x49, 0x43, 0x4D]
        let hasMagic = bytes.count >= 132 && bytes[128..<132].elementsEqual(magic)
        if hasMagic, bytes.count >= 134, bytes[132] == 0x02, bytes[133] == 0x00 { return 132 }
        // No preamble: the first attribute of group 2 or 8 stands at 0, in either byte order.
        if bytes.count >= 8 {
            switch (bytes[0], bytes[1], bytes[2], bytes[3]) {
            case (0x02, 0x00, _, 0x00), (0x08, 0x00, _, 0x00), (0x00, 0x02, 0x00, _), (0x00, 0x08, 0x00, _): return 0
            default: break
            }
        }
        if hasMagic { return 132 }
        let seen = bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: " ")
        throw DICOMError.notDICOM(seen: bytes.isEmpty ? "an empty file" : "\(fileLength) bytes beginning with \(seen)")
    }

    /// No transfer syntax was given: two capital letters after the tag are a VR; a first group 0x0800 is 0x0008 turned round.
    private static func guess(_ bytes: [UInt8], at offset: Int) -> TransferSyntax {
        guard offset >= 0, bytes.count - offset >= 6 else { return .implicitLittleEndian }
        let vr = ValueRepresentation(code: UInt16(bytes[offset + 4]) << 8 | UInt16(bytes[offset + 5]))
        if bytes[offset] == 0x00, bytes[offset + 1] != 0x00, vr.isPlausible { return .explicitBigEndian }
        return vr.isPlausible ? .explicitLittleEndian : .implicitLittleEndian
    }
}
