// Where the core meets bandwidth: feedback in, allotted layers, paced packets and probes out.
import WireFormats

extension Forwarder {
    /// How this receiver tells what its path carries, by negotiation.
    package mutating func setBandwidthSource(_ source: PeerBandwidth.Source, peer id: Int32, now: UInt64) {
        peers.find(id)?.pointee.bandwidth.enable(source, now: now)
    }

    /// What the page shows of a stream; taken into account at the next look, a tenth of a second later at most.
    package mutating func setDemand(_ demand: StreamDemand, stream id: Int32) {
        streams.find(id)?.pointee.demand = demand
    }

    // MARK: - Feedback

    mutating func receive(_ feedback: TransportFeedback, _ peerID: Int32, now: UInt64) {
        counters.feedbackReceived &+= 1
        let peer = peers[peerID]
        repeatLost(feedback, peerID, now: now)
        let before = peer.pointee.bandwidth.feedbackCount
        let hasFallen = peer.pointee.bandwidth.receive(feedback, now: now)
        guard peer.pointee.bandwidth.feedbackCount != before else { return }
        if hasFallen { allot(peerID, now: now) }
        tickBandwidth(peerID, now: now)
    }

    private mutating func tickBandwidth(_ peerID: Int32, now: UInt64) {
        let peer = peers[peerID]
        let isUnknown = peer.pointee.bandwidth.isStarting && !peer.pointee.allocator.isMeasured
        let hasFailed = peer.pointee.bandwidth.probing.failures > 0
        let goal = isUnknown ? 0 : peer.pointee.allocator.goal(afterFailure: hasFailed)
        let queued = peer.pointee.queue.bytes + peer.pointee.repairQueue.bytes
        peer.pointee.bandwidth.tick(goal: goal, queuedBytes: queued, now: now)
        if peer.pointee.bandwidth.isOverfull(queuedBytes: queued) { beginAnew(peerID, now: now) }
        if peer.pointee.bandwidth.probing.isSending { markDirty(peerID) }
    }

    /// Drops the video that waits, since it is old by now; streams go on with their next key frames, and with the numbers of
    /// what was dropped: receivers would ask for those in vain, and then for more key frames.
    private mutating func beginAnew(_ peerID: Int32, now: UInt64) {
        let peer = peers[peerID]
        counters.queueDrops &+= UInt64(peer.pointee.queue.count)
        while let packet = peer.pointee.queue.popFirst() {
            guard packet.kind == .media, let stream = streams.find(packet.stream), stream.pointee.isVideo else {
                continue
            }
            stream.pointee.rewriter.takeBack(from: packet.sequence, lastMarker: endsPicture(before: packet, stream))
            stream.pointee.current = -1
        }
        for id in peer.pointee.streams { requestKeyFrame(for: id, now: now) }
    }

    /// Whether the packet before this one, which was sent, was the last of its picture.
    private func endsPicture(before packet: OutgoingPacket, _ stream: UnsafeMutablePointer<ReceiverStream>) -> Bool {
        guard let sent = stream.pointee.sent.find(packet.sequence &- 1),
            let encoding = encodings.find(sent.pointee.encoding), encoding.pointee.stamp == sent.pointee.stamp,
            let entry = encoding.pointee.history.find(sent.pointee.source)
        else { return true }
        return sent.pointee.marker(of: entry.pointee)
    }

    // MARK: - Ten times a second

