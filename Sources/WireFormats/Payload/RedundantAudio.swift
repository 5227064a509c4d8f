// Redundant audio (RFC 2198): one packet that holds a payload and those of packets before it.

/// The blocks of one payload, all within its bytes.
@frozen
package struct RedundantAudio: Sendable {
    @frozen
    package struct Block: Sendable, Equatable {
        package var payloadType: UInt8 = 0
        /// How much earlier than the packet's timestamp it was sampled.
        package var timestampOffset: UInt16 = 0
        package var offset: UInt16 = 0
        package var length: UInt16 = 0

        @inlinable
        package init() {}
    }

    /// More than anybody sends; a payload with more is refused.
    package static let mostBlocks = 8
    package static let longestBlock = 1023
    package static let largestTimestampOffset: UInt32 = 0x3FFF
    /// Of a redundant block, and of the last one.
    package static let headerLength = 4
    package static let lastHeaderLength = 1

    @usableFromInline var blocks = InlineArray<8, Block>(repeating: Block())
    /// Redundant blocks, from the oldest to the newest.
    package private(set) var count = 0
    package private(set) var primary = Block()

    /// Nil when headers or blocks reach beyond the end, when nothing is left for the packet's own payload, or when it has
    /// too many blocks.
    package init?(_ payload: UnsafeRawBufferPointer) {
        var position = 0
        while true {
            guard position < payload.count else { return nil }
            let first = payload[position]
            guard first & 0x80 != 0 else {
                primary.payloadType = first
                position += RedundantAudio.lastHeaderLength
                break
            }
            guard count < RedundantAudio.mostBlocks, payload.count - position >= RedundantAudio.headerLength else {
                return nil
            }
            let rest =
                UInt32(payload[position + 1]) << 16 | UInt32(payload[position + 2]) << 8 | UInt32(payload[position + 3])
            var block = Block()
            block.payloadType = first & 0x7F
            block.timestampOffset = UInt16(truncatingIfNeeded: rest >> 10)
            block.length = UInt16(truncatingIfNeeded: rest & 0x3FF)
            blocks[count] = block
            count += 1
            position += RedundantAudio.headerLength
        }
        for index in 0..<count {
            guard payload.count - position >= Int(blocks[index].length) else { return nil }
            blocks[index].offset = UInt16(truncatingIfNeeded: position)
            position += Int(blocks[index].length)
        }
        guard position < payload.count, payload.count <= Int(UInt16.max) else { return nil }
        primary.offset = UInt16(truncatingIfNeeded: position)
        primary.length = UInt16(truncatingIfNeeded: payload.count - position)
    }

    /// `index` from 0, the oldest, below `count`.
    @inlinable
    package subscript(index: Int) -> Block { blocks[index] }

    /// The header of a redundant block; the caller makes sure that both numbers fit.
    package static func writeHeader(
        payloadType: UInt8, timestampOffset: UInt32, length: Int, to place: UnsafeMutableRawPointer
    ) {
        let rest = (timestampOffset & largestTimestampOffset) << 10 | UInt32(truncatingIfNeeded: length & 0x3FF)
        place.storeBytes(of: payloadType | 0x80, as: UInt8.self)
        place.storeBytes(of: UInt8(truncatingIfNeeded: rest >> 16), toByteOffset: 1, as: UInt8.self)
        place.storeBytes(of: UInt8(truncatingIfNeeded: rest >> 8), toByteOffset: 2, as: UInt8.self)
        place.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: 3, as: UInt8.self)
    }
}
