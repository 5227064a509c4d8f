// What Chromium really sent, recorded, through the core: binding by mid and rid, and one stream for the receiver.
import Foundation
import Testing
import WireFormats

@testable import Forwarding

/// A raw-IP capture: RTP to port 5004, RTCP to port 5005, already decrypted.
struct Capture {
    struct Packet {
        var at: UInt64
        var isRTCP: Bool
        var bytes: [UInt8]
    }

    var packets: [Packet] = []
    var offer: EvaluatedOffer
    var outbound: [(kind: String, rid: String?, ssrc: UInt32)] = []

    private struct Description: Decodable {
        struct Outbound: Decodable { var kind: String, rid: String?, ssrc: UInt32 }
        var offer: String
        var outbound: [Outbound]
    }

    static var folder: URL? {
        let name = ProcessInfo.processInfo.environment["CONSILIUM_TEST_DATA"] ?? "../shared"
        let folder = URL(fileURLWithPath: name).appendingPathComponent("vectors/rtp")
        return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
    }

    init?(_ name: String) throws {
        guard let folder = Capture.folder else {
            print("skipped: no recorded streams here (set CONSILIUM_TEST_DATA)")
            return nil
        }
        let json = try Data(contentsOf: folder.appendingPathComponent("\(name).json"))
        let description = try JSONDecoder().decode(Description.self, from: json)
        offer = try evaluate(offer: SessionDescription(parsing: description.offer))
        outbound = description.outbound.map { ($0.kind, $0.rid, $0.ssrc) }
        let bytes = [UInt8](try Data(contentsOf: folder.appendingPathComponent("\(name).rtp.pcap")))
        func little(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) } }
        var position = 24
        while position + 16 <= bytes.count {
            let length = little(position + 8)
            let at = UInt64(little(position)) * 1_000_000_000 + UInt64(little(position + 4)) * 1000
            let packet = Array(bytes[(position + 16)..<(position + 16 + length)])
            position += 16 + length
            let header = packet[0] >> 4 == 4 ? Int(packet[0] & 15) * 4 : 40
            let port = Int(packet[header + 2]) << 8 | Int(packet[header + 3])
            packets.append(Packet(at: at, isRTCP: port == 5005, bytes: Array(packet[(header + 8)...])))
        }
    }
}

/// A recorded client as the publisher, and one receiver.
final class RecordedCall {
    private(set) var forwarder = Forwarder(now: 0, wallClockOffset: 0, seed: 3)
    private(set) var publisher: Int32 = -1
    private(set) var receiver: Int32 = -1
    private(set) var stream: Int32 = -1
    private(set) var received: [[UInt8]] = []

