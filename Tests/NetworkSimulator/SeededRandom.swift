// The only source of chance in a simulation: the same seed gives the same run on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, good enough for loss and jitter, and trivially reproducible.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    package let seed: UInt64
    private var state: UInt64

    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Uniform in 0 ..< 1, with 53 bits. (The standard library's own may change between versions; this must not.)
    package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    package mutating func chance(_ probability: Double) -> Bool {
        // Nothing is drawn for what cannot happen, so that turning a feature off leaves the rest of a run as it was.
        probability > 0 && unit() < probability
    }

    /// Roughly normal with mean 0 and deviation 1: the sum of twelve uniforms, less six (never beyond ±6).
    package mutating func normal() -> Double {
        var sum = -6.0
        for _ in 0..<12 { sum += unit() }
        return sum
    }

    /// An independent stream for another part of the simulation.
    package mutating func fork() -> SeededRandom { SeededRandom(seed: next()) }
}
