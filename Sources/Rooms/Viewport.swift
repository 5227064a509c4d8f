// A viewport described in the patient and the image, never in canvas pixels: its state and the patches that change it.

/// The shared state of one viewport. Each group of properties is last-writer-wins in server order.
package struct Viewport: Codable, Sendable, Equatable {
    package var study: String
    package var series: String
    package var properties = ViewportPatch()

    package init(study: String, series: String) {
        self.study = study
        self.series = series
    }

    private enum CodingKeys: String, CodingKey { case study, series }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        study = try container.decode(String.self, forKey: .study)
        series = try container.decode(String.self, forKey: .series)
        properties = try ViewportPatch(from: decoder)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(study, forKey: .study)
        try container.encode(series, forKey: .series)
        try properties.encode(to: encoder)
    }
}

/// Groups of viewport properties; a group that is nil is left as it was.
package struct ViewportPatch: Codable, Sendable, Equatable {
    /// Which image is shown: SOP Instance UID and frame, from 1.
    package struct Image: Codable, Sendable, Equatable {
        package var sop: String
        package var frame: Int
    }

    /// The presenter's visible rectangle in image pixels, the corner of the first pixel being 0; followers show all of it.
    package struct Area: Codable, Sendable, Equatable {
        package var left: Double
        package var top: Double
        package var right: Double
        package var bottom: Double
    }

    /// Rotation clockwise in degrees, then a horizontal flip (the order of PS3.3 C.10.6).
    package struct Orientation: Codable, Sendable, Equatable {
        package var rotation: Int
        package var flipHorizontal: Bool
    }

    /// Values of interest in modality units (PS3.3 C.11.2).
    package struct ValuesOfInterest: Codable, Sendable, Equatable {
        package enum Function: String, Codable, Sendable {
            case linear = "LINEAR"
            case linearExact = "LINEAR_EXACT"
            case sigmoid = "SIGMOID"
        }
        package var center: Double
        package var width: Double
        package var function: Function
    }

    package var image: Image?
    package var area: Area?
    package var orientation: Orientation?
    package var voi: ValuesOfInterest?
    package var invert: Bool?
    /// Patient millimetres of the middle of the area, when the image has a place in the patient.
    package var focalPoint: [Double]?
    /// The direction that is up on the screen, in the patient's axes.
    package var viewUp: [Double]?
    /// Half the height of the area in millimetres.
    package var parallelScale: Double?

    package init() {}

    /// Takes over every group that the other patch has.
    package mutating func merge(_ other: ViewportPatch) {
        if let image = other.image { self.image = image }
        if let area = other.area { self.area = area }
        if let orientation = other.orientation { self.orientation = orientation }
        if let voi = other.voi { self.voi = voi }
        if let invert = other.invert { self.invert = invert }
        if let focalPoint = other.focalPoint { self.focalPoint = focalPoint }
        if let viewUp = other.viewUp { self.viewUp = viewUp }
        if let parallelScale = other.parallelScale { self.parallelScale = parallelScale }
    }

    /// Why a patch from a client is refused, in words, or nil when it is sound.
    package var fault: String? {
        if self == ViewportPatch() { return "the patch is empty" }
        if let image, !Name.isUniqueIdentifier(image.sop) { return "image.sop is not a DICOM UID" }
        if let image, !(1...1_000_000).contains(image.frame) { return "image.frame counts from 1" }
        if let area {
            let sides = [area.left, area.top, area.right, area.bottom]
            guard sides.allSatisfy({ $0.isFinite && abs($0) < 1e7 }) else { return "area is out of range" }
            guard area.right > area.left, area.bottom > area.top else { return "area is empty" }
        }
        if let orientation, ![0, 90, 180, 270].contains(orientation.rotation) {
            return "orientation.rotation is 0, 90, 180 or 270"
        }
        if let voi {
            guard voi.center.isFinite, voi.width.isFinite, abs(voi.center) < 1e9, (1e-9..<1e9).contains(voi.width)
            else {
                return "voi is out of range"
            }
        }
        for vector in [focalPoint, viewUp].compactMap({ $0 }) {
            guard vector.count == 3, vector.allSatisfy({ $0.isFinite && abs($0) < 1e7 }) else {
                return "focalPoint and viewUp are three numbers"
            }
        }
        if let parallelScale, !(1e-6..<1e7).contains(parallelScale) { return "parallelScale is out of range" }
        return nil
    }
}
