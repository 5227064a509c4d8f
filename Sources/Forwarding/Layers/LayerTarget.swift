// Which layer of its source a receiver's stream is to carry, as whoever allots bandwidth decides it.

/// Carrying it out is the stream's own business: up at a key frame or where the codec allows it, down at the next border
/// of frames, and the nearest layer that flows while the wanted one does not.
package struct LayerTarget: Sendable, Hashable {
    /// With simulcast the encoding's `index`, in the order of its rids; with spatial layers the layer's id.
    package var spatial: UInt8
    package var temporal: UInt8

    package init(spatial: UInt8, temporal: UInt8 = LayerTarget.highest.temporal) {
        self.spatial = spatial
        self.temporal = temporal
    }

    /// Whatever is the best that flows, at its full frame rate.
    package static let highest = LayerTarget(spatial: 0xFE, temporal: 0xFE)
    /// Paused: nothing is forwarded, and nothing is asked of the publisher.
    package static let none = LayerTarget(spatial: 0xFF, temporal: 0xFF)

    package var isPaused: Bool { spatial == LayerTarget.none.spatial }
}

extension Forwarder {
    /// What the stream is to carry from the next possible moment on.
    package mutating func setWantedLayer(
        receiver peerID: Int32, stream streamID: Int32, target: LayerTarget, now: UInt64
    ) {
        guard let stream = streams.find(streamID), stream.pointee.peer == peerID,
            stream.pointee.wantedLayer != target
        else { return }
        stream.pointee.wantedLayer = target
        retarget(streamID, now: now)
    }

    /// The same from the next look at all streams on, a tenth of a second later at most.
    package mutating func setWantedLayer(receiver peerID: Int32, stream streamID: Int32, target: LayerTarget) {
        guard let stream = streams.find(streamID), stream.pointee.peer == peerID else { return }
        stream.pointee.wantedLayer = target
    }

    /// Chooses the encoding that a stream is to get, and the layers within it.
    mutating func retarget(_ streamID: Int32, now: UInt64) {
        guard let stream = streams.find(streamID), let track = tracks.find(stream.pointee.track) else { return }
        let wanted = stream.pointee.wantedLayer
        guard !wanted.isPaused else {
            stream.pointee.current = -1
            stream.pointee.target = -1
            stream.pointee.shown = nil
            return
        }
        let isSimulcast = track.pointee.encodings.contains { !encodings[$0].pointee.rid.isEmpty }
        stream.pointee.layers.wantedTemporal = wanted.temporal
        stream.pointee.layers.wantedSpatial = isSimulcast ? LayerTarget.highest.spatial : wanted.spatial
        let target = isSimulcast ? encoding(for: wanted, of: stream, track, now: now) : track.pointee.best
        guard target != stream.pointee.target else { return }
        stream.pointee.target = target
        requestKeyFrame(for: streamID, now: now)
    }

    /// The wanted encoding while it flows; else the largest below it that flows, else the smallest above.
    private func encoding(
        for wanted: LayerTarget, of stream: UnsafeMutablePointer<ReceiverStream>,
        _ track: UnsafeMutablePointer<MediaTrack>, now: UInt64
    ) -> Int32 {
        guard wanted.spatial < LayerTarget.highest.spatial else { return track.pointee.best }
        let exact = track.pointee.encodings.first { encodings[$0].pointee.index == wanted.spatial }
        if let exact, canCarry(exact, stream, track, now: now) { return exact }
        let limit = exact.map { size($0) } ?? (0, Int(wanted.spatial))
        var below: Int32 = -1
        var above: Int32 = -1
        for id in track.pointee.encodings where id != exact && canCarry(id, stream, track, now: now) {
            if isSmaller(size(id), limit) {
                if below < 0 || isSmaller(size(below), size(id)) { below = id }
            } else if above < 0 || isSmaller(size(id), size(above)) {
                above = id
            }
        }
        if below >= 0 { return below }
        if above >= 0 { return above }
        // Nothing flows: a still screen is no reason to switch.
        return stream.pointee.target >= 0 ? stream.pointee.target : track.pointee.best
    }

    /// A layer that has just come back is not trusted at once, unless there is nothing else.
    private func canCarry(
        _ id: Int32, _ stream: UnsafeMutablePointer<ReceiverStream>, _ track: UnsafeMutablePointer<MediaTrack>,
        now: UInt64
    ) -> Bool {
        let encoding = encodings[id]
        let newest = track.pointee.lastPacketAt
        guard encoding.pointee.isFlowing(newest: newest, now: now) else { return false }
        if id == stream.pointee.target || id == stream.pointee.current { return true }
        let hasOther =
            encodings.find(stream.pointee.target)?.pointee.isFlowing(newest: newest, now: now) ?? false
        return !hasOther || now &- (encoding.pointee.flowingSince ?? now) >= LayerSelection.steady
    }

    private func size(_ id: Int32) -> (pixels: Int, index: Int) {
        let encoding = encodings[id]
        return (Int(encoding.pointee.width) * Int(encoding.pointee.height), Int(encoding.pointee.index))
    }

    private func isSmaller(_ one: (pixels: Int, index: Int), _ other: (pixels: Int, index: Int)) -> Bool {
        if one.pixels > 0, other.pixels > 0, one.pixels != other.pixels { return one.pixels < other.pixels }
        return one.index < other.index
    }
}
