// Faces in their smallest layer, for a worker that would otherwise come too late with everything.

extension Forwarder {
    /// From now on, or no longer. Sound, and every picture that is not a face, stays what it is.
    package mutating func setThinsFaces(_ thins: Bool, now: UInt64) {
        guard thinsFaces != thins else { return }
        thinsFaces = thins
        for index in 0..<streams.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let stream = streams.find(id), stream.pointee.isVideo else { continue }
            updateUseful(id, now: now)
        }
    }

    /// Where there is nothing smaller to send, nothing changes.
    func thin(_ useful: inout UsefulLayer, _ demand: inout StreamDemand, of track: UnsafeMutablePointer<MediaTrack>) {
        guard thinsFaces, track.pointee.role == .camera, !useful.target.isPaused,
            track.pointee.layerCount > 1 || track.pointee.ladder.count > 1
        else { return }
        useful = UsefulLayer(target: LayerTarget(spatial: 0, temporal: 0), reason: .policy)
        demand.isThinned = true
        demand.reason = .policy
    }
}
