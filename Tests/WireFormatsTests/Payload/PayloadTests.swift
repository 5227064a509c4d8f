// Payload descriptors: hand-made bytes from the RFCs' layouts, and the recordings of a browser.

import Foundation
import Testing
import WireFormats

@Suite("Payload descriptors")
struct PayloadTests {
    // MARK: - VP8

    @Test("a VP8 descriptor with every field knows where each of them stands")
    func vp8() throws {
        let bytes = hexadecimal("90 f0 92 34 07 a9") + vp8KeyFrame(width: 1280, height: 720)
        try bytes.withUnsafeBytes { payload in
            let descriptor = try #require(VP8Descriptor(payload))
            #expect(descriptor.pictureID == 0x1234 && descriptor.pictureIDIsLong)
            #expect(descriptor.temporalBaseIndex == 7)
            #expect(descriptor.temporalLayer == 2 && descriptor.isLayerSync)
            #expect(descriptor.keyIndex == 9)
            #expect(descriptor.length == 6)
            #expect(descriptor.isKeyFrameStart)
            #expect(descriptor.pictureSize(in: payload) == PictureSize(width: 1280, height: 720))
        }
    }

    @Test("a VP8 descriptor is rewritten in place")
    func vp8Rewriting() throws {
        var bytes = hexadecimal("90 f0 92 34 07 a9") + vp8KeyFrame(width: 640, height: 360)
        let descriptor = try #require(bytes.withUnsafeBytes { VP8Descriptor($0) })
        bytes.withUnsafeMutableBytes { payload in
            descriptor.setPictureID(0x7FFF, in: payload)
            descriptor.setTemporalBaseIndex(250, in: payload)
            descriptor.setKeyIndex(31, in: payload)
        }
        let rewritten = try #require(bytes.withUnsafeBytes { VP8Descriptor($0) })
        #expect(rewritten.pictureID == 0x7FFF && rewritten.temporalBaseIndex == 250 && rewritten.keyIndex == 31)
        #expect(rewritten.temporalLayer == 2 && rewritten.isLayerSync)
        #expect(rewritten.length == descriptor.length)
    }

    @Test(
        "VP8 in its short forms",
        arguments: [
            ("10 00", 1, nil, true), ("10 01", 1, nil, false), ("00 00", 1, nil, false), ("11 00", 1, nil, false),
            ("90 80 11 00", 3, 0x11, true), ("90 00 00", 2, nil, true), ("90 20 40 00", 3, nil, true),
        ] as [(String, UInt8, UInt16?, Bool)])
    func vp8Short(text: String, length: UInt8, pictureID: UInt16?, isKey: Bool) throws {
        let descriptor = try #require(hexadecimal(text).withUnsafeBytes { VP8Descriptor($0) })
        #expect(descriptor.length == length)
        #expect(descriptor.pictureID == pictureID)
        #expect(descriptor.isKeyFrameStart == isKey)
    }

    @Test(
        "VP8 that ends inside its descriptor is none",
        arguments: ["", "90", "90 80", "90 80 91", "90 f0 92 34 07", "90 40"])
    func vp8Truncated(_ text: String) {
        #expect(hexadecimal(text).withUnsafeBytes { VP8Descriptor($0) } == nil)
    }

    private func vp8KeyFrame(width: Int, height: Int) -> [UInt8] {
        [
            0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, UInt8(width & 0xFF), UInt8(width >> 8), UInt8(height & 0xFF),
            UInt8(height >> 8),
        ]
    }

    // MARK: - VP9

    @Test("a non-flexible VP9 key frame carries layers and the sizes of its structure")
    func vp9() throws {
        // I L B V; PictureID 15 bits; TID 1 U, SID 0; TL0PICIDX 9; SS: two layers with sizes, one picture.
        let bytes = hexadecimal("aa 81 02 30 09  38 0140 00b4 0280 0168 01 00 ff")
        try bytes.withUnsafeBytes { payload in
            let descriptor = try #require(VP9Descriptor(payload))
            #expect(descriptor.pictureID == 0x0102 && descriptor.temporalBaseIndex == 9)
            #expect(descriptor.temporalLayer == 1 && descriptor.isSwitchingUpPoint && descriptor.spatialLayer == 0)
            #expect(descriptor.structuredLayers == 2)
            #expect(descriptor.isKeyFrameStart)
            #expect(descriptor.length == 16)
            #expect(descriptor.pictureSize(in: payload) == PictureSize(width: 640, height: 360))
        }
    }

