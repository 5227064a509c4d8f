// Attribute tags: the group and element numbers that this module looks at (PS3.6).

package struct Tag: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let group: UInt16
    package let element: UInt16

    package init(_ group: UInt16, _ element: UInt16) {
        self.group = group
        self.element = element
    }

    package var number: UInt32 { UInt32(group) << 16 | UInt32(element) }

    package static func < (left: Tag, right: Tag) -> Bool { left.number < right.number }

    package var description: String { "(\(hex(group)),\(hex(element)))" }

    private func hex(_ value: UInt16) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }
}

extension Tag {
    // File meta information.
    package static let fileMetaLength = Tag(0x0002, 0x0000)
    package static let fileMetaVersion = Tag(0x0002, 0x0001)
    package static let mediaStorageSOPClass = Tag(0x0002, 0x0002)
    package static let mediaStorageSOPInstance = Tag(0x0002, 0x0003)
    package static let transferSyntax = Tag(0x0002, 0x0010)
    package static let implementationClass = Tag(0x0002, 0x0012)
    package static let implementationVersion = Tag(0x0002, 0x0013)

    // Identity.
    package static let specificCharacterSet = Tag(0x0008, 0x0005)
    package static let imageType = Tag(0x0008, 0x0008)
    package static let sopClass = Tag(0x0008, 0x0016)
    package static let sopInstance = Tag(0x0008, 0x0018)
    package static let studyDate = Tag(0x0008, 0x0020)
    package static let seriesDate = Tag(0x0008, 0x0021)
    package static let studyTime = Tag(0x0008, 0x0030)
    package static let accessionNumber = Tag(0x0008, 0x0050)
    package static let modality = Tag(0x0008, 0x0060)
    package static let manufacturer = Tag(0x0008, 0x0070)
    package static let referringPhysician = Tag(0x0008, 0x0090)
    package static let studyDescription = Tag(0x0008, 0x1030)
    package static let seriesDescription = Tag(0x0008, 0x103E)
    package static let patientName = Tag(0x0010, 0x0010)
    package static let patientID = Tag(0x0010, 0x0020)
    package static let patientBirthDate = Tag(0x0010, 0x0030)
    package static let patientSex = Tag(0x0010, 0x0040)
    package static let studyInstance = Tag(0x0020, 0x000D)
    package static let seriesInstance = Tag(0x0020, 0x000E)
    package static let studyID = Tag(0x0020, 0x0010)
    package static let seriesNumber = Tag(0x0020, 0x0011)
    package static let instanceNumber = Tag(0x0020, 0x0013)

    // Geometry.
    package static let sliceThickness = Tag(0x0018, 0x0050)
    package static let frameTime = Tag(0x0018, 0x1063)
    package static let imagerPixelSpacing = Tag(0x0018, 0x1164)
    package static let patientPosition = Tag(0x0018, 0x5100)
    package static let imagePosition = Tag(0x0020, 0x0032)
    package static let imageOrientation = Tag(0x0020, 0x0037)
    package static let frameOfReference = Tag(0x0020, 0x0052)
    package static let positionReferenceIndicator = Tag(0x0020, 0x1040)
    package static let pixelSpacing = Tag(0x0028, 0x0030)
    package static let pixelAspectRatio = Tag(0x0028, 0x0034)

    // Multi-frame functional groups (PS3.3 C.7.6.16).
    package static let sharedFunctionalGroups = Tag(0x5200, 0x9229)
    package static let perFrameFunctionalGroups = Tag(0x5200, 0x9230)
    package static let planePosition = Tag(0x0020, 0x9113)
    package static let planeOrientation = Tag(0x0020, 0x9116)
    package static let pixelMeasures = Tag(0x0028, 0x9110)
    package static let frameVOILUT = Tag(0x0028, 0x9132)
    package static let pixelValueTransformation = Tag(0x0028, 0x9145)

    // Pixels.
    package static let samplesPerPixel = Tag(0x0028, 0x0002)
    package static let photometricInterpretation = Tag(0x0028, 0x0004)
    package static let planarConfiguration = Tag(0x0028, 0x0006)
    package static let numberOfFrames = Tag(0x0028, 0x0008)
    package static let rows = Tag(0x0028, 0x0010)
    package static let columns = Tag(0x0028, 0x0011)
    package static let bitsAllocated = Tag(0x0028, 0x0100)
    package static let bitsStored = Tag(0x0028, 0x0101)
    package static let highBit = Tag(0x0028, 0x0102)
    package static let pixelRepresentation = Tag(0x0028, 0x0103)
    package static let pixelPaddingValue = Tag(0x0028, 0x0120)
    package static let windowCenter = Tag(0x0028, 0x1050)
    package static let windowWidth = Tag(0x0028, 0x1051)
    package static let rescaleIntercept = Tag(0x0028, 0x1052)
    package static let rescaleSlope = Tag(0x0028, 0x1053)
    package static let rescaleType = Tag(0x0028, 0x1054)
    package static let windowExplanation = Tag(0x0028, 0x1055)
    package static let voiLUTFunction = Tag(0x0028, 0x1056)
    package static let modalityLUTSequence = Tag(0x0028, 0x3000)
    package static let voiLUTSequence = Tag(0x0028, 0x3010)
    package static let floatPixelData = Tag(0x7FE0, 0x0008)
    package static let doublePixelData = Tag(0x7FE0, 0x0009)
    package static let pixelData = Tag(0x7FE0, 0x0010)

    // Delimiters (PS3.5 7.5).
    package static let item = Tag(0xFFFE, 0xE000)
    package static let itemDelimitation = Tag(0xFFFE, 0xE00D)
    package static let sequenceDelimitation = Tag(0xFFFE, 0xE0DD)

    package var isPixelData: Bool { self == .pixelData || self == .floatPixelData || self == .doublePixelData }
}
