// The writer's lists for those who have no span at hand: they are copied, so this is not for the packet path.

extension RTCPWriter {
    @discardableResult
    package mutating func senderReport(
        ssrc: UInt32, ntp: UInt64, rtp: UInt32, packetCount: UInt32, octetCount: UInt32,
        reports: some Collection<ReportBlock>
    ) -> Bool {
        let reports = Array(reports)
        return senderReport(
            ssrc: ssrc, ntp: ntp, rtp: rtp, packetCount: packetCount, octetCount: octetCount, reports: reports.span)
    }

    @discardableResult
    package mutating func receiverReport(ssrc: UInt32, reports: some Collection<ReportBlock>) -> Bool {
        let reports = Array(reports)
        return receiverReport(ssrc: ssrc, reports: reports.span)
    }

    @discardableResult
    package mutating func sourceDescription(ssrc: UInt32, cname: some Collection<UInt8>) -> Bool {
        let cname = Array(cname)
        return sourceDescription(ssrc: ssrc, cname: cname.span)
    }

    @discardableResult
    package mutating func negativeAcknowledgement(
        sender: UInt32, media: UInt32, sequences: some Sequence<UInt16>
    ) -> Bool {
        let sequences = Array(sequences)
        return negativeAcknowledgement(sender: sender, media: media, sequences: sequences.span)
    }
}
