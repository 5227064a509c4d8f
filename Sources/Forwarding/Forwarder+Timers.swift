// What the core does by the clock: requests, feedback and reports that are due, layers that stop or begin to flow.

extension Forwarder {
    package mutating func handleTimeout(now: UInt64) {
        if now >= pacerDue { runPacer(now: now) }
        if now >= fastDue { runFastTick(now: now) }
        if now >= slowDue { runSlowTick(now: now) }
    }

    /// After packets: what is due within the next moments. A thread that sleeps is dear to wake.
    @inline(__always)
    package mutating func handleSoon(now: UInt64) {
        if now &+ Forwarder.earliness >= min(feedbackDue, slowDue) { runSoon(now: now) }
    }

    @inline(never)
    private mutating func runSoon(now: UInt64) {
        if now &+ Forwarder.earliness >= feedbackDue { runFastTick(now: now, earliness: Forwarder.earliness) }
        if now &+ Forwarder.earliness >= slowDue { runSlowTick(now: now) }
    }

    /// While anybody publishes: feedback, requests for what is missing, requests for key frames.
    private mutating func runFastTick(now: UInt64, earliness: UInt64 = 0) {
        var next = UInt64.max
        feedbackDue = .max
        for peerIndex in 0..<peers.end {
            let peerID = Int32(truncatingIfNeeded: peerIndex)
            guard let peer = peers.find(peerID), peer.pointee.canSend, !peer.pointee.sections.isEmpty else { continue }
            if peer.pointee.usesTransportFeedback {
                if now &+ earliness >= peer.pointee.arrivals.nextDeadline { sendTransportFeedback(peerID) }
                feedbackDue = min(feedbackDue, peer.pointee.arrivals.nextDeadline)
            }
            for index in peer.pointee.sections.indices {
                guard let track = tracks.find(peers[peerID].pointee.sections[index].track) else { continue }
                for place in track.pointee.encodings.indices {
                    let encodingID = track.pointee.encodings[place]
                    let encoding = encodings[encodingID]
                    if encoding.pointee.nack.missingCount > 0 {
                        sendNacks(encodingID, peer: peerID, now: now)
                        next = min(next, encoding.pointee.nack.nextDeadline ?? .max)
                    }
                    if let due = encoding.pointee.keyFrameRequester.nextDeadline, now >= due {
                        sendKeyFrameRequest(encodingID, peer: peerID, now: now)
                    }
                    next = min(next, encoding.pointee.keyFrameRequester.nextDeadline ?? .max)
                }
            }
        }
        next = min(next, feedbackDue)
        // Requests that lie close together go out together.
        fastDue = next == .max ? .max : max(next, now &+ Forwarder.fastTick)
    }

    private mutating func runSlowTick(now: UInt64) {
        slowDue = now &+ Forwarder.slowTick
        for index in 0..<tracks.end {
            let id = Int32(truncatingIfNeeded: index)
            guard tracks.contains(id) else { continue }
            updateLayers(id, now: now)
            updateFlowing(id, now: now)
        }
        runAudio(now: now)
        runDemand(now: now)
        runBandwidth(now: now)
        for index in 0..<streams.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let stream = streams.find(id) else { continue }
            // Layers come and go.
            if stream.pointee.isVideo, stream.pointee.track >= 0 { retarget(id, now: now) }
            if stream.pointee.awaitsKeyFrame { requestKeyFrame(for: id, now: now) }
            if stream.pointee.current >= 0, now >= stream.pointee.senderReportDue { sendSenderReport(id, now: now) }
        }
        for index in 0..<peers.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let peer = peers.find(id), peer.pointee.canSend, now >= peer.pointee.reportsDue else { continue }
            peer.pointee.reportsDue = now &+ Forwarder.reportInterval
            sendReceiverReports(id, now: now)
        }
        if now >= levelsDue {
            levelsDue = now &+ Forwarder.levelInterval
            reportLevels()
        }
    }

    mutating func updateLayers(_ id: Int32, now: UInt64) {
        let track = tracks[id]
        guard track.pointee.encodings.count > 1 else { return }
        var current: Int?
        layerStates.removeAll(keepingCapacity: true)
        for index in 0..<track.pointee.encodings.count {
            let encodingID = track.pointee.encodings[index]
            let encoding = encodings[encodingID]
            if encodingID == track.pointee.best { current = index }
            encoding.pointee.statistics.measureRate(now: now)
            let isFlowing = encoding.pointee.isFlowing(newest: track.pointee.lastPacketAt, now: now)
            let since = encoding.pointee.flowingSince ?? now
            layerStates.append(
                LayerState(
                    isFlowing: isFlowing, steadyFor: isFlowing && now > since ? now - since : 0,
                    pixels: Int(encoding.pointee.width) * Int(encoding.pointee.height),
                    bitsPerSecond: encoding.pointee.statistics.bitsPerSecond))
        }
        guard let best = LayerSelection.best(layerStates, current: current), best != current else { return }
        choose(track.pointee.encodings[best], forTrack: id, now: now)
    }

    private mutating func updateFlowing(_ id: Int32, now: UInt64) {
        let track = tracks[id]
        var last: UInt64 = 0
        for encodingID in track.pointee.encodings { last = max(last, encodings[encodingID].pointee.lastPacketAt ?? 0) }
        let isFlowing = last > 0 && (last > now || now - last < 3_000_000_000)
        guard isFlowing != track.pointee.isFlowing else { return }
        track.pointee.isFlowing = isFlowing
        notices.append(.trackFlowing(track: id, isFlowing))
    }

    /// The levels of everybody who was heard since the last look, by room.
    private mutating func reportLevels() {
        for index in 0..<audioRooms.end {
            guard let room = audioRooms.find(Int32(truncatingIfNeeded: index)) else { continue }
            var levels: [TrackLevel] = []
            for place in 0..<room.pointee.sources.count {
                let id = room.pointee.sources[place]
                guard let track = tracks.find(id), track.pointee.loudness > 0 else { continue }
                if levels.isEmpty { levels.reserveCapacity(room.pointee.sources.count - place) }
                levels.append(TrackLevel(track: id, level: track.pointee.loudness))
                track.pointee.loudness = 0
            }
            if !levels.isEmpty { notices.append(.levels(room: room.pointee.room, levels)) }
        }
    }
}
