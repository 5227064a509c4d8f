// The sidecar of a media file: one fixed record per fragment, so that finishing and recovering need not read the media.

import CZlib

/// One cluster (WebM) or fragment (MP4) of a file. Times are nanoseconds since the recording began.
struct FragmentRecord: Equatable {
    static let length = 40

    var offset: Int64
    var size: UInt32
    var checksum: UInt32
    var start: Int64
    var end: Int64
    /// Begins with a frame that can be decoded alone.
    var isKey: Bool
    var frames: UInt32

    /// Little endian: offset 8, size 4, CRC-32 of the fragment 4, start 8, end 8, frames with the key flag on top 4,
    /// CRC-32 of the record so far 4.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.length)
        func put(_ value: UInt64, _ count: Int) {
            for shift in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * shift))) }
        }
        put(UInt64(bitPattern: offset), 8)
        put(UInt64(size), 4)
        put(UInt64(checksum), 4)
        put(UInt64(bitPattern: start), 8)
        put(UInt64(bitPattern: end), 8)
        put(UInt64(frames & 0x7FFF_FFFF) | (isKey ? 0x8000_0000 : 0), 4)
        put(UInt64(crc32(of: bytes)), 4)
        return bytes
    }

    init(offset: Int64, size: UInt32, checksum: UInt32, start: Int64, end: Int64, isKey: Bool, frames: UInt32) {
        self.offset = offset
        self.size = size
        self.checksum = checksum
        self.start = start
        self.end = end
        self.isKey = isKey
        self.frames = frames
    }

    /// Nil for a torn or foreign record.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count == Self.length else { return nil }
        func get(_ at: Int, _ count: Int) -> UInt64 {
            (0..<count).reduce(0) { $0 | UInt64(bytes[bytes.startIndex + at + $1]) << UInt64(8 * $1) }
        }
        guard get(36, 4) == UInt64(crc32(of: Array(bytes.prefix(36)))) else { return nil }
        offset = Int64(bitPattern: get(0, 8))
        size = UInt32(get(8, 4))
        checksum = UInt32(get(12, 4))
        start = Int64(bitPattern: get(16, 8))
        end = Int64(bitPattern: get(24, 8))
        frames = UInt32(get(32, 4)) & 0x7FFF_FFFF
        isKey = get(32, 4) & 0x8000_0000 != 0
        guard offset >= 0 else { return nil }
    }

    /// The whole records at the front of a sidecar.
    static func read(_ bytes: [UInt8]) -> [FragmentRecord] {
        var records: [FragmentRecord] = []
        var at = 0
        while at + length <= bytes.count, let record = FragmentRecord(bytes[at..<at + length]) {
            records.append(record)
            at += length
        }
        return records
    }
}

func crc32(of bytes: [UInt8]) -> UInt32 {
    bytes.withUnsafeBytes {
        UInt32(truncatingIfNeeded: crc32_z(0, $0.bindMemory(to: UInt8.self).baseAddress, $0.count))
    }
}