    mutating func runBandwidth(now: UInt64) {
        for index in 0..<tracks.end {
            let id = Int32(truncatingIfNeeded: index)
            if tracks.find(id)?.pointee.isVideo == true { measureLayers(id, now: now) }
        }
        for index in 0..<peers.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let peer = peers.find(id), peer.pointee.canSend, !peer.pointee.streams.isEmpty else { continue }
            allot(id, now: now)
            tickBandwidth(id, now: now)
        }
    }

    /// The track's layers from small to large, as they arrive at present.
    private mutating func measureLayers(_ id: Int32, now: UInt64) {
        let track = tracks[id]
        var hasNews = false
        for encodingID in track.pointee.encodings {
            if encodings[encodingID].pointee.layerRates.update(now: now) { hasNews = true }
        }
        guard hasNews else { return }
        measured.removeAll(keepingCapacity: true)
        for encodingID in track.pointee.encodings
        where encodings[encodingID].pointee.isFlowing(newest: track.pointee.lastPacketAt, now: now) {
            let encoding = encodings[encodingID]
            let isSimulcast = !encoding.pointee.rid.isEmpty
            let rates = encoding.pointee.layerRates
            let pixels = Int(encoding.pointee.width) * Int(encoding.pointee.height)
            for spatial in 0...(isSimulcast ? 0 : rates.highestSpatial) {
                for temporal in 0...rates.highestTemporal {
                    let rate = rates.bitsPerSecond(
                        spatial: isSimulcast ? rates.highestSpatial : spatial, temporal: temporal)
                    guard rate > 0 else { continue }
                    let isFull = temporal == rates.highestTemporal
                    measured.append(
                        MeasuredLayer(
                            target: LayerTarget(
                                spatial: isSimulcast ? encoding.pointee.index : UInt8(spatial),
                                temporal: isFull ? LayerTarget.highest.temporal : UInt8(temporal)),
                            // Spatial layers of one encoding halve both sides from one to the next.
                            pixels: isSimulcast ? pixels : pixels >> (2 * (rates.highestSpatial - spatial)),
                            bitsPerSecond: rate))
                }
            }
        }
        sortLayers()
        LayerLadder.fill(&track.pointee.ladder, from: measured, role: track.pointee.role)
    }

    /// By size, then by rate: few and nearly in order.
    private mutating func sortLayers() {
        guard measured.count > 1 else { return }
        for index in 1..<measured.count {
            var place = index
            while place > 0, isSmaller(measured[place], measured[place - 1]) {
                measured.swapAt(place, place - 1)
                place -= 1
            }
        }
    }

    private func isSmaller(_ one: MeasuredLayer, _ other: MeasuredLayer) -> Bool {
        if one.target.spatial != other.target.spatial, one.pixels > 0, other.pixels > 0, one.pixels != other.pixels {
            return one.pixels < other.pixels
        }
        return one.bitsPerSecond < other.bitsPerSecond
    }

    mutating func allot(_ peerID: Int32, now: UInt64) {
        let peer = peers[peerID]
        let isOpen = peer.pointee.bandwidth.isOpen
        var audio = 0.0
        var count = 0
        for id in peer.pointee.streams {
            let stream = streams[id]
            guard let track = tracks.find(stream.pointee.track) else { continue }
            guard stream.pointee.isVideo else {
                audio += Forwarder.audioBitsPerSecond
                continue
            }
            if isOpen, stream.pointee.demand == StreamDemand() {
                stream.pointee.reason = .best
                continue
            }
            peer.pointee.allocator.set(
                count, id: id, track: stream.pointee.track, role: track.pointee.role, rungs: track.pointee.ladder,
                demand: stream.pointee.demand)
            count += 1
        }
        peer.pointee.allocator.truncate(to: count)
        let estimate = peer.pointee.bandwidth.budget
        _ = peer.pointee.allocator.decide(
            estimate: estimate, stable: peer.pointee.bandwidth.stableBudget, audio: audio,
            mayStepUp: peer.pointee.bandwidth.mayStepUp(now: now), now: now)
        for index in 0..<count {
            let id = peer.pointee.allocator.streams[index].id
            let target = peer.pointee.allocator.streams[index].wanted
            streams[id].pointee.reason = peer.pointee.allocator.streams[index].reason
            streams[id].pointee.isBounded = target != .highest
            setWantedLayer(receiver: peerID, stream: id, target: target, now: now)
        }
        guard isOpen else { return }
        for id in peer.pointee.streams where streams[id].pointee.isBounded {
            guard streams[id].pointee.demand == StreamDemand() else { continue }
            streams[id].pointee.isBounded = false
            setWantedLayer(receiver: peerID, stream: id, target: .highest, now: now)
        }
    }

    // MARK: - Pace

    /// Receivers whose packets had to wait for this slot.
    mutating func runPacer(now: UInt64) {
        pacerDue = .max
        while let id = paced.popLast() {
            guard let peer = peers.find(id), peer.pointee.isPaced else { continue }
            peer.pointee.isPaced = false
            markDirty(id)
        }
    }

    /// What is to be written next; nil when nothing may leave at this moment.
    @inline(__always)
    mutating func nextRelease(_ peer: UnsafeMutablePointer<PeerMedia>, _ peerID: Int32, now: UInt64) -> OutgoingPacket?
    {
        if let packet = peer.pointee.popNext(now: now) { return packet }
        guard peer.pointee.bandwidth.source != .nothing else { return nil }
        return nextPadding(peer, peerID, now: now)
    }

    private mutating func nextPadding(
        _ peer: UnsafeMutablePointer<PeerMedia>, _ peerID: Int32, now: UInt64
    ) -> OutgoingPacket? {
        let waits = peer.pointee.hasWaiting
        if !waits, peer.pointee.bandwidth.paddingDue(now: now) > 0 {
            if let packet = repeatable(peer) ?? empty(peer) { return packet }
            // No stream whose receiver would know what to do with it.
            peer.pointee.bandwidth.cancelProbe(now: now)
        }
        guard waits || peer.pointee.bandwidth.probing.isSending else { return nil }
        pacerDue = min(pacerDue, (now / Pacing.slot + 1) * Pacing.slot)
        if !peer.pointee.isPaced {
            peer.pointee.isPaced = true
            paced.append(peerID)
        }
        return nil
    }

    /// One of the last packets of a stream with retransmissions: receivers know what to do with those.
    private mutating func repeatable(_ peer: UnsafeMutablePointer<PeerMedia>) -> OutgoingPacket? {
        for id in peer.pointee.streams {
            guard let stream = streams.find(id), stream.pointee.isVideo,
                stream.pointee.retransmissionPayloadType != 0xFF, stream.pointee.rewriter.hasStarted
            else { continue }
            let newest = stream.pointee.rewriter.lastSequence
            for back in 0..<UInt16(Forwarder.paddingDepth) {
                let step = (peer.pointee.paddingTurn &+ back) % UInt16(Forwarder.paddingDepth)
                let sequence = newest &- step
                guard let sent = stream.pointee.sent.find(sequence), sent.pointee.flags.contains(.wasSent),
                    !sent.pointee.flags.contains(.isEmpty),
                    let encoding = encodings.find(sent.pointee.encoding),
                    encoding.pointee.stamp == sent.pointee.stamp,
                    let entry = encoding.pointee.history.find(sent.pointee.source), entry.pointee.payloadLength > 200
                else { continue }
                peer.pointee.paddingTurn = step &+ 1
                counters.packetsPadded &+= 1
                return OutgoingPacket(
                    stream: id, sequence: sequence, kind: .retransmission, bytes: entry.pointee.payloadLength)
            }
        }
        return nil
    }

    /// Where nothing was sent of late that could be sent again: all pictures are paused for want of bandwidth, and only a
    /// probe can bring them back.
    private mutating func empty(_ peer: UnsafeMutablePointer<PeerMedia>) -> OutgoingPacket? {
        for id in peer.pointee.streams {
            guard let stream = streams.find(id), stream.pointee.retransmissionPayloadType != 0xFF,
                stream.pointee.extensions[.transportSequence] != 0
            else { continue }
            counters.packetsPadded &+= 1
            return OutgoingPacket(stream: id, sequence: 0, kind: .padding, bytes: UInt16(Forwarder.paddingBytes))
        }
        return nil
    }

    /// A packet of nothing but padding (RFC 3550 §5.1), of the most that its last byte can say.
    mutating func writePadding(
        _ streamID: Int32, _ peer: UnsafeMutablePointer<PeerMedia>, now: UInt64,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> OutgoingWrite? {
        guard let stream = streams.find(streamID) else { return nil }
        var writer = RTPHeaderWriter(
            into: buffer, payloadType: stream.pointee.retransmissionPayloadType, marker: false,
            sequence: stream.pointee.retransmissionSequence, timestamp: stream.pointee.rewriter.lastSentTimestamp,
            ssrc: stream.pointee.retransmissionSSRC)
        stream.pointee.retransmissionSequence &+= 1
        writer.beginExtensions(twoByte: stream.pointee.needsTwoBytes)
        let number = peer.pointee.transportSequence
        if let place = writer.reserve(id: stream.pointee.extensions[.transportSequence], length: 2) {
            place.setNetwork16(number, at: 0)
            peer.pointee.transportSequence &+= 1
        }
        let headerLength = writer.finish()
        buffer[0] |= 0x20
        peer.pointee.bandwidth.sent(sequence: number, bytes: headerLength + Forwarder.paddingBytes, now: now)
        counters.packetsRetransmitted &+= 1
        return OutgoingWrite(
            headerLength: headerLength, payload: UnsafeRawBufferPointer(padding),
            slot: stream.pointee.retransmissionSlot)
    }

    static let paddingDepth = 16
    static let paddingBytes = 255
    static let audioBitsPerSecond = 60_000.0
}
