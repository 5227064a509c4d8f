// The packets of the load: RTP of 1200 bytes with VP8 inside, numbered and filled so that the far end can check them.
import CForwardFloor

enum MediaShape {
    static let payloadType: UInt8 = 96
    static let midExtension: UInt8 = 4
    static let transportExtension = UInt8(FLOOR_TRANSPORT_CC_ID)
    static let packetBytes = 1200
    static let tagBytes = Int(FLOOR_LARGEST_TAG_BYTES)
    /// Fixed header, extension header, and two words of extensions: mid and the transport-wide sequence number.
    static let headerBytes = 24
    static let payloadBytes = packetBytes - headerBytes
    /// VP8 descriptor with a 15-bit PictureID, then (in a key frame's first packet) the frame header.
    private static let descriptorBytes = 4
    private static let numberOffset = 16

    struct Frame {
        var isKey: Bool
        var picture: UInt16
        var timestamp: UInt32
    }

    static func writeHeader(
        _ out: UnsafeMutableRawBufferPointer, sequence: UInt16, transportSequence: UInt16, ssrc: UInt32, frame: Frame,
        isLast: Bool
    ) {
        out[0] = 0x90
        out[1] = payloadType | (isLast ? 0x80 : 0)
        out.storeBytes(of: sequence.bigEndian, toByteOffset: 2, as: UInt16.self)
        out.storeBytes(of: frame.timestamp.bigEndian, toByteOffset: 4, as: UInt32.self)
        out.storeBytes(of: ssrc.bigEndian, toByteOffset: 8, as: UInt32.self)
        out.storeBytes(of: UInt32(0xBEDE_0002).bigEndian, toByteOffset: 12, as: UInt32.self)
        out[16] = midExtension << 4
        out[17] = UInt8(ascii: "0")
        out[18] = transportExtension << 4 | 1
        out.storeBytes(of: transportSequence.bigEndian, toByteOffset: 19, as: UInt16.self)
        out[21] = 0
        out[22] = 0
        out[23] = 0
    }

    static func writePayload(_ out: UnsafeMutableRawBufferPointer, number: UInt64, frame: Frame, isFirst: Bool) {
        out[0] = isFirst ? 0x90 : 0x80
        out[1] = 0x80
        out[2] = 0x80 | UInt8(truncatingIfNeeded: frame.picture >> 8)
        out[3] = UInt8(truncatingIfNeeded: frame.picture)
        // Frame tag: bit 0 clear is a key frame, bit 4 shows it; then start code and 640 × 360.
        let header: [UInt8] =
            frame.isKey && isFirst
            ? [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01] : [0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        for (index, byte) in header.enumerated() { out[descriptorBytes + index] = byte }
        out[14] = 0
        out[15] = 0
        out.storeBytes(of: number.bigEndian, toByteOffset: numberOffset, as: UInt64.self)
        let filler = UInt8(truncatingIfNeeded: number &* 167)
        for index in (numberOffset + 8)..<payloadBytes { out[index] = filler }
    }

    /// Whether a decrypted packet carries what was sent, whatever its header became on the way.
    static func isIntact(_ packet: UnsafeRawBufferPointer) -> Bool {
        guard packet.count >= 12 else { return false }
        var header = 12 + 4 * Int(packet[0] & 15)
        if packet[0] & 0x10 != 0 {
            guard packet.count >= header + 4 else { return false }
            header += 4 + 4 * (Int(packet[header + 2]) << 8 | Int(packet[header + 3]))
        }
        guard packet.count - header == payloadBytes else { return false }
        let payload = UnsafeRawBufferPointer(rebasing: packet[header...])
        let number = UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: numberOffset, as: UInt64.self))
        let filler = UInt8(truncatingIfNeeded: number &* 167)
        return payload[(numberOffset + 8)...].allSatisfy { $0 == filler }
    }
}
