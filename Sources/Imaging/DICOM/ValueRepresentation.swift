// Value representations (PS3.5 6.2), and which one an attribute has when the file does not say.

package struct ValueRepresentation: Hashable, Sendable, CustomStringConvertible {
    /// The two letters, first letter in the high byte. Unknown letters are kept: private and future ones exist.
    package let code: UInt16

    package init(code: UInt16) {
        self.code = code
    }

    package init(_ letters: StaticString) {
        let start = letters.utf8Start
        code = UInt16(start[0]) << 8 | UInt16(start[1])
    }

    package var description: String {
        String(decoding: [UInt8(code >> 8), UInt8(code & 0xFF)], as: UTF8.self)
    }

    /// Two capital letters: all that a VR must be to be skipped safely.
    package var isPlausible: Bool {
        let capitals: ClosedRange<UInt8> = 0x41...0x5A
        return capitals.contains(UInt8(code >> 8)) && capitals.contains(UInt8(code & 0xFF))
    }

    /// Whether the explicit length field has 16 bits (PS3.5 table 7.1-2); every VR added later has 32.
    package var hasShortLength: Bool {
        switch self {
        case .AE, .AS, .AT, .CS, .DA, .DS, .DT, .FL, .FD, .IS, .LO, .LT, .PN, .SH, .SL, .SS, .ST, .TM, .UI, .UL, .US:
            true
        default: false
        }
    }

    package var isText: Bool {
        switch self {
        case .AE, .AS, .CS, .DA, .DS, .DT, .IS, .LO, .LT, .PN, .SH, .ST, .TM, .UC, .UI, .UR, .UT: true
        default: false
        }
    }

    package static let AE = ValueRepresentation("AE")
    package static let AS = ValueRepresentation("AS")
    package static let AT = ValueRepresentation("AT")
    package static let CS = ValueRepresentation("CS")
    package static let DA = ValueRepresentation("DA")
    package static let DS = ValueRepresentation("DS")
    package static let DT = ValueRepresentation("DT")
    package static let FD = ValueRepresentation("FD")
    package static let FL = ValueRepresentation("FL")
    package static let IS = ValueRepresentation("IS")
    package static let LO = ValueRepresentation("LO")
    package static let LT = ValueRepresentation("LT")
    package static let OB = ValueRepresentation("OB")
    package static let OD = ValueRepresentation("OD")
    package static let OF = ValueRepresentation("OF")
    package static let OW = ValueRepresentation("OW")
    package static let PN = ValueRepresentation("PN")
    package static let SH = ValueRepresentation("SH")
    package static let SL = ValueRepresentation("SL")
    package static let SQ = ValueRepresentation("SQ")
    package static let SS = ValueRepresentation("SS")
    package static let ST = ValueRepresentation("ST")
    package static let TM = ValueRepresentation("TM")
    package static let UC = ValueRepresentation("UC")
    package static let UI = ValueRepresentation("UI")
    package static let UL = ValueRepresentation("UL")
    package static let UN = ValueRepresentation("UN")
    package static let UR = ValueRepresentation("UR")
    package static let US = ValueRepresentation("US")
    package static let UT = ValueRepresentation("UT")
}

extension Tag {
    /// The VR of an attribute in implicit VR files, or behind UN: only for attributes that are read here. Everything else is UN.
    package var dictionaryVR: ValueRepresentation {
        if element == 0 { return .UL }
        return Self.dictionary[self] ?? .UN
    }

    private static let dictionary: [Tag: ValueRepresentation] = [
        .fileMetaVersion: .OB, .mediaStorageSOPClass: .UI, .mediaStorageSOPInstance: .UI, .transferSyntax: .UI,
        .implementationClass: .UI, .implementationVersion: .SH,
        .specificCharacterSet: .CS, .imageType: .CS, .sopClass: .UI, .sopInstance: .UI, .studyDate: .DA,
        .seriesDate: .DA, .studyTime: .TM, .accessionNumber: .SH, .modality: .CS, .manufacturer: .LO,
        .referringPhysician: .PN, .studyDescription: .LO, .seriesDescription: .LO,
        .patientName: .PN, .patientID: .LO, .patientBirthDate: .DA, .patientSex: .CS,
        .studyInstance: .UI, .seriesInstance: .UI, .studyID: .SH, .seriesNumber: .IS, .instanceNumber: .IS,
        .sliceThickness: .DS, .frameTime: .DS, .imagerPixelSpacing: .DS, .patientPosition: .CS,
        .imagePosition: .DS, .imageOrientation: .DS, .frameOfReference: .UI, .positionReferenceIndicator: .LO,
        .pixelSpacing: .DS, .pixelAspectRatio: .IS,
        .sharedFunctionalGroups: .SQ, .perFrameFunctionalGroups: .SQ, .planePosition: .SQ, .planeOrientation: .SQ,
        .pixelMeasures: .SQ, .frameVOILUT: .SQ, .pixelValueTransformation: .SQ,
        .samplesPerPixel: .US, .photometricInterpretation: .CS, .planarConfiguration: .US, .numberOfFrames: .IS,
        .rows: .US, .columns: .US, .bitsAllocated: .US, .bitsStored: .US, .highBit: .US, .pixelRepresentation: .US,
        .pixelPaddingValue: .US, .windowCenter: .DS, .windowWidth: .DS, .rescaleIntercept: .DS, .rescaleSlope: .DS,
        .rescaleType: .LO, .windowExplanation: .LO, .voiLUTFunction: .CS,
        .modalityLUTSequence: .SQ, .voiLUTSequence: .SQ,
        .floatPixelData: .OF, .doublePixelData: .OD, .pixelData: .OW,
    ]
}
