// What the library tells a page about studies, series and images; these shapes are the JSON of /v1/imaging.

/// One study as the study list shows it. Carries the patient's name: for authorised answers only, never for a log.
package struct StudySummary: Codable, Sendable, Equatable {
    package var study: String
    package var description: String
    /// `yyyy-mm-dd`, or empty when the file has none.
    package var date: String
    package var patient: String
    package var series: [SeriesSummary]
}

package struct SeriesSummary: Codable, Sendable, Equatable {
    package var series: String
    package var modality: String
    package var description: String
    package var number: Int?
    package var instances: Int
    /// Whether at least one image of the series can be shown.
    package var supported: Bool
    /// Why some or all images cannot be shown.
    package var reason: String?

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(series, forKey: .series)
        try container.encode(modality, forKey: .modality)
        try container.encode(description, forKey: .description)
        try container.encode(number, forKey: .number)
        try container.encode(instances, forKey: .instances)
        try container.encode(supported, forKey: .supported)
        try container.encode(reason, forKey: .reason)
    }
}

/// One series with every image in display order. What all images have in common stands once, in `shared`:
/// an image is `shared` overlaid with its own attributes (a thousand slices then cost 150 bytes each, not 600).
package struct SeriesDetail: Codable, Sendable, Equatable {
    package var study: String
    package var series: String
    package var modality: String
    package var description: String
    package var number: Int?
    package var frameOfReference: String?
    package var shared: ImageAttributes
    package var images: [ImageEntry]
}

/// One frame of one SOP instance. Frames count from 1, as everywhere in DICOM.
package struct ImageEntry: Codable, Sendable, Equatable {
    package var sop: String
    package var frame: Int
    package var own: ImageAttributes

    private enum CodingKeys: String, CodingKey {
        case sop, frame
    }

    package init(sop: String, frame: Int, own: ImageAttributes) {
        self.sop = sop
        self.frame = frame
        self.own = own
    }

    /// The attributes lie flat beside `sop` and `frame`.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        sop = try container.decode(String.self, forKey: .sop)
        frame = try container.decode(Int.self, forKey: .frame)
        own = try ImageAttributes(from: decoder)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(sop, forKey: .sop)
        try container.encode(frame, forKey: .frame)
        try own.encode(to: encoder)
    }
}

/// Everything a renderer must know about one image; nil means unknown (or: stands in `shared`).
package struct ImageAttributes: Codable, Sendable, Equatable {
    package var columns: Int?
    package var rows: Int?
    /// MONOCHROME1, MONOCHROME2 or RGB: palette and YBR images are delivered as RGB.
    package var photometric: String?
    package var bitsStored: Int?
    package var signed: Bool?
    /// Stored value → modality value (HU for CT): value * slope + intercept.
    package var rescale: Rescale?
    /// The windows of the file in its order; never empty for a shown grey image (then an automatic one).
    package var windows: [Window]?
    /// Millimetres between rows, between columns (PixelSpacing, else ImagerPixelSpacing).
    package var pixelSpacing: [Double]?
    /// Height and width of a pixel when only their ratio is known.
    package var pixelAspect: [Double]?
    /// Centre of the first pixel in patient millimetres (ImagePositionPatient).
    package var position: [Double]?
    /// Row direction then column direction (ImageOrientationPatient).
    package var orientation: [Double]?
    package var sliceThickness: Double?
    package var number: Int?
    /// Milliseconds per frame of a cine.
    package var frameTime: Double?
    /// Stored values that mean "no tissue here" (PixelPaddingValue).
    package var padding: Int?
    /// What a reader must be told: parts of the pipeline that are not applied.
    package var notes: [String]?
    /// Why this image cannot be shown.
    package var reason: String?

    package init() {}
}

package struct Rescale: Codable, Sendable, Equatable {
    package var slope: Double
    package var intercept: Double
    /// `HU`, `US`, … ; empty when the file does not say.
    package var type: String

    package init(slope: Double, intercept: Double, type: String) {
        self.slope = slope
        self.intercept = intercept
        self.type = type
    }
}
