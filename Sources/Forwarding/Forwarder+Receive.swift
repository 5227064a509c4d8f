// A packet's way in: whose it is, what it is, into the history, and to everyone who wants it.
import WireFormats

extension Forwarder {
    /// Takes a decrypted RTP packet, which may be changed in place. `arrival` is when the kernel took it.
    package mutating func receive(
        rtp packet: UnsafeMutableRawBufferPointer, from peerID: Int32, now: UInt64, arrival: UInt64
    ) -> Ingested {
        guard let peer = peers.find(peerID), var header = RTPHeader(UnsafeRawBufferPointer(packet)) else {
            return refuse(.malformed)
        }
        counters.packetsReceived &+= 1
        var found = FoundExtensions()
        found.scan(header, in: UnsafeRawBufferPointer(packet), kinds: peer)
        if found.hasTransportSequence {
            peer.pointee.arrivals.record(found.transportSequence, arrival: arrival)
            if peer.pointee.usesTransportFeedback { fastDue = min(fastDue, peer.pointee.arrivals.nextDeadline) }
        }

        let source: Int32
        if let known = peer.pointee.sources.find(UInt64(header.ssrc)) {
            source = known
        } else {
            switch bind(header, found, in: UnsafeRawBufferPointer(packet), peer: peerID, now: now) {
            case .bound(let encoding): source = encoding
            case .refused(let reason): return refuse(reason)
            }
        }

        redundancy.recoveredCount = 0
        let encodingID = source >> 1
        var start = 0
        let isRepair = source & 1 != 0
        if isRepair {
            guard header.payloadLength >= 2 else { return refuse(.emptyRepair) }
            let format = peer.pointee.formats[Int(header.payloadType)]
            guard format.isRetransmission else { return refuse(.unknownPayloadType) }
            start = Forwarder.unwrapRepair(
                packet, &header, payloadType: format.repairs, ssrc: encodings[encodingID].pointee.ssrc ?? 0)
        }
        let held = peer.pointee.formats[Int(header.payloadType)].holds
        if held != 0xFF {
            guard
                let opened = openRedundant(
                    packet, &header, held: held, found, encodingID, peer: peerID, now: now, arrival: arrival)
            else { return refuse(.malformed) }
            start = opened
        }
        return ingest(
            UnsafeMutableRawBufferPointer(rebasing: packet[start...]), header, found, encodingID, peer: peerID,
            start: start, from: isRepair ? .repair : .wire, now: now, arrival: arrival)
    }

    /// How a packet came.
    enum Origin { case wire, repair, redundancy }

    /// RFC 4588 §4: makes the packet again what it was, by moving its header over the original sequence number.
    private static func unwrapRepair(
        _ packet: UnsafeMutableRawBufferPointer, _ header: inout RTPHeader, payloadType: UInt8, ssrc: UInt32
    ) -> Int {
        guard let base = packet.baseAddress else { return 0 }
        header.sequence = UnsafeRawPointer(base).network16(at: header.headerLength)
        header.payloadType = payloadType
        header.ssrc = ssrc
        header.payloadLength -= 2
        (base + 2).copyMemory(from: base, byteCount: header.headerLength)
        RTPHeader.setSequence(header.sequence, in: base + 2)
        RTPHeader.setPayloadType(payloadType, in: base + 2)
        RTPHeader.setSSRC(ssrc, in: base + 2)
        return 2
    }

