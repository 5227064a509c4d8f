// What must hold for any bytes given to the DICOM reader. The fuzzer and the replay of its corpus both call this.

import Imaging

func exerciseDICOM(_ bytes: [UInt8]) {
    exercisePrefix(bytes)
    guard let header = try? DICOMHeader.parse(bytes) else { return }
    precondition(header.fileLength == bytes.count)
    walk(header.meta, depth: 0)
    walk(header.dataSet, depth: 0)
    guard let location = header.pixelData else { return }
    precondition(location.offset <= bytes.count, "pixels begin beyond the end")
    guard let description = try? PixelDescription(header.dataSet, pixelData: location.tag) else { return }
    exercisePixels(bytes, location, description)
}

/// A prefix says that it is too short, or what the whole file says; it never reads what is not there.
private func exercisePrefix(_ bytes: [UInt8]) {
    let prefix = Array(bytes.prefix(bytes.count / 2))
    guard let header = try? DICOMHeader.parse(prefix, fileLength: bytes.count) else { return }
    walk(header.dataSet, depth: 0)
}

private func walk(_ dataSet: DataSet, depth: Int) {
    precondition(depth <= DICOMLimits().nestingDepth, "nested deeper than allowed")
    for element in dataSet.elements {
        switch element.value {
        case .items(let items):
            for item in items { walk(item, depth: depth + 1) }
        case .bytes:
            _ = dataSet.rawValue(element.tag)
            _ = dataSet.strings(element.tag)
            _ = dataSet.text(element.tag)
            _ = dataSet.integers(element.tag)
            _ = dataSet.decimals(element.tag)
        case .fragments(let ranges):
            for range in ranges { precondition(range.lowerBound >= 0 && range.lowerBound <= range.upperBound) }
        }
    }
}

private func exercisePixels(_ bytes: [UInt8], _ location: PixelDataLocation, _ description: PixelDescription) {
    guard location.length != nil, !description.isFloatingPoint, description.bitsAllocated <= 16,
        description.pixels <= 1 << 20
    else { return }
    for frame in 0..<min(description.frames, 3) {
        let range = description.byteRange(ofFrame: frame)
        let end = location.offset + range.upperBound
        guard end <= bytes.count else { return }
        let native = Array(bytes[(location.offset + range.lowerBound)..<end])
        _ = NativeSamples.bytes(native, description, frame: frame)
    }
}
