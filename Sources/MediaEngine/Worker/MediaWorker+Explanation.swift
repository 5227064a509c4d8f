// Puts together why each receiver gets what it gets.
import Forwarding

extension MediaWorker {
    func explain(room name: String) -> RoomExplanation {
        guard let room = rooms[name] else { return RoomExplanation(room: name, receivers: []) }
        let receivers = room.peers.values.filter { $0.origin == nil }.sorted { $0.name < $1.name }.map { peer in
            RoomExplanation.Receiver(
                peer: peer.name, streams: peer.sections.compactMap { explain($0, room) } + explainRefused(peer, room))
        }
        return RoomExplanation(room: name, receivers: receivers)
    }

    /// nil for a section that carries nothing.
    private func explain(_ section: ReceiveSection, _ room: RoomEntry) -> RoomExplanation.Stream? {
        guard let stream = core.forwarder.streams.find(section.stream),
            let track = core.forwarder.tracks.find(stream.pointee.track),
            let owner = trackOwners[stream.pointee.track],
            let published = room.peers[owner.peer]?.published.first(where: { $0.stream == owner.stream })
        else { return nil }
        var explained = RoomExplanation.Stream(
            mid: section.mid, kind: section.kind, participant: owner.peer, stream: owner.stream, role: published.role,
            layer: layer(
                stream.pointee.current, spatial: stream.pointee.layers.spatial, temporal: stream.pointee.layers.temporal
            ),
            wanted: layer(
                stream.pointee.target, spatial: stream.pointee.layers.wantedSpatial,
                temporal: stream.pointee.layers.wantedTemporal),
            shown: nil, why: "")
        if case .shown(let width, let height) = stream.pointee.view {
            explained.shown = RoomExplanation.Size(width: width, height: height)
        }
        explained.why = reason(stream, track).name
        return explained
    }

    private func layer(_ id: Int32, spatial: UInt8, temporal: UInt8) -> RoomExplanation.Layer? {
        guard let encoding = core.forwarder.encodings.find(id) else { return nil }
        let rid = encoding.pointee.rid
        let (highestSpatial, highestTemporal) = (
            encoding.pointee.layerRates.highestSpatial, encoding.pointee.layerRates.highestTemporal
        )
        let reached = min(Int(spatial), highestSpatial)
        // Spatial layers of one encoding halve both sides from one to the next.
        let halvings = highestSpatial - reached
        return RoomExplanation.Layer(
            rid: rid.isEmpty ? nil : String(decoding: rid, as: UTF8.self),
            width: encoding.pointee.width > 0 ? Int(encoding.pointee.width) >> halvings : nil,
            height: encoding.pointee.height > 0 ? Int(encoding.pointee.height) >> halvings : nil,
            spatial: highestSpatial > 0 ? reached : nil,
            temporal: highestTemporal > 0 ? min(Int(temporal), highestTemporal) : nil)
    }

    private func reason(
        _ stream: UnsafeMutablePointer<ReceiverStream>, _ track: UnsafeMutablePointer<MediaTrack>
    ) -> LayerReason {
        if track.pointee.isMuted { return .publisher }
        guard stream.pointee.isVideo else {
            // Of microphones that take turns, whoever is not on the air is silent by the rules.
            return stream.pointee.isShared && !track.pointee.voice.isOnAir ? .policy : .best
        }
        let useful = stream.pointee.useful
        if useful.target.isPaused { return useful.reason }
        if stream.pointee.reason == .bandwidth { return .bandwidth }
        // Nothing that could be decoded has come yet, or a smaller picture than would be of use.
        guard let current = core.forwarder.encodings.find(stream.pointee.current) else { return .publisher }
        let best = max(1, track.pointee.layerCount) - 1
        if Int(current.pointee.index) < min(Int(useful.target.spatial), best) { return .publisher }
        return useful.reason
    }
}