    init(_ capture: Capture, codec wanted: CodecKind, target: LayerTarget = .highest) {
        publisher = forwarder.addPeer(room: 1, cname: "p")
        receiver = forwarder.addPeer(room: 1, cname: "r")
        var sections: [PublishedSection] = []
        var formats: [(UInt8, PayloadFormat)] = []
        var extensions: [(HeaderExtensionKind, UInt8)] = []
        var videoTrack: Int32 = -1
        for section in capture.offer.sections where section.kind != .application {
            let isVideo = section.kind == .video
            let track = forwarder.addTrack(
                MediaTrack(
                    peer: publisher, room: 1, isVideo: isVideo,
                    codec: CodecKind(name: section.codecs[0].name, isVideo: isVideo),
                    payloadType: section.codecs[0].payloadType, isMuted: false, usesNack: isVideo,
                    usesPictureLoss: true,
                    usesFullIntra: true))
            if isVideo { videoTrack = track }
            for codec in section.codecs {
                let kind = CodecKind(name: codec.name, isVideo: isVideo)
                formats.append((codec.payloadType, PayloadFormat(codec: kind, clockRate: codec.clockRate)))
                if let repair = codec.retransmissionPayloadType {
                    formats.append(
                        (repair, PayloadFormat(codec: kind, repairs: codec.payloadType, clockRate: codec.clockRate)))
                }
            }
            extensions += section.extensions.map { (HeaderExtensionKind($0.uri), $0.id) }
            sections.append(
                PublishedSection(
                    mid: Array(section.mid.utf8), track: track, isVideo: isVideo,
                    payloadTypes: Set(
                        section.codecs.flatMap { [$0.payloadType, $0.retransmissionPayloadType ?? $0.payloadType] }),
                    rids: section.rids.map { Array($0.utf8) },
                    sources: section.ssrcs.map { ($0.ssrc, $0.retransmission) }))
        }
        forwarder.publish(
            sections, formats: formats, extensions: extensions, usesTransportFeedback: true, usesMaximumBitrate: false,
            peer: publisher, now: 0)
        forwarder.setCanSend(publisher, true, now: 0)
        stream = forwarder.addStream(
            peer: receiver, isVideo: true, mid: "9", ssrc: 77, retransmissionSSRC: 78, slot: 0, retransmissionSlot: 1,
            extensions: ExtensionNumbers([(.mid, 4), (.dependencyDescriptor, 12)]), now: 0)
        forwarder.setCanSend(receiver, true, now: 0)
        forwarder.attach(
            stream, to: videoTrack, codec: wanted, payloadType: 100, retransmissionPayloadType: 101, clockRate: 90_000,
            now: 0)
        forwarder.setWantedLayer(receiver: receiver, stream: stream, target: target, now: 0)

        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2000, alignment: 16)
        defer { buffer.deallocate() }
        let start = capture.packets.first?.at ?? 0
        for packet in capture.packets {
            let now = packet.at - start
            forwarder.handleTimeout(now: now)
            var bytes = packet.bytes
            if packet.isRTCP {
                bytes.withUnsafeBytes { forwarder.receive(rtcp: $0, from: publisher, now: now, arrival: now) }
            } else {
                _ = bytes.withUnsafeMutableBytes { forwarder.receive(rtp: $0, from: publisher, now: now, arrival: now) }
            }
            while let peer = forwarder.popDirtyPeer() {
                while forwarder.writeNextControl(for: peer, into: buffer) > 0 {}
                while let write = forwarder.writeNext(for: peer, now: now, into: buffer) {
                    if peer == receiver { received.append(Array(buffer[..<write.headerLength]) + Array(write.payload)) }
                }
            }
        }
    }
}

@Suite("Recorded streams")
struct RecordedStreamTests {
    @Test(
        "each recorded client is bound, and its receiver gets one stream that begins with a key frame",
        arguments: [
            ("chromium-simulcast-vp8", CodecKind.vp8), ("chromium-vp9", .vp9), ("chromium-h264-pm1", .h264),
            ("chromium-svc-av1-L3T3_KEY", .av1),
        ])
    func forwards(name: String, codec wanted: CodecKind) throws {
        guard let capture = try Capture(name) else { return }
        let call = RecordedCall(capture, codec: wanted)
        // Every SSRC that the client says it sent on is bound to the layer it says.
        for (_, rid, ssrc) in capture.outbound {
            guard let source = call.forwarder.peers[call.publisher].pointee.sources.find(UInt64(ssrc)) else { continue }
            #expect(source & 1 == 0)
            #expect(call.forwarder.encodings[source >> 1].pointee.rid == Array((rid ?? "").utf8), "\(ssrc)")
        }
        #expect(call.forwarder.counters[.unknownSource] == 0)
        #expect(call.forwarder.counters[.unknownPayloadType] == 0)
        try #require(call.received.count > 20, "\(call.received.count) packets")
        let headers = call.received.compactMap { bytes in bytes.withUnsafeBytes { RTPHeader($0) } }
        #expect(headers.allSatisfy { $0.ssrc == 77 && $0.payloadType == 100 })
        let format = try #require(wanted.videoFormat)
        let first = call.received[0]
        #expect(
            first.withUnsafeBytes {
                format.startsKeyFrame(UnsafeRawBufferPointer(rebasing: $0[headers[0].headerLength...]))
            })
        let positions = headers.map { Int(Int16(bitPattern: $0.sequence &- headers[0].sequence)) }
        #expect(Set(positions).count == positions.count)
        // A switch of layer may leave one number free each.
        let switches = Int(call.forwarder.streams[call.stream].pointee.switches)
        #expect((positions.max() ?? 0) - positions.count + 1 <= switches + 2)
        for (before, after) in zip(headers, headers.dropFirst()) where after.sequence == before.sequence &+ 1 {
            #expect(Int32(bitPattern: after.timestamp &- before.timestamp) >= 0)
        }
    }
}