    mutating func ingest(
        _ packet: UnsafeMutableRawBufferPointer, _ header: RTPHeader, _ found: FoundExtensions, _ encodingID: Int32,
        peer peerID: Int32, start: Int, from origin: Origin, now: UInt64, arrival: UInt64
    ) -> Ingested {
        let encoding = encodings[encodingID]
        let trackID = encoding.pointee.track
        let track = tracks[trackID]
        let format = peers[peerID].pointee.formats[Int(header.payloadType)]
        guard format.codec != .unknown, !format.isRetransmission, format.codec.isVideo == track.pointee.isVideo else {
            return refuse(.unknownPayloadType)
        }
        let position = encoding.pointee.unwrapper.position(of: header.sequence)
        if let highest = encoding.pointee.unwrapper.highest {
            let age = Int32(bitPattern: highest &- position)
            if age >= Int32(encoding.pointee.history.entryCapacity) { return refuseOld(encodingID, from: origin) }
            if age >= 0, encoding.pointee.history.contains(position) {
                encoding.pointee.statistics.recordDuplicate()
                return refuse(.duplicate)
            }
        }
        encoding.pointee.unwrapper.advance(to: position)
        encoding.pointee.staleRun = 0
        // Padding alone probes a path; it does not make a layer flow.
        if header.payloadLength > 0 {
            let begins = encoding.pointee.notePacket(newest: track.pointee.lastPacketAt, now: now)
            track.pointee.lastPacketAt = now
            if begins, track.pointee.isVideo { sourceBegins(encodingID, track: trackID, now: now) }
            encoding.pointee.noteNewest(
                timestamp: header.timestamp, isHighest: encoding.pointee.unwrapper.highest == position,
                arrival: arrival)
            if encoding.pointee.isLayer {
                encoding.pointee.arrivalClock.note(
                    timestamp: header.timestamp, arrival: arrival, clockRate: encoding.pointee.clockRate)
            }
        }
        if origin == .redundancy {
            encoding.pointee.statistics.recordRecoveredContent()
        } else {
            encoding.pointee.statistics.record(
                position: position, timestamp: header.timestamp, bytes: packet.count, arrival: arrival,
                clockRate: encoding.pointee.clockRate, isRecovered: origin == .repair)
        }
        if encoding.pointee.usesNack {
            if encoding.pointee.nack.receive(position, now: now) == .lostTooMuch, track.pointee.isVideo {
                encoding.pointee.keyFrameRequester.request(now: now)
                fastDue = now
            }
            if encoding.pointee.nack.missingCount > 0 { fastDue = min(fastDue, now &+ NackGenerator.reorderingDelay) }
        }
        if format.codec != track.pointee.codec || header.payloadType != track.pointee.payloadType {
            track.pointee.codec = format.codec
            track.pointee.payloadType = header.payloadType
            // A recorder knows the track by its codec; it is told of a new one first.
            track.pointee.recorderTrack = 0
            notices.append(.codecChanged(track: trackID))
        }
        if track.pointee.best < 0, header.payloadLength > 0 { choose(encodingID, forTrack: trackID, now: now) }
        guard !track.pointee.isMuted else { return refuse(.muted) }
        if !track.pointee.isVideo {
            if found.hasLevel { track.pointee.loudness = max(track.pointee.loudness, found.loudness) }
            hear(
                trackID, level: found.hasLevel ? found.loudness : nil, payloadLength: header.payloadLength, now: now)
        }

        var entry = HistoryEntry()
        entry.sequence = position
        entry.timestamp = header.timestamp
        entry.codec = format.codec
        if header.marker { entry.flags.insert(.marker) }
        if header.payloadLength == 0 { entry.flags.insert(.isPaddingOnly) }
        guard let stored = store(packet, header, found, &entry, encodingID, peer: peerID) else {
            return refuse(.malformed)
        }
        if encoding.pointee.ingest.hasLateStructure, let highest = encoding.pointee.unwrapper.highest {
            encoding.pointee.ingest.readAgain(after: position, to: highest, in: encoding.pointee.history)
        }
        encoding.pointee.layerRates.add(
            bytes: packet.count, spatial: stored.pointee.layers.spatial, temporal: stored.pointee.layers.temporal)
        if stored.pointee.flags.contains(.startsKeyFrame) {
            encoding.pointee.cached.note(stored.pointee, now: now)
            noteKeyFrame(encodingID, packet, header, format.codec)
        }
        if track.pointee.isVideo || track.pointee.voice.isOnAir {
            for index in 0..<track.pointee.receivers.count {
                forward(stored, encodingID, to: track.pointee.receivers[index], now: now)
            }
        } else {
            forwardOffAir(stored, encodingID, track: trackID, now: now)
        }
        return Ingested(
            outcome: header.payloadLength == 0 ? .consumed : .media, track: trackID, layer: encoding.pointee.index,
            start: start, length: packet.count)
    }

    /// A sender that starts its sequence numbers anew far behind would never be heard again: after some packets in a row
    /// its stream begins again.
    private mutating func refuseOld(_ encodingID: Int32, from origin: Origin) -> Ingested {
        let encoding = encodings[encodingID]
        if origin == .wire {
            encoding.pointee.staleRun += 1
            if encoding.pointee.staleRun > 32 { restart(encodingID) }
        }
        return refuse(.tooOld)
    }

    mutating func restart(_ encodingID: Int32) {
        let encoding = encodings[encodingID]
        encoding.pointee.unwrapper = SequenceUnwrapper()
        encoding.pointee.nack = NackGenerator()
        encoding.pointee.statistics = ReceptionStatistics()
        encoding.pointee.history.forgetEverything()
        encoding.pointee.ingest = LayerIngest()
        encoding.pointee.arrivalClock = ArrivalClock()
        encoding.pointee.newestTimestamp = nil
        encoding.pointee.cached.forget()
        encoding.pointee.stamp = takeStamp()
        encoding.pointee.staleRun = 0
        for id in tracks[encoding.pointee.track].pointee.receivers where streams[id].pointee.current == encodingID {
            streams[id].pointee.current = -1
        }
    }

    private mutating func noteKeyFrame(
        _ encodingID: Int32, _ packet: UnsafeMutableRawBufferPointer, _ header: RTPHeader, _ codec: CodecKind
    ) {
        let encoding = encodings[encodingID]
        // H.264 begins a key frame with the parameter sets and once more with the slice.
        if encoding.pointee.keyFrameTimestamp != header.timestamp { encoding.pointee.keyFrames &+= 1 }
        encoding.pointee.keyFrameTimestamp = header.timestamp
        encoding.pointee.keyFrameRequester.keyFrameArrived()
        let end = header.headerLength + header.payloadLength
        let payload = UnsafeRawBufferPointer(rebasing: packet[header.headerLength..<end])
        if let size = codec.videoFormat?.pictureSize(payload) {
            encoding.pointee.width = size.width
            encoding.pointee.height = size.height
        }
    }

