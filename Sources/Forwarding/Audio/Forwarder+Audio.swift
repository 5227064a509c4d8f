// Which microphones a room hears: the loudest, the dominant speaker and the pinned, in sections that sources share.

extension Forwarder {
    // MARK: - Sources and listeners come and go

    mutating func enterAudioRoom(_ trackID: Int32) {
        let track = tracks[trackID]
        guard !track.pointee.isVideo else { return }
        let id = audioRoom(track.pointee.room)
        track.pointee.voice.room = id
        audioRooms[id].pointee.sources.append(trackID)
    }

    mutating func leaveAudioRoom(_ trackID: Int32) {
        guard let room = audioRooms.find(tracks[trackID].pointee.voice.room) else { return }
        room.pointee.sources.removeAll { $0 == trackID }
        room.pointee.onAir.removeAll { $0 == trackID }
        if room.pointee.dominant == trackID {
            room.pointee.dominant = -1
            notices.append(.speaker(room: room.pointee.room, track: -1))
        }
        forgetAudioRoomIfEmpty(tracks[trackID].pointee.voice.room)
    }

    mutating func stopListening(_ peer: Int32) {
        for index in 0..<audioRooms.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let room = audioRooms.find(id) else { continue }
            room.pointee.listeners.removeAll { $0 == peer }
            forgetAudioRoomIfEmpty(id)
        }
    }

    private mutating func audioRoom(_ room: Int32) -> Int32 {
        for index in 0..<audioRooms.end {
            let id = Int32(truncatingIfNeeded: index)
            if let known = audioRooms.find(id), known.pointee.room == room { return id }
        }
        return audioRooms.insert(AudioRoom(room: room))
    }

    private mutating func forgetAudioRoomIfEmpty(_ id: Int32) {
        guard let room = audioRooms.find(id), room.pointee.sources.isEmpty, room.pointee.listeners.isEmpty else {
            return
        }
        audioRooms.remove(id)
    }

    // MARK: - Sections

    /// From now on the section carries whoever is on the air. What it carries at present it keeps until another source
    /// needs the place.
    package mutating func share(
        _ streamID: Int32, codec: CodecKind, payloadType: UInt8, redundancyPayloadType: UInt8? = nil, clockRate: UInt32,
        now: UInt64
    ) {
        guard let stream = streams.find(streamID), !stream.pointee.isVideo else { return }
        if stream.pointee.track >= 0, stream.pointee.codec != codec { detach(streamID) }
        stream.pointee.codec = codec
        stream.pointee.payloadType = payloadType
        stream.pointee.retransmissionPayloadType = 0xFF
        stream.pointee.redundancyPayloadType = redundancyPayloadType ?? 0xFF
        stream.pointee.clockRate = clockRate
        guard !stream.pointee.isShared else { return }
        stream.pointee.isShared = true
        if let track = tracks.find(stream.pointee.track), !track.pointee.voice.isOnAir { stream.pointee.current = -1 }
        let peer = stream.pointee.peer
        let id = audioRoom(peers[peer].pointee.room)
        if !audioRooms[id].pointee.listeners.contains(peer) { audioRooms[id].pointee.listeners.append(peer) }
        for index in 0..<audioRooms[id].pointee.onAir.count {
            giveSection(to: audioRooms[id].pointee.onAir[index], at: peer, now: now)
        }
    }

    /// The section is one source's own again, or nobody's.
    package mutating func unshare(_ streamID: Int32) {
        guard let stream = streams.find(streamID), stream.pointee.isShared else { return }
        detach(streamID)
        stream.pointee.isShared = false
        stream.pointee.isPinned = false
        let peer = stream.pointee.peer
        if !peers[peer].pointee.streams.contains(where: { streams[$0].pointee.isShared }) { stopListening(peer) }
    }

    /// These sources have a section at the peer whatever their rank, as far as its sections reach beyond the loudest.
    package mutating func pin(_ trackIDs: [Int32], at peerID: Int32, now: UInt64) {
        guard let peer = peers.find(peerID) else { return }
        let shared = peer.pointee.streams.filter { streams[$0].pointee.isShared }
        var room = max(0, shared.count - AudioRoom.loudestCount - 1)
        for stream in shared {
            let isPinned = room > 0 && trackIDs.contains(streams[stream].pointee.track)
            streams[stream].pointee.isPinned = isPinned
            if isPinned { room -= 1 }
        }
        for track in trackIDs where room > 0 && tracks.contains(track) && tracks[track].pointee.peer != peerID {
            guard !shared.contains(where: { streams[$0].pointee.track == track }) else { continue }
            giveSection(to: track, at: peerID, now: now)
            guard let stream = shared.first(where: { streams[$0].pointee.track == track }) else { continue }
            streams[stream].pointee.isPinned = true
            room -= 1
        }
    }

    /// A section that carries the source already, an empty one, or the one whose source has been off the air for longest.
    private mutating func giveSection(to trackID: Int32, at peerID: Int32, now: UInt64) {
        let track = tracks[trackID]
        guard track.pointee.peer != peerID, let peer = peers.find(peerID) else { return }
        var chosen: Int32 = -1
        var oldest = UInt64.max
        for index in 0..<peer.pointee.streams.count {
            let id = peer.pointee.streams[index]
            let stream = streams[id]
            guard stream.pointee.isShared, stream.pointee.codec == track.pointee.codec else { continue }
            if stream.pointee.track == trackID { return }
            var age: UInt64 = 0
            if let other = tracks.find(stream.pointee.track) {
                guard !other.pointee.voice.isOnAir, !stream.pointee.isPinned else { continue }
                age = 1 &+ stream.pointee.rewriter.lastSentTime
            }
            guard age < oldest else { continue }
            oldest = age
            chosen = id
        }
        guard let stream = streams.find(chosen) else { return }
        stream.pointee.isPinned = false
        attach(
            chosen, to: trackID, codec: stream.pointee.codec, payloadType: stream.pointee.payloadType,
            retransmissionPayloadType: nil, redundancyPayloadType: stream.pointee.redundancyPayloadType,
            clockRate: stream.pointee.clockRate, now: now)
    }

    // MARK: - Packets

    /// What a packet of this microphone says of it.
    mutating func hear(_ trackID: Int32, level: UInt8?, payloadLength: Int, now: UInt64) {
        let voice = tracks[trackID]
        let assumed = payloadLength > Voice.longestSilentPayload ? Voice.untoldLevel : 0
        voice.pointee.voice.hear(level ?? assumed, now: now)
        let isAudible = voice.pointee.voice.isAudible(now: now)
        guard voice.pointee.voice.isOnAir else {
            if isAudible { apply(trackID, now: now) }
            return
        }
        if !isAudible { takeOffAir(trackID) }
    }

    /// For a microphone that is not on the air: it goes to sections of its own and to those that pinned it.
    mutating func forwardOffAir(
        _ entry: UnsafePointer<HistoryEntry>, _ encodingID: Int32, track trackID: Int32, now: UInt64
    ) {
        let track = tracks[trackID]
        let isAudible = track.pointee.voice.isAudible(now: now)
        for index in 0..<track.pointee.receivers.count {
            let id = track.pointee.receivers[index]
            let stream = streams[id]
            if stream.pointee.isShared {
                guard stream.pointee.isPinned else { continue }
                guard isAudible else {
                    stream.pointee.current = -1
                    continue
                }
            }
            forward(entry, encodingID, to: id, now: now)
        }
    }

    // MARK: - On the air

    /// Somebody is heard who is not on the air: a free place is taken at once, another's when that one is softer.
    private mutating func apply(_ trackID: Int32, now: UInt64) {
        guard let room = audioRooms.find(tracks[trackID].pointee.voice.room) else { return }
        if trackID != room.pointee.dominant {
            var others = 0
            var weakest: Int32 = -1
            var weakestLoudness = Int32.max
            for index in 0..<room.pointee.onAir.count {
                let other = room.pointee.onAir[index]
                guard other != room.pointee.dominant else { continue }
                others += 1
                let loudness = tracks[other].pointee.voice.loudness
                guard loudness < weakestLoudness else { continue }
                weakestLoudness = loudness
                weakest = other
            }
            if others >= AudioRoom.loudestCount {
                guard tracks[trackID].pointee.voice.loudness > weakestLoudness + AudioRoom.margin else { return }
                takeOffAir(weakest)
            }
        }
        putOnAir(trackID, now: now)
    }

    private mutating func putOnAir(_ trackID: Int32, now: UInt64) {
        guard let room = audioRooms.find(tracks[trackID].pointee.voice.room) else { return }
        tracks[trackID].pointee.voice.isOnAir = true
        room.pointee.onAir.append(trackID)
        for index in 0..<room.pointee.listeners.count {
            giveSection(to: trackID, at: room.pointee.listeners[index], now: now)
        }
    }

    private mutating func takeOffAir(_ trackID: Int32) {
        let track = tracks[trackID]
        track.pointee.voice.isOnAir = false
        audioRooms.find(track.pointee.voice.room)?.pointee.onAir.removeAll { $0 == trackID }
        for index in 0..<track.pointee.receivers.count {
            let stream = streams[track.pointee.receivers[index]]
            // When it comes back its numbers go on from there, without a gap for what was not sent.
            if stream.pointee.isShared { stream.pointee.current = -1 }
        }
    }

    // MARK: - By the clock

    mutating func runAudio(now: UInt64) {
        for index in 0..<audioRooms.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let room = audioRooms.find(id) else { continue }
            for place in stride(from: room.pointee.onAir.count - 1, through: 0, by: -1) {
                let track = room.pointee.onAir[place]
                if tracks[track].pointee.isMuted || !tracks[track].pointee.voice.isAudible(now: now) {
                    takeOffAir(track)
                    tracks[track].pointee.voice.forgetLoudness()
                }
            }
            guard now >= room.pointee.decisionDue else { continue }
            room.pointee.decisionDue = now &+ AudioRoom.decisionInterval
            decideSpeaker(id, now: now)
        }
    }

    private mutating func decideSpeaker(_ id: Int32, now: UInt64) {
        let room = audioRooms[id]
        var scores = SpeechScores.silence
        if let dominant = tracks.find(room.pointee.dominant) {
            scores = dominant.pointee.voice.activity.scores(now: now)
        }
        var best: Int32 = -1
        var bestMargin = -Double.infinity
        for index in 0..<room.pointee.sources.count {
            let challenger = room.pointee.sources[index]
            guard challenger != room.pointee.dominant, !tracks[challenger].pointee.isMuted,
                let margin = tracks[challenger].pointee.voice.activity.scores(now: now).surpasses(scores),
                margin > bestMargin
            else { continue }
            best = challenger
            bestMargin = margin
        }
        guard best >= 0 else { return }
        room.pointee.dominant = best
        notices.append(.speaker(room: room.pointee.room, track: best))
        if !tracks[best].pointee.voice.isOnAir, tracks[best].pointee.voice.isAudible(now: now) {
            putOnAir(best, now: now)
        }
        dropBeyondLoudest(id)
    }

    /// Who dominated until now is one of the others again, and may be one too many.
    private mutating func dropBeyondLoudest(_ id: Int32) {
        let room = audioRooms[id]
        while room.pointee.onAir.count > AudioRoom.loudestCount + 1 {
            var weakest: Int32 = -1
            for index in 0..<room.pointee.onAir.count {
                let other = room.pointee.onAir[index]
                guard other != room.pointee.dominant else { continue }
                if weakest < 0 || tracks[other].pointee.voice.loudness < tracks[weakest].pointee.voice.loudness {
                    weakest = other
                }
            }
            takeOffAir(weakest)
        }
    }
}
