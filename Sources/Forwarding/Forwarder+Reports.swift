// RTCP in both directions: what peers report and ask, and what is reported to and asked of them.
import WireFormats

extension Forwarder {
    package mutating func receive(
        rtcp datagram: UnsafeRawBufferPointer, from peerID: Int32, now: UInt64, arrival: UInt64
    ) {
        guard peers.contains(peerID) else { return }
        var packets = RTCPPackets(datagram)
        while let packet = packets.next() {
            switch packet.message {
            case .senderReport(let report): receive(report, peerID, now: now, arrival: arrival)
            case .receiverReport(let report): receive(report.reports, peerID, now: now)
            case .negativeAcknowledgement(let nack): receive(nack, peerID, now: now)
            case .pictureLoss(let loss): receivePictureLoss(loss.media, peerID, now: now)
            case .fullIntraRequest(let request):
                for entry in request.entries { receivePictureLoss(entry.ssrc, peerID, now: now) }
            case .maximumBitrate(let estimate):
                peers[peerID].pointee.maximumBitrate = estimate.bitsPerSecond
                peers[peerID].pointee.bandwidth.receive(maximumBitrate: estimate.bitsPerSecond)
            case .transportFeedback(let feedback): receive(feedback, peerID, now: now)
            case .extendedReport(let report): receive(report, peerID, arrival: arrival)
            case .goodbye(let goodbye): receive(goodbye, peerID)
            case .sourceDescription, .unknown: break
            case .malformed: counters.refused[Int(PacketRefusal.malformed.rawValue)] &+= 1
            }
        }
        if packets.isMalformed { counters.refused[Int(PacketRefusal.malformed.rawValue)] &+= 1 }
    }

    private mutating func receive(_ report: SenderReport, _ peerID: Int32, now: UInt64, arrival: UInt64) {
        receive(report.reports, peerID, now: now)
        let peer = peers[peerID]
        guard let source = peer.pointee.sources.find(UInt64(report.ssrc)), source & 1 == 0 else { return }
        let encoding = encodings[source >> 1]
        let clock = SenderClock(ntp: report.ntp, rtp: report.rtp, arrival: arrival)
        let isFirst = encoding.pointee.senderClock == nil
        encoding.pointee.senderClock = clock
        let offset = Int64(bitPattern: ntp(at: arrival) &- report.ntp)
        // A tenth of a millisecond a report lets the offset follow clocks that drift apart.
        let drift = Int64(429_497)
        peer.pointee.clockOffset = peer.pointee.clockOffset.map { min($0 &+ drift, offset) } ?? offset
        if isFirst, let track = tracks.find(encoding.pointee.track) {
            for stream in track.pointee.receivers { streams[stream].pointee.senderReportDue = now }
        }
        notices.append(
            .senderReport(
                track: encoding.pointee.track, layer: encoding.pointee.index, ssrc: report.ssrc, clock: clock))
    }

    private mutating func receive(_ reports: ReportBlocks, _ peerID: Int32, now: UInt64) {
        let peer = peers[peerID]
        for block in reports {
            for id in peer.pointee.streams where streams[id].pointee.ssrc == block.ssrc {
                let stream = streams[id]
                stream.pointee.isAcknowledged = true
                stream.pointee.fractionLost = block.fractionLost
                peer.pointee.bandwidth.receive(fractionLost: block.fractionLost)
                stream.pointee.jitter = block.jitter
                if block.lastSenderReport != 0 {
                    let middle = UInt32(truncatingIfNeeded: ntp(at: now) >> 16)
                    let units = middle &- block.lastSenderReport &- block.delaySinceLastSenderReport
                    // More than ten seconds is a mistake of theirs, or a clock that was set.
                    if units < 10 << 16 { smoothRoundTrip(peer, (UInt64(units) &* 1_000_000_000) >> 16) }
                }
            }
        }
    }

    private func smoothRoundTrip(_ peer: UnsafeMutablePointer<PeerMedia>, _ sample: UInt64) {
        peer.pointee.roundTrip = peer.pointee.roundTrip.map { ($0 * 7 + sample) / 8 } ?? sample
    }

