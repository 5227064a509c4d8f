// What must hold for any bytes given to the RTCP reader. The fuzzer and the replay of its corpus both call this.

import WireFormats

func exerciseRTCP(_ bytes: UnsafeRawBufferPointer) {
    var packets = RTCPPackets(bytes)
    var length = 0
    while let packet = packets.next() {
        length += 4 + packet.body.count
        exercise(packet.message)
    }
    precondition(length <= bytes.count, "more was read than there is")
    exerciseTransportFeedback(bytes)
}

private func exercise(_ message: RTCPMessage) {
    switch message {
    case .senderReport(let report): exercise(report.reports)
    case .receiverReport(let report): exercise(report.reports)
    case .sourceDescription(let descriptions):
        for description in descriptions { precondition(description.cname?.count ?? 0 <= 255) }
    case .goodbye(let goodbye):
        precondition(goodbye.sources.reduce(0) { count, _ in count + 1 } <= 31)
        if let reason = goodbye.reason { precondition(reason.count <= 255) }
    case .negativeAcknowledgement(let request): exercise(request)
    case .transportFeedback(let feedback):
        var count = 0
        for status in feedback.statuses {
            precondition(status.sequence == feedback.baseSequence &+ UInt16(truncatingIfNeeded: count))
            count += 1
        }
        precondition(count == Int(feedback.statusCount), "fewer statuses than announced")
    case .pictureLoss(let loss): _ = loss.media
    case .fullIntraRequest(let request): for entry in request.entries { _ = entry.ssrc }
    case .maximumBitrate(let rate):
        _ = rate.bitsPerSecond
        precondition(rate.sources.reduce(0) { count, _ in count + 1 } <= 255)
    case .extendedReport(let report):
        for block in report {
            if case .delaysSinceLastReport(let delays) = block {
                for delay in delays { _ = delay.ssrc }
            }
        }
    case .unknown, .malformed: break
    }
}

private func exercise(_ reports: ReportBlocks) {
    let blocks = Array(reports)
    guard !blocks.isEmpty else { return }
    withWriter { writer in
        precondition(writer.receiverReport(ssrc: 1, reports: blocks))
        guard case .receiverReport(let again)? = RTCPPackets(writer.bytes).first(where: { _ in true })?.message else {
            preconditionFailure("a report that was written can't be read")
        }
        precondition(Array(again.reports) == blocks, "writing and reading changed the reports")
    }
}

private func exercise(_ request: NegativeAcknowledgement) {
    let sequences = Array(request.sequences)
    precondition(!sequences.isEmpty, "a request for nothing")
    withWriter { writer in
        guard writer.negativeAcknowledgement(sender: 1, media: 2, sequences: sequences) else { return }
        guard case .negativeAcknowledgement(let again)? = RTCPPackets(writer.bytes).first(where: { _ in true })?.message
        else { preconditionFailure("a request that was written can't be read") }
        precondition(Set(again.sequences) == Set(sequences), "writing and reading changed the request")
    }
}

/// The bytes once more, as gaps and steps of arrivals.
private func exerciseTransportFeedback(_ bytes: UnsafeRawBufferPointer) {
    var reader = ByteReader(bytes)
    var sequence: UInt16 = 0
    var time: Int64 = 0
    var arrivals: [TransportArrival] = []
    while arrivals.count < 300, let gap = reader.read8(), let step = reader.read16() {
        sequence &+= 1 + (gap == 255 ? 1000 : UInt16(gap & 0x0F))
        time += Int64(Int16(bitPattern: step)) * (gap & 0x10 != 0 ? 500 : 10)
        arrivals.append(TransportArrival(sequence: sequence, arrival: max(0, time)))
    }
    guard let first = arrivals.first else { return }
    withWriter { writer in
        let told = writer.transportFeedback(
            sender: 1, media: 2, baseSequence: first.sequence, feedbackCount: 0, arrivals: arrivals.span)
        precondition(told > 0, "the first arrival always fits")
        guard case .transportFeedback(let again)? = RTCPPackets(writer.bytes).first(where: { _ in true })?.message
        else {
            preconditionFailure("feedback that was written can't be read")
        }
        let received = again.statuses.filter { $0.arrival != nil }
        precondition(received.map(\.sequence) == arrivals[..<told].map(\.sequence), "arrivals were lost")
    }
}

private func withWriter(_ body: (inout RTCPWriter) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer in
        var writer = RTCPWriter(buffer)
        body(&writer)
    }
}
