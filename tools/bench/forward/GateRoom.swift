// A room as it is in a consultation, for the allocation gate: microphones, cameras in layers, and listeners that report.
import CForwardFloor
import Forwarding
import Glibc
import MediaEngine
import PeerTransport
import WireFormats

/// A publisher with a microphone and a camera of two simulcast encodings with three temporal layers each.
final class GatePublisher {
    let client: PeerClient
    private let number: Int
    private var transportSequence: UInt16 = 1
    private var sequences: [UInt16] = [100, 200, 300]
    private var packets: [UInt32] = [0, 0, 0]
    /// Packets of each large picture.
    var largePackets = 4
    private var frames = 0
    private var sounds = 0
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1500, alignment: 16)
    private let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: 1500, alignment: 16)

    private static let rids = ["q", "h"]
    private static let keyFrameEvery = 240
    /// Layers of the frames of a group of four, as browsers send them (L1T3).
    private static let temporalLayers: [UInt8] = [0, 2, 1, 2]

    static func join(_ server: EngineServer, room: String, number: Int) async throws -> GatePublisher {
        let ssrcs = sources(of: number)
        let client = try await PeerClient.join(
            server.engine, room: room, peer: "publisher\(number)",
            sections: [
                OfferedSection(kind: .audio, ssrcs: [ssrcs[0]]),
                OfferedSection(kind: .video, ssrcs: Array(ssrcs[1...]), rids: rids),
            ], certificate: server.certificate, profile: .gcm)
        return GatePublisher(client, number)
    }

    private init(_ client: PeerClient, _ number: Int) {
        self.client = client
        self.number = number
        payload.initializeMemory(as: UInt8.self, repeating: 7)
    }

    deinit {
        scratch.deallocate()
        payload.deallocate()
    }

    private static func sources(of number: Int) -> [UInt32] { (1...3).map { UInt32(number * 10 + $0) } }

    /// 20 ms of sound. They speak in turns, so that who is heard changes.
    func sendSound(now: UInt64) {
        sounds += 1
        let isSpeaking = (sounds / 100) % 6 == number % 6
        write(stream: 0, timestamp: UInt32(truncatingIfNeeded: sounds &* 960), marker: false, payload: 80) { writer in
            writer.reserve(id: OfferText.levelExtension, length: 1)?
                .storeBytes(of: isSpeaking ? 20 : 70, as: UInt8.self)
        }
        client.queue.flush()
    }

    /// Both encodings of a picture: one packet of the small one, four of the large one.
    func sendPicture(now: UInt64) {
        let isKey = frames % Self.keyFrameEvery == 0
        let layer = isKey ? 0 : Self.temporalLayers[frames % 4]
        for encoding in 0..<2 {
            let count = encoding == 0 ? 1 : largePackets
            for packet in 0..<count {
                describe(isKey: isKey, isFirst: packet == 0, layer: layer, isLarge: encoding == 1)
                write(
                    stream: 1 + encoding, timestamp: UInt32(truncatingIfNeeded: frames &* 3000),
                    marker: packet == count - 1, payload: encoding == 0 ? 400 : 1100
                ) { writer in
                    guard let place = writer.reserve(id: OfferText.streamIDExtension, length: 1) else { return }
                    place.storeBytes(of: encoding == 0 ? UInt8(ascii: "q") : UInt8(ascii: "h"), as: UInt8.self)
                }
            }
        }
        client.queue.flush()
        frames += 1
    }

    /// VP8's descriptor with PictureID, TL0PICIDX, TID, Y and KEYIDX, then a frame header.
    private func describe(isKey: Bool, isFirst: Bool, layer: UInt8, isLarge: Bool) {
        let head: [UInt8] = [
            isFirst ? 0x90 : 0x80, 0xF0, 0x80 | UInt8(truncatingIfNeeded: frames >> 8 & 0x7F),
            UInt8(truncatingIfNeeded: frames), UInt8(truncatingIfNeeded: frames / 4),
            layer << 6 | (layer == 0 ? 0x20 : 0) | UInt8(truncatingIfNeeded: frames / Self.keyFrameEvery) & 0x1F,
            isKey && isFirst ? 0x10 : 0x11, 0, 0, 0x9D, 0x01, 0x2A, isLarge ? 0x80 : 0x40, isLarge ? 0x02 : 0x01,
            isLarge ? 0x68 : 0xB4, isLarge ? 0x01 : 0x00,
        ]
        payload.copyBytes(from: head)
    }

    private func write(
        stream: Int, timestamp: UInt32, marker: Bool, payload length: Int,
        extend: (inout RTPHeaderWriter) -> Void
    ) {
        guard let space = client.queue.reserve(client.server, 1400) else { return }
        let isSound = stream == 0
        var writer = RTPHeaderWriter(
            into: space, payloadType: isSound ? OfferText.opusPayloadType : MediaShape.payloadType, marker: marker,
            sequence: sequences[stream], timestamp: timestamp, ssrc: Self.sources(of: number)[stream])
        writer.beginExtensions(twoByte: false)
        writer.reserve(id: MediaShape.midExtension, length: 1)?
            .storeBytes(of: UInt8(ascii: isSound ? "0" : "1"), as: UInt8.self)
        if let place = writer.reserve(id: MediaShape.transportExtension, length: 2) {
            place.storeBytes(of: transportSequence.bigEndian, as: UInt16.self)
        }
        extend(&writer)
        let headerLength = writer.finish()
        let body = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(payload)[..<length])
        client.queue.commit(client.protect(stream: stream, space, headerLength: headerLength, payload: body))
        sequences[stream] &+= 1
        transportSequence &+= 1
        packets[stream] &+= 1
    }

    func sendReports(now: UInt64) {
        for (stream, ssrc) in Self.sources(of: number).enumerated() {
            var writer = RTCPWriter(scratch)
            writer.senderReport(
                ssrc: ssrc, ntp: now << 2,
                rtp: UInt32(truncatingIfNeeded: stream == 0 ? sounds &* 960 : frames &* 3000),
                packetCount: packets[stream], octetCount: packets[stream] &* 1000)
            client.sendControl(writer.bytes)
        }
        client.queue.flush()
    }
}

