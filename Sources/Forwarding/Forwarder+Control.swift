// What signalling decides: peers, what they publish, the streams they receive, and what those carry.
import WireFormats

extension Forwarder {
    package mutating func addPeer(room: Int32, cname: String) -> Int32 {
        peers.insert(
            PeerMedia(
                room: room, reportingSSRC: UInt32(truncatingIfNeeded: random.next()) | 1, cname: Array(cname.utf8)))
    }

    /// With its tracks and streams.
    package mutating func removePeer(_ id: Int32) {
        guard let peer = peers.find(id) else { return }
        for stream in peer.pointee.streams { removeStream(stream) }
        for section in peers[id].pointee.sections { removeTrack(section.track) }
        stopListening(id)
        peers.remove(id)
        dirty.removeAll { $0 == id }
    }

    package mutating func addTrack(_ track: consuming MediaTrack) -> Int32 {
        let id = tracks.insert(track)
        enterAudioRoom(id)
        return id
    }

    /// Its receivers' streams wait for other sources.
    package mutating func removeTrack(_ id: Int32) {
        guard let track = tracks.find(id) else { return }
        for stream in track.pointee.receivers { detach(stream) }
        leaveAudioRoom(id)
        let peer = tracks[id].pointee.peer
        for encodingID in tracks[id].pointee.encodings { removeEncoding(encodingID, peer: peer) }
        tracks.remove(id)
    }

    private mutating func removeEncoding(_ id: Int32, peer: Int32) {
        guard let encoding = encodings.find(id) else { return }
        if let state = peers.find(peer) {
            if let ssrc = encoding.pointee.ssrc { state.pointee.sources.remove(UInt64(ssrc)) }
            if let repair = encoding.pointee.retransmissionSSRC { state.pointee.sources.remove(UInt64(repair)) }
        }
        encodings.remove(id)
    }

    /// What a peer sends from now on. Tracks that are no longer named must be removed by the caller; encodings of those
    /// that stay keep their bindings.
    package mutating func publish(
        _ sections: [PublishedSection], formats: [(UInt8, PayloadFormat)], extensions: [(HeaderExtensionKind, UInt8)],
        usesTransportFeedback: Bool, usesMaximumBitrate: Bool, peer id: Int32, now: UInt64
    ) {
        guard let peer = peers.find(id) else { return }
        peer.pointee.sections = sections
        peer.pointee.formats = InlineArray(repeating: PayloadFormat())
        for (payloadType, format) in formats where payloadType < 128 {
            peer.pointee.formats[Int(payloadType)] = format
        }
        peer.pointee.extensionKinds = InlineArray(repeating: 0xFF)
        for (kind, number) in extensions { peer.pointee.extensionKinds[Int(number)] = kind.rawValue }
        peer.pointee.usesTransportFeedback = usesTransportFeedback
        peer.pointee.usesMaximumBitrate = usesMaximumBitrate
        for section in sections {
            guard let track = tracks.find(section.track), track.pointee.layerCount != section.rids.count else {
                continue
            }
            track.pointee.layerCount = section.rids.count
            track.pointee.publisherDemand = PublisherDemand(layers: max(1, section.rids.count))
        }
        bindDescribedSources(peer: id, now: now)
    }

    /// A new receive section. Its stream carries nothing until something is attached.
    package mutating func addStream(
        peer: Int32, isVideo: Bool, mid: String, ssrc: UInt32, retransmissionSSRC: UInt32, slot: Int,
        retransmissionSlot: Int, extensions: ExtensionNumbers, now: UInt64
    ) -> Int32 {
        let seed = random.next()
        // A peer that is connected already gets the answer while its packets would be under way: a key frame that comes
        // before the answer is lost, and the next one is farther away than this.
        let media = peers[peer]
        let grace = media.pointee.canSend ? 50_000_000 + 2 * min(media.pointee.roundTrip ?? 0, 150_000_000) : 0
        let id = streams.insert(
            ReceiverStream(
                peer: peer, isVideo: isVideo, mid: Array(mid.utf8), ssrc: ssrc, retransmissionSSRC: retransmissionSSRC,
                slot: slot, retransmissionSlot: retransmissionSlot, extensions: extensions, notBefore: now &+ grace,
                seed: seed))
        peers[peer].pointee.streams.append(id)
        return id
    }

    package mutating func removeStream(_ id: Int32) {
        guard let stream = streams.find(id) else { return }
        detach(id)
        if let peer = peers.find(stream.pointee.peer) { peer.pointee.streams.removeAll { $0 == id } }
        streams.remove(id)
    }

    /// From its next key frame on (audio: at once) the stream carries this track.
    package mutating func attach(
        _ streamID: Int32, to trackID: Int32, codec: CodecKind, payloadType: UInt8, retransmissionPayloadType: UInt8?,
        redundancyPayloadType: UInt8? = nil, clockRate: UInt32, now: UInt64
    ) {
        guard let stream = streams.find(streamID), let track = tracks.find(trackID) else { return }
        let isSame = stream.pointee.track == trackID && stream.pointee.codec == codec
        if !isSame {
            detach(streamID)
            track.pointee.receivers.append(streamID)
            noteJoin(track, now: now)
            stream.pointee.track = trackID
        }
        stream.pointee.codec = codec
        stream.pointee.payloadType = payloadType
        stream.pointee.retransmissionPayloadType = retransmissionPayloadType ?? 0xFF
        stream.pointee.redundancyPayloadType = redundancyPayloadType ?? 0xFF
        stream.pointee.clockRate = clockRate
        if !isSame {
            retarget(streamID, now: now)
            requestKeyFrame(for: streamID, now: now)
        }
    }

