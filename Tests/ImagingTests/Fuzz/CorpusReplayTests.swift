// Replays every kept fuzz input of the DICOM reader, and files cut at any place, so that what once crashed stays fixed.

import Foundation
import Imaging
import Testing

@Suite("Kept DICOM fuzz inputs")
struct CorpusReplayTests {
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fuzz/dicom/corpus")

    @Test("every kept input is survived")
    func replay() throws {
        let files = try FileManager.default.contentsOfDirectory(at: Self.corpus, includingPropertiesForKeys: nil)
        #expect((1...60).contains(files.count), "\(files.count) inputs are kept")
        for file in files { exerciseDICOM([UInt8](try Data(contentsOf: file))) }
    }

    @Test("a file cut anywhere is survived, and so is one with any byte changed")
    func damage() {
        for (_, bytes) in Self.seeds() {
            for length in 0..<bytes.count { exerciseDICOM(Array(bytes.prefix(length))) }
            for index in bytes.indices.dropFirst(128) {
                var changed = bytes
                changed[index] ^= 0xFF
                exerciseDICOM(changed)
            }
        }
    }

    /// Made by our own writer. To write them anew: `CONSILIUM_WRITE_SEEDS=1 swift test --filter CorpusReplayTests`
    @Test(
        "seeds are written when asked for",
        .enabled(if: ProcessInfo.processInfo.environment["CONSILIUM_WRITE_SEEDS"] != nil))
    func writeSeeds() throws {
        try FileManager.default.createDirectory(at: Self.corpus, withIntermediateDirectories: true)
        for (name, bytes) in Self.seeds() { try Data(bytes).write(to: Self.corpus.appending(path: name)) }
    }

    private static func seeds() -> [String: [UInt8]] {
        var nested = image(rows: 2, columns: 3)
        var inner = DataSetBuilder()
        inner.set(decimals: [1, 2, 3], .imagePosition)
        var outer = DataSetBuilder()
        outer.set(items: [inner, inner], .planePosition)
        nested.set(items: [outer], .perFrameFunctionalGroups)
        return [
            "explicit": DICOMWriter.file(image(rows: 4, columns: 6), transferSyntax: .explicitLittleEndian),
            "implicit": DICOMWriter.file(image(rows: 4, columns: 6), transferSyntax: .implicitLittleEndian),
            "colour": DICOMWriter.file(
                image(rows: 2, columns: 2, isColour: true), transferSyntax: .explicitLittleEndian),
            "nested": DICOMWriter.file(nested, transferSyntax: .explicitLittleEndian),
            "nested-implicit": DICOMWriter.file(nested, transferSyntax: .implicitLittleEndian),
            "without-preamble": Array(
                DICOMWriter.file(image(rows: 1, columns: 1), transferSyntax: .explicitLittleEndian).dropFirst(132)),
        ]
    }

    private static func image(rows: UInt16, columns: UInt16, isColour: Bool = false) -> DataSetBuilder {
        let bits: UInt16 = isColour ? 8 : 16
        var set = DataSetBuilder()
        set.set(.specificCharacterSet, .CS, "ISO_IR 192")
        set.set(.sopClass, .UI, "1.2.840.10008.5.1.4.1.1.2")
        set.set(.sopInstance, .UI, "2.25.1")
        set.set(.seriesInstance, .UI, "2.25.2")
        set.set(.studyInstance, .UI, "2.25.3")
        set.set(.patientName, .PN, "DEMO^Ä=山田")
        set.set(decimals: [40, 80], .windowCenter)
        set.set(decimals: [400, 120], .windowWidth)
        set.set(decimals: [0.5, 0.5], .pixelSpacing)
        set.set(integer: 2, .numberOfFrames)
        set.set(unsigned: [isColour ? 3 : 1], .samplesPerPixel)
        set.set(.photometricInterpretation, .CS, isColour ? "RGB" : "MONOCHROME2")
        set.set(unsigned: [rows], .rows)
        set.set(unsigned: [columns], .columns)
        set.set(unsigned: [bits], .bitsAllocated)
        set.set(unsigned: [isColour ? 8 : 12], .bitsStored)
        set.set(unsigned: [isColour ? 7 : 11], .highBit)
        set.set(unsigned: [isColour ? 0 : 1], .pixelRepresentation)
        if isColour { set.set(unsigned: [1], .planarConfiguration) }
        let count = Int(rows) * Int(columns) * (isColour ? 3 : 2) * 2
        set.set(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }, .pixelData, vr: isColour ? .OB : .OW)
        return set
    }
}
