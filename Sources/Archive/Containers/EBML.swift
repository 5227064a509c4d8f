// EBML as bytes: element ids, sizes and values, written and read (RFC 8794). Only what a WebM file needs.

enum EBML {
    /// Element ids of RFC 8794 and RFC 9559, with their length marker.
    enum ID {
        static let header: UInt32 = 0x1A45_DFA3
        static let segment: UInt32 = 0x1853_8067
        static let seekHead: UInt32 = 0x114D_9B74
        static let seek: UInt32 = 0x4DBB
        static let seekID: UInt32 = 0x53AB
        static let seekPosition: UInt32 = 0x53AC
        static let information: UInt32 = 0x1549_A966
        static let timestampScale: UInt32 = 0x2AD7B1
        static let duration: UInt32 = 0x4489
        static let muxingApp: UInt32 = 0x4D80
        static let writingApp: UInt32 = 0x5741
        static let tracks: UInt32 = 0x1654_AE6B
        static let trackEntry: UInt32 = 0xAE
        static let cluster: UInt32 = 0x1F43_B675
        static let timestamp: UInt32 = 0xE7
        static let simpleBlock: UInt32 = 0xA3
        static let cues: UInt32 = 0x1C53_BB6B
        static let void: UInt32 = 0xEC
    }

    static func id(_ id: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        for shift in [24, 16, 8, 0] where id >> UInt32(shift) > 0 {
            bytes.append(UInt8(truncatingIfNeeded: id >> UInt32(shift)))
        }
        return bytes
    }

    /// A size in a given number of bytes.
    static func size(_ size: Int, length: Int) -> [UInt8] {
        let value = UInt64(size) | 1 << UInt64(7 * length)
        return (0..<length).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (length - 1 - $0))) }
    }

    static func size(_ size: Int) -> [UInt8] {
        var length = 1
        while length < 8, size >= 1 << (7 * length) - 1 { length += 1 }
        return self.size(size, length: length)
    }

    static func element(_ id: UInt32, _ content: [UInt8]) -> [UInt8] { self.id(id) + size(content.count) + content }

    static func element(_ id: UInt32, unsigned value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        for shift in stride(from: 56, through: 0, by: -8) where value >> UInt64(shift) > 0 || shift == 0 {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
        return element(id, bytes)
    }

    static func element(_ id: UInt32, text value: String) -> [UInt8] { element(id, Array(value.utf8)) }

    static func element(_ id: UInt32, real value: Double) -> [UInt8] {
        element(id, (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt64(56 - 8 * $0)) })
    }

    /// A Void element that takes exactly `total` bytes; at least 2.
    static func void(_ total: Int) -> [UInt8] {
        let sizeLength = total < 129 ? 1 : 8
        let content = total - 1 - sizeLength
        return id(ID.void) + size(content, length: sizeLength) + [UInt8](repeating: 0, count: content)
    }

    /// An element's head: id, content size (nil when unknown) and its own length.
    struct Head {
        var id: UInt32
        var size: Int?
        var length: Int
    }

    static func head(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Head? {
        guard at >= 0, at < bytes.count else { return nil }
        let idLength = bytes[at].leadingZeroBitCount + 1
        guard idLength <= 4, at + idLength < bytes.count else { return nil }
        var id: UInt32 = 0
        for index in 0..<idLength { id = id << 8 | UInt32(bytes[at + index]) }
        let first = bytes[at + idLength]
        let sizeLength = first.leadingZeroBitCount + 1
        guard sizeLength <= 8, at + idLength + sizeLength <= bytes.count else { return nil }
        var size = UInt64(first) & (1 << UInt64(8 - sizeLength) - 1)
        for index in 1..<max(1, sizeLength) { size = size << 8 | UInt64(bytes[at + idLength + index]) }
        let isUnknown = size == 1 << UInt64(7 * sizeLength) - 1
        guard isUnknown || size < 1 << 48 else { return nil }
        return Head(id: id, size: isUnknown ? nil : Int(size), length: idLength + sizeLength)
    }

    static func unsigned(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
