// A packet's way out: who gets it under which numbers, and the header it leaves with.
import WireFormats

/// A packet whose header is written; payload and header together are what is to be protected.
package struct OutgoingWrite {
    package let headerLength: Int
    /// In the publisher's history: good until the next packet is received.
    package let payload: UnsafeRawBufferPointer
    /// The transport's number for the SSRC.
    package let slot: Int
}

extension Forwarder {
    /// Decides whether this receiver gets the packet, under which number, and queues it.
    @inline(__always)
    mutating func forward(_ entry: UnsafePointer<HistoryEntry>, _ encodingID: Int32, to streamID: Int32, now: UInt64) {
        let stream = streams[streamID]
        if stream.pointee.current == encodingID {
            if stream.pointee.target != encodingID, !stream.pointee.isVideo { return }
            emit(entry, encodingID, stream, streamID, now: now)
            return
        }
        guard stream.pointee.target == encodingID, peers[stream.pointee.peer].pointee.canSend,
            now >= stream.pointee.notBefore,
            !stream.pointee.isVideo || entry.pointee.flags.contains(.startsKeyFrame),
            entry.pointee.codec == stream.pointee.codec, !entry.pointee.flags.contains(.isPaddingOnly)
        else { return }
        switchSource(of: streamID, to: encodingID, at: entry, now: now)
    }

    private mutating func switchSource(
        of streamID: Int32, to encodingID: Int32, at entry: UnsafePointer<HistoryEntry>, now: UInt64
    ) {
        let stream = streams[streamID]
        let encoding = encodings[encodingID]
        stream.pointee.rewriter.switchSource(
            at: entry.pointee, newest: encoding.pointee.newestTimestamp, arrival: encoding.pointee.newestAt,
            clockRate: encoding.pointee.clockRate,
            preferred: timestamp(of: entry.pointee, encodingID, for: stream))
        stream.pointee.current = encodingID
        stream.pointee.previous = encodingID
        stream.pointee.currentStamp = encoding.pointee.stamp
        stream.pointee.layers.restart()
        stream.pointee.switches &+= 1
        stream.pointee.senderReportDue = now
        emit(entry, encodingID, stream, streamID, now: now)
        // When the first packet of a key frame had been lost and was repaired, the rest of it is already here.
        guard let highest = encoding.pointee.unwrapper.highest else { return }
        var sequence = entry.pointee.sequence &+ 1
        while Int32(bitPattern: highest &- sequence) >= 0 {
            if let later = encodings[encodingID].pointee.history.find(sequence) {
                emit(later, encodingID, stream, streamID, now: now)
            }
            sequence &+= 1
        }
    }

    /// The receiver's timestamp for a packet of a source that it does not get yet, by that of the one it had last.
    func timestamp(
        of entry: HistoryEntry, _ encodingID: Int32, for stream: UnsafeMutablePointer<ReceiverStream>
    ) -> UInt32? {
        let encoding = encodings[encodingID]
        guard let old = encodings.find(stream.pointee.previous), old.pointee.stamp == stream.pointee.currentStamp,
            old.pointee.track == encoding.pointee.track
        else { return nil }
        let offset = stream.pointee.rewriter.timestampOffset
        if stream.pointee.previous == encodingID { return entry.timestamp &+ offset }
        // Layers have clocks of their own; the sender's reports say how they belong together.
        let arrived = encoding.pointee.arrivalClock.moment(of: entry.timestamp, clockRate: encoding.pointee.clockRate)
        let byArrival = arrived.flatMap { old.pointee.arrivalClock.timestamp(at: $0, clockRate: old.pointee.clockRate) }
        guard let oldClock = old.pointee.senderClock, let newClock = encoding.pointee.senderClock else {
            return byArrival.map { $0 &+ offset }
        }
        let moment = newClock.ntp(atTimestamp: entry.timestamp, clockRate: encoding.pointee.clockRate)
        let byReports = oldClock.timestamp(atNTP: moment, clockRate: old.pointee.clockRate)
        // Reports that are far from what is seen to come are not of one clock.
        guard let byArrival, Int32(bitPattern: byReports &- byArrival).magnitude > old.pointee.clockRate / 4 else {
            return byReports &+ offset
        }
        return byArrival &+ offset
    }

