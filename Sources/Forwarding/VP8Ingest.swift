// VP8 payloads on their way into the history (RFC 7741 §4.2): picture numbers grow to 15 bits there, so that whatever a
// receiver's stream needs can be written over them in place.
import WireFormats

enum VP8Ingest {
    /// One byte more than the payload may be needed.
    static let growth = 1

    /// Copies the payload, notes in `entry` where its numbers are, and answers with the length written; nil when the
    /// descriptor reaches beyond the payload.
    static func copy(
        _ payload: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer, entry: inout HistoryEntry
    ) -> Int? {
        guard let descriptor = VP8Descriptor(payload), target.count > payload.count, let source = payload.baseAddress,
            let destination = target.baseAddress
        else { return nil }
        var grown: UInt8 = 0
        if let pictureID = descriptor.pictureID {
            entry.flags.insert(.hasPictureID)
            entry.pictureID = pictureID
            entry.pictureIDOffset = descriptor.pictureIDOffset
            grown = descriptor.pictureIDIsLong ? 0 : 1
        }
        if let index = descriptor.temporalBaseIndex {
            entry.flags.insert(.hasTemporalIndex)
            entry.temporalIndex = index
            entry.temporalOffset = descriptor.temporalBaseIndexOffset + grown
        }
        if let index = descriptor.keyIndex {
            entry.flags.insert(.hasKeyIndex)
            entry.keyIndex = index
            entry.keyIndexOffset = descriptor.temporalLayerOffset + grown
        }
        if grown == 0 {
            destination.copyMemory(from: source, byteCount: payload.count)
        } else {
            let offset = Int(entry.pictureIDOffset)
            destination.copyMemory(from: source, byteCount: offset)
            destination.setNetwork16(0x8000 | entry.pictureID, at: offset)
            (destination + offset + 2).copyMemory(from: source + offset + 1, byteCount: payload.count - offset - 1)
        }
        return payload.count + Int(grown)
    }

    /// Writes a receiver's numbers over those of the stored payload.
    static func write(_ packet: SentPacket, over payload: UnsafeMutableRawBufferPointer, _ entry: HistoryEntry) {
        guard let base = payload.baseAddress else { return }
        if entry.flags.contains(.hasPictureID) {
            base.setNetwork16(0x8000 | (packet.pictureID & 0x7FFF), at: Int(entry.pictureIDOffset))
        }
        if entry.flags.contains(.hasTemporalIndex) {
            base.storeBytes(of: packet.temporalIndex, toByteOffset: Int(entry.temporalOffset), as: UInt8.self)
        }
        if entry.flags.contains(.hasKeyIndex) {
            let offset = Int(entry.keyIndexOffset)
            let upper = base.load(fromByteOffset: offset, as: UInt8.self) & 0xE0
            base.storeBytes(of: upper | (packet.keyIndex & 0x1F), toByteOffset: offset, as: UInt8.self)
        }
    }
}
