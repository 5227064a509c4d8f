// Replays every kept fuzz input, so that what once crashed stays fixed.

import Foundation
import Testing
import WireFormats

@Suite("Kept fuzz inputs")
struct CorpusReplayTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fuzz")

    @Test("every kept input is survived", arguments: ["sdp", "rtcp", "payload", "rtp", "stun"])
    func replay(_ target: String) throws {
        let corpus = Self.folder.appending(path: target).appending(path: "corpus")
        guard FileManager.default.fileExists(atPath: corpus.path) else {
            print("skipped: no corpus for \(target)")
            return
        }
        let files = try FileManager.default.contentsOfDirectory(at: corpus, includingPropertiesForKeys: nil)
        #expect((1...60).contains(files.count), "\(target) keeps \(files.count) inputs")
        for file in files {
            let bytes = try [UInt8](Data(contentsOf: file))
            bytes.withUnsafeBytes { exercise(target, $0) }
        }
    }

    @Test("random bytes are survived", arguments: ["sdp", "rtcp", "payload", "rtp", "stun"])
    func random(_ target: String) {
        let seed: UInt64 = 156
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2000 {
            var bytes = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            // Most of it would fail at the version; half is given a plausible one.
            if !bytes.isEmpty, Bool.random(using: &generator) { bytes[0] = 0x80 | bytes[0] & 0x1F }
            bytes.withUnsafeBytes { exercise(target, $0) }
        }
    }

    private func exercise(_ target: String, _ bytes: UnsafeRawBufferPointer) {
        switch target {
        case "sdp": exerciseSDP(bytes)
        case "rtcp": exerciseRTCP(bytes)
        case "payload": exercisePayload(bytes)
        case "rtp": exerciseRTP(bytes)
        default:
            _ = DatagramKind.classify(bytes)
            _ = STUN.localUfrag(of: bytes)
            _ = try? STUNMessage(parsing: bytes)
        }
    }
}

/// Seeds are made by our own writers, not copied from recordings. To write them anew:
/// `CONSILIUM_WRITE_SEEDS=1 swift test --filter SeedTests`
@Suite("Fuzz seeds")
struct SeedTests {
    @Test(
        "seeds are written when asked for",
        .enabled(if: ProcessInfo.processInfo.environment["CONSILIUM_WRITE_SEEDS"] != nil))
    func write() throws {
        for (target, seeds) in [
            "sdp": Self.descriptions(), "rtcp": Self.feedback(), "payload": Self.payloads(), "rtp": Self.packets(),
        ] {
            let corpus = CorpusReplayTests.folder.appending(path: target).appending(path: "corpus")
            try FileManager.default.createDirectory(at: corpus, withIntermediateDirectories: true)
            for (name, bytes) in seeds { try Data(bytes).write(to: corpus.appending(path: name)) }
        }
    }

    private static func descriptions() -> [String: [UInt8]] {
        var seeds: [String: [UInt8]] = [:]
        let rid = "a=extmap:10 \(HeaderExtensionURI.streamIdentifier.rawValue)"
        var offer = OfferText()
        seeds["video"] = Array(offer.text.utf8)
        offer.sections = [OfferText.video(extra: [rid, "a=rid:q send", "a=rid:f send", "a=simulcast:send ~q;f"])]
        seeds["simulcast"] = Array(offer.text.utf8)
        offer.session[1] = "a=group:BUNDLE 0 1 2"
        offer.sections = [
            OfferText.video(extra: ["a=ssrc-group:FID 1 2", "a=ssrc:1 cname:x", "a=ssrc:2 cname:x", "a=msid:s t"]),
            OfferText.audio(extra: ["a=extmap:1/sendonly \(HeaderExtensionURI.audioLevel.rawValue)"]),
            OfferText.application(mid: "2"),
        ]
        seeds["three-sections"] = Array(offer.text.utf8)
        if let evaluated = try? offer.evaluated() {
            let wishes = evaluated.sections.map { AnswerSection(mid: $0.mid, direction: .sendrecv, sendSSRC: 1) }
            seeds["answer"] = Array(
                makeAnswer(to: evaluated, transport: .sample(), sections: wishes).description.utf8)
        }
        offer.sections = [
            OfferText.video(formats: [
                (100, "H264/90000", "packetization-mode=1;profile-level-id=42e01f"), (105, "VP9/90000", "profile-id=2"),
                (108, "AV1/90000", "profile=0"), (114, "rtx/90000", "apt=105"),
            ])
        ]
        seeds["formats"] = Array(offer.text.utf8)
        let fragment = TrickleFragment(
            ufrag: "abcd", pwd: "0123456789abcdefghijkl", mid: "0",
            candidates: AnswerTransport.sample().candidates, hasAllCandidates: true)
        seeds["fragment"] = Array(fragment.description.utf8)
        return seeds
    }