    @Test("flexible VP9 has references instead of a base index")
    func vp9Flexible() throws {
        let descriptor = try #require(hexadecimal("f8 11 22 03 02 ff").withUnsafeBytes { VP9Descriptor($0) })
        #expect(descriptor.isFlexible && descriptor.isInterPicture && descriptor.temporalBaseIndex == nil)
        #expect(descriptor.spatialLayer == 1 && descriptor.temporalLayer == 1)
        #expect(descriptor.length == 5)
        #expect(!descriptor.isKeyFrameStart)
    }

    @Test(
        "VP9 that ends inside its descriptor is none",
        arguments: ["", "80", "80 81", "a0 01 00", "d8 11 01 01 01 00 00", "0a 38 01", "0a 08 05 04", "08"])
    func vp9Truncated(_ text: String) {
        #expect(hexadecimal(text).withUnsafeBytes { VP9Descriptor($0) } == nil)
    }

    // MARK: - H.264

    @Test(
        "an H.264 key frame begins with a parameter set or an IDR slice, also inside aggregates and fragments",
        arguments: [
            ("67 42 e0 1f", true), ("68 ce", false), ("65 88", true), ("41 9a", false), ("06 01", false),
            ("78 0002 68ce 0003 6742e0", true), ("78 0002 0601 0002 6588", true), ("78 0002 419a", false),
            ("7c 85 88", true), ("7c 05 88", false), ("7c 87 42", true), ("5c 81 9a", false), ("7b 65 00", false),
        ])
    func h264(text: String, isKey: Bool) throws {
        let payload = try #require(hexadecimal(text).withUnsafeBytes { H264Payload($0) })
        #expect(payload.isKeyFrameStart == isKey)
    }

    @Test(
        "broken H.264 aggregates and fragments are none",
        arguments: ["", "78", "78 00", "78 0005 67", "78 0000", "7c", "7c 85"])
    func h264Broken(_ text: String) {
        #expect(hexadecimal(text).withUnsafeBytes { H264Payload($0) } == nil)
    }

    @Test(
        "a sequence parameter set tells the size, with cropping and emulation prevention",
        arguments: [
            // 1920x1080 High, cropped from 1088 lines; x264.
            ("67640028acd940780227e5c044000003000400000300f03c60c658", 1920, 1080),
            // 640x360 Constrained Baseline, cropped from 368 lines.
            ("6742c01eda0280bfe5c044000003000400000300f03c58ba80", 640, 360),
        ])
    func sequenceParameterSet(text: String, width: UInt16, height: UInt16) {
        let size = hexadecimal(text).withUnsafeBytes { H264SequenceParameterSet($0)?.size }
        #expect(size == PictureSize(width: width, height: height))
    }

    // MARK: - AV1

    @Test("AV1 elements are found with and without lengths")
    func av1() throws {
        // Two elements, the first with a length: a sequence header and a frame.
        let counted = try #require(hexadecimal("28 02 0a0b 32 00").withUnsafeBytes { AV1Payload($0) })
        #expect(counted.startsSequence && counted.hasSequenceHeader && counted.firstOBUType == OBUType.sequenceHeader)
        #expect(counted.isKeyFrameStart)
        let measured = try #require(hexadecimal("00 02 3200 02 3200").withUnsafeBytes { AV1Payload($0) })
        #expect(!measured.isKeyFrameStart && measured.firstOBUType == OBUType.frame)
        // The rest of an element, whatever its first byte looks like, is no OBU header.
        let continued = try #require(hexadecimal("90 0a 0b").withUnsafeBytes { AV1Payload($0) })
        #expect(continued.continuesElement && !continued.hasSequenceHeader && continued.firstOBUType == nil)
    }

    @Test(
        "broken AV1 aggregation is none",
        arguments: ["", "10", "00 05 32", "20 05 32", "98 0a 0b", "00 ffffffffffffffffff"])
    func av1Broken(_ text: String) {
        #expect(hexadecimal(text).withUnsafeBytes { AV1Payload($0) } == nil)
    }

    @Test("a dependency descriptor tells frames apart from their parts")
    func dependencyDescriptor() throws {
        let start = try #require(hexadecimal("80 0001 80").withUnsafeBytes { DependencyDescriptor($0) })
        #expect(start.startsFrame && !start.endsFrame && start.frameNumber == 1 && start.hasTemplateStructure)
        let end = try #require(hexadecimal("43 0102").withUnsafeBytes { DependencyDescriptor($0) })
        #expect(!end.startsFrame && end.endsFrame && end.templateID == 3 && !end.hasTemplateStructure)
        #expect(hexadecimal("80 00").withUnsafeBytes { DependencyDescriptor($0) } == nil)
    }

    // MARK: - Opus