    /// The stream carries nothing; its numbers go on with the next source.
    package mutating func detach(_ streamID: Int32) {
        guard let stream = streams.find(streamID), stream.pointee.track >= 0 else { return }
        if let track = tracks.find(stream.pointee.track) { track.pointee.receivers.removeAll { $0 == streamID } }
        stream.pointee.track = -1
        stream.pointee.current = -1
        stream.pointee.shown = nil
        stream.pointee.target = -1
        // What was sent of the old source is not for this receiver any more.
        stream.pointee.sent.removeAll()
    }

    package mutating func setMuted(_ trackID: Int32, _ isMuted: Bool, now: UInt64) {
        guard let track = tracks.find(trackID), track.pointee.isMuted != isMuted else { return }
        track.pointee.isMuted = isMuted
        // Nobody who joins later is shown what was before.
        for encoding in track.pointee.encodings { encodings[encoding].pointee.cached.forget() }
        guard !isMuted else { return }
        for stream in track.pointee.receivers {
            // What came in between is missing: pictures start again from a key frame, and sound from a new beginning.
            streams[stream].pointee.current = -1
            requestKeyFrame(for: stream, now: now)
        }
    }

    /// The peer's transport is up: what waits for a key frame may ask for one.
    package mutating func setCanSend(_ id: Int32, _ canSend: Bool, now: UInt64) {
        guard let peer = peers.find(id) else { return }
        peer.pointee.canSend = canSend
        guard canSend else {
            peer.pointee.discardOutput()
            return
        }
        for stream in peer.pointee.streams { requestKeyFrame(for: stream, now: now) }
        // What it is to be asked for has waited for the transport.
        wakeFastTick(now: now)
    }

    /// With more receivers than this a stream is a broadcast, whose encoder is spared: who joins or comes back sees the last
    /// key frame and waits for movement.
    static let conversation = 12

    mutating func requestKeyFrame(for streamID: Int32, now: UInt64) {
        guard let stream = streams.find(streamID), stream.pointee.awaitsKeyFrame,
            peers[stream.pointee.peer].pointee.canSend, now >= stream.pointee.notBefore,
            let encoding = encodings.find(stream.pointee.target),
            let track = tracks.find(stream.pointee.track), !track.pointee.isMuted
        else { return }
        switch startFromCache(streamID, encoding: stream.pointee.target, now: now) {
        case .live: return
        case .picture: requestForJoiner(stream.pointee.target, now: now)
        case .nothing: encoding.pointee.keyFrameRequester.request(now: now)
        }
        wakeFastTick(now: now)
    }

    /// Of many, who sees the last key frame stands in line with all the others who do, while the stream that it is of goes
    /// on. When that has stopped, or has stopped since and returned, everybody waits for a new beginning.
    mutating func requestForJoiner(_ encodingID: Int32, now: UInt64) {
        let encoding = encodings[encodingID]
        let track = tracks[encoding.pointee.track]
        let newest = track.pointee.lastPacketAt
        if track.pointee.receivers.count > Forwarder.conversation, encoding.pointee.isFlowing(newest: newest, now: now),
            let since = encoding.pointee.flowingSince,
            since <= encoding.pointee.cached.arrivedAt
        {
            encoding.pointee.keyFrameRequester.requestForJoiner(now: now)
        } else {
            encoding.pointee.keyFrameRequester.request(now: now)
        }
    }

    /// A layer comes (again): whoever has nothing better gets it from this packet on, or as soon as a key frame comes.
    mutating func sourceBegins(_ encodingID: Int32, track id: Int32, now: UInt64) {
        updateLayers(id, now: now)
        let track = tracks[id]
        for stream in track.pointee.receivers {
            retarget(stream, now: now)
            if streams[stream].pointee.target == encodingID { requestKeyFrame(for: stream, now: now) }
        }
    }

    mutating func wakeFastTick(now: UInt64) {
        fastDue = min(fastDue, now)
    }

    /// For the recorder, which takes every layer.
    package mutating func requestKeyFrame(track id: Int32, now: UInt64) {
        guard let track = tracks.find(id), track.pointee.isVideo else { return }
        for encodingID in track.pointee.encodings
        where encodings[encodingID].pointee.isFlowing(newest: track.pointee.lastPacketAt, now: now) {
            encodings[encodingID].pointee.keyFrameRequester.request(now: now)
            wakeFastTick(now: now)
        }
    }

    /// Every receiver that wants the best gets this encoding, from its next key frame on.
    mutating func choose(_ encodingID: Int32, forTrack id: Int32, now: UInt64) {
        let track = tracks[id]
        track.pointee.best = encodingID
        for stream in track.pointee.receivers {
            retarget(stream, now: now)
        }
    }
}