    private static func feedback() -> [String: [UInt8]] {
        let block = ReportBlock(
            ssrc: 5, fractionLost: 3, cumulativeLost: -1, highestSequence: 70_000, jitter: 9, lastSenderReport: 1,
            delaySinceLastSenderReport: 2)
        let arrivals = (0..<40).map { TransportArrival(sequence: UInt16($0 * 3 / 2), arrival: Int64($0 * $0) * 900) }
        let writes: [String: (inout RTCPWriter) -> Void] = [
            "sender-report": {
                $0.senderReport(ssrc: 1, ntp: 2, rtp: 3, packetCount: 4, octetCount: 5, reports: [block])
                $0.sourceDescription(ssrc: 1, cname: "consilium".utf8)
            },
            "receiver-report": { $0.receiverReport(ssrc: 1, reports: [block, block]) },
            "goodbye": { $0.goodbye([1, 2]) },
            "requests": {
                $0.negativeAcknowledgement(sender: 1, media: 2, sequences: [65_530, 3, 5, 40])
                $0.pictureLoss(sender: 1, media: 2)
                $0.fullIntraRequest(sender: 1, entries: [.init(ssrc: 2, sequence: 9)])
            },
            "maximum-bitrate": { $0.maximumBitrate(sender: 1, bitsPerSecond: 3_000_000, sources: [2, 3]) },
            "extended-report": { $0.delaySinceLastReport(sender: 1, receiver: 2, lastReport: 3, delay: 4) },
            "transport-feedback": {
                _ = $0.transportFeedback(
                    sender: 1, media: 2, baseSequence: 0, feedbackCount: 7, arrivals: arrivals.span)
            },
        ]
        return writes.mapValues { body in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2048, alignment: 8)
            defer { buffer.deallocate() }
            var writer = RTCPWriter(buffer)
            body(&writer)
            return Array(writer.bytes)
        }
    }

    /// The first byte chooses the format, see the fuzz target.
    private static func payloads() -> [String: [UInt8]] {
        [
            "vp8-key": hexadecimal("00 90f0923407a9 1002009d012a0005d002"), "vp8-short": hexadecimal("00 1001"),
            "vp9-structure": hexadecimal("01 aa81023009 38014000b402800168 0100 ff"),
            "vp9-flexible": hexadecimal("01 f811220302ff"), "vp9-header": hexadecimal("01 88 05 824983420027f0167000"),
            "h264-aggregate": hexadecimal("02 78 0009 6742c01eda0280bfe5 0004 68ce3c80 0002 6588"),
            "h264-fragment": hexadecimal("02 7c8588"),
            "h264-parameters": hexadecimal("02 67640028acd940780227e5c044000003000400000300f03c60c658"),
            "av1-sequence": hexadecimal("03 28 0b 0a0b00000024cfff3dfc0204 3200"),
            "av1-lengths": hexadecimal("03 00 023200 023200"), "opus": hexadecimal("04 7b0300"),
            "dependency-descriptor": hexadecimal("05 80000180"),
        ]
    }

    private static func packets() -> [String: [UInt8]] {
        func packet(twoByte: Bool?, _ values: [(UInt8, [UInt8])], padding: Int = 0) -> [UInt8] {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 8)
            defer { buffer.deallocate() }
            var writer = RTPHeaderWriter(
                into: buffer, payloadType: 96, marker: true, sequence: 65_535, timestamp: 90_000, ssrc: 0x1234_5678)
            if let twoByte { writer.beginExtensions(twoByte: twoByte) }
            for (id, bytes) in values { bytes.withUnsafeBytes { writer.append(id: id, bytes: $0) } }
            var bytes = Array(buffer[..<writer.finish()]) + [1, 2, 3, 4]
            if padding > 0 {
                bytes[0] |= 0x20
                bytes += [UInt8](repeating: 0, count: padding - 1) + [UInt8(padding)]
            }
            return bytes
        }
        return [
            "plain": packet(twoByte: nil, []), "padded": packet(twoByte: nil, [], padding: 8),
            "one-byte": packet(twoByte: false, [(4, [0x30]), (3, [0, 1]), (2, [1, 2, 3])]),
            "two-byte": packet(twoByte: true, [(16, Array(repeating: 7, count: 20)), (4, []), (17, [9])]),
        ]
    }
}
