// What a receiver's page says it shows of one stream.

package struct StreamDemand: Sendable, Equatable {
    /// Pixels of the picture on the screen; as many as there are when nothing was said.
    package var pixels = Int.max
    package var isShown = true
    /// What bounds the layer, when it is not bandwidth.
    package var reason = LayerReason.viewport
    /// The cheapest rung, however large it is shown.
    package var isThinned = false

    package init() {}

    package init(pixels: Int, isShown: Bool = true, reason: LayerReason = .viewport) {
        self.pixels = pixels
        self.isShown = isShown
        self.reason = reason
    }

    /// A picture may be shown a little larger than it is before a larger layer is worth its bits.
    static let enlargement = 1.25

    /// The best rung that is of use.
    func limit(_ rungs: [MeasuredLayer]) -> Int {
        guard isShown else { return -1 }
        if isThinned { return min(0, rungs.count - 1) }
        guard pixels < Int.max else { return rungs.count - 1 }
        var limit = 0
        for index in rungs.indices.dropFirst() {
            let isSameSize = rungs[index].pixels == rungs[limit].pixels
            let isTooSmall = Double(rungs[limit].pixels) * StreamDemand.enlargement < Double(pixels)
            if isSameSize || isTooSmall { limit = index }
        }
        return min(limit, rungs.count - 1)
    }
}