    static let mostRepetitions: UInt8 = 10

    private mutating func receive(_ nack: NegativeAcknowledgement, _ peerID: Int32, now: UInt64) {
        let peer = peers[peerID]
        for id in peer.pointee.streams where streams[id].pointee.ssrc == nack.media {
            let stream = streams[id]
            let roundTrip = UInt32(truncatingIfNeeded: (peer.pointee.roundTrip ?? 50_000_000) / 1_000_000)
            let milliseconds = UInt32(truncatingIfNeeded: now / 1_000_000)
            for sequence in nack.sequences {
                counters.nacksReceived &+= 1
                stream.pointee.nacksReceived &+= 1
                guard let sent = stream.pointee.sent.find(sequence), sent.pointee.flags.contains(.wasSent),
                    sent.pointee.repetitions < Forwarder.mostRepetitions
                else { continue }
                // Asked again within a round trip, the answer is still on its way.
                if sent.pointee.repetitions > 0, milliseconds &- sent.pointee.sentAt < max(roundTrip, 10) { continue }
                sent.pointee.repetitions += 1
                sent.pointee.sentAt = milliseconds
                let kind: OutgoingPacket.Kind =
                    stream.pointee.retransmissionPayloadType == 0xFF ? .repetition : .retransmission
                enqueue(OutgoingPacket(stream: id, sequence: sequence, kind: kind, bytes: 1200), for: peerID)
            }
        }
    }

    private mutating func receivePictureLoss(_ ssrc: UInt32, _ peerID: Int32, now: UInt64) {
        for id in peers[peerID].pointee.streams where streams[id].pointee.ssrc == ssrc {
            let stream = streams[id]
            counters.keyFrameRequestsReceived &+= 1
            stream.pointee.keyFrameRequests &+= 1
            // One receiver asks at most three times a second, whatever it sends.
            guard now &- stream.pointee.lastKeyFrameRequest >= 300_000_000 || stream.pointee.lastKeyFrameRequest == 0
            else { continue }
            stream.pointee.lastKeyFrameRequest = now
            guard let track = tracks.find(stream.pointee.track), !track.pointee.isMuted else { continue }
            let wanted = stream.pointee.current >= 0 ? stream.pointee.current : stream.pointee.target
            guard let encoding = encodings.find(wanted) else { continue }
            // Who sees a picture from the cache stands in line with all the others who do.
            if stream.pointee.current < 0, stream.pointee.shown != nil {
                requestForJoiner(wanted, now: now)
            } else {
                encoding.pointee.keyFrameRequester.request(now: now)
            }
            wakeFastTick(now: now)
        }
    }

    private mutating func receive(_ report: ExtendedReport, _ peerID: Int32, arrival: UInt64) {
        for block in report {
            if case .receiverReferenceTime(let ntp) = block {
                peers[peerID].pointee.referenceTime = (
                    report.sender, UInt32(truncatingIfNeeded: ntp >> 16), arrival
                )
            }
        }
    }

    private mutating func receive(_ goodbye: Goodbye, _ peerID: Int32) {
        for ssrc in goodbye.sources {
            guard let source = peers[peerID].pointee.sources.find(UInt64(ssrc)), source & 1 == 0 else { continue }
            let encoding = encodings[source >> 1]
            encoding.pointee.flowingSince = nil
            encoding.pointee.lastPacketAt = nil
            notices.append(.sourceEnded(track: encoding.pointee.track, layer: encoding.pointee.index))
        }
    }

    // MARK: - To the peers

    /// Copies the next compound packet for this peer into `buffer` (of 1200 bytes and more); 0 when there is none.
    package mutating func writeNextControl(for peerID: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        peers[peerID].pointee.popControl(into: buffer)
    }

    /// 1/65536 s (RFC 3550 §6.4.1).
    private static func reportUnits(_ nanoseconds: UInt64) -> UInt32 {
        UInt32(clamping: ((nanoseconds / 1000) << 16) / 1_000_000)
    }

