// A value-of-interest window in modality units and the formula that every renderer must match (PS3.3 C.11.2.1.2, C.11.2.1.3).

import Foundation

package struct Window: Codable, Sendable, Equatable {
    /// VOI LUT Function (0028,1056).
    package enum Function: String, Codable, Sendable {
        case linear = "LINEAR"
        case linearExact = "LINEAR_EXACT"
        case sigmoid = "SIGMOID"
    }

    package var center: Double
    package var width: Double
    package var function: Function
    package var explanation: String

    package init(center: Double, width: Double, function: Function = .linear, explanation: String = "") {
        self.center = center
        self.width = width
        self.function = function
        self.explanation = explanation
    }

    /// Modality value to brightness, 0 (black) to 1 (white).
    package func brightness(_ value: Double) -> Double {
        switch function {
        case .linear:
            // A width of 1 is a threshold; the formula would divide by zero.
            guard width > 1 else { return value <= center - 0.5 ? 0 : 1 }
            return min(max((value - (center - 0.5)) / (width - 1) + 0.5, 0), 1)
        case .linearExact:
            return min(max((value - center) / width + 0.5, 0), 1)
        case .sigmoid:
            return 1 / (1 + exp(-4 * (value - center) / width))
        }
    }

    /// The 8 bit grey value of a display, rounded as the reference renderer rounds.
    package func grey(_ value: Double) -> UInt8 {
        UInt8(max(0, min(255, (brightness(value) * 255 + 0.5).rounded(.down))))
    }

    /// The windows of a header in its order; those no formula can use are left out.
    static func windows(_ dataSet: DataSet) -> [Window] {
        let centers = dataSet.decimals(.windowCenter)
        let widths = dataSet.decimals(.windowWidth)
        let explanations = dataSet.strings(.windowExplanation)
        let function = dataSet.string(.voiLUTFunction).flatMap { Function(rawValue: $0) } ?? .linear
        return zip(centers, widths).enumerated().compactMap { index, pair in
            let (center, width) = pair
            guard width > 0 else { return nil }
            return Window(
                center: center, width: width,
                // LINEAR is defined from width 1 on; files with less mean the exact line.
                function: function == .linear && width < 1 ? .linearExact : function,
                explanation: explanations.indices.contains(index) ? explanations[index] : "")
        }
    }

    /// A window for a series that brings none: from the 1st to the 99th percentile of its modality values.
    static func automatic(_ histogram: Histogram, rescale: Rescale) -> Window {
        let ends = [histogram.percentile(0.01), histogram.percentile(0.99)].map {
            Double($0) * rescale.slope + rescale.intercept
        }
        let low = min(ends[0], ends[1])
        let high = max(ends[0], ends[1])
        return Window(
            center: (low + high) / 2, width: max(high - low, abs(rescale.slope), .leastNormalMagnitude),
            function: .linearExact, explanation: "automatic")
    }
}

/// How often each 16 bit stored value occurs.
struct Histogram {
    private var counts = [Int](repeating: 0, count: 65_536)
    private var total = 0

    /// Signed samples are counted as they are, shifted by 32768.
    mutating func add(_ samples: [UInt16], isSigned: Bool, padding: Int?) {
        let flip: UInt16 = isSigned ? 0x8000 : 0
        let ignored = padding.map { UInt16(truncatingIfNeeded: $0) }
        for sample in samples where sample != ignored {
            counts[Int(sample ^ flip)] += 1
            total += 1
        }
        offset = isSigned ? 32_768 : 0
    }

    private var offset = 0

    func percentile(_ fraction: Double) -> Int {
        let wanted = Int(Double(total) * fraction)
        var seen = 0
        for (value, count) in counts.enumerated() {
            seen += count
            if seen > wanted { return value - offset }
        }
        return 0
    }
}
