// Picture numbers in VP8 and VP9 payloads and frame numbers in dependency descriptors, written anew for each receiver.
import WireFormats

/// Picture numbers grow to 15 bits in the history (RFC 7741 §4.2, RFC 9628 §4.2), so that whatever a receiver's stream
/// needs can be written over them in place.
enum PictureNumbers {
    /// One byte more than the payload may be needed.
    static let growth = 1

    static func copy(
        _ payload: UnsafeRawBufferPointer, _ head: VP8Descriptor, to target: UnsafeMutableRawBufferPointer,
        entry: inout HistoryEntry
    ) -> Int? {
        let grown: UInt8 = head.pictureID != nil && !head.pictureIDIsLong ? 1 : 0
        if let index = head.temporalBaseIndex {
            entry.flags.insert(.hasTemporalIndex)
            entry.temporalIndex = index
            entry.temporalOffset = head.temporalBaseIndexOffset &+ grown
        }
        if let index = head.keyIndex {
            entry.flags.insert(.hasKeyIndex)
            entry.keyIndex = index
            entry.keyIndexOffset = head.temporalLayerOffset &+ grown
        }
        return copy(
            payload, pictureID: head.pictureID, isLong: head.pictureIDIsLong, at: head.pictureIDOffset, to: target,
            entry: &entry)
    }

    static func copy(
        _ payload: UnsafeRawBufferPointer, _ head: VP9Descriptor, to target: UnsafeMutableRawBufferPointer,
        entry: inout HistoryEntry
    ) -> Int? {
        let grown: UInt8 = head.pictureID != nil && !head.pictureIDIsLong ? 1 : 0
        if let index = head.temporalBaseIndex {
            entry.flags.insert(.hasTemporalIndex)
            entry.temporalIndex = index
            entry.temporalOffset = head.temporalBaseIndexOffset &+ grown
        }
        return copy(
            payload, pictureID: head.pictureID, isLong: head.pictureIDIsLong, at: head.pictureIDOffset, to: target,
            entry: &entry)
    }

    /// Notes in `entry` where the number is, and answers with the length written.
    private static func copy(
        _ payload: UnsafeRawBufferPointer, pictureID: UInt16?, isLong: Bool, at place: UInt8,
        to target: UnsafeMutableRawBufferPointer, entry: inout HistoryEntry
    ) -> Int? {
        guard target.count > payload.count, let source = payload.baseAddress, let destination = target.baseAddress
        else {
            return nil
        }
        guard let pictureID else {
            destination.copyMemory(from: source, byteCount: payload.count)
            return payload.count
        }
        entry.flags.insert(.hasPictureID)
        entry.pictureID = pictureID
        entry.pictureIDOffset = place
        if isLong {
            destination.copyMemory(from: source, byteCount: payload.count)
            return payload.count
        }
        let offset = Int(place)
        destination.copyMemory(from: source, byteCount: offset)
        destination.setNetwork16(0x8000 | pictureID, at: offset)
        (destination + offset + 2).copyMemory(from: source + offset + 1, byteCount: payload.count - offset - 1)
        return payload.count + 1
    }

    /// Writes a receiver's numbers over those of the stored payload.
    @inline(__always)
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

    /// Writes a dependency descriptor with the receiver's frame number and decode targets.
    static func append(
        _ source: UnsafeRawBufferPointer, id: UInt8, _ packet: SentPacket, _ entry: HistoryEntry,
        to writer: inout RTPHeaderWriter
    ) {
        let rewriter = DependencyDescriptorRewriter(
            frameNumber: packet.frameNumber, mask: packet.decodeTargets == 0 ? nil : packet.decodeTargets,
            maskPosition: entry.layers.maskPosition, maskLength: entry.layers.maskLength,
            decodeTargets: entry.layers.decodeTargets)
        let length = rewriter.length(of: source)
        guard let place = writer.reserve(id: id, length: length) else { return }
        rewriter.write(source, to: UnsafeMutableRawBufferPointer(start: place, count: length))
    }
}
