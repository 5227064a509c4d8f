// Sender and receiver reports (RFC 3550 section 6.4).

/// How one receiver hears one source.
package struct ReportBlock: Sendable, Hashable {
    package static let length = 24

    package var ssrc: UInt32
    /// Of 256.
    package var fractionLost: UInt8
    /// 24 bits with a sign: duplicates make it negative.
    package var cumulativeLost: Int32
    /// With the count of rollovers in the upper half.
    package var highestSequence: UInt32
    package var jitter: UInt32
    /// The middle 32 bits of the NTP time of the last sender report; 0 when there was none.
    package var lastSenderReport: UInt32
    /// In 1/65536 s.
    package var delaySinceLastSenderReport: UInt32

    package init(
        ssrc: UInt32, fractionLost: UInt8, cumulativeLost: Int32, highestSequence: UInt32, jitter: UInt32,
        lastSenderReport: UInt32, delaySinceLastSenderReport: UInt32
    ) {
        self.ssrc = ssrc
        self.fractionLost = fractionLost
        self.cumulativeLost = cumulativeLost
        self.highestSequence = highestSequence
        self.jitter = jitter
        self.lastSenderReport = lastSenderReport
        self.delaySinceLastSenderReport = delaySinceLastSenderReport
    }
}

package struct ReportBlocks: Sequence, IteratorProtocol {
    private var reader: ByteReader
    private var left: UInt8

    init?(_ bytes: UnsafeRawBufferPointer, count: UInt8) {
        guard bytes.count >= Int(count) &* ReportBlock.length else { return nil }
        reader = ByteReader(bytes)
        left = count
    }

    package mutating func next() -> ReportBlock? {
        guard left > 0, let ssrc = reader.read32(), let fraction = reader.read8(), let lost = reader.read24(),
            let highest = reader.read32(), let jitter = reader.read32(), let last = reader.read32(),
            let delay = reader.read32()
        else { return nil }
        left &-= 1
        return ReportBlock(
            ssrc: ssrc, fractionLost: fraction, cumulativeLost: Int32(bitPattern: lost << 8) >> 8,
            highestSequence: highest, jitter: jitter, lastSenderReport: last, delaySinceLastSenderReport: delay)
    }
}

package struct SenderReport {
    package var ssrc: UInt32
    package var ntp: UInt64
    package var rtp: UInt32
    package var packetCount: UInt32
    package var octetCount: UInt32
    package var reports: ReportBlocks

    init?(_ packet: RTCPPacket) {
        var reader = ByteReader(packet.body)
        guard let ssrc = reader.read32(), let ntp = reader.read64(), let rtp = reader.read32(),
            let packets = reader.read32(), let octets = reader.read32(),
            let reports = ReportBlocks(reader.rest, count: packet.count)
        else { return nil }
        self.ssrc = ssrc
        self.ntp = ntp
        self.rtp = rtp
        packetCount = packets
        octetCount = octets
        self.reports = reports
    }
}

package struct ReceiverReport {
    package var ssrc: UInt32
    package var reports: ReportBlocks

    init?(_ packet: RTCPPacket) {
        var reader = ByteReader(packet.body)
        guard let ssrc = reader.read32(), let reports = ReportBlocks(reader.rest, count: packet.count) else {
            return nil
        }
        self.ssrc = ssrc
        self.reports = reports
    }
}
