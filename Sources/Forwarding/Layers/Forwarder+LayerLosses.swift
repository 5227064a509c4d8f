// Packets of pictures in spatial layers that were lost, sent again without being asked for.
import WireFormats

/// libwebrtc takes a missing packet off its list as soon as any frame behind it is continuous, and with spatial layers that
/// is the lowest layer of the next picture. So it asks once; when that or the answer is lost as well, it waits for three
/// seconds, and then for a key frame. Transport feedback tells the same here, of repetitions too.
extension Forwarder {
    /// To be called before `feedback` is taken into the account of the path.
    mutating func repeatLost(_ feedback: TransportFeedback, _ peerID: Int32, now: UInt64) {
        guard hasSpatialLayers(peerID) else { return }
        let peer = peers[peerID]
        var left = peer.pointee.bandwidth.history.reportable(from: feedback.baseSequence)
        var statuses = feedback.statuses
        while left > 0, let status = statuses.next() {
            left -= 1
            guard status.arrival == nil, let packet = peer.pointee.bandwidth.history.find(status.sequence),
                packet.pointee.state == .inFlight || packet.pointee.state == .unheard
            else { continue }
            repeatPacket(transportSequence: status.sequence, origin: packet.pointee.origin, peerID, now: now)
        }
    }

    private func hasSpatialLayers(_ peerID: Int32) -> Bool {
        for id in peers[peerID].pointee.streams where isInSpatialLayers(streams[id].pointee.current) { return true }
        return false
    }

    private func isInSpatialLayers(_ encodingID: Int32) -> Bool {
        guard let encoding = encodings.find(encodingID) else { return false }
        return encoding.pointee.rid.isEmpty && encoding.pointee.layerRates.highestSpatial > 0
    }

    /// The stream is the one whose packet went out under that number last: what was asked for meanwhile has a newer one.
    private mutating func repeatPacket(transportSequence: UInt16, origin: UInt16, _ peerID: Int32, now: UInt64) {
        for id in peers[peerID].pointee.streams {
            let stream = streams[id]
            guard stream.pointee.isVideo, stream.pointee.retransmissionPayloadType != 0xFF,
                let sent = stream.pointee.sent.find(origin), sent.pointee.flags.contains(.wasSent),
                sent.pointee.transportSequence == transportSequence, isInSpatialLayers(sent.pointee.encoding),
                sent.pointee.repetitions < Forwarder.mostRepetitions
            else { continue }
            sent.pointee.repetitions += 1
            sent.pointee.sentAt = UInt32(truncatingIfNeeded: now / 1_000_000)
            counters.lossesRepeated &+= 1
            enqueue(OutgoingPacket(stream: id, sequence: origin, kind: .retransmission, bytes: 1200), for: peerID)
            return
        }
    }
}
