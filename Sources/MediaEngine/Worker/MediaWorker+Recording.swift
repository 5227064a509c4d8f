// The recorder's side of a worker: a ring for each recorded room, fed before any layer switching.
import Forwarding
import PacketRing
import WireFormats

extension MediaWorker {
    private static let serviceInterval: UInt64 = 100_000_000

    func startRecording(room name: String) -> PacketRing {
        _ = openRoom(name)
        if let ring = rooms[name]?.ring { return ring }
        let ring = PacketRing()
        rooms[name]?.ring = ring
        rooms[name]?.ringPlace = core.addRing(ring)
        let now = loop.now
        for peer in rooms[name]?.peers.values.sorted(by: { $0.id < $1.id }) ?? [] {
            for track in peer.published { declare(track, peer: peer.name, room: name, now: now) }
        }
        setRecorderDeadline(now &+ MediaWorker.serviceInterval)
        return ring
    }

    func stopRecording(room name: String) {
        guard let entry = rooms[name], let ring = entry.ring else { return }
        let now = loop.now
        for peer in entry.peers.values { for track in peer.published { endRecording(of: track.track, ring, now: now) } }
        ring.finish(arrival: now)
        rooms[name]?.ring = nil
        core.removeRing(entry.ringPlace)
        forgetIfEmpty(name)
    }

    /// Nothing while the room is not recorded.
    func declare(_ published: PublishedTrack, peer: String, room: String, now: UInt64) {
        guard let entry = rooms[room], let ring = entry.ring,
            let track = core.forwarder.tracks.find(published.track)
        else { return }
        let number = nextRecorderTrack
        nextRecorderTrack &+= 1
        track.pointee.recorderTrack = number
        track.pointee.recorderRing = entry.ringPlace
        var parameters: [String: String] = [:]
        for parameter in published.codec.parameters.parameters {
            parameters[parameter.name] = parameter.value ?? ""
        }
        ring.declare(
            TrackDeclaration(
                track: number, participant: peer, stream: published.stream, kind: published.kind.rawValue,
                role: published.role, codec: published.codec.name, clockRate: published.codec.clockRate,
                channels: published.codec.channels, payloadType: published.codec.payloadType, parameters: parameters),
            arrival: now)
        // A file begins with a key frame.
        core.forwarder.requestKeyFrame(track: published.track, now: now)
    }

    func endRecording(of id: Int32, _ ring: PacketRing, now: UInt64) {
        guard let track = core.forwarder.tracks.find(id), track.pointee.recorderTrack != 0 else { return }
        ring.end(track: track.pointee.recorderTrack, arrival: now)
        track.pointee.recorderTrack = 0
    }

    func record(_ clock: SenderClock, ssrc: UInt32, track id: Int32, layer: UInt8) {
        guard let track = core.forwarder.tracks.find(id), track.pointee.recorderTrack != 0,
            let ring = core.ring(of: track.pointee.recorderRing)
        else { return }
        ring.senderReport(
            track: track.pointee.recorderTrack, encoding: layer, arrival: clock.arrival,
            clock: SenderReportClock(ssrc: ssrc, ntp: clock.ntp, rtp: clock.rtp))
    }

    /// Key frames that recorders ask for, and declarations that found no room before.
    func serveRecorders(now: UInt64) {
        var isRecording = false
        for (place, ring) in core.rings.enumerated() {
            guard let ring else { continue }
            isRecording = true
            while let number = ring.takeKeyFrameRequest() {
                for id in trackOwners.keys {
                    guard let track = core.forwarder.tracks.find(id), track.pointee.recorderTrack == number,
                        Int(track.pointee.recorderRing) == place
                    else { continue }
                    core.forwarder.requestKeyFrame(track: id, now: now)
                }
            }
            _ = ring.retryWaiting(now: now)
        }
        setRecorderDeadline(isRecording ? now &+ MediaWorker.serviceInterval : .max)
    }
}
