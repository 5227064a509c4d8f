// What a publisher sent in the last moments: one ring of bytes and one ring of entries for each encoding.
import WireFormats

/// A packet that is kept: where its bytes are, and what every receiver's rewriting starts from.
package struct HistoryEntry: Sendable {
    /// Position of the packet on the encoding's line of sequence numbers.
    package var sequence: UInt32 = 0
    /// Where the stored bytes begin, on a line that never wraps.
    package var position: UInt64 = 0
    package var timestamp: UInt32 = 0
    package var payloadLength: UInt16 = 0
    /// Bytes of stored header extensions before the payload: kind, length, content, one after the other.
    package var extensionLength: UInt16 = 0
    package var codec: CodecKind = .unknown
    package var flags: Flags = []
    /// VP8 (RFC 7741 §4.2) and VP9 (RFC 9628 §4.2), valid with `.hasPictureID`: where its fields are in the stored payload, and what they said.
    package var pictureIDOffset: UInt8 = 0
    package var temporalOffset: UInt8 = 0
    package var keyIndexOffset: UInt8 = 0
    package var temporalIndex: UInt8 = 0
    package var keyIndex: UInt8 = 0
    package var pictureID: UInt16 = 0
    package var layers = PacketLayers()

    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let isStored = Flags(rawValue: 1)
        package static let marker = Flags(rawValue: 2)
        /// The first packet of a picture from which decoding can start.
        package static let startsKeyFrame = Flags(rawValue: 4)
        package static let isPaddingOnly = Flags(rawValue: 8)
        package static let hasPictureID = Flags(rawValue: 16)
        package static let hasTemporalIndex = Flags(rawValue: 32)
        package static let hasKeyIndex = Flags(rawValue: 64)
    }
}

