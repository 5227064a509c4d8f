// A room on several workers: each part tells the others what it publishes, and they are peers' tracks there as well.
import Forwarding
import PacketRing
import WireFormats

/// What the control side of a worker keeps of other workers.
struct RelayState {
    var version: UInt64 = 0
    var nextNumber: UInt32 = 1
    /// Tracks of this worker by the number that others know them by.
    var numbers: [UInt32: Int32] = [:]
    /// How many layers of a track receivers on each worker want.
    var wanted: [UInt32: [Int: Int]] = [:]
    /// The latest version of each other part's publications that came here, by room.
    var imported: [String: [Int: UInt64]] = [:]
    /// Rings that are listened to, by the worker they come from.
    var inbound: [Int: EventLoop.Registration] = [:]
}

extension MediaWorker {
    /// Records taken from a ring before other descriptors have their turn, a flush at a time.
    private static let flushesPerTurn = 4

    // MARK: - Parts

    /// Which time that the room is open here this is; nil when it is not.
    func openPart(_ name: String, mayOpen: Bool) -> UInt64? {
        if mayOpen { _ = openRoom(name) }
        return rooms[name]?.incarnation
    }

    /// The room is on these workers from now on; returns when they know what is published here.
    func joinParts(_ name: String, _ parts: [Int: UInt64]) async {
        guard let entry = rooms[name], parts[index] == entry.incarnation else { return }
        var hasNew = false
        for (other, incarnation) in parts where other != index && entry.parts[other] != incarnation {
            // What an earlier part was told, this one does not know.
            if let old = entry.parts[other] { partClosed(name, part: other, incarnation: old) }
            rooms[name]?.parts[other] = incarnation
            listen(to: other)
            hasNew = true
        }
        if hasNew { await export(name) }
    }

    /// Where a room's loudness and speaker are told from: its home, or else its first part.
    func speaksFor(_ room: String) -> Bool {
        guard let parts = rooms[room]?.parts, !parts.isEmpty else { return true }
        let home = directory.home(of: room) ?? index
        return home == index || (parts[home] == nil && parts.keys.allSatisfy { $0 > index })
    }

    /// The worker that a peer is on, nil for this one.
    func origin(of peer: String, in room: String) -> Int? { rooms[room]?.peers[peer]?.origin }

    // MARK: - Telling others

    /// After whatever changed what is published here.
    func publicationsChanged(_ room: String) {
        guard let entry = rooms[room], !entry.parts.isEmpty else { return }
        Task { await self.export(room) }
    }

    private func export(_ name: String) async {
        guard let entry = rooms[name], !entry.parts.isEmpty else { return }
        let peers = entry.peers.values.filter { $0.origin == nil && !$0.published.isEmpty }.map(exported)
        // Who never had anything to say need not say that there is nothing.
        guard !peers.isEmpty || entry.hasExported else { return }
        rooms[name]?.hasExported = !peers.isEmpty
        relayState.version += 1
        let export = RoomExport(
            room: name, from: index, incarnation: entry.incarnation, version: relayState.version, peers: peers)
        let numbers = peers.flatMap { $0.tracks.map(\.number) }
        for (part, incarnation) in entry.parts.sorted(by: { $0.key < $1.key }) {
            guard let worker = fabric.worker(part) else { continue }
            // Only when the tracks are known there, packets follow.
            if await worker.take(export) {
                startRelaying(numbers, to: part, room: name)
            } else {
                partClosed(name, part: part, incarnation: incarnation)
            }
        }
    }