/// A listener with sections for all cameras and the loudest microphones. It reports as browsers do.
final class GateListener {
    let client: PeerClient
    private(set) var received = 0
    private var arrivals = ArrivalLog()
    private var report = ArrivalLog.Report()
    private var blocks: [ReportBlock] = []
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1400, alignment: 16)
    private let reportingSSRC: UInt32

    static func join(_ server: EngineServer, room: String, number: Int, cameras: Int) async throws -> GateListener {
        let sections =
            [OfferedSection](repeating: .receivingVideo, count: cameras)
            + [OfferedSection](repeating: .receivingAudio, count: 5)
        let client = try await PeerClient.join(
            server.engine, room: room, peer: "listener\(number)", sections: sections, certificate: server.certificate,
            profile: .gcm)
        return GateListener(client, number)
    }

    private init(_ client: PeerClient, _ number: Int) {
        self.client = client
        reportingSSRC = UInt32(90_000 + number)
    }

    deinit { scratch.deallocate() }

    func take(into batch: inout ReceiveBatch, now: UInt64) {
        client.socket.receive(into: &batch)
        for index in 0..<batch.count {
            let message = batch[index]
            var offset = 0
            while offset < message.length {
                let length = min(message.segmentSize, message.length - offset)
                note(UnsafeRawBufferPointer(start: message.base + offset, count: length), now: now)
                offset += length
            }
        }
    }

    private func note(_ packet: UnsafeRawBufferPointer, now: UInt64) {
        guard DatagramKind.classify(packet) == .rtp, let header = RTPHeader(packet), let base = packet.baseAddress
        else { return }
        received += 1
        var elements = HeaderExtensionElements(header, in: packet)
        while let element = elements.next() {
            guard element.id == MediaShape.transportExtension, element.length == 2 else { continue }
            arrivals.record(base.network16(at: element.offset), arrival: now)
        }
        if let index = blocks.firstIndex(where: { $0.ssrc == header.ssrc }) {
            blocks[index].highestSequence = UInt32(header.sequence)
        } else {
            blocks.append(
                ReportBlock(
                    ssrc: header.ssrc, fractionLost: 0, cumulativeLost: 0, highestSequence: UInt32(header.sequence),
                    jitter: 0, lastSenderReport: 0, delaySinceLastSenderReport: 0))
        }
    }

    func sendFeedback() {
        while arrivals.collect(into: &report) {
            var writer = RTCPWriter(scratch)
            let told = writer.transportFeedback(
                sender: reportingSSRC, media: blocks.first?.ssrc ?? 0, baseSequence: report.baseSequence,
                feedbackCount: report.feedbackCount, arrivals: report.arrivals.span)
            arrivals.confirm(report, told: told)
            guard told > 0 else { break }
            client.sendControl(writer.bytes)
        }
        client.queue.flush()
    }

    /// A report on every stream, and a packet of each asked for again.
    func sendReports() {
        var writer = RTCPWriter(scratch)
        writer.receiverReport(ssrc: reportingSSRC, reports: blocks.prefix(20))
        client.sendControl(writer.bytes)
        for block in blocks {
            var writer = RTCPWriter(scratch)
            writer.negativeAcknowledgement(
                sender: reportingSSRC, media: block.ssrc,
                sequences: CollectionOfOne(UInt16(truncatingIfNeeded: block.highestSequence) &- 3))
            client.sendControl(writer.bytes)
        }
        client.queue.flush()
    }
}
