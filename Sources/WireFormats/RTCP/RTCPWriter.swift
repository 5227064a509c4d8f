// Writes RTCP packets one after the other into a buffer that the caller owns; the result is one datagram.

/// Every method answers whether the packet fitted; one that did not leaves no trace.
///
/// ```swift
/// var writer = RTCPWriter(buffer)
/// writer.receiverReport(ssrc: 1, reports: blocks)
/// writer.pictureLoss(sender: 1, media: 2)
/// send(buffer[..<writer.count])
/// ```
package struct RTCPWriter {
    private let buffer: UnsafeMutableRawBufferPointer
    /// Bytes written so far.
    package private(set) var count = 0

    package init(_ buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

    package var isEmpty: Bool { count == 0 }
    package var remaining: Int { buffer.count &- count }
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: buffer[..<count]) }

    // MARK: - Reports

    @discardableResult
    package mutating func senderReport(
        ssrc: UInt32, ntp: UInt64, rtp: UInt32, packetCount: UInt32, octetCount: UInt32,
        reports: Span<ReportBlock> = Span()
    ) -> Bool {
        guard begin(RTCPType.senderReport, format: reports.count, bytes: 24 &+ reports.count &* ReportBlock.length)
        else { return false }
        put32(ssrc)
        put32(UInt32(truncatingIfNeeded: ntp >> 32))
        put32(UInt32(truncatingIfNeeded: ntp))
        put32(rtp)
        put32(packetCount)
        put32(octetCount)
        for index in reports.indices { put(reports[index]) }
        return true
    }

    /// A span, here and below: a generic collection would be walked by its witnesses, which allocate.
    @discardableResult
    package mutating func receiverReport(ssrc: UInt32, reports: Span<ReportBlock> = Span()) -> Bool {
        guard begin(RTCPType.receiverReport, format: reports.count, bytes: 4 &+ reports.count &* ReportBlock.length)
        else { return false }
        put32(ssrc)
        for index in reports.indices { put(reports[index]) }
        return true
    }

    private mutating func put(_ report: ReportBlock) {
        put32(report.ssrc)
        let lost = min(max(report.cumulativeLost, -0x80_0000), 0x7F_FFFF)
        put32(UInt32(report.fractionLost) << 24 | UInt32(bitPattern: lost) & 0xFF_FFFF)
        put32(report.highestSequence)
        put32(report.jitter)
        put32(report.lastSenderReport)
        put32(report.delaySinceLastSenderReport)
    }

    // MARK: - Sources

    /// A CNAME is cut at 255 bytes.
    @discardableResult
    package mutating func sourceDescription(ssrc: UInt32, cname: Span<UInt8>) -> Bool {
        let length = min(cname.count, 255)
        let content = 4 &+ 2 &+ length &+ 1
        let padded = (content &+ 3) & ~3
        guard begin(RTCPType.sourceDescription, format: 1, bytes: padded) else { return false }
        put32(ssrc)
        put8(1)
        put8(UInt8(truncatingIfNeeded: length))
        for index in 0..<length { put8(cname[index]) }
        for _ in 0..<(padded &- content &+ 1) { put8(0) }
        return true
    }

    @discardableResult
    package mutating func goodbye(_ ssrcs: some Collection<UInt32>) -> Bool {
        guard begin(RTCPType.goodbye, format: ssrcs.count, bytes: ssrcs.count &* 4) else { return false }
        for ssrc in ssrcs { put32(ssrc) }
        return true
    }

    // MARK: - Requests

    /// The sequence numbers in the order they were sent, so that neighbours share an entry. Nothing is written for none.
    @discardableResult
    package mutating func negativeAcknowledgement(
        sender: UInt32, media: UInt32, sequences: Span<UInt16>
    ) -> Bool {
        let start = count
        guard begin(RTCPType.transportFeedback, format: 1, bytes: 12) else { return false }
        put32(sender)
        put32(media)
        let entries = count
        var base: UInt16 = 0
        var mask: UInt16 = 0
        var isOpen = false
        for index in sequences.indices {
            let sequence = sequences[index]
            let distance = sequence &- base
            if isOpen, distance == 0 { continue }
            if isOpen, distance <= 16 {
                mask |= 1 << (distance &- 1)
                continue
            }
            if isOpen {
                // Keep room for this entry and the one that is begun now.
                guard remaining >= 8 else {
                    count = start
                    return false
                }
                put16(base)
                put16(mask)
            }
            base = sequence
            mask = 0
            isOpen = true
        }
        guard isOpen else {
            count = start
            return false
        }
        put16(base)
        put16(mask)
        setLength(of: start, bytes: 8 &+ (count &- entries))
        return true
    }

    @discardableResult
    package mutating func pictureLoss(sender: UInt32, media: UInt32) -> Bool {
        guard begin(RTCPType.payloadFeedback, format: 1, bytes: 8) else { return false }
        put32(sender)
        put32(media)
        return true
    }

    @discardableResult
    package mutating func fullIntraRequest(sender: UInt32, entries: some Collection<FullIntraRequest.Entry>) -> Bool {
        guard !entries.isEmpty, begin(RTCPType.payloadFeedback, format: 4, bytes: 8 &+ entries.count &* 8) else {
            return false
        }
        put32(sender)
        put32(0)
        for entry in entries {
            put32(entry.ssrc)
            put32(UInt32(entry.sequence) << 24)
        }
        return true
    }

    /// The rate is rounded down to 18 significant bits.
    @discardableResult
    package mutating func maximumBitrate(
        sender: UInt32, bitsPerSecond: UInt64, sources: some Collection<UInt32>
    ) -> Bool {
        guard sources.count <= 255,
            begin(RTCPType.payloadFeedback, format: 15, bytes: 16 &+ sources.count &* 4)
        else { return false }
        put32(sender)
        put32(0)
        put32(MaximumBitrate.name)
        let exponent = max(0, 46 &- bitsPerSecond.leadingZeroBitCount)
        let mantissa = UInt32(truncatingIfNeeded: bitsPerSecond >> UInt64(exponent))
        put32(UInt32(sources.count) << 24 | UInt32(exponent) << 18 | mantissa)
        for source in sources { put32(source) }
        return true
    }

    // MARK: - Extended reports

    /// The answer to a receiver's reference time (RFC 3611 section 4.5).
    @discardableResult
    package mutating func delaySinceLastReport(
        sender: UInt32, receiver: UInt32, lastReport: UInt32, delay: UInt32
    ) -> Bool {
        guard begin(RTCPType.extendedReport, format: 0, bytes: 20) else { return false }
        put32(sender)
        put8(ExtendedReport.delaysSinceLastReport)
        put8(0)
        put16(3)
        put32(receiver)
        put32(lastReport)
        put32(delay)
        return true
    }

    // MARK: - Transport feedback

    /// Tells when packets arrived. `arrivals` are in ascending order of sequence number (around the wrap); the sequence
    /// numbers between them, and from `baseSequence` to the first, are reported lost.
    /// Answers how many were told: fewer than all when the buffer, or the range of a time difference, was exhausted. The
    /// rest belongs into the next message, with the next `feedbackCount`.
    package mutating func transportFeedback(
        sender: UInt32, media: UInt32, baseSequence: UInt16, feedbackCount: UInt8, arrivals: Span<TransportArrival>
    ) -> Int {
        let plan = TransportFeedbackPlan(baseSequence: baseSequence, arrivals: arrivals, capacity: remaining)
        guard plan.arrivalCount > 0 else { return 0 }
        let padded = (plan.byteCount &+ 3) & ~3
        guard begin(RTCPType.transportFeedback, format: 15, bytes: padded) else { return 0 }
        // Padding is announced like that of any RTCP packet, so that it is not read as deltas.
        let padding = padded &- plan.byteCount
        if padding > 0 { buffer[count &- 4] |= 0x20 }
        let end = count &+ padded
        put32(sender)
        put32(media)
        put16(baseSequence)
        put16(plan.statusCount)
        put32(plan.reference << 8 | UInt32(feedbackCount))
        plan.forEachChunk(arrivals) { put16($0) }
        plan.forEachDelta(arrivals) { delta, symbol in
            if symbol == .smallDelta {
                put8(UInt8(truncatingIfNeeded: delta))
            } else {
                put16(UInt16(truncatingIfNeeded: delta))
            }
        }
        while count < end { put8(count == end &- 1 ? UInt8(truncatingIfNeeded: padding) : 0) }
        return plan.arrivalCount
    }

    // MARK: - Bytes

    /// Writes the header when header and body fit and the body is whole words.
    private mutating func begin(_ type: UInt8, format: Int, bytes: Int) -> Bool {
        guard format <= 31, bytes >= 0, bytes & 3 == 0, bytes &+ 4 <= remaining, bytes <= 0x3_FFFC else { return false }
        put8(0x80 | UInt8(truncatingIfNeeded: format))
        put8(type)
        put16(UInt16(truncatingIfNeeded: bytes >> 2))
        return true
    }

    private func setLength(of start: Int, bytes: Int) {
        let words = UInt16(truncatingIfNeeded: bytes >> 2)
        buffer[start &+ 2] = UInt8(truncatingIfNeeded: words >> 8)
        buffer[start &+ 3] = UInt8(truncatingIfNeeded: words)
    }

    private mutating func put8(_ value: UInt8) {
        buffer[count] = value
        count &+= 1
    }

    private mutating func put16(_ value: UInt16) {
        buffer.storeBytes(of: value.bigEndian, toByteOffset: count, as: UInt16.self)
        count &+= 2
    }

    private mutating func put32(_ value: UInt32) {
        buffer.storeBytes(of: value.bigEndian, toByteOffset: count, as: UInt32.self)
        count &+= 4
    }
}