    private func exported(_ peer: PeerEntry) -> RoomExport.Peer {
        var exported = RoomExport.Peer(name: peer.name, formats: [], extensions: [], tracks: [])
        if let media = core.forwarder.peers.find(peer.id) {
            for payloadType in 0..<128 where media.pointee.formats[payloadType].codec != .unknown {
                exported.formats.append((UInt8(payloadType), media.pointee.formats[payloadType]))
            }
            for number in 1..<256 {
                // What a transport numbers is its own affair.
                guard let kind = HeaderExtensionKind(rawValue: media.pointee.extensionKinds[number]),
                    kind != .transportSequence
                else { continue }
                exported.extensions.append((kind, UInt8(number)))
            }
        }
        for published in peer.published {
            guard let track = core.forwarder.tracks.find(published.track) else { continue }
            if track.pointee.relayNumber == 0 {
                track.pointee.relayNumber = relayState.nextNumber
                relayState.numbers[relayState.nextNumber] = published.track
                relayState.nextNumber += 1
            }
            exported.tracks.append(
                RoomExport.Track(
                    number: track.pointee.relayNumber, published: published, isMuted: track.pointee.isMuted))
        }
        return exported
    }

    private func startRelaying(_ numbers: [UInt32], to part: Int, room: String) {
        guard rooms[room]?.parts[part] != nil else { return }
        for number in numbers {
            guard let id = relayState.numbers[number], let track = core.forwarder.tracks.find(id) else { continue }
            if relayState.wanted[number]?[part] == nil {
                relayState.wanted[number, default: [:]][part] = max(1, track.pointee.layerCount)
            }
            applyRelay(number)
        }
    }

    /// Carries the numbers' wants over to the track, and counts what is relayed.
    private func applyRelay(_ number: UInt32) {
        guard let id = relayState.numbers[number], let track = core.forwarder.tracks.find(id) else { return }
        let wanted = relayState.wanted[number] ?? [:]
        var mask: UInt64 = 0
        for part in wanted.keys {
            mask |= 1 << UInt64(part)
            while core.relay.rings.count <= part { core.relay.rings.append(nil) }
            if core.relay.rings[part] == nil { core.relay.rings[part] = fabric.ring(from: index, to: part) }
        }
        let before = track.pointee.relayMask
        core.relay.relayedTracks += (mask == 0 ? 0 : 1) - (before == 0 ? 0 : 1)
        core.forwarder.setRelayed(id, mask: mask, wanted: wanted.values.max() ?? 0, now: loop.now)
    }

    /// Before the track goes.
    func stopRelaying(_ id: Int32) {
        guard let track = core.forwarder.tracks.find(id), track.pointee.relayNumber != 0 else { return }
        let number = track.pointee.relayNumber
        guard relayState.numbers[number] == id else { return }
        relayState.wanted[number] = nil
        applyRelay(number)
        relayState.numbers[number] = nil
    }

    /// Only the clocks go by the control side; packets go their own way.
    func relay(_ clock: SenderClock, ssrc: UInt32, track id: Int32, layer: UInt8) {
        guard let track = core.forwarder.tracks.find(id), track.pointee.relayMask != 0 else { return }
        for (part, ring) in core.relay.rings.enumerated() where track.pointee.relayMask & 1 << UInt64(part) != 0 {
            ring?.senderReport(
                track: track.pointee.relayNumber, encoding: layer, arrival: clock.arrival,
                clock: SenderReportClock(ssrc: ssrc, ntp: clock.ntp, rtp: clock.rtp))
        }
    }

    /// Another worker has closed its part of the room: nothing goes there and nothing comes from there.
    func partClosed(_ room: String, part: Int, incarnation: UInt64) {
        guard let entry = rooms[room], entry.parts[part] == incarnation else { return }
        rooms[room]?.parts[part] = nil
        for peer in entry.peers.values {
            if peer.origin == part {
                removeRelayed(peer, room: room)
                continue
            }
            for published in peer.published {
                guard let track = core.forwarder.tracks.find(published.track), track.pointee.relayNumber != 0 else {
                    continue
                }
                relayState.wanted[track.pointee.relayNumber]?[part] = nil
                applyRelay(track.pointee.relayNumber)
            }
        }
        assignSections(room: room, except: nil)
    }