    @inline(__always)
    mutating func emit(
        _ entry: UnsafePointer<HistoryEntry>, _ encodingID: Int32, _ stream: UnsafeMutablePointer<ReceiverStream>,
        _ streamID: Int32, now: UInt64
    ) {
        guard entry.pointee.codec == stream.pointee.codec || entry.pointee.flags.contains(.isPaddingOnly) else {
            return
        }
        var flags: SentPacket.Flags = []
        var verdict = LayerSelector.Verdict(isForwarded: true)
        if entry.pointee.flags.contains(.isPaddingOnly) {
            verdict.isForwarded = false
        } else if entry.pointee.layers.scheme != .none {
            verdict = stream.pointee.layers.decide(
                entry.pointee.layers, encodings[encodingID].pointee.ingest.described)
        }
        if !verdict.isForwarded {
            if stream.pointee.rewriter.skip(entry.pointee.sequence) {
                if verdict.leavesFrameOut { stream.pointee.rewriter.skipPicture(entry.pointee.layers.frame) }
                return
            }
            // Its number is already free in what the receiver has: an empty packet fills the gap.
            flags.insert(.isEmpty)
        }
        if verdict.endsPicture { flags.insert(.endsPicture) }
        guard
            let numbers = stream.pointee.rewriter.rewrite(
                entry, now: now, endsPicture: verdict.endsPicture, isEmpty: !verdict.isForwarded)
        else { return }
        if !stream.pointee.isAcknowledged { flags.insert(.carriesMid) }
        stream.pointee.sent.insert(
            SentPacket(
                stamp: encodings[encodingID].pointee.stamp, encoding: encodingID, source: entry.pointee.sequence,
                timestamp: numbers.timestamp, sequence: numbers.sequence, pictureID: numbers.pictureID,
                temporalIndex: numbers.temporalIndex, keyIndex: numbers.keyIndex, frameNumber: numbers.frameNumber,
                decodeTargets: verdict.decodeTargets, flags: flags))
        enqueue(
            OutgoingPacket(
                stream: streamID, sequence: numbers.sequence, kind: stream.pointee.isVideo ? .media : .sound,
                bytes: entry.pointee.payloadLength), for: stream.pointee.peer)
    }

    mutating func enqueue(_ packet: OutgoingPacket, for peer: Int32) {
        let state = peers[peer]
        let isTaken: Bool
        switch packet.kind {
        case .media: isTaken = state.pointee.queue.append(packet)
        case .sound: isTaken = state.pointee.audioQueue.append(packet)
        case .retransmission, .repetition, .padding:
            // Where nothing waits, nothing has to go first.
            if state.pointee.bandwidth.source == .nothing {
                isTaken = state.pointee.queue.append(packet)
            } else {
                isTaken = state.pointee.repairQueue.append(packet)
            }
        }
        if !isTaken { counters.queueDrops &+= 1 }
        markDirty(peer)
    }

    /// Nobody takes what waits for this peer.
    package mutating func giveUpOutput(of peerID: Int32) {
        let peer = peers[peerID]
        let waiting = peer.pointee.queue.count + peer.pointee.repairQueue.count + peer.pointee.audioQueue.count
        counters.queueDrops &+= UInt64(waiting)
        peer.pointee.discardOutput()
    }

    /// Writes the header of the next packet for this peer into `buffer`, which must hold a whole packet; nil when its
    /// queue is empty.
    package mutating func writeNext(
        for peerID: Int32, now: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) -> OutgoingWrite? {
        let peer = peers[peerID]
        while let next = nextRelease(peer, peerID, now: now) {
            if next.kind == .padding { return writePadding(next.stream, peer, now: now, into: buffer) }
            guard let stream = streams.find(next.stream), stream.pointee.peer == peerID,
                let sent = stream.pointee.sent.find(next.sequence),
                let encoding = encodings.find(sent.pointee.encoding), encoding.pointee.stamp == sent.pointee.stamp,
                let entry = encoding.pointee.history.find(sent.pointee.source)
            else {
                counters.queueDrops &+= 1
                continue
            }
            let isRedundant =
                stream.pointee.redundancyPayloadType != 0xFF && entry.pointee.codec == .opus
                && next.kind != .retransmission && !sent.pointee.flags.contains(.isEmpty)
            // What a packet held beside its own payload is not known any more, and its repetition must be the same.
            if isRedundant, next.kind == .repetition { continue }
            let payload = encoding.pointee.history.payload(of: entry)
            let extensions = encoding.pointee.history.extensions(of: entry)
            PictureNumbers.write(sent.pointee, over: payload, entry.pointee)
            if next.kind != .repetition { stampTimes(sent, stream, peer, now: now) }
            let isRepair = next.kind == .retransmission
            let headerLength = writeHeader(stream, sent.pointee, entry.pointee, extensions, isRepair: isRepair, buffer)
            sent.pointee.flags.insert(.wasSent)
            sent.pointee.sentAt = UInt32(truncatingIfNeeded: now / 1_000_000)
            let isEmpty = sent.pointee.flags.contains(.isEmpty)
            var body = UnsafeRawBufferPointer(start: payload.baseAddress, count: isEmpty ? 0 : payload.count)
            if isRepair, let base = payload.baseAddress {
                (base - 2).setNetwork16(sent.pointee.sequence, at: 0)
                body = UnsafeRawBufferPointer(start: base - 2, count: body.count + 2)
            } else if isRedundant, let redundant = makeRedundant(payload, sent.pointee, stream),
                let header = buffer.baseAddress
            {
                RTPHeader.setPayloadType(stream.pointee.redundancyPayloadType, in: header)
                body = redundant
            }
            let hasNumber = next.kind != .repetition && stream.pointee.extensions[.transportSequence] != 0
            peer.pointee.bandwidth.sent(
                sequence: hasNumber ? sent.pointee.transportSequence : nil, origin: sent.pointee.sequence,
                bytes: headerLength + body.count, now: now)
            if next.kind == .media || next.kind == .sound {
                counters.packetsForwarded &+= 1
                stream.pointee.packets &+= 1
                stream.pointee.bytes &+= UInt64(body.count)
            } else {
                counters.packetsRetransmitted &+= 1
                stream.pointee.retransmitted &+= 1
            }
            return OutgoingWrite(
                headerLength: headerLength, payload: body,
                slot: isRepair ? stream.pointee.retransmissionSlot : stream.pointee.slot)
        }
        return nil
    }

