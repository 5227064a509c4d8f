// The library over generated files: order, duplicates, windows, what changes in the folder, and what is refused.

import Testing

@testable import Imaging

@Suite("The library, on generated files")
struct LibraryTests {
    private var always: ImagingConfiguration {
        var configuration = ImagingConfiguration()
        configuration.rescanInterval = .zero
        return configuration
    }

    @Test("slices are in the order of their positions, whatever their numbers say")
    func order() async throws {
        let folder = try TemporaryFolder()
        for (number, height) in [(1, 30.0), (2, -10.0), (3, 12.5)] {
            var image = TestImage()
            image.sop = "2.25.10\(number)"
            image.number = number
            image.position = [5, 5, height]
            try folder.write(image.file, "deep/er/\(number).dcm")
        }
        let detail = try await ImagingLibrary(folder: folder.path).series("2.25.2")
        #expect(detail.images.map(\.own.number) == [2, 3, 1])
        // What all have in common stands once.
        #expect(detail.shared.columns == 6 && detail.images.allSatisfy { $0.own.columns == nil })
        #expect(detail.shared.rescale == Rescale(slope: 1, intercept: -1024, type: "HU"))
    }

    @Test("without geometry the instance number orders")
    func numbers() async throws {
        let folder = try TemporaryFolder()
        for number in [3, 1, 2] {
            var image = TestImage()
            image.sop = "2.25.10\(4 - number)"
            image.number = number
            image.position = nil
            try folder.write(image.file, "\(number).dcm")
        }
        let detail = try await ImagingLibrary(folder: folder.path).series("2.25.2")
        #expect(detail.images.map(\.own.number) == [1, 2, 3])
    }

