// What receivers' pages show, carried on to their streams and to the publishers.

extension Forwarder {
    /// `role` is that of the track which the stream carries.
    package mutating func setDemand(_ demand: ViewDemand, of streamID: Int32, role: StreamRole, now: UInt64) {
        guard let stream = streams.find(streamID), stream.pointee.isVideo else { return }
        stream.pointee.demand = demand
        stream.pointee.keepsResolution = role.keepsResolution
        updateUseful(streamID, now: now)
        if tracks.contains(stream.pointee.track) { updatePublisher(stream.pointee.track, now: now) }
    }

    /// Sizes become known, and publishers that nobody has watched for a while are told.
    mutating func runDemand(now: UInt64) {
        for index in 0..<streams.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let stream = streams.find(id), stream.pointee.isVideo, stream.pointee.demand != .unknown else {
                continue
            }
            updateUseful(id, now: now)
        }
        for index in 0..<tracks.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let track = tracks.find(id), track.pointee.isVideo else { continue }
            updatePublisher(id, now: now)
        }
    }

    private mutating func updateUseful(_ streamID: Int32, now: UInt64) {
        let stream = streams[streamID]
        let before = stream.pointee.useful
        guard let track = tracks.find(stream.pointee.track) else { return }
        var sizes = LayerSizes(count: track.pointee.layerCount)
        for id in track.pointee.encodings {
            let encoding = encodings[id]
            sizes.set(
                Int(encoding.pointee.index), width: Int(encoding.pointee.width), height: Int(encoding.pointee.height))
        }
        stream.pointee.useful = UsefulLayer(
            stream.pointee.demand, sizes, keepsResolution: stream.pointee.keepsResolution)
        let isLeft = stream.pointee.useful.target.isPaused && stream.pointee.target >= 0
        guard stream.pointee.useful != before || isLeft else { return }
        want(stream.pointee.useful.target, streamID, now: now)
    }

    private mutating func want(_ target: LayerTarget, _ streamID: Int32, now: UInt64) {
        let stream = streams[streamID]
        setWantedLayer(receiver: stream.pointee.peer, stream: streamID, target: target)
        if target.isPaused {
            stream.pointee.current = -1
            stream.pointee.target = -1
        } else if stream.pointee.target < 0, let track = tracks.find(stream.pointee.track) {
            stream.pointee.target = track.pointee.best
            requestKeyFrame(for: streamID, now: now)
        }
    }

    private mutating func updatePublisher(_ id: Int32, now: UInt64) {
        let track = tracks[id]
        let layers = max(1, track.pointee.layerCount)
        var wanted = track.pointee.recorderTrack != 0 ? layers : 0
        for index in 0..<track.pointee.receivers.count where wanted < layers {
            let target = streams[track.pointee.receivers[index]].pointee.useful.target
            guard !target.isPaused else { continue }
            wanted = max(wanted, min(layers, Int(target.spatial) + 1))
        }
        guard track.pointee.publisherDemand.update(wanted: wanted, now: now) else { return }
        notices.append(.wantedLayers(track: id, count: wanted))
    }
}
