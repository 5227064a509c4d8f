// Tracks that are published on another worker: bound by what that worker says, and asked for there.
import WireFormats

extension Forwarder {
    /// A packet of a relayed track comes with its track and layer: senders need not have named them in it any more.
    /// false when it cannot be one.
    package mutating func bindRelayed(
        _ packet: UnsafeRawBufferPointer, track id: Int32, layer: UInt8, now: UInt64
    ) -> Bool {
        guard let track = tracks.find(id), let header = RTPHeader(packet), let peer = peers.find(track.pointee.peer)
        else { return false }
        if peer.pointee.sources.find(UInt64(header.ssrc)) != nil { return true }
        let peerID = track.pointee.peer
        guard let index = peer.pointee.sections.firstIndex(where: { $0.track == id }) else { return false }
        let rids = peer.pointee.sections[index].rids
        guard rids.isEmpty || Int(layer) < rids.count else { return false }
        let format = peer.pointee.formats[Int(header.payloadType)]
        guard
            let encoding = encoding(
                ofSection: index, rid: rids.isEmpty ? [] : rids[Int(layer)], peer: peerID, format: format, now: now)
        else { return false }
        return set(header.ssrc, isRepair: false, of: encoding, peer: peerID, now: now)
    }

    /// Which layer of which track a peer's SSRC is.
    package func source(_ ssrc: UInt32, of peerID: Int32) -> (track: Int32, layer: UInt8)? {
        guard let source = peers.find(peerID)?.pointee.sources.find(UInt64(ssrc)), source & 1 == 0,
            let encoding = encodings.find(source >> 1)
        else { return nil }
        return (encoding.pointee.track, encoding.pointee.index)
    }

    /// For receivers on another worker.
    package mutating func requestKeyFrame(track id: Int32, layer: UInt8, now: UInt64) {
        guard let track = tracks.find(id), track.pointee.isVideo, !track.pointee.isMuted else { return }
        for encodingID in track.pointee.encodings where encodings[encodingID].pointee.index == layer {
            encodings[encodingID].pointee.keyFrameRequester.request(now: now)
            wakeFastTick(now: now)
        }
    }

    package mutating func setRelayed(_ id: Int32, mask: UInt64, wanted: Int, now: UInt64) {
        guard let track = tracks.find(id) else { return }
        track.pointee.relayMask = mask
        track.pointee.relayWanted = wanted
        if track.pointee.isVideo { updatePublisher(id, now: now) }
    }
}
