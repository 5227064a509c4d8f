// Tells apart what shares one UDP port: STUN, DTLS, RTP and RTCP by their first bytes.

/// What a datagram on a bundled port is, by RFC 7983 (first byte) and RFC 5761 (RTP or RTCP).
@frozen
package enum DatagramKind: UInt8, Sendable {
    case stun
    case dtls
    case rtp
    case rtcp
    case unknown

    @inlinable
    package static func classify(_ datagram: UnsafeRawBufferPointer) -> DatagramKind {
        guard datagram.count >= 2 else { return .unknown }
        switch datagram[0] {
        case 0...3:
            return .stun
        case 20...63:
            return .dtls
        case 128...191:
            // RTCP packet types 192–223 are what RTP payload types 64–95 with a marker would look like.
            return (192...223).contains(datagram[1]) ? .rtcp : .rtp
        default:
            return .unknown
        }
    }
}
