// What pages show, carried on to their sections; what nobody shows, told to its publishers.
import Forwarding

/// A page's view, and from which publication on it cannot know of streams.
struct KnownView {
    let view: PageView
    let nextOrder: UInt64
}

extension MediaWorker {
    /// nil: the page says nothing of what it shows and gets everything.
    func setView(room: String, peer name: String, _ view: PageView?) {
        guard rooms[room]?.peers[name] != nil else { return }
        rooms[room]?.peers[name]?.view = view.map { KnownView(view: $0, nextOrder: nextOrder) }
        applyView(room: room, peer: name)
    }

    /// Whenever the page's view or what its sections carry has changed.
    func applyView(room: String, peer name: String) {
        guard let entry = rooms[room], let peer = entry.peers[name] else { return }
        let now = loop.now
        for section in peer.sections where section.kind == .video {
            guard let participant = section.participant, let stream = section.streamName,
                let published = entry.peers[participant]?.published.first(where: { $0.stream == stream })
            else { continue }
            core.forwarder.setView(
                MediaWorker.demand(published, of: participant, peer.view), of: section.stream, now: now)
        }
        let pinned = peer.view?.view.pinnedParticipants ?? []
        guard peer.sections.contains(where: \.isShared) else { return }
        let tracks = pinned.sorted().flatMap { participant in
            entry.peers[participant]?.published.filter { $0.kind == .audio }.map(\.track) ?? []
        }
        core.forwarder.pin(tracks, at: peer.id, now: now)
    }

    private static func demand(_ published: PublishedTrack, of participant: String, _ known: KnownView?) -> ViewDemand {
        guard let known else { return .unknown }
        if let size = known.view.size(participant: participant, stream: published.stream) {
            return .shown(width: size.width, height: size.height)
        }
        // It has come since: the page is about to say what becomes of it.
        return published.order >= known.nextOrder ? .unknown : .hidden
    }

    func tellWanted(_ track: Int32, count: Int) {
        guard let owner = trackOwners[track],
            let published = rooms[owner.room]?.peers[owner.peer]?.published.first(where: { $0.track == track })
        else { return }
        emit(
            .streamsWanted(room: owner.room, peer: owner.peer, streams: [MediaWorker.wanted(published, count: count)]))
    }

    /// A page that negotiates may have missed what it was told; all that it need not send is told again.
    func repeatWanted(room: String, peer name: String) {
        let streams = (rooms[room]?.peers[name]?.published ?? []).compactMap { published -> WantedStream? in
            guard published.kind == .video, let track = core.forwarder.tracks.find(published.track) else { return nil }
            let told = track.pointee.publisherDemand.told
            guard told < max(1, track.pointee.layerCount) else { return nil }
            return MediaWorker.wanted(published, count: told)
        }
        if !streams.isEmpty { emit(.streamsWanted(room: room, peer: name, streams: streams)) }
    }

    private static func wanted(_ published: PublishedTrack, count: Int) -> WantedStream {
        WantedStream(
            mid: published.mid, stream: published.stream, wanted: count > 0,
            rids: published.section.rids.prefix(count).map { String(decoding: $0, as: UTF8.self) })
    }
}