    /// What a header says of the moment of sending. A repetition keeps what the first sending said.
    @inline(__always)
    private func stampTimes(
        _ sent: UnsafeMutablePointer<SentPacket>, _ stream: UnsafeMutablePointer<ReceiverStream>,
        _ peer: UnsafeMutablePointer<PeerMedia>, now: UInt64
    ) {
        if stream.pointee.extensions[.transportSequence] != 0 {
            sent.pointee.transportSequence = peer.pointee.transportSequence
            peer.pointee.transportSequence &+= 1
        }
        // 24 bits, 6.18 seconds.
        let seconds = now / 1_000_000_000
        let fraction = ((now % 1_000_000_000) << 18) / 1_000_000_000
        sent.pointee.absoluteSendTime = UInt32(truncatingIfNeeded: (seconds << 18) | fraction) & 0xFF_FFFF
    }

    private mutating func writeHeader(
        _ stream: UnsafeMutablePointer<ReceiverStream>, _ sent: SentPacket, _ entry: HistoryEntry,
        _ stored: UnsafeRawBufferPointer, isRepair: Bool, _ buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        var sequence = sent.sequence
        if isRepair {
            sequence = stream.pointee.retransmissionSequence
            stream.pointee.retransmissionSequence &+= 1
        }
        var writer = RTPHeaderWriter(
            into: buffer,
            payloadType: isRepair ? stream.pointee.retransmissionPayloadType : stream.pointee.payloadType,
            marker: sent.marker(of: entry), sequence: sequence, timestamp: sent.timestamp,
            ssrc: isRepair ? stream.pointee.retransmissionSSRC : stream.pointee.ssrc)
        let numbers = stream.pointee.extensions
        let growth = sent.decodeTargets == 0 ? 0 : DependencyDescriptorRewriter.growth
        writer.beginExtensions(
            twoByte: stream.pointee.needsTwoBytes || ExtensionNumbers.hasLongElement(stored, growth: growth))
        let transportNumber = numbers[.transportSequence]
        if transportNumber != 0, let place = writer.reserve(id: transportNumber, length: 2) {
            place.setNetwork16(sent.transportSequence, at: 0)
        }
        let timeNumber = numbers[.absoluteSendTime]
        if timeNumber != 0, let place = writer.reserve(id: timeNumber, length: 3) {
            place.storeBytes(of: UInt8(truncatingIfNeeded: sent.absoluteSendTime >> 16), as: UInt8.self)
            place.setNetwork16(UInt16(truncatingIfNeeded: sent.absoluteSendTime), at: 1)
        }
        let midNumber = numbers[.mid]
        if midNumber != 0, sent.flags.contains(.carriesMid), stream.pointee.midLength > 0,
            let place = writer.reserve(id: midNumber, length: Int(stream.pointee.midLength))
        {
            stream.pointee.copyMid(to: place)
        }
        var position = 0
        while position + 2 <= stored.count {
            let length = Int(stored[position + 1])
            guard position + 2 + length <= stored.count else { break }
            let number = numbers.number(ofRaw: stored[position])
            if number != 0 {
                let bytes = UnsafeRawBufferPointer(rebasing: stored[(position + 2)..<(position + 2 + length)])
                if stored[position] == HeaderExtensionKind.dependencyDescriptor.rawValue,
                    entry.layers.flags.contains(.hasDescriptor)
                {
                    PictureNumbers.append(bytes, id: number, sent, entry, to: &writer)
                } else {
                    writer.append(id: number, bytes: bytes)
                }
            }
            position += 2 + length
        }
        return writer.finish()
    }
}

extension ExtensionNumbers {
    var needsTwoBytes: Bool {
        for kind in HeaderExtensionKind.allCases where self[kind] > 14 { return true }
        return false
    }

    static func hasLongElement(_ stored: UnsafeRawBufferPointer, growth: Int) -> Bool {
        var position = 0
        while position + 2 <= stored.count {
            let length = Int(stored[position + 1])
            if length + growth > 16 || length == 0 { return true }
            position += 2 + length
        }
        return false
    }
}
