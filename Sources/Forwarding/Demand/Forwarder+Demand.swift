// What receivers' pages show, carried on to their streams and to the publishers.

extension Forwarder {
    package mutating func setView(_ view: ViewDemand, of streamID: Int32, now: UInt64) {
        guard let stream = streams.find(streamID), stream.pointee.isVideo else { return }
        if view.asksForMore(than: stream.pointee.view) {
            peers.find(stream.pointee.peer)?.pointee.allocator.welcome(streamID)
        }
        stream.pointee.view = view
        updateUseful(streamID, now: now)
        if tracks.contains(stream.pointee.track) { updatePublisher(stream.pointee.track, now: now) }
    }

    /// Sizes become known, and publishers that nobody has watched for a while are told.
    mutating func runDemand(now: UInt64) {
        for index in 0..<streams.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let stream = streams.find(id), stream.pointee.isVideo, thinsFaces || stream.pointee.view != .unknown
            else { continue }
            updateUseful(id, now: now)
        }
        for index in 0..<tracks.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let track = tracks.find(id), track.pointee.isVideo else { continue }
            updatePublisher(id, now: now)
        }
    }

    mutating func updateUseful(_ streamID: Int32, now: UInt64) {
        let stream = streams[streamID]
        guard let track = tracks.find(stream.pointee.track) else { return }
        let sizes = sizes(of: track)
        var useful = UsefulLayer(stream.pointee.view, sizes, keepsResolution: track.pointee.role.keepsResolution)
        var demand = StreamDemand()
        demand.isShown = !useful.target.isPaused
        if let size = sizes.size(Int(useful.target.spatial)) { demand.pixels = size.width * size.height }
        thin(&useful, &demand, of: track)
        stream.pointee.useful = useful
        guard stream.pointee.demand != demand else { return }
        stream.pointee.demand = demand
        // Who has opened a picture waits for it: the path's share is dealt anew at once.
        allot(stream.pointee.peer, now: now)
    }

    private func sizes(of track: UnsafeMutablePointer<MediaTrack>) -> LayerSizes {
        var sizes = LayerSizes(count: track.pointee.layerCount)
        for id in track.pointee.encodings {
            let encoding = encodings[id]
            let index =
                track.pointee.layerCount > 0 ? Int(encoding.pointee.index) : encoding.pointee.layerRates.highestSpatial
            sizes.set(index, width: Int(encoding.pointee.width), height: Int(encoding.pointee.height))
        }
        return sizes
    }

    mutating func updatePublisher(_ id: Int32, now: UInt64) {
        let track = tracks[id]
        let layers = max(1, track.pointee.layerCount)
        var wanted = track.pointee.recorderTrack != 0 ? layers : min(layers, track.pointee.relayWanted)
        for index in 0..<track.pointee.receivers.count where wanted < layers {
            let target = streams[track.pointee.receivers[index]].pointee.useful.target
            guard !target.isPaused else { continue }
            wanted = max(wanted, min(layers, Int(target.spatial) + 1))
        }
        // Patience is the affair of the worker that the publisher is on.
        let patience = track.pointee.isRelayed ? 0 : PublisherDemand.patience
        let before = track.pointee.publisherDemand.told
        guard track.pointee.publisherDemand.update(wanted: wanted, now: now, patience: patience) else { return }
        notices.append(.wantedLayers(track: id, count: wanted))
        guard wanted > before else { return }
        // What the publisher had been told not to send comes back with a key frame, and not when it pleases.
        for encodingID in track.pointee.encodings {
            let encoding = encodings[encodingID]
            guard encoding.pointee.index >= before, encoding.pointee.index < wanted,
                !encoding.pointee.isFlowing(newest: track.pointee.lastPacketAt, now: now)
            else { continue }
            encoding.pointee.keyFrameRequester.sourceReturned()
            encoding.pointee.keyFrameRequester.request(now: now)
            wakeFastTick(now: now)
        }
    }
}