/// Both rings are allocated once and reused; the ring of bytes doubles up to a limit while it holds less than half a
/// second of the stream.
package struct PacketHistory: ~Copyable {
    /// RFC 4588: room before each payload for the original sequence number of a retransmission.
    package static let headroom = 2
    package static let largestPacket = 1600

    private var entries: UnsafeMutablePointer<HistoryEntry>
    private var entryMask: UInt32
    private var bytes: UnsafeMutableRawPointer
    private var capacity: Int
    private var largestCapacity: Int
    private var writePosition: UInt64 = 0

    /// Both sizes are rounded up to powers of two.
    package init(entries count: Int = 1024, bytes: Int = 131_072, atMost largest: Int = 4_194_304) {
        var entryCount = 16
        while entryCount < count { entryCount *= 2 }
        var size = 8192
        while size < bytes { size *= 2 }
        entries = .allocate(capacity: entryCount)
        entries.initialize(repeating: HistoryEntry(), count: entryCount)
        entryMask = UInt32(truncatingIfNeeded: entryCount - 1)
        self.bytes = .allocate(byteCount: size, alignment: 64)
        capacity = size
        largestCapacity = max(size, largest)
    }

    deinit {
        entries.deallocate()
        bytes.deallocate()
    }

    package var byteCapacity: Int { capacity }
    package var entryCapacity: Int { Int(entryMask) + 1 }

    /// nil when the packet was never stored, or its bytes are overwritten.
    package func find(_ sequence: UInt32) -> UnsafePointer<HistoryEntry>? {
        let entry = entries + Int(sequence & entryMask)
        guard entry.pointee.flags.contains(.isStored), entry.pointee.sequence == sequence,
            isIntact(entry.pointee.position)
        else { return nil }
        return UnsafePointer(entry)
    }

    package func contains(_ sequence: UInt32) -> Bool { find(sequence) != nil }

    /// The stored extension bytes of an entry that `find` gave.
    package func extensions(of entry: UnsafePointer<HistoryEntry>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: place(entry.pointee.position), count: Int(entry.pointee.extensionLength))
    }

    /// The payload of an entry that `find` gave, with `headroom` bytes before it that may be written to. A receiver's
    /// picture numbers may be written into it, since every receiver writes its own before the packet is encrypted.
    package func payload(of entry: UnsafePointer<HistoryEntry>) -> UnsafeMutableRawBufferPointer {
        let start = Int(entry.pointee.extensionLength) + PacketHistory.headroom
        return UnsafeMutableRawBufferPointer(
            start: place(entry.pointee.position) + start, count: Int(entry.pointee.payloadLength))
    }

    /// Room for `length` bytes in one piece, or nil when that is more than a packet can have.
    package mutating func reserve(_ length: Int) -> UnsafeMutableRawBufferPointer? {
        guard length >= 0, length <= PacketHistory.largestPacket else { return nil }
        let offset = Int(writePosition & UInt64(capacity - 1))
        if offset + length > capacity { writePosition += UInt64(capacity - offset) }
        return UnsafeMutableRawBufferPointer(start: place(writePosition), count: length)
    }

    /// Keeps what was written into the last reservation; `entry.position` is set here.
    package mutating func commit(_ entry: HistoryEntry, length: Int) -> UnsafePointer<HistoryEntry> {
        let target = entries + Int(entry.sequence & entryMask)
        target.pointee = entry
        target.pointee.position = writePosition
        target.pointee.flags.insert(.isStored)
        // Whole words keep every packet's start aligned.
        writePosition += UInt64((length + 7) & ~7)
        return UnsafePointer(target)
    }

    /// Makes the ring of bytes larger when the stream is too fast for it; what is stored moves along.
    package mutating func growIfNeeded(bytesPerSecond: Int) {
        guard bytesPerSecond / 2 > capacity, capacity < largestCapacity else { return }
        growBytes(to: min(bytesPerSecond / 2, largestCapacity))
    }

    /// Makes both rings hold at least this much.
    package mutating func grow(entries: Int, bytes: Int) {
        if entries > entryCapacity { growEntries(to: entries) }
        if bytes > capacity { growBytes(to: bytes) }
    }

    private mutating func growBytes(to wanted: Int) {
        var size = capacity
        while size < wanted { size *= 2 }
        largestCapacity = max(largestCapacity, size)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        for index in 0...Int(entryMask) where entries[index].flags.contains(.isStored) {
            let entry = entries[index]
            guard isIntact(entry.position) else {
                entries[index].flags = []
                continue
            }
            // A place in the smaller ring is the same place in the larger one, or one that lies whole laps behind it.
            let length = Int(entry.extensionLength) + PacketHistory.headroom + Int(entry.payloadLength)
            (larger + Int(entry.position & UInt64(size - 1))).copyMemory(from: place(entry.position), byteCount: length)
        }
        bytes.deallocate()
        bytes = larger
        capacity = size
    }

    private mutating func growEntries(to wanted: Int) {
        var count = entryCapacity
        while count < wanted { count *= 2 }
        let larger = UnsafeMutablePointer<HistoryEntry>.allocate(capacity: count)
        larger.initialize(repeating: HistoryEntry(), count: count)
        for index in 0...Int(entryMask) where entries[index].flags.contains(.isStored) {
            larger[Int(entries[index].sequence & UInt32(truncatingIfNeeded: count - 1))] = entries[index]
        }
        entries.deallocate()
        entries = larger
        entryMask = UInt32(truncatingIfNeeded: count - 1)
    }

    package mutating func forgetEverything() {
        for index in 0...Int(entryMask) { entries[index].flags = [] }
    }

    private func place(_ position: UInt64) -> UnsafeMutableRawPointer {
        bytes + Int(position & UInt64(capacity - 1))
    }

    private func isIntact(_ position: UInt64) -> Bool {
        // A packet's worth of distance: the next reservation may already have been handed out.
        writePosition &- position <= UInt64(capacity - PacketHistory.largestPacket - 8)
    }
}
