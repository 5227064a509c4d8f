// One RTCP datagram cut into its packets (RFC 3550 section 6.1; reduced size as in RFC 5506): views, no copies.

package enum RTCPType {
    package static let senderReport: UInt8 = 200
    package static let receiverReport: UInt8 = 201
    package static let sourceDescription: UInt8 = 202
    package static let goodbye: UInt8 = 203
    package static let application: UInt8 = 204
    package static let transportFeedback: UInt8 = 205
    package static let payloadFeedback: UInt8 = 206
    package static let extendedReport: UInt8 = 207
}

/// One packet of a compound. The bytes belong to the datagram: read it before the buffer is used again.
@frozen
package struct RTCPPacket {
    package let type: UInt8
    /// The five bits after the version: a count of reports, or the format of a feedback message.
    package let count: UInt8
    /// Without header and padding.
    package let body: UnsafeRawBufferPointer

    @inlinable
    package init(type: UInt8, count: UInt8, body: UnsafeRawBufferPointer) {
        self.type = type
        self.count = count
        self.body = body
    }
}

/// ```swift
/// var packets = RTCPPackets(datagram)
/// while let packet = packets.next() {
///     switch packet.message { … }
/// }
/// ```
@frozen
package struct RTCPPackets: Sequence, IteratorProtocol {
    @usableFromInline var reader: ByteReader
    /// True when the datagram ended in bytes that are no RTCP packet; what came before is good.
    package var isMalformed = false

    @inlinable
    package init(_ datagram: UnsafeRawBufferPointer) { reader = ByteReader(datagram) }

    @inlinable
    package mutating func next() -> RTCPPacket? {
        guard !isMalformed, reader.remaining > 0 else { return nil }
        guard let first = reader.read8(), let type = reader.read8(), let words = reader.read16(), first >> 6 == 2,
            let content = reader.read(Int(words) &* 4)
        else {
            isMalformed = true
            return nil
        }
        var body = content
        if first & 0x20 != 0 {
            // The last byte says by how much. RFC 3550 pads only the last packet of a compound; browsers pad any.
            guard let padding = content.last, padding > 0, Int(padding) <= content.count else {
                isMalformed = true
                return nil
            }
            body = UnsafeRawBufferPointer(rebasing: content[..<(content.count &- Int(padding))])
        }
        return RTCPPacket(type: type, count: first & 0x1F, body: body)
    }
}

/// What a packet says. `malformed` and `unknown` are to be skipped (RFC 3550 section 6.1).
package enum RTCPMessage {
    case senderReport(SenderReport)
    case receiverReport(ReceiverReport)
    case sourceDescription(SourceDescriptions)
    case goodbye(Goodbye)
    case negativeAcknowledgement(NegativeAcknowledgement)
    case transportFeedback(TransportFeedback)
    case pictureLoss(PictureLoss)
    case fullIntraRequest(FullIntraRequest)
    case maximumBitrate(MaximumBitrate)
    case extendedReport(ExtendedReport)
    case unknown(type: UInt8, format: UInt8)
    case malformed(type: UInt8, format: UInt8)
}

extension RTCPPacket {
    package var message: RTCPMessage {
        let broken = RTCPMessage.malformed(type: type, format: count)
        switch (type, count) {
        case (RTCPType.senderReport, _): return SenderReport(self).map { .senderReport($0) } ?? broken
        case (RTCPType.receiverReport, _): return ReceiverReport(self).map { .receiverReport($0) } ?? broken
        case (RTCPType.sourceDescription, _): return .sourceDescription(SourceDescriptions(body, chunks: count))
        case (RTCPType.goodbye, _): return Goodbye(self).map { .goodbye($0) } ?? broken
        case (RTCPType.transportFeedback, 1):
            return NegativeAcknowledgement(body).map { .negativeAcknowledgement($0) } ?? broken
        case (RTCPType.transportFeedback, 15): return TransportFeedback(body).map { .transportFeedback($0) } ?? broken
        case (RTCPType.payloadFeedback, 1): return PictureLoss(body).map { .pictureLoss($0) } ?? broken
        case (RTCPType.payloadFeedback, 4): return FullIntraRequest(body).map { .fullIntraRequest($0) } ?? broken
        case (RTCPType.payloadFeedback, 15):
            // Application layer feedback: REMB names itself, anything else is somebody else's.
            guard MaximumBitrate.isNamed(in: body) else { return .unknown(type: type, format: count) }
            return MaximumBitrate(body).map { .maximumBitrate($0) } ?? broken
        case (RTCPType.extendedReport, _): return ExtendedReport(body).map { .extendedReport($0) } ?? broken
        default: return .unknown(type: type, format: count)
        }
    }
}
