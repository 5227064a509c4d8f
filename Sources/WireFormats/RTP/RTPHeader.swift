// The fixed RTP header with its CSRC list, extension block and padding (RFC 3550 §5.1, RFC 8285 §4).

/// Offsets into a packet, not copies of it: the packet itself stays where it was received.
@frozen
package struct RTPHeader: Sendable, Equatable {
    /// The profile word of the extension block, 0 when there is none.
    package var extensionProfile: UInt16
    package var sequence: UInt16
    package var timestamp: UInt32
    package var ssrc: UInt32
    package var payloadType: UInt8
    package var marker: Bool
    /// Bytes of padding at the end, its own length byte included.
    package var paddingLength: UInt8
    /// Where the elements of the extension block begin.
    package var extensionOffset: Int
    package var extensionLength: Int
    /// Where the payload begins.
    package var headerLength: Int
    package var payloadLength: Int

    package static let fixedLength = 12
    package static let oneByteProfile: UInt16 = 0xBEDE
    package static let twoByteProfile: UInt16 = 0x1000

    /// nil when these bytes are no RTP packet: wrong version, or a length inside that reaches beyond the end.
    @inlinable
    package init?(_ packet: UnsafeRawBufferPointer) {
        guard let base = packet.baseAddress, packet.count >= RTPHeader.fixedLength else { return nil }
        let first = base.load(as: UInt8.self)
        guard first & 0xC0 == 0x80 else { return nil }
        let second = base.load(fromByteOffset: 1, as: UInt8.self)
        var length = RTPHeader.fixedLength + Int(first & 0x0F) * 4
        guard length <= packet.count else { return nil }
        extensionProfile = 0
        extensionOffset = length
        extensionLength = 0
        if first & 0x10 != 0 {
            guard length + 4 <= packet.count else { return nil }
            extensionProfile = base.network16(at: length)
            extensionLength = Int(base.network16(at: length + 2)) * 4
            extensionOffset = length + 4
            length = extensionOffset + extensionLength
            guard length <= packet.count else { return nil }
        }
        var padding: UInt8 = 0
        if first & 0x20 != 0 {
            guard length < packet.count else { return nil }
            padding = base.load(fromByteOffset: packet.count - 1, as: UInt8.self)
            guard padding > 0, Int(padding) <= packet.count - length else { return nil }
        }
        paddingLength = padding
        headerLength = length
        payloadLength = packet.count - length - Int(padding)
        marker = second & 0x80 != 0
        payloadType = second & 0x7F
        sequence = base.network16(at: 2)
        timestamp = base.network32(at: 4)
        ssrc = base.network32(at: 8)
    }

    /// RFC 5761 §4 and RFC 7983: what the first two bytes of a packet on a shared port say.
    @inlinable
    package static func isRTCP(_ packet: UnsafeRawBufferPointer) -> Bool {
        guard packet.count >= 4 else { return false }
        return packet[0] & 0xC0 == 0x80 && (192...223).contains(packet[1])
    }

    @inlinable @inline(__always)
    package static func setSequence(_ value: UInt16, in packet: UnsafeMutableRawPointer) {
        packet.setNetwork16(value, at: 2)
    }

    @inlinable @inline(__always)
    package static func setTimestamp(_ value: UInt32, in packet: UnsafeMutableRawPointer) {
        packet.setNetwork32(value, at: 4)
    }

    @inlinable @inline(__always)
    package static func setSSRC(_ value: UInt32, in packet: UnsafeMutableRawPointer) {
        packet.setNetwork32(value, at: 8)
    }

    /// Keeps the marker.
    @inlinable @inline(__always)
    package static func setPayloadType(_ value: UInt8, in packet: UnsafeMutableRawPointer) {
        let marker = packet.load(fromByteOffset: 1, as: UInt8.self) & 0x80
        packet.storeBytes(of: marker | (value & 0x7F), toByteOffset: 1, as: UInt8.self)
    }
}