    /// A compound that begins with a report of who speaks, as RFC 3550 §6.1 wants it even where reduced size is allowed.
    private func newCompound(_ peer: UnsafeMutablePointer<PeerMedia>) -> RTCPWriter {
        var writer = RTCPWriter(scratch)
        writer.receiverReport(ssrc: peer.pointee.reportingSSRC)
        return writer
    }

    private mutating func submit(_ writer: RTCPWriter, _ peerID: Int32) {
        if peers[peerID].pointee.appendControl(writer.bytes) { markDirty(peerID) }
    }

    mutating func sendTransportFeedback(_ peerID: Int32) {
        let peer = peers[peerID]
        while peer.pointee.arrivals.collect(into: &report) {
            var writer = newCompound(peer)
            let told = writer.transportFeedback(
                sender: peer.pointee.reportingSSRC, media: firstSource(peer), baseSequence: report.baseSequence,
                feedbackCount: report.feedbackCount, arrivals: report.arrivals.span)
            peer.pointee.arrivals.confirm(report, told: told)
            guard told > 0 else { return }
            submit(writer, peerID)
        }
    }

    private func firstSource(_ peer: UnsafeMutablePointer<PeerMedia>) -> UInt32 {
        for section in peer.pointee.sections {
            guard let track = tracks.find(section.track) else { continue }
            for id in track.pointee.encodings { if let ssrc = encodings[id].pointee.ssrc { return ssrc } }
        }
        return 0
    }

    mutating func sendNacks(_ encodingID: Int32, peer peerID: Int32, now: UInt64) {
        let encoding = encodings[encodingID]
        sequences.removeAll(keepingCapacity: true)
        let gaveUp = encoding.pointee.nack.collect(now: now, into: &sequences)
        if gaveUp, tracks[encoding.pointee.track].pointee.isVideo {
            encoding.pointee.keyFrameRequester.request(now: now)
        }
        guard !sequences.isEmpty, let ssrc = encoding.pointee.ssrc else { return }
        let peer = peers[peerID]
        var writer = newCompound(peer)
        writer.negativeAcknowledgement(sender: peer.pointee.reportingSSRC, media: ssrc, sequences: sequences)
        counters.nacksSent &+= UInt64(sequences.count)
        submit(writer, peerID)
    }

    mutating func sendKeyFrameRequest(_ encodingID: Int32, peer peerID: Int32, now: UInt64) {
        let encoding = encodings[encodingID]
        let track = tracks[encoding.pointee.track]
        guard let ssrc = encoding.pointee.ssrc,
            let form = encoding.pointee.keyFrameRequester.poll(
                now: now, pictureLoss: track.pointee.usesPictureLoss, fullIntra: track.pointee.usesFullIntra)
        else { return }
        let peer = peers[peerID]
        var writer = newCompound(peer)
        switch form {
        case .pictureLoss: writer.pictureLoss(sender: peer.pointee.reportingSSRC, media: ssrc)
        case .fullIntra:
            let sequence = encoding.pointee.keyFrameRequester.fullIntraSequence
            writer.fullIntraRequest(
                sender: peer.pointee.reportingSSRC,
                entries: CollectionOfOne(FullIntraRequest.Entry(ssrc: ssrc, sequence: sequence)))
        }
        counters.keyFrameRequestsSent &+= 1
        submit(writer, peerID)
    }

