// One-byte and two-byte header extension elements (RFC 8285 §4.2 and §4.3): reading them in place.

/// An element of the extension block by its place in the packet; `offset` may be written to, the length may not change.
@frozen
package struct HeaderExtensionElement: Sendable, Equatable {
    package var id: UInt8
    package var offset: Int
    package var length: Int

    @inlinable
    package init(id: UInt8, offset: Int, length: Int) {
        self.id = id
        self.offset = offset
        self.length = length
    }
}

/// Walks through the elements of one packet; it stops at the first element that reaches beyond the block.
@frozen
package struct HeaderExtensionElements {
    @usableFromInline let packet: UnsafeRawBufferPointer
    @usableFromInline var position: Int
    @usableFromInline let end: Int
    @usableFromInline let isTwoByte: Bool

    @inlinable
    package init(_ header: RTPHeader, in packet: UnsafeRawBufferPointer) {
        self.packet = packet
        position = header.extensionOffset
        isTwoByte = header.extensionProfile & 0xFFF0 == RTPHeader.twoByteProfile
        let isKnown = isTwoByte || header.extensionProfile == RTPHeader.oneByteProfile
        end = isKnown ? min(header.extensionOffset &+ header.extensionLength, packet.count) : position
    }

    @inlinable
    package mutating func next() -> HeaderExtensionElement? {
        while position < end {
            let first = packet[position]
            if first == 0 {
                position += 1
                continue
            }
            if isTwoByte {
                guard position + 2 <= end else { break }
                let length = Int(packet[position + 1])
                let offset = position + 2
                guard offset + length <= end else { break }
                position = offset + length
                return HeaderExtensionElement(id: first, offset: offset, length: length)
            }
            let id = first >> 4
            let length = Int(first & 0x0F) + 1
            let offset = position + 1
            // RFC 8285 §4.2: id 15 ends the block; id 0 with a length is padding of somebody who misread the RFC.
            guard id != 15, offset + length <= end else { break }
            position = offset + length
            if id != 0 { return HeaderExtensionElement(id: id, offset: offset, length: length) }
        }
        position = end
        return nil
    }
}
