// What a page says of one stream, and the largest layer that is of use to it.

package enum ViewDemand: Sendable, Equatable {
    /// The page has not said anything: whatever there is.
    case unknown
    case hidden
    /// In physical pixels.
    case shown(width: Int, height: Int)

    func asksForMore(than former: ViewDemand) -> Bool {
        switch (self, former) {
        case (.hidden, _), (.unknown, .unknown): false
        case (.unknown, _), (.shown, .hidden), (.shown, .unknown): true
        case (.shown(let width, let height), .shown(let formerWidth, let formerHeight)):
            width > formerWidth || height > formerHeight
        }
    }
}

/// The pictures of a simulcast as far as their sizes are known, by the place of their rid in the offer.
package struct LayerSizes: Sendable, Equatable {
    package static let limit = MediaTrack.largestEncodingCount

    package private(set) var count: Int
    private var widths = InlineArray<4, Int>(repeating: 0)
    private var heights = InlineArray<4, Int>(repeating: 0)

    package init(count: Int) { self.count = min(count, LayerSizes.limit) }

    package mutating func set(_ index: Int, width: Int, height: Int) {
        guard (0..<LayerSizes.limit).contains(index), width > 0, height > 0 else { return }
        count = max(count, index + 1)
        widths[index] = width
        heights[index] = height
    }

    /// Rids go from small to large by twos; so one known size tells the others until they are seen themselves.
    func size(_ index: Int) -> (width: Int, height: Int)? {
        guard (0..<count).contains(index) else { return nil }
        if widths[index] > 0 { return (widths[index], heights[index]) }
        for other in 0..<count where widths[other] > 0 {
            let steps = index - other
            return steps > 0
                ? (widths[other] << steps, heights[other] << steps)
                : (widths[other] >> -steps, heights[other] >> -steps)
        }
        return nil
    }

    package static func == (left: LayerSizes, right: LayerSizes) -> Bool {
        left.count == right.count
            && (0..<limit).allSatisfy { left.widths[$0] == right.widths[$0] && left.heights[$0] == right.heights[$0] }
    }
}

package struct UsefulLayer: Sendable, Equatable {
    package var target: LayerTarget
    package var reason: LayerReason

    package static let everything = UsefulLayer(target: .highest, reason: .best)

    /// - What is not shown is not sent.
    /// - Documents and images are sent in full, however small they are shown: somebody leans forward to read.
    /// - Others get the smallest picture that is stretched by a third at most, both ways; a tile that is filled cuts off.
    package init(_ demand: ViewDemand, _ sizes: LayerSizes, keepsResolution: Bool) {
        switch demand {
        case .unknown: self = .everything
        case .hidden: self.init(target: .none, reason: .viewport)
        case .shown(let width, let height):
            self = .everything
            guard !keepsResolution, sizes.count > 1 else { return }
            var chosen: (index: Int, pixels: Int)?
            var largest = 0
            for index in 0..<sizes.count {
                guard let size = sizes.size(index) else { return }
                let pixels = size.width * size.height
                largest = max(largest, pixels)
                guard size.width * 4 >= width * 3, size.height * 4 >= height * 3 else { continue }
                if let other = chosen, other.pixels <= pixels { continue }
                chosen = (index, pixels)
            }
            guard let chosen, chosen.pixels < largest else { return }
            self.init(target: LayerTarget(spatial: UInt8(chosen.index)), reason: .viewport)
        }
    }

    package init(target: LayerTarget, reason: LayerReason) {
        self.target = target
        self.reason = reason
    }
}
