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
    package mutating func setWantedLayer(receiver peerID: Int32, stream streamID: Int32, target: LayerTarget) {
        guard let stream = streams.find(streamID), stream.pointee.peer == peerID else { return }
        stream.pointee.wantedLayer = target
    }
}
