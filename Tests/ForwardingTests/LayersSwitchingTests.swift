// Seeded runs over every kind of layered video: no frame that can't be decoded, no jump in time, no standing picture.
import ForwardingSimulation
import Testing

@Suite("Layers, switching")
struct LayersSwitchingTests {
    /// A slice for every test run; `tools/bench/run-switching` makes ten thousand of each codec.
    private static let runs: UInt64 = 8

    @Test(
        "whatever is lost, late, gone or wished for, receivers decode all they get, and the picture goes on",
        arguments: LayeredScheme.Codec.allCases)
    func switching(codec: LayeredScheme.Codec) {
        for seed in 0..<Self.runs {
            let run = LayersRun(.scheme(codec, seed: seed), seed: seed)
            run.run()
            #expect(run.problems.isEmpty, "\(codec) seed \(seed), \(run.scheme)")
        }
    }
}
