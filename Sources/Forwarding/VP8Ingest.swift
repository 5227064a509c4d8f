// The VP8 payload descriptor on its way into the history (RFC 7741 §4.2): picture numbers grow to 15 bits there, so that
// whatever a receiver's stream needs can be written over them in place.
import WireFormats

enum VP8Ingest {
    /// One byte more than the payload may be needed.
    static let growth = 1

    /// Copies the payload, notes in `entry` where its numbers are, and answers with the length written; nil when the
    /// descriptor reaches beyond the payload.
    static func copy(
        _ payload: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer, entry: inout HistoryEntry
    ) -> Int? {
        guard payload.count >= 1, target.count > payload.count, let source = payload.baseAddress,
            let destination = target.baseAddress
        else { return nil }
        let first = payload[0]
        var position = 1
        var grown = 0
        if first & 0x80 != 0 {
            guard payload.count >= 2 else { return nil }
            let extended = payload[1]
            position = 2
            if extended & 0x80 != 0 {
                guard position < payload.count else { return nil }
                entry.flags.insert(.hasPictureID)
                entry.pictureIDOffset = UInt8(position)
                if payload[position] & 0x80 != 0 {
                    guard position + 1 < payload.count else { return nil }
                    entry.pictureID = source.network16(at: position) & 0x7FFF
                    position += 2
                } else {
                    entry.pictureID = UInt16(payload[position])
                    position += 1
                    grown = 1
                }
            }
            if extended & 0x40 != 0 {
                guard position < payload.count else { return nil }
                entry.flags.insert(.hasTemporalIndex)
                entry.temporalOffset = UInt8(position + grown)
                entry.temporalIndex = payload[position]
                position += 1
            }
            if extended & 0x30 != 0 {
                guard position < payload.count else { return nil }
                if extended & 0x10 != 0 {
                    entry.flags.insert(.hasKeyIndex)
                    entry.keyIndexOffset = UInt8(position + grown)
                    entry.keyIndex = payload[position] & 0x1F
                }
                position += 1
            }
        }
        if grown == 0 {
            destination.copyMemory(from: source, byteCount: payload.count)
        } else {
            destination.copyMemory(from: source, byteCount: 2)
            destination.setNetwork16(0x8000 | entry.pictureID, at: 2)
            (destination + 4).copyMemory(from: source + 3, byteCount: payload.count - 3)
        }
        return payload.count + grown
    }

    /// Writes a receiver's numbers over those of the stored payload.
    static func write(_ packet: borrowing SentPacket, over payload: UnsafeMutableRawBufferPointer, _ entry: HistoryEntry) {
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
