// What a stream shows, as far as it decides who gives way when a path does not carry everything.

package enum StreamRole: UInt8, Sendable, CaseIterable {
    case surgicalField, imaging, document, vitals, panorama, camera, audio

    /// The names of the room protocol; what is not known is a face.
    package init(name: String, isVideo: Bool) {
        switch name {
        case "surgicalField": self = .surgicalField
        case "imaging": self = .imaging
        case "document": self = .document
        case "vitals": self = .vitals
        case "panorama": self = .panorama
        default: self = isVideo ? .camera : .audio
        }
        if !isVideo { self = .audio }
    }

    /// Text and images: a picture a second that can be read is worth more than thirty that cannot.
    package var keepsResolution: Bool { self == .imaging || self == .document }

    /// Movement is the content: frame rate stays, resolution gives way.
    package var keepsFrameRate: Bool { self == .surgicalField || self == .vitals || self == .panorama }

    /// Groups that are raised one after the other; smaller goes first.
    package var group: Int {
        switch self {
        case .audio: 0
        case .surgicalField: 1
        case .imaging, .document: 2
        case .vitals, .panorama: 3
        case .camera: 4
        }
    }
}

/// Why a receiver's stream carries the layer it carries.
package enum LayerReason: UInt8, Sendable, CaseIterable {
    /// The best there is.
    case best
    /// The page shows it no larger, or not at all.
    case viewport
    case bandwidth
    /// The publisher sends no better one.
    case publisher
    case decoder
    case policy

    package var name: String {
        switch self {
        case .best: "best"
        case .viewport: "viewport"
        case .bandwidth: "bandwidth"
        case .publisher: "publisher"
        case .decoder: "decoder"
        case .policy: "policy"
        }
    }
}
