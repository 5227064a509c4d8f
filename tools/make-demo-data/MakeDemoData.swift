// make-demo-data: DICOM studies of an invented patient, the same bytes every time, so that nothing need be downloaded.

import ArgumentParser
import Foundation
import Imaging

@main
struct MakeDemoData: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make-demo-data",
        abstract: "Writes DICOM studies of an invented patient: a CT, an MR, and the CT before treatment.")

    @Option(help: "Folder to write into; made when missing.")
    var into: String

    @Option(help: "Rows and columns of the CT slices.")
    var size = 512

    @Option(help: "Slices of the newer CT.")
    var slices = 72

    @Option(
        help: "Also write, as plain files, what the server would answer for these studies.")
    var answers: String?

    func validate() throws {
        guard (64...2048).contains(size) else { throw ValidationError("--size is 64 to 2048") }
        guard (2...2000).contains(slices) else { throw ValidationError("--slices is 2 to 2000") }
    }

    func run() async throws {
        let now = Anatomy(lesionRadius: 10).shapes
        let before = Anatomy(lesionRadius: 17).shapes
        let scanners = [
            Scanner(scan: tomography(.current, slices: slices), shapes: now),
            Scanner(scan: resonance, shapes: now),
            Scanner(scan: tomography(.prior, slices: max(2, slices * 2 / 3)), shapes: before),
        ]
        for scanner in scanners { try scanner.write(into: into) }
        if let answers { try await write(answers: answers) }
    }

    // MARK: - Protocols

    private enum Examination {
        case current
        case prior
    }

    private func tomography(_ examination: Examination, slices: Int) -> ScanProtocol {
        let isCurrent = examination == .current
        let study = isCurrent ? "current study" : "prior study"
        let pixel = 400 / Double(size)
        let step = 360 / Double(slices)
        return ScanProtocol(
            folder: isCurrent ? "demo-2026-11/ct" : "demo-2026-08/ct", study: study,
            studyDescription: isCurrent ? "Thorax and abdomen, follow-up" : "Thorax and abdomen, baseline",
            date: isCurrent ? "20261120" : "20260812", series: "\(study) ct", seriesNumber: isCurrent ? 2 : 3,
            seriesDescription: "Portal venous \(String(format: "%.1f", step)) mm", contrast: .computedTomography,
            syntax: .explicitLittleEndian, columns: size, rows: size, slices: slices, spacing: (pixel, pixel),
            origin: [-200 + pixel / 2, -185 + pixel / 2, 0], rowDirection: [1, 0, 0], columnDirection: [0, 1, 0],
            step: [0, 0, step], sliceThickness: step, noise: 13,
            windows: [
                Window(center: 40, width: 400, explanation: "SOFT TISSUE"),
                Window(center: -600, width: 1500, explanation: "LUNG"),
            ])
    }

    /// Coronal, with pixels that are not square and without a window: what viewers get wrong.
    private var resonance: ScanProtocol {
        ScanProtocol(
            folder: "demo-2026-11/mr", study: "current study", studyDescription: "Thorax and abdomen, follow-up",
            date: "20261120", series: "current study mr", seriesNumber: 5, seriesDescription: "T2 coronal",
            contrast: .magneticResonance, syntax: .implicitLittleEndian, columns: 240, rows: 256, slices: 30,
            spacing: (1.45, 1.6), origin: [-191.2, -81, 366], rowDirection: [1, 0, 0], columnDirection: [0, 0, -1],
            step: [0, 6, 0], sliceThickness: 5, noise: 16, windows: [])
    }

    // MARK: - Answers

    /// `v1/imaging/…` as files below `folder`.
    private func write(answers folder: String) async throws {
        let library = ImagingLibrary(folder: into)
        let encoder = JSONEncoder()
        func write(_ data: Data, _ path: String) throws {
            let url = URL(fileURLWithPath: "\(folder)/v1/imaging/\(path)")
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try data.write(to: url)
        }
        let studies = await library.studies()
        try write(try encoder.encode(["studies": studies]), "studies")
        for series in studies.flatMap(\.series) {
            let detail = try await library.series(series.series)
            try write(try encoder.encode(detail), "series/\(series.series)")
            for image in detail.images {
                let frame = try await library.frame(sop: image.sop, frame: image.frame)
                try write(Data(frame.bytes), "frames/\(image.sop)/\(image.frame)")
            }
        }
    }
}
