// Who receives what: subscriptions, and the assignment of published tracks to receive sections.
import Forwarding
import WireFormats

extension MediaWorker {
    /// A track as a subscriber sees it.
    struct Wanted {
        let participant: String
        let published: PublishedTrack
    }

    /// Assigns anew for every peer of the room; those whose sections change are told by an event, apart from `except`,
    /// who gets its answer.
    func assignSections(room: String, except: String?) {
        guard let entry = rooms[room] else { return }
        for name in entry.peers.keys.sorted() {
            guard assignSections(room: room, peer: name), name != except, let peer = rooms[room]?.peers[name] else {
                continue
            }
            emit(
                .sectionsChanged(
                    room: room, peer: name, sections: peer.sections.map(\.assignment), needed: peer.needed))
        }
    }

    /// true when the peer's sections carry something else than before, or it needs another number of them.
    @discardableResult
    func assignSections(room: String, peer name: String) -> Bool {
        guard let entry = rooms[room], var peer = entry.peers[name] else { return false }
        let before = peer.sections.map(\.assignment)
        let neededBefore = peer.needed
        peer.needed = SectionsNeeded(
            audio: assign(.audio, &peer, entry), video: assign(.video, &peer, entry))
        tellRefused(&peer, room: room)
        rooms[room]?.peers[name] = peer
        applyView(room: room, peer: name)
        return peer.sections.map(\.assignment) != before || peer.needed != neededBefore
    }

    private func assign(_ kind: StreamKind, _ peer: inout PeerEntry, _ room: RoomEntry) -> Int {
        let wanted = admitted(wantedTracks(kind, peer, room), kind, for: &peer)
        let places = peer.sections.indices.filter { peer.sections[$0].kind == kind }
        if kind == .audio, peer.subscription == .everything, wanted.count > AudioRoom.directSources {
            return share(places, of: &peer, wanted)
        }
        for place in places where peer.sections[place].isShared {
            core.forwarder.unshare(peer.sections[place].stream)
            peer.sections[place].isShared = false
        }
        let current = places.map { place in
            wanted.firstIndex { $0.published.track == peer.sections[place].track }
        }
        let sections = peer.sections
        let plan = SectionPlan(wanted: wanted.count, sections: current) { section, track in
            sections[places[section]].codec(carrying: wanted[track].published.codec) != nil
        }
        for (place, track) in zip(places, plan.tracks) {
            guard let track else {
                if peer.sections[place].track != nil { core.forwarder.detach(peer.sections[place].stream) }
                peer.sections[place].track = nil
                peer.sections[place].participant = nil
                peer.sections[place].streamName = nil
                continue
            }
            carry(wanted[track], in: &peer.sections[place])
        }
        return plan.needed
    }

    /// More microphones than a page needs sections for: they take turns in a few.
    private func share(_ places: [Int], of peer: inout PeerEntry, _ wanted: [Wanted]) -> Int {
        for place in places {
            guard
                let codec = wanted.lazy.compactMap({ [section = peer.sections[place]] in
                    section.codec(carrying: $0.published.codec)
                }).first
            else { continue }
            peer.sections[place].isShared = true
            peer.sections[place].track = nil
            peer.sections[place].participant = nil
            peer.sections[place].streamName = nil
            core.forwarder.share(
                peer.sections[place].stream, codec: CodecKind(name: codec.name, isVideo: false),
                payloadType: codec.payloadType, redundancyPayloadType: codec.redundancyPayloadType,
                clockRate: codec.clockRate, now: loop.now)
        }
        return AudioRoom.sharedSections
    }

    private func carry(_ wanted: Wanted, in section: inout ReceiveSection) {
        guard let codec = section.codec(carrying: wanted.published.codec) else { return }
        section.track = wanted.published.track
        section.participant = wanted.participant
        section.streamName = wanted.published.stream
        core.forwarder.attach(
            section.stream, to: wanted.published.track,
            codec: CodecKind(name: codec.name, isVideo: section.kind == .video), payloadType: codec.payloadType,
            retransmissionPayloadType: codec.feedback.contains("nack") ? codec.retransmissionPayloadType : nil,
            redundancyPayloadType: codec.redundancyPayloadType, clockRate: codec.clockRate, now: loop.now)
    }

    /// In the order of publication.
    private func wantedTracks(_ kind: StreamKind, _ peer: PeerEntry, _ room: RoomEntry) -> [Wanted] {
        var wanted: [Wanted] = []
        for other in room.peers.values where other.name != peer.name {
            for published in other.published where published.kind == kind {
                switch peer.subscription {
                case .none: continue
                case .everything: break
                case .participant(let name): guard other.name == name else { continue }
                case .stream(let name, let stream):
                    guard other.name == name, published.stream == stream else { continue }
                }
                wanted.append(Wanted(participant: other.name, published: published))
            }
        }
        return wanted.sorted { $0.published.order < $1.published.order }
    }

    /// The publisher has begun to send another of its codecs: sections may have to change.
    func codecChanged(_ id: Int32, now: UInt64) {
        guard let owner = trackOwners[id], let track = core.forwarder.tracks.find(id),
            let index = rooms[owner.room]?.peers[owner.peer]?.published.firstIndex(where: { $0.track == id }),
            var published = rooms[owner.room]?.peers[owner.peer]?.published[index],
            let codec = published.codecs.first(where: { $0.payloadType == track.pointee.payloadType })
        else { return }
        published.codec = codec
        rooms[owner.room]?.peers[owner.peer]?.published[index] = published
        declare(published, peer: owner.peer, room: owner.room, now: now)
        assignSections(room: owner.room, except: nil)
        publicationsChanged(owner.room)
    }

    func setMuted(room: String, peer: String, stream: String, _ isMuted: Bool) {
        guard let published = rooms[room]?.peers[peer]?.published.first(where: { $0.stream == stream }) else { return }
        core.forwarder.setMuted(published.track, isMuted, now: loop.now)
        publicationsChanged(room)
    }

    /// The track is gone: for the recorder, for its receivers, and here.
    func retire(_ published: PublishedTrack) {
        if let owner = trackOwners[published.track], let ring = rooms[owner.room]?.ring {
            endRecording(of: published.track, ring, now: loop.now)
        }
        stopRelaying(published.track)
        trackOwners[published.track] = nil
        core.forwarder.removeTrack(published.track)
    }
}