    /// How the server hears what the peer sends.
    mutating func sendReceiverReports(_ peerID: Int32, now: UInt64) {
        let peer = peers[peerID]
        reportBlocks.removeAll(keepingCapacity: true)
        for section in peer.pointee.sections {
            guard let track = tracks.find(section.track) else { continue }
            for id in track.pointee.encodings {
                let encoding = encodings[id]
                encoding.pointee.statistics.measureRate(now: now)
                encoding.pointee.history.growIfNeeded(bytesPerSecond: encoding.pointee.statistics.bitsPerSecond / 8)
                guard let ssrc = encoding.pointee.ssrc, encoding.pointee.statistics.packets > 0 else { continue }
                let report = encoding.pointee.statistics.makeReport()
                var last: UInt32 = 0
                var delay: UInt32 = 0
                if let clock = encoding.pointee.senderClock {
                    last = UInt32(truncatingIfNeeded: clock.ntp >> 16)
                    let age = now > clock.arrival ? now - clock.arrival : 0
                    delay = Forwarder.reportUnits(age)
                }
                reportBlocks.append(
                    ReportBlock(
                        ssrc: ssrc, fractionLost: report.fractionLost, cumulativeLost: report.cumulativeLost,
                        highestSequence: report.highestSequence, jitter: report.jitter, lastSenderReport: last,
                        delaySinceLastSenderReport: delay))
            }
        }
        guard !reportBlocks.isEmpty || peer.pointee.referenceTime != nil else { return }
        var writer = RTCPWriter(scratch)
        let sender = peer.pointee.reportingSSRC
        var index = 0
        repeat {
            let end = min(index + 31, reportBlocks.count)
            writer.receiverReport(ssrc: sender, reports: reportBlocks[index..<end])
            if index == 0 { writer.sourceDescription(ssrc: sender, cname: peer.pointee.cname) }
            index = end
        } while index < reportBlocks.count && writer.remaining > 800
        if let reference = peer.pointee.referenceTime {
            let age = now > reference.arrival ? now - reference.arrival : 0
            writer.delaySinceLastReport(
                sender: sender, receiver: reference.ssrc, lastReport: reference.ntp,
                delay: Forwarder.reportUnits(age))
            peer.pointee.referenceTime = nil
        }
        if peer.pointee.usesMaximumBitrate, !peer.pointee.usesTransportFeedback { addMaximumBitrate(&writer, peer) }
        submit(writer, peerID)
    }

    /// For senders without transport-wide feedback: half as much again as came, less when much was lost. It is a
    /// ceiling that rises with use, no measurement of the path.
    private func addMaximumBitrate(_ writer: inout RTCPWriter, _ peer: UnsafeMutablePointer<PeerMedia>) {
        var received = 0
        var worstLoss: UInt8 = 0
        for block in reportBlocks { worstLoss = max(worstLoss, block.fractionLost) }
        for section in peer.pointee.sections {
            guard let track = tracks.find(section.track) else { continue }
            for id in track.pointee.encodings { received += encodings[id].pointee.statistics.bitsPerSecond }
        }
        // A tenth of the packets lost.
        let wanted = worstLoss > 26 ? received * 85 / 100 : received * 3 / 2
        let floor = 500_000 * max(1, reportBlocks.count)
        writer.maximumBitrate(
            sender: peer.pointee.reportingSSRC, bitsPerSecond: UInt64(max(floor, wanted)),
            sources: reportBlocks.prefix(16).map(\.ssrc))
    }

    /// The source's clock in the receiver's numbers, as of now (RFC 3550 §6.4.1): all of a publisher's streams are moved
    /// to the server's time by one and the same offset, so that they stay in step.
    mutating func sendSenderReport(_ streamID: Int32, now: UInt64) {
        let stream = streams[streamID]
        guard let encoding = encodings.find(stream.pointee.current), let track = tracks.find(stream.pointee.track),
            let offset = peers[track.pointee.peer].pointee.clockOffset, let clock = encoding.pointee.senderClock,
            stream.pointee.packets > 0
        else { return }
        stream.pointee.senderReportDue = now &+ Forwarder.reportInterval
        let moment = ntp(at: now)
        let timestamp =
            clock.timestamp(atNTP: moment &- UInt64(bitPattern: offset), clockRate: encoding.pointee.clockRate)
            &+ stream.pointee.rewriter.timestampOffset
        var writer = RTCPWriter(scratch)
        writer.senderReport(
            ssrc: stream.pointee.ssrc, ntp: moment, rtp: timestamp,
            packetCount: UInt32(truncatingIfNeeded: stream.pointee.packets),
            octetCount: UInt32(truncatingIfNeeded: stream.pointee.bytes))
        writer.sourceDescription(ssrc: stream.pointee.ssrc, cname: peers[stream.pointee.peer].pointee.cname)
        submit(writer, stream.pointee.peer)
    }
}
