// The shared reference files: pixels equal byte by byte, broken files refused or read, never a trap.

import Foundation
import Testing

@testable import Imaging

@Suite("Reference files", .enabled(if: SharedData.isPresent))
struct ReferenceTests {
    private static let native = SharedData.names { name, reference in
        reference.sha256 != nil && TransferSyntax(uid: reference.transfer_syntax ?? "").isNative
    }

    private static let encapsulated = SharedData.names { name, reference in
        reference.has_pixels == true && !name.hasPrefix("broken/")
            && !TransferSyntax(uid: reference.transfer_syntax ?? "").isNative
    }

    @Test("native pixels are the reference's bytes", arguments: native)
    func pixels(name: String) throws {
        let bytes = try SharedData.bytes(name)
        let header = try #require(try DICOMHeader.parse(bytes))
        let location = try #require(header.pixelData)
        let description = try PixelDescription(header.dataSet, pixelData: location.tag)
        var pixels: [UInt8] = []
        for frame in 0..<description.frames {
            let range = description.byteRange(ofFrame: frame)
            let raw = Array(bytes[location.offset + range.lowerBound..<location.offset + range.upperBound])
            pixels += NativeSamples.bytes(raw, description, frame: frame)
        }
        #expect(sha256(pixels) == SharedData.references[name]?.sha256)
    }

    @Test("coded frames decode to the reference's bytes", arguments: native.filter { !$0.hasPrefix("series/") })
    func coded(name: String) async throws {
        let folder = try TemporaryFolder()
        try folder.write(try SharedData.bytes(name), "image.dcm")
        let library = ImagingLibrary(folder: folder.path)
        // Objects without the three UIDs, or with pixels that are not shown, are refused in words.
        guard let series = await library.studies().first?.series.first else {
            #expect(await library.refusedFiles().first?.reason.contains("is missing") == true)
            return
        }
        let detail = try await library.series(series.series)
        guard series.supported else {
            #expect(series.reason?.contains("can be shown") == true, "\(series.reason ?? "no reason")")
            return
        }
        var pixels: [UInt8] = []
        let bytesPerSample = detail.shared.bitsStored ?? detail.images[0].own.bitsStored ?? 16
        for image in detail.images.sorted(by: { $0.frame < $1.frame }) {
            let frame = try await library.frame(sop: image.sop, frame: image.frame)
            let decoded = try #require(FrameCoding.decode(frame.bytes))
            switch decoded.samples {
            case .grey(let samples, _):
                pixels +=
                    bytesPerSample <= 8
                    ? samples.map { UInt8(truncatingIfNeeded: $0) }
                    : samples.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
            case .rgb(let samples): pixels += samples
            }
        }
        #expect(sha256(pixels) == SharedData.references[name]?.sha256)
    }

    @Test(
        "the window formula gives the reference's 8 bit greys",
        arguments: native.filter { SharedData.references[$0]?.voi_linear_8bit_sha256 != nil })
    func window(name: String) throws {
        let bytes = try SharedData.bytes(name)
        let header = try #require(try DICOMHeader.parse(bytes))
        let location = try #require(header.pixelData)
        let description = try PixelDescription(header.dataSet, pixelData: location.tag)
        guard description.samplesPerPixel == 1, description.bitsAllocated <= 16, description.frames == 1 else { return }
        let raw = Array(bytes[location.offset..<location.offset + description.totalBytes])
        let samples = NativeSamples.grey(raw, description, frame: 0)
        let rescale = ImageAttributesReader.attributes(header.dataSet, description, frames: 1)[0].rescale
        for (words, hash) in SharedData.references[name]?.voi_linear_8bit_sha256 ?? [:] {
            let numbers = words.split(separator: " ").compactMap { Double($0.dropFirst()) }
            let window = Window(center: numbers[0], width: numbers[1])
            let greys = samples.map { sample in
                let stored = description.isSigned ? Double(Int16(bitPattern: sample)) : Double(sample)
                return window.grey(stored * (rescale?.slope ?? 1) + (rescale?.intercept ?? 0))
            }
            #expect(sha256(greys) == hash, "\(words)")
        }
    }

    @Test("other transfer syntaxes are refused by name", arguments: encapsulated)
    func otherSyntax(name: String) async throws {
        let folder = try TemporaryFolder()
        try folder.write(try SharedData.bytes(name), "image.dcm")
        let library = ImagingLibrary(folder: folder.path)
        let syntax = TransferSyntax(uid: SharedData.references[name]?.transfer_syntax ?? "")
        let expected = "unsupported transfer syntax \(syntax)"
        #expect(syntax.name != nil)
        if let series = await library.studies().first?.series.first {
            #expect(!series.supported && series.reason == expected)
            let image = try #require(try await library.series(series.series).images.first)
            let error = await #expect(throws: ImagingError.self) {
                try await library.frame(sop: image.sop, frame: image.frame)
            }
            #expect(error?.httpStatus == 415 && error?.message == expected)
        } else {
            let reason = await library.refusedFiles().first?.reason ?? ""
            #expect(reason == expected || reason.contains("is missing"), "\(reason)")
        }
    }

    @Test(
        "a broken file is refused with a reason or read as documented",
        arguments: SharedData.names { name, _ in name.hasPrefix("broken/") })
    func broken(name: String) async throws {
        let folder = try TemporaryFolder()
        try folder.write(try SharedData.bytes(name), "image.dcm")
        // Processor time of this thread: the other tests running beside it do not count.
        let begun = processorSeconds()
        let index = FolderIndex().updated(folder: folder.path, configuration: ImagingConfiguration())
        #expect(processorSeconds() - begun < 1)

        let outcome: String
        if let instance = index.instances.values.first {
            outcome = instance.images.compactMap(\.reason).first.map { "listed: \($0)" } ?? "shown"
        } else {
            outcome = "refused: \(try #require(index.refused.first).reason)"
        }
        let expect = SharedData.references[name]?.expect ?? ""
        if expect == "error" || expect.hasPrefix("error,") || expect.hasPrefix("error or partial") {
            #expect(outcome != "shown", "\(expect)")
        }
        print("\(name): \(outcome)")
    }

    private func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
