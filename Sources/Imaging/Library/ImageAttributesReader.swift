// From the data set of one instance to the attributes of each of its frames.

enum ImageAttributesReader {
    /// One entry per frame that the file really holds.
    static func attributes(_ dataSet: DataSet, _ pixels: PixelDescription, frames: Int) -> [ImageAttributes] {
        let base = common(dataSet, pixels)
        let shared = dataSet.items(.sharedFunctionalGroups).first
        let perFrame = dataSet.items(.perFrameFunctionalGroups)
        guard shared != nil || !perFrame.isEmpty else { return Array(repeating: base, count: frames) }
        return (0..<frames).map { frame in
            overlaid(base, shared: shared, own: perFrame.indices.contains(frame) ? perFrame[frame] : nil)
        }
    }

    private static func common(_ dataSet: DataSet, _ pixels: PixelDescription) -> ImageAttributes {
        var image = ImageAttributes()
        image.columns = pixels.columns
        image.rows = pixels.rows
        image.photometric = pixels.photometric.name
        image.bitsStored = pixels.bitsStored
        image.signed = pixels.isSigned
        image.number = dataSet.integer(.instanceNumber)
        image.frameTime = dataSet.decimal(.frameTime)
        if pixels.samplesPerPixel == 1 {
            image.rescale = rescale(dataSet, modality: dataSet.string(.modality)) ?? Rescale(identity: ())
            image.windows = Window.windows(dataSet)
            image.padding = padding(dataSet, pixels)
            image.notes = notes(dataSet)
        }
        let spacing = positive(dataSet.decimals(.pixelSpacing)) ?? positive(dataSet.decimals(.imagerPixelSpacing))
        image.pixelSpacing = spacing
        if spacing == nil { image.pixelAspect = positive(dataSet.decimals(.pixelAspectRatio)) }
        setGeometry(&image, position: dataSet, orientation: dataSet)
        image.sliceThickness = dataSet.decimal(.sliceThickness)
        return image
    }

    /// Multi-frame functional groups: the frame's own, else the shared one (PS3.3 C.7.6.16).
    private static func overlaid(_ base: ImageAttributes, shared: DataSet?, own: DataSet?) -> ImageAttributes {
        func group(_ tag: Tag) -> DataSet? { own?.items(tag).first ?? shared?.items(tag).first }
        var image = base
        if let measures = group(.pixelMeasures) {
            image.pixelSpacing = positive(measures.decimals(.pixelSpacing)) ?? image.pixelSpacing
            image.sliceThickness = measures.decimal(.sliceThickness) ?? image.sliceThickness
        }
        if let position = group(.planePosition), let orientation = group(.planeOrientation) {
            setGeometry(&image, position: position, orientation: orientation)
        }
        if let transformation = group(.pixelValueTransformation) {
            image.rescale = rescale(transformation, modality: nil) ?? image.rescale
        }
        if let voi = group(.frameVOILUT) {
            let windows = Window.windows(voi)
            if !windows.isEmpty { image.windows = windows }
        }
        return image
    }

    private static func setGeometry(_ image: inout ImageAttributes, position: DataSet, orientation: DataSet) {
        let position = position.decimals(.imagePosition)
        let orientation = orientation.decimals(.imageOrientation)
        guard ImagePlane(position: position, orientation: orientation) != nil else { return }
        image.position = position
        image.orientation = orientation
    }

    private static func rescale(_ dataSet: DataSet, modality: String?) -> Rescale? {
        guard let slope = dataSet.decimal(.rescaleSlope), let intercept = dataSet.decimal(.rescaleIntercept),
            slope != 0
        else { return nil }
        let type = dataSet.string(.rescaleType) ?? (modality == "CT" ? "HU" : "")
        return Rescale(slope: slope, intercept: intercept, type: type)
    }

    /// Pixel Padding Value is US or SS as Pixel Representation says, whatever VR the file claims.
    private static func padding(_ dataSet: DataSet, _ pixels: PixelDescription) -> Int? {
        guard let value = dataSet.integer(.pixelPaddingValue) else { return nil }
        let bits = UInt16(truncatingIfNeeded: value)
        return pixels.isSigned ? Int(Int16(bitPattern: bits)) : Int(bits)
    }

    private static func notes(_ dataSet: DataSet) -> [String]? {
        var notes: [String] = []
        if !dataSet.items(.modalityLUTSequence).isEmpty {
            notes.append("modality look-up table not applied: values are stored values")
        }
        if !dataSet.items(.voiLUTSequence).isEmpty, dataSet.decimals(.windowCenter).isEmpty {
            notes.append("window look-up table not applied")
        }
        return notes.isEmpty ? nil : notes
    }

    private static func positive(_ pair: [Double]) -> [Double]? {
        pair.count == 2 && pair.allSatisfy { $0 > 0 } ? pair : nil
    }
}

extension Rescale {
    init(identity: Void) {
        self.init(slope: 1, intercept: 0, type: "")
    }
}
