// What the header says about the pixels (PS3.3 C.7.6.3), checked once so that everything after it can rely on it.

package struct PixelDescription: Sendable, Equatable {
    package enum Photometric: Sendable, Equatable {
        case monochrome1
        case monochrome2
        case rgb
        case palette
        case ybrFull
        case ybrFull422
        case other(String)

        package var name: String {
            switch self {
            case .monochrome1: "MONOCHROME1"
            case .monochrome2: "MONOCHROME2"
            case .rgb: "RGB"
            case .palette: "PALETTE COLOR"
            case .ybrFull: "YBR_FULL"
            case .ybrFull422: "YBR_FULL_422"
            case .other(let name): name
            }
        }
    }

    package let rows: Int
    package let columns: Int
    package let samplesPerPixel: Int
    package let bitsAllocated: Int
    package let bitsStored: Int
    package let highBit: Int
    package let isSigned: Bool
    package let photometric: Photometric
    /// Colour-by-plane: all red, then all green, then all blue.
    package let isPlanar: Bool
    package let frames: Int
    package let isFloatingPoint: Bool

    package var pixels: Int { rows * columns }

    /// Bits of one frame as it lies in a native file; 1 bit frames follow each other without gap (PS3.5 8.1.1).
    package var frameBits: Int {
        let samples = photometric == .ybrFull422 ? pixels * 2 : pixels * samplesPerPixel
        return samples * bitsAllocated
    }

    /// Bytes of all frames of a native file.
    package var totalBytes: Int { frameBits * frames / 8 + (frameBits * frames % 8 == 0 ? 0 : 1) }

    /// The bytes of the pixel data element that hold a frame (from 0).
    package func byteRange(ofFrame index: Int) -> Range<Int> {
        index * frameBits / 8..<((index + 1) * frameBits + 7) / 8
    }

    /// Reads and checks; refuses in words what no file may say.
    package init(_ dataSet: DataSet, pixelData: Tag) throws(DICOMError) {
        func required(_ tag: Tag, _ name: String) throws(DICOMError) -> Int {
            guard let value = dataSet.integer(tag) else { throw .missing(tag, name) }
            return value
        }
        func check(_ tag: Tag, _ value: Int, _ holds: Bool, _ expected: String) throws(DICOMError) {
            guard holds else { throw .badValue(tag, seen: String(value), expected: expected) }
        }
        rows = try required(.rows, "Rows")
        try check(.rows, rows, (1...65_535).contains(rows), "1 to 65535 rows")
        columns = try required(.columns, "Columns")
        try check(.columns, columns, (1...65_535).contains(columns), "1 to 65535 columns")
        samplesPerPixel = dataSet.integer(.samplesPerPixel) ?? 1
        try check(.samplesPerPixel, samplesPerPixel, [1, 3].contains(samplesPerPixel), "1 or 3 samples a pixel")

        isFloatingPoint = pixelData != .pixelData
        bitsAllocated = try required(.bitsAllocated, "Bits Allocated")
        let allocations = isFloatingPoint ? [32, 64] : [1, 8, 16, 32]
        try check(
            .bitsAllocated, bitsAllocated, allocations.contains(bitsAllocated),
            "one of \(allocations.map { String($0) }.joined(separator: ", ")) bits")
        bitsStored = isFloatingPoint ? bitsAllocated : dataSet.integer(.bitsStored) ?? bitsAllocated
        try check(.bitsStored, bitsStored, (1...bitsAllocated).contains(bitsStored), "1 to \(bitsAllocated) bits")
        highBit = isFloatingPoint ? bitsAllocated - 1 : dataSet.integer(.highBit) ?? bitsStored - 1
        try check(
            .highBit, highBit, (bitsStored - 1..<bitsAllocated).contains(highBit),
            "\(bitsStored - 1) to \(bitsAllocated - 1)")
        isSigned = !isFloatingPoint && dataSet.integer(.pixelRepresentation) == 1

        let name = dataSet.string(.photometricInterpretation) ?? (samplesPerPixel == 3 ? "RGB" : "MONOCHROME2")
        photometric =
            switch name {
            case "MONOCHROME1": .monochrome1
            case "MONOCHROME2": .monochrome2
            case "RGB": .rgb
            case "PALETTE COLOR": .palette
            case "YBR_FULL": .ybrFull
            case "YBR_FULL_422": .ybrFull422
            default: .other(name)
            }
        let samplesExpected =
            switch photometric {
            case .monochrome1, .monochrome2, .palette: 1
            case .rgb, .ybrFull, .ybrFull422: 3
            case .other: samplesPerPixel
            }
        try check(
            .samplesPerPixel, samplesPerPixel, samplesPerPixel == samplesExpected,
            "\(samplesExpected) for \(photometric.name)")
        isPlanar = samplesPerPixel == 3 && dataSet.integer(.planarConfiguration) == 1

        if let text = dataSet.string(.numberOfFrames) {
            guard let count = Int(text), count >= 1 else {
                throw .badValue(.numberOfFrames, seen: "\"\(text.prefix(16))\"", expected: "a number of at least 1")
            }
            frames = count
        } else {
            frames = 1
        }
        // 65535² · 3 · 64 bits · 2^31 frames is 2^70: the product must be checked before anybody multiplies.
        let (_, overflow) = frameBits.multipliedReportingOverflow(by: frames)
        guard !overflow, frames <= Int(Int32.max) else {
            throw .badValue(.numberOfFrames, seen: String(frames), expected: "at most 2147483647")
        }
    }

    /// The length of the pixels as the file should have it, against what is there.
    package func cutOff(expected: Int? = nil, present: Int) -> String {
        "cut off: \(expected ?? totalBytes) bytes of pixels expected, \(present) present"
    }
}