    /// Copies extensions and payload into the encoding's history.
    private mutating func store(
        _ packet: UnsafeMutableRawBufferPointer, _ header: RTPHeader, _ found: FoundExtensions,
        _ entry: inout HistoryEntry, _ encodingID: Int32, peer peerID: Int32
    ) -> UnsafePointer<HistoryEntry>? {
        let encoding = encodings[encodingID]
        let payload = UnsafeRawBufferPointer(
            rebasing: packet[header.headerLength..<(header.headerLength + header.payloadLength)])
        let prefix = found.passedBytes + PacketHistory.headroom
        guard
            let room = encoding.pointee.history.reserve(prefix + payload.count + LayerIngest.growth),
            let base = room.baseAddress
        else { return nil }
        if found.passedBytes > 0 {
            found.copyPassed(header, in: UnsafeRawBufferPointer(packet), kinds: peers[peerID], to: base)
        }
        entry.extensionLength = UInt16(truncatingIfNeeded: found.passedBytes)
        let descriptor = found.descriptor.offset..<(found.descriptor.offset + found.descriptor.length)
        let target = UnsafeMutableRawBufferPointer(rebasing: room[prefix...])
        guard
            let length = encoding.pointee.ingest.copy(
                payload, descriptor: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(packet)[descriptor]),
                to: target, entry: &entry)
        else { return nil }
        entry.payloadLength = UInt16(truncatingIfNeeded: length)
        return encoding.pointee.history.commit(entry, length: prefix + length)
    }
}

/// What the extensions of one packet said.
struct FoundExtensions {
    var transportSequence: UInt16 = 0
    var hasTransportSequence = false
    var hasLevel = false
    var loudness: UInt8 = 0
    /// Bytes that the passed-through elements take in the history, two more for each.
    var passedBytes = 0
    var mid = HeaderExtensionElement(id: 0, offset: 0, length: 0)
    var streamID = HeaderExtensionElement(id: 0, offset: 0, length: 0)
    var repairedStreamID = HeaderExtensionElement(id: 0, offset: 0, length: 0)
    var descriptor = HeaderExtensionElement(id: 0, offset: 0, length: 0)

    mutating func scan(
        _ header: RTPHeader, in packet: UnsafeRawBufferPointer, kinds peer: UnsafeMutablePointer<PeerMedia>
    ) {
        guard header.extensionLength > 0, let base = packet.baseAddress else { return }
        var elements = HeaderExtensionElements(header, in: packet)
        while let element = elements.next() {
            guard let kind = HeaderExtensionKind(rawValue: peer.pointee.extensionKinds[Int(element.id)]) else {
                continue
            }
            switch kind {
            case .mid: mid = element
            case .streamID: streamID = element
            case .repairedStreamID: repairedStreamID = element
            case .transportSequence:
                guard element.length >= 2 else { continue }
                transportSequence = base.network16(at: element.offset)
                hasTransportSequence = true
            case .absoluteSendTime: break
            case .audioLevel:
                guard element.length >= 1 else { continue }
                hasLevel = true
                loudness = 127 - (packet[element.offset] & 0x7F)
                passedBytes += 2 + element.length
            case .dependencyDescriptor:
                descriptor = element
                passedBytes += 2 + element.length
            case .videoOrientation, .absoluteCaptureTime:
                passedBytes += 2 + element.length
            }
        }
    }

    func copyPassed(
        _ header: RTPHeader, in packet: UnsafeRawBufferPointer, kinds peer: UnsafeMutablePointer<PeerMedia>,
        to target: UnsafeMutableRawPointer
    ) {
        guard let base = packet.baseAddress else { return }
        var position = 0
        var elements = HeaderExtensionElements(header, in: packet)
        while let element = elements.next() {
            let raw = peer.pointee.extensionKinds[Int(element.id)]
            guard let kind = HeaderExtensionKind(rawValue: raw), kind.isPassedThrough,
                kind != .audioLevel || element.length >= 1, position + 2 + element.length <= passedBytes
            else { continue }
            target.storeBytes(of: raw, toByteOffset: position, as: UInt8.self)
            target.storeBytes(
                of: UInt8(truncatingIfNeeded: element.length), toByteOffset: position + 1, as: UInt8.self)
            (target + position + 2).copyMemory(from: base + element.offset, byteCount: element.length)
            position += 2 + element.length
        }
    }
}

extension CodecKind {
    /// nil for audio and for what forwarding does not look into.
    var videoFormat: VideoFormat? {
        switch self {
        case .vp8: .vp8
        case .vp9: .vp9
        case .h264: .h264
        case .av1: .av1
        case .unknown, .opus, .otherAudio, .otherVideo: nil
        }
    }
}
