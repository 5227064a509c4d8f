// What a worker does without when it is at its limit: new faces first, then the larger layers of faces.
import Forwarding

extension MediaWorker {
    /// Whether a new stream of this role is taken from a sender.
    func takes(_ role: String, _ kind: StreamKind) -> Bool {
        guard workload.state >= .refusesFaces, MediaWorker.isFace(role, kind) else { return true }
        workload.camerasRefusedFromSenders &+= 1
        return false
    }

    private static func isFace(_ role: String, _ kind: StreamKind) -> Bool {
        StreamRole(name: role, isVideo: kind == .video) == .camera
    }

    /// Without the faces that a receiver does not get yet, as long as none are to be added.
    func admitted(_ wanted: [Wanted], _ kind: StreamKind, for peer: inout PeerEntry) -> [Wanted] {
        guard kind == .video else { return wanted }
        peer.refused.received = []
        guard workload.state >= .refusesFaces else { return wanted }
        return wanted.filter { wanted in
            guard MediaWorker.isFace(wanted.published.role, kind),
                !peer.sections.contains(where: { $0.track == wanted.published.track })
            else { return true }
            peer.refused.received.append(
                RefusedCameras.Received(participant: wanted.participant, stream: wanted.published.stream))
            return false
        }
    }

    /// Whenever it has changed.
    func tellRefused(_ peer: inout PeerEntry, room: String) {
        guard peer.refused != peer.toldRefused else { return }
        let news = peer.refused.received.count { !peer.toldRefused.received.contains($0) }
        workload.camerasRefusedToReceivers &+= UInt64(news)
        peer.toldRefused = peer.refused
        emit(.camerasRefused(room: room, peer: peer.name, peer.refused))
    }

    func stressChanged(from before: StressState, now: UInt64) {
        let state = workload.state
        if state == .thinsFaces { workload.timesThinned &+= 1 }
        core.forwarder.setThinsFaces(state == .thinsFaces, now: now)
        guard state == .relaxed, before > .relaxed else { return }
        // What was kept from receivers comes by itself; what was not taken is offered again by those who hear of it.
        for room in rooms.keys.sorted() {
            for peer in rooms[room]?.peers.keys.sorted() ?? [] { rooms[room]?.peers[peer]?.refused.sent = [] }
            assignSections(room: room, except: nil)
        }
    }

    func explainRefused(_ peer: PeerEntry, _ room: RoomEntry) -> [RoomExplanation.Stream] {
        peer.refused.received.map { refused in
            let published = room.peers[refused.participant]?.published.first { $0.stream == refused.stream }
            return RoomExplanation.Stream(
                mid: "", kind: .video, participant: refused.participant, stream: refused.stream, role: published?.role,
                layer: nil, wanted: nil, shown: nil, why: LayerReason.policy.name)
        }
    }
}
