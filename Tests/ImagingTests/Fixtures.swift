// What the imaging tests are built from: generated files, the shared data where it is present, SHA-256.

import Foundation

@testable import Imaging

/// The folder with shared test data, or nil when this machine has none.
enum SharedData {
    static let dicom: String? = {
        let root = ProcessInfo.processInfo.environment["CONSILIUM_TEST_DATA"] ?? "../shared"
        let path = root + "/dicom"
        guard FileManager.default.fileExists(atPath: path + "/reference.json") else {
            print("skipped: no DICOM reference data at \(path); running on generated files only")
            return nil
        }
        return path
    }()

    static var isPresent: Bool { dicom != nil }

    struct Reference: Decodable {
        let transfer_syntax: String?
        let has_pixels: Bool?
        let sha256: String?
        let expect: String?
        let voi_linear_8bit_sha256: [String: String]?
    }

    static let references: [String: Reference] = {
        guard let dicom, let data = try? Data(contentsOf: URL(fileURLWithPath: dicom + "/reference.json")) else {
            return [:]
        }
        return (try? JSONDecoder().decode([String: Reference].self, from: data)) ?? [:]
    }()

    /// Names of the references that `isIncluded` holds for, sorted.
    static func names(_ isIncluded: (String, Reference) -> Bool) -> [String] {
        references.filter { isIncluded($0.key, $0.value) }.keys.sorted()
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: (dicom ?? "") + "/" + name)))
    }
}

/// A folder of its own for one test, removed when the test lets go of it.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "consilium-imaging-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func write(_ bytes: [UInt8], _ name: String) throws {
        let url = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }

    func remove(_ name: String) throws {
        try FileManager.default.removeItem(atPath: path + "/" + name)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// A small grey image; change what the test is about.
struct TestImage {
    var sop = "2.25.1"
    var series = "2.25.2"
    var study = "2.25.3"
    var patient = "DEMO^TEST"
    var number = 1
    var rows = 4
    var columns = 6
    var bitsAllocated = 16
    var bitsStored = 16
    var isSigned = true
    var photometric = "MONOCHROME2"
    var samplesPerPixel = 1
    var position: [Double]? = [0, 0, 0]
    var orientation: [Double] = [1, 0, 0, 0, 1, 0]
    var windows: [(Double, Double)] = [(40, 400)]
    var frames = 1
    var pixels: [UInt8]?
    var syntax = TransferSyntax.explicitLittleEndian

    var dataSet: DataSetBuilder {
        var set = DataSetBuilder()
        set.set(.sopClass, .UI, "1.2.840.10008.5.1.4.1.1.2")
        set.set(.sopInstance, .UI, sop)
        set.set(.seriesInstance, .UI, series)
        set.set(.studyInstance, .UI, study)
        set.set(.studyDate, .DA, "20260102")
        set.set(.studyDescription, .LO, "Test study")
        set.set(.modality, .CS, "CT")
        set.set(.patientName, .PN, patient)
        set.set(integer: number, .instanceNumber)
        if let position {
            set.set(decimals: position, .imagePosition)
            set.set(decimals: orientation, .imageOrientation)
        }
        set.set(decimals: [0.5, 0.5], .pixelSpacing)
        set.set(.frameOfReference, .UI, "2.25.4")
        set.set(unsigned: [UInt16(samplesPerPixel)], .samplesPerPixel)
        set.set(.photometricInterpretation, .CS, photometric)
        if frames > 1 { set.set(integer: frames, .numberOfFrames) }
        set.set(unsigned: [UInt16(rows)], .rows)
        set.set(unsigned: [UInt16(columns)], .columns)
        set.set(unsigned: [UInt16(bitsAllocated)], .bitsAllocated)
        set.set(unsigned: [UInt16(bitsStored)], .bitsStored)
        set.set(unsigned: [UInt16(bitsStored - 1)], .highBit)
        set.set(unsigned: [isSigned ? 1 : 0], .pixelRepresentation)
        if samplesPerPixel == 1 {
            set.set(decimals: [-1024], .rescaleIntercept)
            set.set(decimals: [1], .rescaleSlope)
            if !windows.isEmpty {
                set.set(decimals: windows.map(\.0), .windowCenter)
                set.set(decimals: windows.map(\.1), .windowWidth)
            }
        }
        let length = rows * columns * samplesPerPixel * bitsAllocated / 8 * frames
        set.set(
            bytes: pixels ?? (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ number) }, .pixelData,
            vr: bitsAllocated > 8 ? .OW : .OB)
        return set
    }

    var file: [UInt8] { DICOMWriter.file(dataSet, transferSyntax: syntax) }
}

/// SHA-256 (FIPS 180-4), for comparing with reference hashes.
func sha256(_ message: [UInt8]) -> String {
    let primes = [2, 3, 5, 7, 11, 13, 17, 19]
    func fraction(_ root: Double) -> UInt32 { UInt32((root - root.rounded(.down)) * 4_294_967_296) }
    var state = primes.map { fraction(Double($0).squareRoot()) }
    var constants: [UInt32] = []
    var candidate = 2
    while constants.count < 64 {
        if (2..<candidate).allSatisfy({ candidate % $0 != 0 }) { constants.append(fraction(cbrt(Double(candidate)))) }
        candidate += 1
    }
    var padded = message + [0x80]
    padded += [UInt8](repeating: 0, count: (120 - padded.count % 64) % 64)
    padded += (0..<8).map { UInt8(truncatingIfNeeded: (message.count * 8) >> (56 - 8 * $0)) }
    func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 { value >> count | value << (32 - count) }
    var words = [UInt32](repeating: 0, count: 64)
    for block in stride(from: 0, to: padded.count, by: 64) {
        for index in 0..<16 {
            let at = block + 4 * index
            words[index] =
                UInt32(padded[at]) << 24 | UInt32(padded[at + 1]) << 16 | UInt32(padded[at + 2]) << 8
                | UInt32(padded[at + 3])
        }
        for index in 16..<64 {
            let early = words[index - 15]
            let late = words[index - 2]
            let first = rotate(early, 7) ^ rotate(early, 18) ^ early >> 3
            let second = rotate(late, 17) ^ rotate(late, 19) ^ late >> 10
            words[index] = words[index - 16] &+ first &+ words[index - 7] &+ second
        }
        var (a, b, c, d, e, f, g, h) = (
            state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
        )
        for index in 0..<64 {
            let sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
            let choice = e & f ^ ~e & g
            let first = h &+ sum1 &+ choice &+ constants[index] &+ words[index]
            let sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
            let majority = a & b ^ a & c ^ b & c
            (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ sum0 &+ majority)
        }
        for (index, value) in [a, b, c, d, e, f, g, h].enumerated() { state[index] = state[index] &+ value }
    }
    return state.map { String(format: "%08x", $0) }.joined()
}
