// Cuts slices out of the anatomy and writes them as DICOM images.

import Dispatch
import Foundation
import Imaging

/// One series of parallel slices through the body.
struct ScanProtocol: Sendable {
    enum Contrast: Sendable {
        case computedTomography
        case magneticResonance
    }

    var folder: String
    var study: String
    var studyDescription: String
    var date: String
    var series: String
    var seriesNumber: Int
    var seriesDescription: String
    var contrast: Contrast
    var syntax: TransferSyntax
    var columns: Int
    var rows: Int
    var slices: Int
    /// Millimetres between rows, between columns.
    var spacing: (row: Double, column: Double)
    /// Centre of the first pixel of the first slice.
    var origin: SIMD3<Double>
    var rowDirection: SIMD3<Double>
    var columnDirection: SIMD3<Double>
    var step: SIMD3<Double>
    var sliceThickness: Double
    var noise: Double
    var windows: [Window]
}

struct Scanner: Sendable {
    let scan: ScanProtocol
    let shapes: [Shape]

    /// One slice as stored values.
    func samples(slice: Int) -> [UInt16] {
        let start = scan.origin + scan.step * Double(slice)
        let across = scan.rowDirection * scan.spacing.column
        let down = scan.columnDirection * scan.spacing.row
        let end = start + across * Double(scan.columns - 1) + down * Double(scan.rows - 1)
        let near = shapes.filter { $0.touches(pointwiseMin(start, end), pointwiseMax(start, end)) }

        var values = [Float](repeating: 0, count: scan.columns * scan.rows)
        let background = value(.air)
        for row in 0..<scan.rows {
            let first = start + down * Double(row)
            let last = first + across * Double(scan.columns - 1)
            let (low, high) = (pointwiseMin(first, last), pointwiseMax(first, last))
            // The innermost shape is the last one.
            let line = near.filter { $0.touches(low, high) }.reversed()
            let lineValues = line.map { ($0, value($0.tissue)) }
            for column in 0..<scan.columns {
                let point = first + across * Double(column)
                values[row * scan.columns + column] =
                    lineValues.first { $0.0.contains(point) }?.1 ?? background
            }
        }
        smooth(&values)
        return stored(values, slice: slice)
    }

    private func value(_ tissue: Tissue) -> Float {
        switch scan.contrast {
        case .computedTomography: Float(tissue.hounsfield)
        case .magneticResonance: Float(tissue.signal)
        }
    }

    /// The soft edge of a real reconstruction: 1-2-1 in both directions.
    private func smooth(_ values: inout [Float]) {
        let columns = scan.columns
        for row in 0..<scan.rows {
            var left = values[row * columns]
            for column in 1..<columns - 1 {
                let index = row * columns + column
                let here = values[index]
                values[index] = (left + 2 * here + values[index + 1]) / 4
                left = here
            }
        }
        var above = Array(values[0..<columns])
        for row in 1..<scan.rows - 1 {
            for column in 0..<columns {
                let index = row * columns + column
                let here = values[index]
                values[index] = (above[column] + 2 * here + values[index + columns]) / 4
                above[column] = here
            }
        }
    }

    /// Noise is the sum of four bytes, nearly normal; stored are 12 bits.
    private func stored(_ values: [Float], slice: Int) -> [UInt16] {
        var noise = Noise(seed: UInt64(slice) &* 0x1F3 &+ UInt64(scan.seriesNumber))
        let amplitude = Float(scan.noise / 148)
        let offset: Float = scan.contrast == .computedTomography ? 1024 : 0
        return [UInt16](unsafeUninitializedCapacity: values.count) { samples, initialized in
            var bits: UInt64 = 0
            for index in values.indices {
                bits = index % 2 == 0 ? noise.next() : bits >> 32
                let sum = (bits & 0xFF) + (bits >> 8 & 0xFF) + (bits >> 16 & 0xFF) + (bits >> 24 & 0xFF)
                let value = values[index] + (Float(sum) - 510) * amplitude + offset
                samples[index] = UInt16(max(0, min(4095, value.rounded())))
            }
            initialized = values.count
        }
    }

    // MARK: - Files

