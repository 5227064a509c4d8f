// The kinds of layered video that are run through the core, codec by codec.
import Forwarding

/// How a publisher codes its pictures.
package struct LayeredScheme: CustomStringConvertible, Sendable {
    package enum Codec: String, Sendable, CaseIterable { case vp8, vp9, h264, av1 }

    package var codec: Codec
    var encodings = 1
    var spatial = 1
    var temporal = 1
    /// Spatial layers refer to each other in key pictures only.
    var isKeyMode = false
    var isFlexible = true
    var longPictureID = true
    var hasLayerNumbers = true
    var hasDescriptor = false
    var restartsNumbers = false

    package var description: String {
        "\(codec) \(encodings)×L\(spatial)T\(temporal)\(isKeyMode ? "_KEY" : "")"
            + (codec == .vp9 ? (isFlexible ? " flexible" : " fixed") : "") + (hasDescriptor ? " described" : "")
            + (restartsNumbers ? " restarting" : "") + (hasLayerNumbers ? "" : " bare")
            + (longPictureID ? "" : " short")
    }

    var kind: CodecKind {
        switch codec {
        case .vp8: .vp8
        case .vp9: .vp9
        case .h264: .h264
        case .av1: .av1
        }
    }

    func temporalLayer(_ index: Int) -> Int {
        switch temporal {
        case 1: 0
        case 2: index % 2
        default: [0, 2, 1, 2][index % 4]
        }
    }
}

extension LayeredScheme {
    /// A run's kind follows from its seed.
    package static func scheme(_ codec: Codec, seed: UInt64) -> LayeredScheme {
        let all = schemes(codec)
        return all[Int(seed % UInt64(all.count))]
    }

    private static func schemes(_ codec: Codec) -> [LayeredScheme] {
        switch codec {
        case .vp8: vp8
        case .vp9: vp9
        case .h264: h264
        case .av1: av1
        }
    }

    private static let vp8: [LayeredScheme] = [
        LayeredScheme(codec: .vp8, encodings: 3, temporal: 3), LayeredScheme(codec: .vp8, encodings: 3, temporal: 2),
        LayeredScheme(codec: .vp8, encodings: 1, temporal: 3, longPictureID: false),
        LayeredScheme(codec: .vp8, encodings: 2, temporal: 3, hasDescriptor: true),
        LayeredScheme(codec: .vp8, encodings: 1, temporal: 3, restartsNumbers: true),
        LayeredScheme(codec: .vp8, encodings: 3, temporal: 1, hasLayerNumbers: false),
    ]
    private static let vp9: [LayeredScheme] = [
        LayeredScheme(codec: .vp9, spatial: 3, temporal: 3),
        LayeredScheme(codec: .vp9, spatial: 3, temporal: 3, isKeyMode: true),
        LayeredScheme(codec: .vp9, spatial: 2, temporal: 2, isFlexible: false),
        LayeredScheme(codec: .vp9, spatial: 3, temporal: 3, isFlexible: false, longPictureID: false),
        LayeredScheme(codec: .vp9, encodings: 3, temporal: 3), LayeredScheme(codec: .vp9, spatial: 1, temporal: 3),
        LayeredScheme(codec: .vp9, spatial: 3, temporal: 3, restartsNumbers: true),
    ]
    private static let h264: [LayeredScheme] = [
        LayeredScheme(codec: .h264, encodings: 3), LayeredScheme(codec: .h264, encodings: 1),
        LayeredScheme(codec: .h264, encodings: 2, temporal: 3, hasDescriptor: true),
        LayeredScheme(codec: .h264, encodings: 1, temporal: 2, hasDescriptor: true),
    ]
    private static let av1: [LayeredScheme] =
        [(1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3)].map {
            LayeredScheme(codec: .av1, spatial: $0.0, temporal: $0.1, hasDescriptor: true)
        }
        + [
            LayeredScheme(codec: .av1, spatial: 3, temporal: 3, isKeyMode: true, hasDescriptor: true),
            LayeredScheme(codec: .av1, spatial: 2, temporal: 2, isKeyMode: true, hasDescriptor: true),
            LayeredScheme(codec: .av1, encodings: 3, temporal: 3, hasDescriptor: true),
            LayeredScheme(codec: .av1, spatial: 2, temporal: 3, hasDescriptor: true, restartsNumbers: true),
        ]
}
