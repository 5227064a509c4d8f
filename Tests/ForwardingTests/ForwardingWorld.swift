// A publisher, receivers and the core between them, in virtual time and without a socket.
import WireFormats

@testable import Forwarding

let millisecond: UInt64 = 1_000_000

/// A packet as a receiver gets it.
struct ReceivedPacket {
    var bytes: [UInt8]
    var slot: Int

    var header: RTPHeader { bytes.withUnsafeBytes { RTPHeader($0) }! }
    var payload: [UInt8] { Array(bytes[header.headerLength...]) }

    func element(_ id: UInt8) -> [UInt8]? {
        bytes.withUnsafeBytes { raw in
            guard let header = RTPHeader(raw) else { return nil }
            var elements = HeaderExtensionElements(header, in: raw)
            while let element = elements.next() {
                if element.id == id { return Array(raw[element.offset..<(element.offset + element.length)]) }
            }
            return nil
        }
    }
}

final class ForwardingWorld {
    var forwarder: Forwarder
    var now: UInt64 = 1_000 * millisecond
    var publisher: Int32
    var track: Int32
    private(set) var received: [Int32: [ReceivedPacket]] = [:]
    private(set) var control: [Int32: [[UInt8]]] = [:]

    static let mid: UInt8 = 4
    static let feedback: UInt8 = 3
    static let rid: UInt8 = 10
    static let repairedRid: UInt8 = 11

    init(
        rids: [String] = [], isVideo: Bool = true, sources: [(ssrc: UInt32, retransmission: UInt32?)] = [],
        picture: CodecKind = .vp8
    ) {
        forwarder = Forwarder(now: now, wallClockOffset: 1_700_000_000_000_000_000, seed: 42)
        publisher = forwarder.addPeer(room: 1, cname: "p1")
        track = forwarder.addTrack(
            MediaTrack(
                peer: publisher, room: 1, isVideo: isVideo, codec: isVideo ? picture : .opus,
                payloadType: isVideo ? 96 : 111, isMuted: false, usesNack: true, usesPictureLoss: true,
                usesFullIntra: true))
        forwarder.publish(
            [
                PublishedSection(
                    mid: Array("0".utf8), track: track, isVideo: isVideo,
                    payloadTypes: isVideo ? [96, 97] : [111], rids: rids.map { Array($0.utf8) }, sources: sources)
            ],
            formats: [
                (96, PayloadFormat(codec: picture, clockRate: 90_000)),
                (97, PayloadFormat(codec: picture, repairs: 96, clockRate: 90_000)),
                (111, PayloadFormat(codec: .opus, clockRate: 48_000)),
            ],
            extensions: [
                (.mid, ForwardingWorld.mid), (.transportSequence, ForwardingWorld.feedback),
                (.streamID, ForwardingWorld.rid), (.repairedStreamID, ForwardingWorld.repairedRid), (.audioLevel, 1),
                (.videoOrientation, 13),
            ],
            usesTransportFeedback: true, usesMaximumBitrate: false, peer: publisher, now: now)
        forwarder.setCanSend(publisher, true, now: now)
    }

    /// A receiver with one stream attached to the track; SSRCs 5000 + 10 × peer and one more for repairs.
    func addReceiver(repairs: Bool = true, attached: Bool = true, isVideo: Bool = true) -> (peer: Int32, stream: Int32)
    {
        let peer = forwarder.addPeer(room: 1, cname: "receiver")
        let ssrc = 5000 + 10 * UInt32(peer)
        let stream = forwarder.addStream(
            peer: peer, isVideo: isVideo, mid: "7", ssrc: ssrc, retransmissionSSRC: ssrc + 1, slot: 0,
            retransmissionSlot: 1,
            extensions: ExtensionNumbers([(.mid, 9), (.transportSequence, 2), (.videoOrientation, 5), (.audioLevel, 6)]
            ),
            now: now)
        forwarder.setCanSend(peer, true, now: now)
        if attached { attach(stream, repairs: repairs, isVideo: isVideo) }
        return (peer, stream)
    }

    func attach(_ stream: Int32, repairs: Bool = true, isVideo: Bool = true) {
        forwarder.attach(
            stream, to: track, codec: forwarder.tracks[track].pointee.codec, payloadType: isVideo ? 120 : 109,
            retransmissionPayloadType: repairs && isVideo ? 121 : nil, clockRate: isVideo ? 90_000 : 48_000, now: now)
    }

