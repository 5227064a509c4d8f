// Samples to the bytes that a page decodes, and back (for tests and tools); FORMAT.md is the description.

import CZlib

package enum FrameCoding {
    package enum Samples: Sendable, Equatable {
        case grey([UInt16], isSigned: Bool)
        case rgb([UInt8])
    }

    package enum Kind: UInt8, Sendable {
        case unsigned = 0
        case signed = 1
        case rgb = 2
    }

    package static let headerLength = 32
    private static let magic: [UInt8] = Array("CFR1".utf8)
    private static let medianEdge: UInt8 = 1

    // MARK: - Encoding

    package static func encode(_ samples: Samples, columns: Int, rows: Int) -> [UInt8] {
        let kind: Kind
        let planes: [UInt8]
        let smallest: Int32
        let largest: Int32
        let checksum: UInt32
        switch samples {
        case .grey(let values, let isSigned):
            precondition(values.count == columns * rows)
            kind = isSigned ? .signed : .unsigned
            (smallest, largest) = range(of: values, isSigned: isSigned)
            checksum = crc(values)
            planes =
                isSigned
                ? greyPlanes(values, columns: columns) { Int32(Int16(bitPattern: $0)) }
                : greyPlanes(values, columns: columns) { Int32($0) }
        case .rgb(let values):
            precondition(values.count == 3 * columns * rows)
            kind = .rgb
            (smallest, largest) = (Int32(values.min() ?? 0), Int32(values.max() ?? 0))
            checksum = values.withUnsafeBytes { crc($0) }
            planes = rgbPlanes(values, columns: columns)
        }
        var coded: [UInt8] = []
        coded.reserveCapacity(headerLength + planes.count / 2)
        coded += magic
        coded += [kind.rawValue, medianEdge, 0, 0]
        for field in [
            UInt32(columns), UInt32(rows), UInt32(bitPattern: smallest), UInt32(bitPattern: largest), checksum,
            UInt32(planes.count),
        ] {
            coded += (0..<4).map { UInt8(field >> ($0 * 8) & 0xFF) }
        }
        deflate(planes, into: &coded)
        return coded
    }

    @inline(__always)
    private static func prediction(_ left: Int32, _ above: Int32, _ corner: Int32) -> Int32 {
        let smaller = min(left, above)
        let larger = max(left, above)
        return corner >= larger ? smaller : corner <= smaller ? larger : left &+ above &- corner
    }

    /// Low bytes, then high bytes, of the zigzagged prediction errors.
    @inline(__always)
    private static func greyPlanes(_ values: [UInt16], columns: Int, _ number: (UInt16) -> Int32) -> [UInt8] {
        let count = values.count
        return [UInt8](unsafeUninitializedCapacity: 2 * count) { planes, initialized in
            values.withUnsafeBufferPointer { values in
                for rowStart in stride(from: 0, to: count, by: columns) {
                    var left = rowStart == 0 ? 0 : number(values[rowStart - columns])
                    var corner = left
                    for index in rowStart..<rowStart + columns {
                        let value = number(values[index])
                        let above = rowStart == 0 ? left : number(values[index - columns])
                        if rowStart == 0 { corner = left }
                        let error = Int16(truncatingIfNeeded: value &- prediction(left, above, corner))
                        let zigzag = UInt16(bitPattern: error << 1 ^ error >> 15)
                        planes[index] = UInt8(truncatingIfNeeded: zigzag)
                        planes[count + index] = UInt8(truncatingIfNeeded: zigzag >> 8)
                        left = value
                        corner = above
                    }
                }
            }
            initialized = 2 * count
        }
    }

    private static func rgbPlanes(_ values: [UInt8], columns: Int) -> [UInt8] {
        let count = values.count / 3
        return [UInt8](unsafeUninitializedCapacity: 3 * count) { planes, initialized in
            values.withUnsafeBufferPointer { values in
                for channel in 0..<3 {
                    for rowStart in stride(from: 0, to: count, by: columns) {
                        var left = rowStart == 0 ? 0 : Int32(values[3 * (rowStart - columns) + channel])
                        var corner = left
                        for index in rowStart..<rowStart + columns {
                            let value = Int32(values[3 * index + channel])
                            let above = rowStart == 0 ? left : Int32(values[3 * (index - columns) + channel])
                            if rowStart == 0 { corner = left }
                            let error = Int8(truncatingIfNeeded: value &- prediction(left, above, corner))
                            planes[channel * count + index] = UInt8(bitPattern: error << 1 ^ error >> 7)
                            left = value
                            corner = above
                        }
                    }
                }
            }
            initialized = 3 * count
        }
    }

    private static func range(of values: [UInt16], isSigned: Bool) -> (Int32, Int32) {
        // Flipping the sign bit orders signed values as unsigned ones.
        let flip: UInt16 = isSigned ? 0x8000 : 0
        var smallest = UInt16.max
        var largest = UInt16.min
        for value in values {
            smallest = min(smallest, value ^ flip)
            largest = max(largest, value ^ flip)
        }
        func number(_ value: UInt16) -> Int32 {
            isSigned ? Int32(Int16(bitPattern: value ^ flip)) : Int32(value)
        }
        return values.isEmpty ? (0, 0) : (number(smallest), number(largest))
    }

    // MARK: - Decoding

    /// What a page does with a coded frame; nil when the bytes are not one.
    package static func decode(_ coded: [UInt8]) -> (samples: Samples, columns: Int, rows: Int)? {
        guard coded.count > headerLength, coded[0..<4].elementsEqual(magic), let kind = Kind(rawValue: coded[4]),
            coded[5] == medianEdge
        else { return nil }
        func field(_ offset: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(coded[offset + $1]) << ($1 * 8) }
        }
        let columns = field(8)
        let rows = field(12)
        let planeCount = kind == .rgb ? 3 : 2
        guard (1...65_535).contains(columns), (1...65_535).contains(rows),
            field(28) == columns * rows * planeCount,
            let planes = inflate(coded[headerLength...], length: field(28))
        else { return nil }
        let checksum = UInt32(truncatingIfNeeded: field(24))
        if kind == .rgb {
            let values = rgb(planes, columns: columns)
            return values.withUnsafeBytes { crc($0) } == checksum ? (.rgb(values), columns, rows) : nil
        }
        let values = grey(planes, columns: columns, isSigned: kind == .signed)
        return crc(values) == checksum ? (.grey(values, isSigned: kind == .signed), columns, rows) : nil
    }

    private static func grey(_ planes: [UInt8], columns: Int, isSigned: Bool) -> [UInt16] {
        let count = planes.count / 2
        var values = [UInt16](repeating: 0, count: count)
        func number(_ value: UInt16) -> Int32 { isSigned ? Int32(Int16(bitPattern: value)) : Int32(value) }
        for index in 0..<count {
            let (left, above, corner) = neighbours(index, columns, 1, 0) { number(values[$0]) }
            let zigzag = UInt16(planes[index]) | UInt16(planes[count + index]) << 8
            let error = Int32(zigzag >> 1) ^ -Int32(zigzag & 1)
            values[index] = UInt16(truncatingIfNeeded: prediction(left, above, corner) &+ error)
        }
        return values
    }

    private static func rgb(_ planes: [UInt8], columns: Int) -> [UInt8] {
        let count = planes.count / 3
        var values = [UInt8](repeating: 0, count: 3 * count)
        for channel in 0..<3 {
            for index in 0..<count {
                let (left, above, corner) = neighbours(index, columns, 3, channel) { Int32(values[$0]) }
                let zigzag = planes[channel * count + index]
                let error = Int32(zigzag >> 1) ^ -Int32(zigzag & 1)
                values[3 * index + channel] = UInt8(truncatingIfNeeded: prediction(left, above, corner) &+ error)
            }
        }
        return values
    }

    private static func neighbours(
        _ index: Int, _ columns: Int, _ step: Int, _ channel: Int, _ value: (Int) -> Int32
    ) -> (left: Int32, above: Int32, corner: Int32) {
        let isFirstRow = index < columns
        let isFirstColumn = index % columns == 0
        if isFirstRow, isFirstColumn { return (0, 0, 0) }
        let left = isFirstColumn ? value(step * (index - columns) + channel) : value(step * (index - 1) + channel)
        if isFirstRow { return (left, left, left) }
        let above = value(step * (index - columns) + channel)
        return isFirstColumn ? (above, above, above) : (left, above, value(step * (index - columns - 1) + channel))
    }

    // MARK: - zlib

    /// Appends the raw deflate of `planes`. Level 1: on predicted planes the higher ones win 2 % for three times the time.
    private static func deflate(_ planes: [UInt8], into coded: inout [UInt8]) {
        var stream = z_stream()
        let status = deflateInit2_(
            &stream, 1, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib: deflateInit2 \(status)")
        defer { deflateEnd(&stream) }
        let bound = Int(deflateBound(&stream, UInt(planes.count)))
        let deflated = [UInt8](unsafeUninitializedCapacity: bound) { output, initialized in
            planes.withUnsafeBufferPointer { input in
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(bound)
                let status = CZlib.deflate(&stream, Z_FINISH)
                precondition(status == Z_STREAM_END, "zlib: deflate \(status)")
            }
            initialized = bound - Int(stream.avail_out)
        }
        coded += deflated
    }

    /// Exactly `length` bytes, or nil.
    private static func inflate(_ deflated: ArraySlice<UInt8>, length: Int) -> [UInt8]? {
        var stream = z_stream()
        guard inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        var isComplete = false
        let planes = [UInt8](unsafeUninitializedCapacity: length) { output, initialized in
            deflated.withUnsafeBufferPointer { input in
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(length)
                isComplete = CZlib.inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0
            }
            initialized = length - Int(stream.avail_out)
        }
        return isComplete ? planes : nil
    }

    private static func crc(_ values: [UInt16]) -> UInt32 {
        // Samples are little endian in the format and in memory of every machine this runs on.
        values.withUnsafeBytes { crc($0) }
    }

    private static func crc(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(
            truncatingIfNeeded: crc32_z(0, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count))
    }
}
