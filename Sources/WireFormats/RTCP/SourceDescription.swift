// Who a source is, when it leaves: SDES with its CNAME (RFC 3550 section 6.5), BYE (section 6.6).

package struct SourceDescription {
    package var ssrc: UInt32
    /// UTF-8, not checked; nil when the chunk has no CNAME.
    package var cname: UnsafeRawBufferPointer?
}

/// Ends at the first chunk that is cut short.
package struct SourceDescriptions: Sequence, IteratorProtocol {
    private static let cnameItem: UInt8 = 1

    private var reader: ByteReader
    private var left: UInt8

    init(_ bytes: UnsafeRawBufferPointer, chunks: UInt8) {
        reader = ByteReader(bytes)
        left = chunks
    }

    package mutating func next() -> SourceDescription? {
        guard left > 0, let ssrc = reader.read32() else { return nil }
        left &-= 1
        var description = SourceDescription(ssrc: ssrc, cname: nil)
        while let item = reader.read8() {
            if item == 0 {
                // The list ends with a zero and is filled up to a whole word.
                let aligned = (reader.position &+ 3) & ~3
                guard reader.skip(aligned &- reader.position) else { break }
                return description
            }
            guard let length = reader.read8(), let text = reader.read(Int(length)) else { break }
            if item == Self.cnameItem { description.cname = text }
        }
        left = 0
        return nil
    }
}

package struct Goodbye {
    package var sources: SourceNumbers
    /// UTF-8, not checked.
    package var reason: UnsafeRawBufferPointer?

    init?(_ packet: RTCPPacket) {
        var reader = ByteReader(packet.body)
        guard let numbers = reader.read(Int(packet.count) &* 4) else { return nil }
        sources = SourceNumbers(numbers)
        if let length = reader.read8(), length > 0 { reason = reader.read(Int(length)) }
    }
}

/// A list of SSRCs.
package struct SourceNumbers: Sequence, IteratorProtocol {
    private var reader: ByteReader

    init(_ bytes: UnsafeRawBufferPointer) { reader = ByteReader(bytes) }

    package mutating func next() -> UInt32? { reader.read32() }
}
