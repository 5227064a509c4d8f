// The parts of an RTP packet that a recorder needs, as a view on the packet's bytes (RFC 3550 section 5.1).

/// Valid only as long as the bytes it was made from.
struct RTPPacketView {
    let sequenceNumber: UInt16
    let timestamp: UInt32
    let ssrc: UInt32
    let payloadType: UInt8
    let marker: Bool
    /// Without padding; empty for a packet that is only padding.
    let payload: UnsafeRawBufferPointer

    /// Nil for what is not a whole RTP packet of version 2.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 12, bytes[0] >> 6 == 2 else { return nil }
        var start = 12 + 4 * Int(bytes[0] & 0x0F)
        if bytes[0] & 0x10 != 0 {
            guard bytes.count >= start + 4 else { return nil }
            start += 4 + 4 * Int(bigEndian16(bytes, start + 2))
        }
        var end = bytes.count
        guard start <= end else { return nil }
        if bytes[0] & 0x20 != 0, end > start {
            let padding = Int(bytes[end - 1])
            guard padding > 0, padding <= end - start else { return nil }
            end -= padding
        }
        marker = bytes[1] & 0x80 != 0
        payloadType = bytes[1] & 0x7F
        sequenceNumber = bigEndian16(bytes, 2)
        timestamp = bigEndian32(bytes, 4)
        ssrc = bigEndian32(bytes, 8)
        payload = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }
}

/// Big-endian reads; the caller has checked the length.
func bigEndian16(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt16 {
    UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])
}

func bigEndian32(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
    UInt32(bigEndian16(bytes, at)) << 16 | UInt32(bigEndian16(bytes, at + 2))
}
