// Which encoding of a track is the best that flows.

/// What is known of one layer at this moment.
package struct LayerState: Sendable, Equatable {
    package var isFlowing: Bool
    /// How long it has flowed without a long pause, in nanoseconds.
    package var steadyFor: UInt64
    /// Of its last key frame, 0 when not known.
    package var pixels: Int
    package var bitsPerSecond: Int

    package init(isFlowing: Bool, steadyFor: UInt64, pixels: Int, bitsPerSecond: Int) {
        self.isFlowing = isFlowing
        self.steadyFor = steadyFor
        self.pixels = pixels
        self.bitsPerSecond = bitsPerSecond
    }
}

/// - The layer in use stays while it flows, unless a better one has flowed steadily for half a second.
/// - When it stops, the best flowing one takes its place, however new.
/// - When nothing flows, nothing changes: a still screen sends no packets and is no reason to switch.
/// - Better is more pixels; where sizes are not known, the higher bit rate; where that is equal, the later layer.
package enum LayerSelection {
    package static let steady: UInt64 = 500_000_000

    package static func best(_ layers: [LayerState], current: Int?) -> Int? {
        var winner: Int?
        for (index, layer) in layers.enumerated() where layer.isFlowing {
            let isCandidate = index == current || layer.steadyFor >= steady
            guard isCandidate else { continue }
            if let other = winner, !isBetter(layer, than: layers[other]) { continue }
            winner = index
        }
        if let winner { return winner }
        if let current, current < layers.count, layers[current].isFlowing { return current }
        var newest: Int?
        for (index, layer) in layers.enumerated() where layer.isFlowing {
            if let other = newest, !isBetter(layer, than: layers[other]) { continue }
            newest = index
        }
        return newest ?? current
    }

    private static func isBetter(_ layer: LayerState, than other: LayerState) -> Bool {
        if layer.pixels != other.pixels, layer.pixels > 0, other.pixels > 0 { return layer.pixels > other.pixels }
        return layer.bitsPerSecond >= other.bitsPerSecond
    }
}
