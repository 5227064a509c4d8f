// What each layer of an encoding takes, measured from what arrives.

/// Four spatial by four temporal layers. Rises are followed within a second, falls within five: a document that stands
/// still for a moment will move again.
package struct LayerRates: Sendable {
    static let window: UInt64 = 500_000_000
    static let rise = 0.5
    static let fall = 0.1

    private var bytes = InlineArray<16, UInt32>(repeating: 0)
    private var rates = InlineArray<16, Double>(repeating: 0)
    private var started: UInt64 = 0
    private var hasMeasured = false
    package private(set) var highestSpatial = 0
    package private(set) var highestTemporal = 0

    package init() {}

    @inline(__always)
    package mutating func add(bytes added: Int, spatial: UInt8, temporal: UInt8) {
        bytes[Int(min(spatial, 3) &* 4 &+ min(temporal, 3))] &+= UInt32(truncatingIfNeeded: added)
    }

    /// true when a window has closed.
    package mutating func update(now: UInt64) -> Bool {
        guard started > 0 else {
            started = now
            return false
        }
        let elapsed = now &- started
        guard elapsed >= LayerRates.window else { return false }
        started = now
        for index in 0..<16 {
            let sample = Double(bytes[index]) * 8e9 / Double(elapsed)
            bytes[index] = 0
            if sample > 0 {
                highestSpatial = max(highestSpatial, index / 4)
                highestTemporal = max(highestTemporal, index % 4)
            }
            if !hasMeasured { rates[index] = sample }
            rates[index] += (sample - rates[index]) * (sample > rates[index] ? LayerRates.rise : LayerRates.fall)
        }
        hasMeasured = true
        return true
    }

    /// With all lower layers.
    package func bitsPerSecond(spatial: Int, temporal: Int) -> Double {
        var sum = 0.0
        for lowerSpatial in 0...min(max(spatial, 0), 3) {
            for lowerTemporal in 0...min(max(temporal, 0), 3) { sum += rates[lowerSpatial * 4 + lowerTemporal] }
        }
        return sum
    }
}