    /// The room is closed here.
    func leaveParts(_ entry: RoomEntry) {
        for peer in entry.peers.values where peer.origin != nil { removeRelayed(peer, room: entry.name) }
        relayState.imported[entry.name] = nil
        let (name, incarnation) = (entry.name, entry.incarnation)
        for part in entry.parts.keys.sorted() {
            guard let worker = fabric.worker(part) else { continue }
            Task { [index] in await worker.partClosed(name, part: index, incarnation: incarnation) }
        }
    }

    // MARK: - Hearing from others

    /// false when the room is not open here.
    func take(_ export: RoomExport) -> Bool {
        guard let entry = rooms[export.room] else { return false }
        guard relayState.imported[export.room]?[export.from] ?? 0 < export.version else { return true }
        let now = loop.now
        rooms[export.room]?.parts[export.from] = export.incarnation
        relayState.imported[export.room, default: [:]][export.from] = export.version
        listen(to: export.from)
        for peer in entry.peers.values where peer.origin == export.from {
            if !export.peers.contains(where: { $0.name == peer.name }) { removeRelayed(peer, room: export.room) }
        }
        for peer in export.peers { take(peer, from: export.from, room: export.room, now: now) }
        assignSections(room: export.room, except: nil)
        return true
    }

    private func take(_ exported: RoomExport.Peer, from: Int, room: String, now: UInt64) {
        guard let entry = rooms[room] else { return }
        var peer: PeerEntry
        if let known = entry.peers[exported.name] {
            // One that has moved here in the meantime.
            guard known.origin == from else { return }
            peer = known
            let numbers = Set(exported.tracks.map(\.number))
            let goesOn = known.published.contains { published in
                core.forwarder.tracks.find(published.track).map { numbers.contains($0.pointee.relayNumber) } ?? false
            }
            if !goesOn {
                // Another connection under the same name, perhaps another machine with another clock.
                removeRelayed(known, room: room)
                peer = addRelayed(exported.name, from: from, room: entry.id, now: now)
            }
        } else {
            peer = addRelayed(exported.name, from: from, room: entry.id, now: now)
        }
        var kept: [PublishedTrack] = []
        for track in exported.tracks {
            let local = core.relay.tracks.find(RelayLinks.key(from, track.number))
            if let local, let old = peer.published.first(where: { $0.track == local }) {
                kept.append(renewed(old, track))
            } else {
                kept.append(add(track, of: peer, from: from, room: room, now: now))
            }
            core.forwarder.setMuted(kept[kept.count - 1].track, track.isMuted, now: now)
        }
        for old in peer.published where !kept.contains(where: { $0.track == old.track }) {
            forgetRelayed(old, from: from)
            retire(old)
        }
        peer.published = kept
        rooms[room]?.peers[exported.name] = peer
        core.forwarder.publish(
            kept.map(\.section), formats: exported.formats, extensions: exported.extensions,
            usesTransportFeedback: false, usesMaximumBitrate: false, peer: peer.id, now: now)
    }

    private func addRelayed(_ name: String, from: Int, room: Int32, now: UInt64) -> PeerEntry {
        PeerEntry(
            relayed: name, id: core.addRelayedPeer(room: room, cname: name, now: now), origin: from)
    }

    private func renewed(_ old: PublishedTrack, _ track: RoomExport.Track) -> PublishedTrack {
        var renewed = old
        renewed.role = track.published.role
        renewed.codec = track.published.codec
        renewed.codecs = track.published.codecs
        renewed.section = track.published.section
        renewed.section.track = old.track
        core.forwarder.tracks.find(old.track)?.pointee.role = StreamRole(
            name: renewed.role, isVideo: renewed.kind == .video)
        return renewed
    }