    @discardableResult
    func send(_ packet: [UInt8], from peer: Int32? = nil) -> Ingested {
        var bytes = packet
        let result = bytes.withUnsafeMutableBytes {
            forwarder.receive(rtp: $0, from: peer ?? publisher, now: now, arrival: now)
        }
        drain()
        return result
    }

    func send(rtcp: [UInt8], from peer: Int32) {
        rtcp.withUnsafeBytes { forwarder.receive(rtcp: $0, from: peer, now: now, arrival: now) }
        drain()
    }

    /// Moves the clock in steps of 10 ms and lets timers run.
    func pass(_ milliseconds: UInt64) {
        let end = now + milliseconds * millisecond
        while now < end {
            now = min(end, now + 10 * millisecond)
            forwarder.handleTimeout(now: now)
            drain()
        }
    }

    func drain() {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1500, alignment: 16)
        defer { buffer.deallocate() }
        while let peer = forwarder.popDirtyPeer() {
            while true {
                let length = forwarder.writeNextControl(for: peer, into: buffer)
                guard length > 0 else { break }
                control[peer, default: []].append(Array(buffer[..<length]))
            }
            while let packet = forwarder.writeNext(for: peer, now: now, into: buffer) {
                let bytes = Array(buffer[..<packet.headerLength]) + Array(packet.payload)
                received[peer, default: []].append(ReceivedPacket(bytes: bytes, slot: packet.slot))
            }
        }
    }

    func packets(_ peer: Int32) -> [ReceivedPacket] { received[peer] ?? [] }

    func takePackets(_ peer: Int32) -> [ReceivedPacket] { received.removeValue(forKey: peer) ?? [] }

    /// What was said to a peer by RTCP since the last look.
    func takeMessages(_ peer: Int32, _ body: (RTCPMessage) -> Void) {
        for compound in control.removeValue(forKey: peer) ?? [] {
            compound.withUnsafeBytes { bytes in
                var packets = RTCPPackets(bytes)
                while let packet = packets.next() { body(packet.message) }
            }
        }
    }

    func keyFrameRequests() -> [UInt32] {
        var media: [UInt32] = []
        takeMessages(publisher) { message in
            if case .pictureLoss(let loss) = message { media.append(loss.media) }
        }
        return media
    }
}

enum Packets {
    static func rtp(
        payloadType: UInt8 = 96, marker: Bool = true, sequence: UInt16, timestamp: UInt32, ssrc: UInt32,
        extensions: [(id: UInt8, bytes: [UInt8])] = [], payload: [UInt8], padding: UInt8 = 0
    ) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 200)
        let length = buffer.withUnsafeMutableBytes { raw in
            var writer = RTPHeaderWriter(
                into: raw, payloadType: payloadType, marker: marker, sequence: sequence, timestamp: timestamp,
                ssrc: ssrc)
            writer.beginExtensions(twoByte: false)
            for (id, bytes) in extensions { bytes.withUnsafeBytes { writer.append(id: id, bytes: $0) } }
            return writer.finish()
        }
        var packet = Array(buffer.prefix(length)) + payload
        if padding > 0 {
            packet[0] |= 0x20
            packet += [UInt8](repeating: 0, count: Int(padding) - 1) + [padding]
        }
        return packet
    }

    static func vp8(picture: UInt16, key: Bool = false, starts: Bool = true, width: UInt16 = 640, height: UInt16 = 360)
        -> [UInt8]
    {
        var payload: [UInt8] = [
            starts ? 0x90 : 0x80, 0xF0, 0x80 | UInt8(picture >> 8 & 0x7F), UInt8(picture & 0xFF), UInt8(picture & 0xFF),
            0x03,
        ]
        guard starts else { return payload + [1, 2, 3] }
        payload += [key ? 0x10 : 0x11, 0, 0]
        if key {
            payload += [
                0x9D, 0x01, 0x2A, UInt8(width & 0xFF), UInt8(width >> 8), UInt8(height & 0xFF), UInt8(height >> 8),
            ]
        }
        return payload + [UInt8](repeating: UInt8(picture & 0xFF), count: 20)
    }

    static func compound(_ body: (inout RTCPWriter) -> Void) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1200)
        let length = buffer.withUnsafeMutableBytes { raw in
            var writer = RTCPWriter(raw)
            body(&writer)
            return writer.count
        }
        return Array(buffer.prefix(length))
    }
}
