// Seeded runs over every kind of layered video: no frame that can't be decoded, no jump in time, no standing picture.
import Foundation
import Testing

@testable import Forwarding

@Suite("Layers, switching")
struct LayersSwitchingTests {
    /// A few in every test run; CONSILIUM_SWITCHING_RUNS asks for more of each codec.
    static var runs: Int {
        ProcessInfo.processInfo.environment["CONSILIUM_SWITCHING_RUNS"].flatMap(Int.init) ?? 60
    }

    static let vp8: [LayeredScheme] = [
        LayeredScheme(codec: .vp8, encodings: 3, temporal: 3), LayeredScheme(codec: .vp8, encodings: 3, temporal: 2),
        LayeredScheme(codec: .vp8, encodings: 1, temporal: 3, longPictureID: false),
        LayeredScheme(codec: .vp8, encodings: 2, temporal: 3, hasDescriptor: true),
        LayeredScheme(codec: .vp8, encodings: 1, temporal: 3, restartsNumbers: true),
        LayeredScheme(codec: .vp8, encodings: 3, temporal: 1, hasLayerNumbers: false),
    ]
    static let vp9: [LayeredScheme] = [
        LayeredScheme(codec: .vp9, spatial: 3, temporal: 3),
        LayeredScheme(codec: .vp9, spatial: 3, temporal: 3, isKeyMode: true),
        LayeredScheme(codec: .vp9, spatial: 2, temporal: 2, isFlexible: false),
        LayeredScheme(codec: .vp9, spatial: 3, temporal: 3, isFlexible: false, longPictureID: false),
        LayeredScheme(codec: .vp9, encodings: 3, temporal: 3), LayeredScheme(codec: .vp9, spatial: 1, temporal: 3),
        LayeredScheme(codec: .vp9, spatial: 3, temporal: 3, restartsNumbers: true),
    ]
    static let h264: [LayeredScheme] = [
        LayeredScheme(codec: .h264, encodings: 3), LayeredScheme(codec: .h264, encodings: 1),
        LayeredScheme(codec: .h264, encodings: 2, temporal: 3, hasDescriptor: true),
        LayeredScheme(codec: .h264, encodings: 1, temporal: 2, hasDescriptor: true),
    ]
    static let av1: [LayeredScheme] =
        [(1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3)].map {
            LayeredScheme(codec: .av1, spatial: $0.0, temporal: $0.1, hasDescriptor: true)
        }
        + [
            LayeredScheme(codec: .av1, spatial: 3, temporal: 3, isKeyMode: true, hasDescriptor: true),
            LayeredScheme(codec: .av1, spatial: 2, temporal: 2, isKeyMode: true, hasDescriptor: true),
            LayeredScheme(codec: .av1, encodings: 3, temporal: 3, hasDescriptor: true),
            LayeredScheme(codec: .av1, spatial: 2, temporal: 3, hasDescriptor: true, restartsNumbers: true),
        ]

    @Test(
        "whatever is lost, late, gone or wished for, receivers decode all they get, and the picture goes on",
        arguments: ["VP8", "VP9", "H264", "AV1"])
    func switching(codec: String) {
        let schemes = ["VP8": Self.vp8, "VP9": Self.vp9, "H264": Self.h264, "AV1": Self.av1][codec] ?? []
        let only = ProcessInfo.processInfo.environment["CONSILIUM_SWITCHING_SEED"].flatMap(Int.init)
        var failed = 0
        var decoded = 0
        let start = ContinuousClock.now
        for seed in only.map({ $0..<($0 + 1) }) ?? 0..<Self.runs {
            let scheme = schemes[seed % schemes.count]
            let run = LayersRun(scheme, seed: UInt64(seed))
            run.run()
            decoded += run.decoded
            guard !run.problems.isEmpty else { continue }
            failed += 1
            if failed <= 8 { print("\(codec) seed \(seed), \(scheme): \(run.problems.prefix(3))") }
        }
        print(
            "\(codec): \(Self.runs) runs, \(decoded) frames decoded, \(failed) failed, \(ContinuousClock.now - start)")
        #expect(failed == 0, "of \(Self.runs) runs with \(codec)")
    }
}