    @Test(
        "an Opus packet tells its duration",
        arguments: [
            ("78 00", 960, false), ("7c 00", 960, true), ("08 00", 960, false), ("18 00", 2880, false),
            ("e0 00", 120, false), ("79 00", 1920, false), ("7b 03 00", 2880, false), ("63 06", 2880, false),
        ])
    func opus(text: String, samples: Int, isStereo: Bool) throws {
        let packet = try #require(hexadecimal(text).withUnsafeBytes { OpusPacket($0) })
        #expect(packet.samples == samples)
        #expect(packet.isStereo == isStereo)
    }

    @Test("no Opus packet is empty, without frames or longer than 120 ms", arguments: ["", "7b", "7b 00", "7b 07"])
    func opusBroken(_ text: String) {
        #expect(hexadecimal(text).withUnsafeBytes { OpusPacket($0) } == nil)
    }
}

@Suite("Recorded payloads")
struct RecordedPayloadTests {
    private struct Outbound {
        var ssrc: UInt32
        var format: VideoFormat
        var size: PictureSize
    }

    private func outbound(_ capture: URL) throws -> [Outbound] {
        let name = capture.lastPathComponent.replacing(".rtp.pcap", with: ".json")
        let description = try TestData.object(capture.deletingLastPathComponent().appending(path: name))
        return (description["outbound"] as? [[String: Any]] ?? []).compactMap { entry in
            guard entry["kind"] as? String == "video", let ssrc = entry["ssrc"] as? Int, let width = entry["w"] as? Int,
                let height = entry["h"] as? Int, let codec = entry["codec"] as? String,
                let format = VideoFormat(codecName: String(codec.dropFirst(6).prefix { $0 != " " }))
            else { return nil }
            return Outbound(
                ssrc: UInt32(ssrc), format: format, size: PictureSize(width: UInt16(width), height: UInt16(height)))
        }
    }

    @Test("each recorded video stream begins with a key frame of the size the browser reported")
    func keyFrames() throws {
        for url in TestData.files(in: "rtp", suffix: ".pcap") {
            let packets = try Capture(url).rtp.compactMap(TestPacket.init)
            for stream in try outbound(url) {
                let own = packets.filter { $0.ssrc == stream.ssrc && !$0.payload.isEmpty }
                var keyTimes: [UInt32] = []
                var sizes: Set<PictureSize> = []
                for packet in own {
                    packet.payload.withUnsafeBytes { payload in
                        if stream.format.startsKeyFrame(payload), keyTimes.last != packet.timestamp {
                            keyTimes.append(packet.timestamp)
                        }
                        if let size = stream.format.pictureSize(payload) { sizes.insert(size) }
                    }
                }
                let name = "\(url.lastPathComponent) \(stream.ssrc)"
                print("\(name): \(own.count) packets, \(keyTimes.count) key frames, \(sizes)")
                #expect(keyTimes.first == own.first?.timestamp, "\(name)")
                #expect((1...4).contains(keyTimes.count), "\(name): \(keyTimes)")
                #expect(sizes.contains(stream.size), "\(name): \(sizes), expected \(stream.size)")
            }
        }
    }

    @Test("every recorded video payload is read, and VP8 picture ids follow each other where there are any")
    func continuity() throws {
        for url in TestData.files(in: "rtp", suffix: ".pcap") {
            let packets = try Capture(url).rtp.compactMap(TestPacket.init)
            for stream in try outbound(url) {
                var last: UInt16?
                for packet in packets where packet.ssrc == stream.ssrc && !packet.payload.isEmpty {
                    packet.payload.withUnsafeBytes { payload in
                        switch stream.format {
                        case .vp8:
                            // This browser sends no picture ids with the plainest streams.
                            let descriptor = VP8Descriptor(payload)
                            #expect(descriptor != nil)
                            if let last, let now = descriptor?.pictureID { #expect((now &- last) & 0x7FFF <= 1) }
                            last = descriptor?.pictureID
                        case .vp9: #expect(VP9Descriptor(payload) != nil)
                        case .h264: #expect(H264Payload(payload).map { $0.packetization != .other } == true)
                        case .av1: #expect(AV1Payload(payload) != nil)
                        }
                    }
                }
            }
        }
    }

    @Test("recorded Opus packets last 20 ms")
    func opus() throws {
        for url in TestData.files(in: "rtp", suffix: ".pcap") where !url.lastPathComponent.contains("red") {
            for packet in try Capture(url).rtp.compactMap(TestPacket.init) where packet.payloadType == 111 {
                #expect(packet.payload.withUnsafeBytes { OpusPacket($0)?.samples } == 960)
            }
        }
    }
}
