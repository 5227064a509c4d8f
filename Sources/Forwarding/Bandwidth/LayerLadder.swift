// The layers of one stream in the order in which a role climbs them.

/// One layer as it is measured: everything that has to be sent for it, lower layers included.
package struct MeasuredLayer: Sendable, Equatable {
    package var target: LayerTarget
    package var pixels: Int
    package var bitsPerSecond: Double

    package init(target: LayerTarget, pixels: Int, bitsPerSecond: Double) {
        self.target = target
        self.pixels = pixels
        self.bitsPerSecond = bitsPerSecond
    }
}

package enum LayerLadder {
    /// Spatial layers in the order given, which is from small to large; of each its frame rates from low to high.
    ///
    /// - Faces climb every step.
    /// - What lives from movement has full frame rate on every rung.
    /// - Documents and images have low frame rate on every rung but those of the largest size: resolution comes first.
    ///
    /// A rung that costs more than a better one is left out: a still document is cheap in full size.
    package static func make(_ layers: [MeasuredLayer], role: StreamRole) -> [MeasuredLayer] {
        var rungs: [MeasuredLayer] = []
        fill(&rungs, from: layers, role: role)
        return rungs
    }

    /// The same in the memory of the ladder before.
    package static func fill(_ rungs: inout [MeasuredLayer], from layers: [MeasuredLayer], role: StreamRole) {
        rungs.removeAll(keepingCapacity: true)
        guard let largest = layers.last?.target.spatial else { return }
        for (index, layer) in layers.enumerated() {
            let isLowestRate = index == 0 || layers[index - 1].target.spatial != layer.target.spatial
            let isHighestRate = index == layers.count - 1 || layers[index + 1].target.spatial != layer.target.spatial
            let isRung: Bool
            if role.keepsFrameRate {
                isRung = isHighestRate
            } else if role.keepsResolution {
                isRung = layer.target.spatial == largest || isLowestRate
            } else {
                isRung = layers[0].target.spatial == layer.target.spatial || isHighestRate
            }
            guard isRung else { continue }
            while let last = rungs.last, last.bitsPerSecond >= layer.bitsPerSecond { rungs.removeLast() }
            rungs.append(layer)
        }
    }

    /// The rung below which this role should not fall: the full size for what is read.
    package static func wantedFloor(_ rungs: [MeasuredLayer], role: StreamRole) -> Int {
        guard role.keepsResolution, let largest = rungs.last?.target.spatial else { return 0 }
        return rungs.firstIndex { $0.target.spatial == largest } ?? 0
    }
}