    private func add(
        _ track: RoomExport.Track, of peer: PeerEntry, from: Int, room: String, now: UInt64
    ) -> PublishedTrack {
        let published = track.published
        let isVideo = published.kind == .video
        var media = MediaTrack(
            peer: peer.id, room: rooms[room]?.id ?? 0, isVideo: isVideo,
            codec: CodecKind(name: published.codec.name, isVideo: published.kind == .video),
            payloadType: published.codec.payloadType, isMuted: track.isMuted,
            // What is missing is asked for by the worker that the sender is on.
            usesNack: false, usesPictureLoss: isVideo, usesFullIntra: false,
            role: StreamRole(name: published.role, isVideo: isVideo))
        media.relayNumber = track.number
        media.isRelayed = true
        let id = core.forwarder.addTrack(media)
        core.relay.tracks.set(RelayLinks.key(from, track.number), to: id)
        var section = published.section
        section.track = id
        let local = PublishedTrack(
            mid: published.mid, stream: published.stream, kind: published.kind, role: published.role, track: id,
            codec: published.codec, codecs: published.codecs, section: section, order: nextOrder)
        nextOrder += 1
        trackOwners[id] = (room, peer.name, published.stream)
        declare(local, peer: peer.name, room: room, now: now)
        return local
    }

    func removeRelayed(_ peer: PeerEntry, room: String) {
        rooms[room]?.peers[peer.name] = nil
        for published in peer.published {
            forgetRelayed(published, from: peer.origin ?? index)
            retire(published)
        }
        core.removeRelayedPeer(peer.id)
    }

    private func forgetRelayed(_ published: PublishedTrack, from: Int) {
        guard let track = core.forwarder.tracks.find(published.track) else { return }
        core.relay.tracks.remove(RelayLinks.key(from, track.pointee.relayNumber))
    }

    // MARK: - Packets of others

    private func listen(to other: Int) {
        guard relayState.inbound[other] == nil else { return }
        let ring = fabric.ring(from: other, to: index)
        let isReadable = MediaWorker.onLoop { (worker: isolated MediaWorker, _: Void) in
            worker.drain(ring, from: other)
        }
        // Without a descriptor left nothing would be heard from there; as without sockets, that is the end anyway.
        relayState.inbound[other] = try? loop.register(ring.wakeDescriptor, for: .readable) { [unowned self] _ in
            isReadable(self, ())
        }
        drain(ring, from: other)
    }

    private func drain(_ ring: PacketRing, from other: Int) {
        ring.silence()
        for _ in 0..<MediaWorker.flushesPerTurn {
            core.receive(from: other, ring, limit: WorkerCore.packetsPerFlush, now: loop.now)
            if ring.prepareToWait() { return }
        }
        ring.wakeAgain()
    }

    func stopListening() {
        for registration in relayState.inbound.values { loop.deregister(registration) }
        relayState.inbound = [:]
    }

    // MARK: - Asking others

    /// What receivers here want of pictures that come from elsewhere.
    func askOthers() {
        let requests = core.relay.requests
        core.relay.requests.removeAll(keepingCapacity: true)
        for request in requests {
            guard let track = core.forwarder.tracks.find(request.track), let owner = trackOwners[request.track],
                let origin = origin(of: owner.peer, in: owner.room), let worker = fabric.worker(origin)
            else { continue }
            let number = track.pointee.relayNumber
            Task { await worker.requestKeyFrame(number, layer: request.layer) }
        }
    }

    func requestKeyFrame(_ number: UInt32, layer: UInt8) {
        guard let id = relayState.numbers[number] else { return }
        core.forwarder.requestKeyFrame(track: id, layer: layer, now: loop.now)
    }

    /// Layers that nobody here wants any more, or somebody wants again; false for a track that is published here.
    func tellOrigin(_ track: Int32, count: Int) -> Bool {
        guard let owner = trackOwners[track], let origin = origin(of: owner.peer, in: owner.room) else { return false }
        if let worker = fabric.worker(origin), let number = core.forwarder.tracks.find(track)?.pointee.relayNumber {
            Task { [index] in await worker.setWanted(number, layers: count, on: index) }
        }
        return true
    }

    func setWanted(_ number: UInt32, layers: Int, on part: Int) {
        guard relayState.wanted[number]?[part] != nil else { return }
        relayState.wanted[number]?[part] = layers
        applyRelay(number)
    }
}