    @Test("a SOP instance that two files bring counts once")
    func duplicates() async throws {
        let folder = try TemporaryFolder()
        try folder.write(TestImage().file, "a.dcm")
        try folder.write(TestImage().file, "b.dcm")
        let library = ImagingLibrary(folder: folder.path)
        #expect(
            await library.counts()
                == FolderCounts(studies: 1, series: 1, instances: 1, duplicates: 1, refused: 0))
    }

    @Test("what is put into the folder and taken out of it is seen")
    func watching() async throws {
        let folder = try TemporaryFolder()
        let library = ImagingLibrary(folder: folder.path, configuration: always)
        #expect(await library.studies().isEmpty)
        try folder.write(TestImage().file, "a.dcm")
        let study = try #require(await library.studies().first)
        #expect(study.patient == "DEMO, TEST" && study.date == "2026-01-02" && study.series.first?.instances == 1)
        _ = try await library.frame(sop: "2.25.1", frame: 1)
        try folder.remove("a.dcm")
        #expect(await library.studies().isEmpty)
        let error = await #expect(throws: ImagingError.self) { try await library.frame(sop: "2.25.1", frame: 1) }
        #expect(error?.httpStatus == 404)
    }

    @Test("a file cut in half is listed with the bytes that are missing, and not shown")
    func cutOff() async throws {
        let folder = try TemporaryFolder()
        var image = TestImage()
        image.rows = 64
        image.columns = 64
        try folder.write(Array(image.file.dropLast(4096)), "half.dcm")
        let library = ImagingLibrary(folder: folder.path)
        let series = try #require(await library.studies().first?.series.first)
        #expect(!series.supported && series.reason == "cut off: 8192 bytes of pixels expected, 4096 present")
        let error = await #expect(throws: ImagingError.self) { try await library.frame(sop: image.sop, frame: 1) }
        #expect(error?.code == .cutOff && error?.httpStatus == 422)
    }

    @Test("a transfer syntax that is not read is named")
    func syntax() async throws {
        let folder = try TemporaryFolder()
        var image = TestImage()
        image.syntax = TransferSyntax(uid: "1.2.840.10008.1.2.4.90")
        try folder.write(image.file, "j2k.dcm")
        let library = ImagingLibrary(folder: folder.path)
        let error = await #expect(throws: ImagingError.self) { try await library.frame(sop: image.sop, frame: 1) }
        #expect(
            error?.message
                == "unsupported transfer syntax 1.2.840.10008.1.2.4.90 (JPEG 2000 Image Compression (Lossless Only))")
        #expect(error?.httpStatus == 415)
    }

    @Test("a series without a window gets one from its values")
    func automaticWindow() async throws {
        let folder = try TemporaryFolder()
        var image = TestImage()
        image.windows = []
        try folder.write(image.file, "a.dcm")
        let detail = try await ImagingLibrary(folder: folder.path).series("2.25.2")
        let window = try #require(detail.shared.windows?.first)
        #expect(window.explanation == "automatic" && window.width > 0 && window.function == .linearExact)
    }

    @Test(
        "frames come back from the code bit by bit",
        arguments: [
            (16, 16, true, 1), (16, 12, false, 1), (16, 9, true, 1), (8, 8, false, 1), (8, 8, false, 3),
        ])
    func roundTrip(bitsAllocated: Int, bitsStored: Int, isSigned: Bool, samples: Int) async throws {
        for syntax in [TransferSyntax.explicitLittleEndian, .implicitLittleEndian] {
            let folder = try TemporaryFolder()
            var image = TestImage()
            image.bitsAllocated = bitsAllocated
            image.bitsStored = bitsStored
            image.isSigned = isSigned
            image.samplesPerPixel = samples
            image.photometric = samples == 3 ? "RGB" : "MONOCHROME1"
            image.frames = 2
            image.syntax = syntax
            let pixels = (0..<image.rows * image.columns * samples * bitsAllocated / 8 * 2).map { index in
                UInt8(truncatingIfNeeded: index &* 151 ^ index >> 2)
            }
            image.pixels = pixels
            try folder.write(image.file, "a.dcm")
            let library = ImagingLibrary(folder: folder.path)
            for frame in 1...2 {
                let coded = try await library.frame(sop: image.sop, frame: frame)
                let decoded = try #require(FrameCoding.decode(coded.bytes))
                #expect(decoded.columns == 6 && decoded.rows == 4)
                let raw = Array(pixels[(frame - 1) * pixels.count / 2..<frame * pixels.count / 2])
                switch decoded.samples {
                case .rgb(let values): #expect(values == raw)
                case .grey(let values, let signed):
                    #expect(signed == isSigned)
                    let mask = UInt16(truncatingIfNeeded: (1 << bitsStored) - 1)
                    let expected = (0..<24).map { index in
                        bitsAllocated == 8
                            ? UInt16(raw[index]) : UInt16(raw[2 * index]) | UInt16(raw[2 * index + 1]) << 8
                    }
                    #expect(values.map { $0 & mask } == expected.map { $0 & mask })
                    let above = values.map { $0 & ~mask }
                    #expect(isSigned || above.allSatisfy { $0 == 0 })
                }
            }
            let error = await #expect(throws: ImagingError.self) { try await library.frame(sop: image.sop, frame: 3) }
            #expect(error?.code == .notFound)
        }
    }

    @Test("the cache of coded frames keeps to its bytes and drops the one unused for longest")
    func cache() {
        var cache = FrameCache(maximumBytes: 250)
        let frame = CodedFrame(bytes: [UInt8](repeating: 1, count: 100))
        let keys = (1...3).map { FrameKey(sop: "2.25.1", frame: $0) }
        cache.insert(frame, for: keys[0])
        cache.insert(frame, for: keys[1])
        #expect(cache.frame(keys[0]) != nil)
        cache.insert(frame, for: keys[2])
        #expect(cache.frame(keys[1]) == nil && cache.frame(keys[0]) != nil && cache.bytes == 200)
    }

    @Test("sequences nest to a depth of 64 and no deeper")
    func nesting() throws {
        func nested(_ depth: Int) -> [UInt8] {
            var set = DataSetBuilder()
            set.set(.modality, .CS, "CT")
            for _ in 0..<depth {
                var outer = DataSetBuilder()
                outer.set(items: [set], .planePosition)
                set = outer
            }
            return DICOMWriter.file(set, transferSyntax: .explicitLittleEndian)
        }
        #expect(try DICOMHeader.parse(nested(64)) != nil)
        let error = #expect(throws: DICOMError.self) { try DICOMHeader.parse(nested(65)) }
        #expect(error?.description.contains("nested deeper than 64") == true)
    }

    @Test("every beginning of a file is read or refused, never a trap")
    func everyPrefix() {
        let file = TestImage().file
        for length in 0..<file.count { _ = try? DICOMHeader.parse(Array(file[..<length])) }
    }
}
