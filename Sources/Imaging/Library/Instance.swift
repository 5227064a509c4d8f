// One SOP instance as the index keeps it: identity, attributes per frame, and where its pixels lie in which file.

struct Instance: Sendable {
    /// Below the library's folder.
    let path: String
    let stamp: FileStamp
    let sop: String
    let series: String
    let study: String
    let patient: String
    let studyDescription: String
    let studyDate: String
    let seriesDescription: String
    let modality: String
    let seriesNumber: Int?
    let number: Int?
    let frameOfReference: String?
    let pixels: Result<NativePixels, ImagingError>
    /// One per frame that can be shown; one with only a reason when none can.
    let images: [ImageAttributes]

    /// Native pixels, complete.
    struct NativePixels: Sendable {
        let description: PixelDescription
        let offset: Int
    }
}

extension Instance {
    init(path: String, stamp: FileStamp, header: DICOMHeader) throws(DICOMError) {
        let dataSet = header.dataSet
        self.path = path
        self.stamp = stamp
        sop = try Self.uid(dataSet, .sopInstance, "SOP Instance UID")
        series = try Self.uid(dataSet, .seriesInstance, "Series Instance UID")
        study = try Self.uid(dataSet, .studyInstance, "Study Instance UID")
        patient = Self.readable(name: dataSet.text(.patientName) ?? "")
        studyDescription = dataSet.text(.studyDescription) ?? ""
        studyDate = Self.readable(date: dataSet.string(.studyDate) ?? dataSet.string(.seriesDate) ?? "")
        seriesDescription = dataSet.text(.seriesDescription) ?? ""
        modality = dataSet.string(.modality) ?? ""
        seriesNumber = dataSet.integer(.seriesNumber)
        number = dataSet.integer(.instanceNumber)
        frameOfReference = dataSet.string(.frameOfReference)
        pixels = Self.nativePixels(header)
        switch pixels {
        case .success(let pixels):
            images = ImageAttributesReader.attributes(dataSet, pixels.description, frames: pixels.description.frames)
        case .failure(let error):
            var image = ImageAttributes()
            image.number = number
            image.reason = error.message
            images = [image]
        }
    }

    /// Finds the pixels, or says why they cannot be shown.
    private static func nativePixels(_ header: DICOMHeader) -> Result<NativePixels, ImagingError> {
        guard let location = header.pixelData else {
            let modality = header.dataSet.string(.modality) ?? "no modality"
            return .failure(ImagingError(.unsupportedPixels, "no pixels (\(modality))"))
        }
        guard header.transferSyntax.isNative else {
            return .failure(
                ImagingError(
                    .unsupportedTransferSyntax,
                    DICOMError.unsupportedTransferSyntax(header.transferSyntax).description))
        }
        let description: PixelDescription
        do {
            description = try PixelDescription(header.dataSet, pixelData: location.tag)
        } catch {
            return .failure(ImagingError(.malformed, error.description))
        }
        if let reason = description.whyNotShown { return .failure(ImagingError(.unsupportedPixels, reason)) }
        let remaining = header.fileLength - location.offset
        guard let length = location.length else {
            return .failure(ImagingError(.malformed, "native pixels of undefined length"))
        }
        let present = max(0, min(length, remaining))
        // All or nothing: a file that lost its end may have lost more than its end.
        guard length <= remaining, description.totalBytes <= length else {
            return .failure(
                ImagingError(
                    .cutOff, description.cutOff(expected: max(length, description.totalBytes), present: present)))
        }
        guard description.frames <= Self.mostFrames else {
            return .failure(
                ImagingError(.unsupportedPixels, "\(description.frames) frames; up to \(Self.mostFrames) can be shown"))
        }
        return .success(NativePixels(description: description, offset: location.offset))
    }

    /// UIDs become parts of addresses and keys. PS3.5 9.1 says digits and dots, 64 at most; de-identifiers have
    /// written longer ones and letters, which do no harm.
    private static func uid(_ dataSet: DataSet, _ tag: Tag, _ name: String) throws(DICOMError) -> String {
        guard let uid = dataSet.string(tag) else { throw .missing(tag, name) }
        guard uid.utf8.count <= 128, uid.allSatisfy({ $0.isASCII && ($0.isNumber || $0.isLetter || $0 == ".") }) else {
            throw .badValue(tag, seen: "no UID", expected: "up to 64 digits and dots")
        }
        return uid
    }

    /// `FAMILY^Given^Middle^Dr=ideographic` → `FAMILY, Given Middle`.
    private static func readable(name: String) -> String {
        let alphabetic = name.split(separator: "=", omittingEmptySubsequences: false).first ?? ""
        let parts = alphabetic.split(separator: "^", omittingEmptySubsequences: false).map {
            $0.trimmingSpaces
        }
        let given = parts.dropFirst().prefix(2).filter { !$0.isEmpty }.joined(separator: " ")
        let family = parts.first ?? ""
        return family.isEmpty ? given : given.isEmpty ? family : "\(family), \(given)"
    }

    /// `20261124` → `2026-11-24`; anything else is no date.
    private static func readable(date: String) -> String {
        let digits = Array(date.utf8)
        guard digits.count == 8, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return "" }
        return "\(date.prefix(4))-\(date.dropFirst(4).prefix(2))-\(date.suffix(2))"
    }

    private static let mostFrames = 65_536
}

extension PixelDescription {
    /// What is read correctly but cannot be shown yet, in words.
    fileprivate var whyNotShown: String? {
        if frameBits / 8 > Self.largestFrame {
            return "\(frameBits / 8) bytes per frame; up to \(Self.largestFrame) can be shown"
        }
        if isFloatingPoint { return "floating point pixels; whole numbers of up to 16 bits can be shown" }
        switch photometric {
        case .monochrome1, .monochrome2:
            return bitsAllocated <= 16 ? nil : "\(bitsAllocated) bits per pixel; up to 16 can be shown"
        case .rgb:
            return bitsAllocated == 8 && bitsStored == 8 ? nil : "RGB of \(bitsAllocated) bits; 8 can be shown"
        case .palette, .ybrFull, .ybrFull422, .other:
            return "photometric interpretation \(photometric.name); MONOCHROME1, MONOCHROME2 and RGB can be shown"
        }
    }
}

extension PixelDescription {
    /// More than any detector delivers: 134 million grey pixels.
    private static let largestFrame = 256 << 20
}

extension Substring {
    fileprivate var trimmingSpaces: String {
        var slice = self
        while slice.first == " " { slice.removeFirst() }
        while slice.last == " " { slice.removeLast() }
        return String(slice)
    }
}