    /// All slices, on all cores, as numbered files below `root`.
    func write(into root: String) throws {
        let folder = root + "/" + scan.folder
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let failures = Failures()
        DispatchQueue.concurrentPerform(iterations: scan.slices) { slice in
            let bytes = DICOMWriter.file(dataSet(slice: slice), transferSyntax: scan.syntax)
            let name = String(repeating: "0", count: max(0, 3 - String(slice + 1).count)) + String(slice + 1)
            do {
                try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name).dcm"))
            } catch {
                failures.add(error)
            }
        }
        if let failure = failures.first { throw failure }
    }

    private func dataSet(slice: Int) -> DataSetBuilder {
        let position = scan.origin + scan.step * Double(slice)
        let isCT = scan.contrast == .computedTomography
        var set = DataSetBuilder()
        set.set(.specificCharacterSet, .CS, "ISO_IR 192")
        set.set(.imageType, .CS, "ORIGINAL", "PRIMARY", isCT ? "AXIAL" : "M")
        set.set(.sopClass, .UI, isCT ? "1.2.840.10008.5.1.4.1.1.2" : "1.2.840.10008.5.1.4.1.1.4")
        set.set(.sopInstance, .UI, demoUID("\(scan.series) \(slice)"))
        set.set(.studyDate, .DA, scan.date)
        set.set(.seriesDate, .DA, scan.date)
        set.set(.studyTime, .TM, "101500")
        set.set(.accessionNumber, .SH, "")
        set.set(.modality, .CS, isCT ? "CT" : "MR")
        set.set(.manufacturer, .LO, "Consilium demo phantom")
        set.set(.referringPhysician, .PN, "")
        set.set(.studyDescription, .LO, scan.studyDescription)
        set.set(.seriesDescription, .LO, scan.seriesDescription)
        set.set(.patientName, .PN, "DEMO^PHANTOM")
        set.set(.patientID, .LO, "DEMO-1")
        set.set(.patientBirthDate, .DA, "")
        set.set(.patientSex, .CS, "O")
        set.set(decimals: [scan.sliceThickness], .sliceThickness)
        set.set(.patientPosition, .CS, "HFS")
        set.set(.studyInstance, .UI, demoUID(scan.study))
        set.set(.seriesInstance, .UI, demoUID(scan.series))
        set.set(.studyID, .SH, "DEMO")
        set.set(integer: scan.seriesNumber, .seriesNumber)
        set.set(integer: slice + 1, .instanceNumber)
        set.set(decimals: [position.x, position.y, position.z], .imagePosition)
        let (row, column) = (scan.rowDirection, scan.columnDirection)
        set.set(decimals: [row.x, row.y, row.z, column.x, column.y, column.z], .imageOrientation)
        set.set(.frameOfReference, .UI, demoUID("frame of reference of \(scan.study)"))
        set.set(.positionReferenceIndicator, .LO, "")
        set.set(unsigned: [1], .samplesPerPixel)
        set.set(.photometricInterpretation, .CS, "MONOCHROME2")
        set.set(unsigned: [UInt16(scan.rows)], .rows)
        set.set(unsigned: [UInt16(scan.columns)], .columns)
        set.set(decimals: [scan.spacing.row, scan.spacing.column], .pixelSpacing)
        set.set(unsigned: [16], .bitsAllocated)
        set.set(unsigned: [12], .bitsStored)
        set.set(unsigned: [11], .highBit)
        set.set(unsigned: [0], .pixelRepresentation)
        if !scan.windows.isEmpty {
            set.set(decimals: scan.windows.map(\.center), .windowCenter)
            set.set(decimals: scan.windows.map(\.width), .windowWidth)
            set.set(.windowExplanation, .LO, scan.windows.map(\.explanation).joined(separator: "\\"))
        }
        if isCT {
            set.set(decimals: [-1024], .rescaleIntercept)
            set.set(decimals: [1], .rescaleSlope)
            set.set(.rescaleType, .LO, "HU")
        }
        set.set(unsigned: samples(slice: slice), .pixelData, vr: .OW)
        return set
    }
}

/// The first error of slices written side by side.
private final class Failures: @unchecked Sendable {
    private let lock = NSLock()
    private var errors: [any Error] = []

    func add(_ error: any Error) {
        lock.withLock { errors.append(error) }
    }

    var first: (any Error)? { lock.withLock { errors.first } }
}

/// A UUID-derived UID (PS3.5 B.2) that depends on nothing but the words.
func demoUID(_ words: String) -> String {
    func hash(_ seed: UInt64) -> UInt64 {
        words.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }
    let high = UInt128(hash(0xCBF2_9CE4_8422_2325))
    return "2.25.\(high << 64 | UInt128(hash(0x9AE1_6A3B_2F90_404F)))"
}
