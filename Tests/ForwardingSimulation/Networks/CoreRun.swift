// The whole core between a simulcast publisher with a microphone and one viewer whose path narrows: what is measured is how
// long the viewer's picture stands still, and how long sound waits for video.
import Forwarding
import NetworkSimulator
import WireFormats

package struct CoreCase: Sendable {
    /// Seconds without a decodable frame around a step down.
    package static let freeze = 0.2
    /// Seconds that a sound packet may wait for video before it leaves.
    package static let audioWait = 0.001
    package static let all: [CoreCase] = [
        CoreCase("core, 10 to 2 Mbit/s", from: 10, to: 2), CoreCase("core, 10 to 3 Mbit/s", from: 10, to: 3),
        CoreCase("core, 10 to 1.5 Mbit/s", from: 10, to: 1.5), CoreCase("core, 6 to 2 Mbit/s", from: 6, to: 2),
        CoreCase("core, 10 to 2 Mbit/s, 5 ms", from: 10, to: 2, delay: 5),
        CoreCase("core, 10 to 2 Mbit/s, 60 ms", from: 10, to: 2, delay: 60),
        CoreCase("core, 10 to 2 Mbit/s, 1 % lost", from: 10, to: 2, loss: 0.01),
        CoreCase("core, 10 to 2 Mbit/s, top layer 6", from: 10, to: 2, layers: [0.2, 1, 6]),
    ]

    package var name: String
    var down: LinkConditions
    /// Mbit/s of the publisher's layers, from small to large.
    package var layers: [Double]

    init(
        _ name: String, from: Double, to: Double, delay: Double = 20, loss: Double = 0,
        layers: [Double] = [0.2, 0.8, 4]
    ) {
        self.name = name
        self.layers = layers
        down = LinkConditions(delay: .milliseconds(delay))
        down.rates = [
            RateStep(from: 0, rate: .megabits(from)),
            RateStep(from: .seconds(NetworkCase.eventAt), rate: .megabits(to)),
        ]
        if loss > 0 { down.loss = .random(loss) }
    }
}

package struct CoreRun: Sendable {
    package let name: String
    package let seed: UInt64
    /// Seconds: the longest time without a decodable frame from half a second before the fall to six after it.
    package private(set) var freeze = 0.0
    package private(set) var audioWait = 0.0
    package private(set) var switches: UInt64 = 0
    package private(set) var seconds = 16.0
    package private(set) var broken: [String] = []

    package init(_ network: CoreCase, seed: UInt64, trace: ((String) -> Void)? = nil) {
        name = network.name
        self.seed = seed
        let world = CoreWorld(network, seed: seed)
        world.trace = trace
        world.run(until: NetworkCase.eventAt - 0.5)
        world.beginWatching()
        world.run(until: NetworkCase.eventAt + 6)
        freeze = Double(world.longestGap) / 1e9
        world.run(until: seconds)
        audioWait = Double(world.longestAudioWait) / 1e9
        switches = world.switches
        if freeze > CoreCase.freeze { broken.append("freeze") }
        if audioWait > CoreCase.audioWait { broken.append("audio") }
    }
}

final class CoreWorld {
    private struct Layer {
        var sequence: UInt16
        var timestamp: UInt32
        var picture: UInt16 = 1
        var frame = 0
        var wantsKey = true
        var keyAt: UInt64 = .max
        var megabits: Double
    }

    private static let trailer = 12
    private static let payload = 1100
    private static let begin: UInt64 = 1_000_000_000
    private static let keyFrameDelay: UInt64 = 60_000_000

    private var now = CoreWorld.begin
    private var forwarder: Forwarder
    private var random: SeededRandom
    private var down: SimulatedLink<[UInt8]>
    private var up: SimulatedLink<[UInt8]>
    private let publisher: Int32
    private let viewer: Int32
    private let stream: Int32
    private var layers: [Layer]
    private var nextFrame: UInt64
    private var nextSound: UInt64
    private var soundSequence: UInt16 = 7
    private var receiver: CoreViewer
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2000, alignment: 16)
    var trace: ((String) -> Void)?

    private(set) var longestAudioWait: UInt64 = 0
    var longestGap: UInt64 { receiver.longestGap }
    var switches: UInt64 { forwarder.streams[stream].pointee.switches }

    init(_ network: CoreCase, seed: UInt64) {
        random = SeededRandom(seed: seed)
        down = SimulatedLink(network.down, seed: random.next(), start: now)
        up = SimulatedLink(
            LinkConditions(delay: network.down.delay), seed: random.next(), start: now)
        forwarder = Forwarder(now: now, wallClockOffset: 1_700_000_000_000_000_000, seed: random.next())
        layers = network.layers.map { Layer(sequence: 100, timestamp: 5000, megabits: $0) }
        nextFrame = now + UInt64(random.unit() * 33e6)
        nextSound = now + UInt64(random.unit() * 20e6)
        publisher = forwarder.addPeer(room: 1, cname: "p")
        let video = forwarder.addTrack(
            MediaTrack(
                peer: publisher, room: 1, isVideo: true, codec: .vp8, payloadType: 96, isMuted: false, usesNack: true,
                usesPictureLoss: true, usesFullIntra: true))
        let sound = forwarder.addTrack(
            MediaTrack(
                peer: publisher, room: 1, isVideo: false, codec: .opus, payloadType: 111, isMuted: false,
                usesNack: false, usesPictureLoss: false, usesFullIntra: false))
        forwarder.publish(
            [
                PublishedSection(
                    mid: [0x30], track: video, isVideo: true, payloadTypes: [96], rids: [[0x61], [0x62], [0x63]],
                    sources: []),
                PublishedSection(
                    mid: [0x31], track: sound, isVideo: false, payloadTypes: [111], rids: [], sources: [(90, nil)]),
            ],
            formats: [
                (96, PayloadFormat(codec: .vp8, clockRate: 90_000)),
                (111, PayloadFormat(codec: .opus, clockRate: 48_000)),
            ],
            extensions: [(.mid, 4), (.streamID, 10)], usesTransportFeedback: false, usesMaximumBitrate: false,
            peer: publisher, now: now)
        forwarder.setCanSend(publisher, true, now: now)
        viewer = forwarder.addPeer(room: 1, cname: "v")
        let numbers = ExtensionNumbers([(.transportSequence, CoreViewer.transportSequence)])
        stream = forwarder.addStream(
            peer: viewer, isVideo: true, mid: "7", ssrc: CoreViewer.video, retransmissionSSRC: CoreViewer.repair,
            slot: 0, retransmissionSlot: 1, extensions: numbers, now: now)
        let heard = forwarder.addStream(
            peer: viewer, isVideo: false, mid: "8", ssrc: CoreViewer.sound, retransmissionSSRC: CoreViewer.sound + 1,
            slot: 2, retransmissionSlot: 3, extensions: numbers, now: now)
        forwarder.setCanSend(viewer, true, now: now)
        forwarder.attach(
            stream, to: video, codec: .vp8, payloadType: 96, retransmissionPayloadType: 97, clockRate: 90_000, now: now)
        forwarder.attach(
            heard, to: sound, codec: .opus, payloadType: 111, retransmissionPayloadType: nil, clockRate: 48_000,
            now: now)
        forwarder.setBandwidthSource(.transportFeedback, peer: viewer, now: now)
        receiver = CoreViewer(now: now)
    }

    deinit { buffer.deallocate() }

    func beginWatching() { receiver.beginWatching(now: now) }

    func run(until seconds: Double) {
        let end = CoreWorld.begin + .seconds(seconds)
        while now < end {
            now += 1_000_000
            if now >= forwarder.nextDeadline { forwarder.handleTimeout(now: now) }
            publish()
            while let delivery = down.receive(now: now) {
                receiver.take(delivery.payload, arrival: delivery.arrival)
            }
            while let message = receiver.nextMessage(now: now, into: buffer) { up.send(message, bytes: message.count, now: now) }
            while let delivery = up.receive(now: now) {
                delivery.payload.withUnsafeBytes {
                    forwarder.receive(rtcp: $0, from: viewer, now: now, arrival: delivery.arrival)
                }
            }
            drain()
            if let trace, (now / 1_000_000) % 50 == 0 { trace(description) }
        }
    }

    // MARK: - The publisher

    private func publish() {
        if now >= nextSound {
            nextSound += 20_000_000
            soundSequence &+= 1
            var body = [UInt8](repeating: 1, count: 80)
            for index in 0..<8 { body[index] = UInt8(truncatingIfNeeded: now >> (8 * UInt64(index))) }
            send(payloadType: 111, ssrc: 90, sequence: soundSequence, timestamp: UInt32(soundSequence) &* 960, true, [], body)
        }
        guard now >= nextFrame else { return }
        nextFrame += 33_333_333
        for index in layers.indices {
            let isKey = layers[index].wantsKey || now >= layers[index].keyAt
            if isKey {
                layers[index].wantsKey = false
                layers[index].keyAt = .max
            }
            let bytes = layers[index].megabits * 1e6 / 240 * (isKey ? 4 : 0.7 + 0.6 * random.unit())
            let count = max(1, Int((bytes / Double(CoreWorld.payload)).rounded(.up)))
            let size = max(40, Int(bytes) / count)
            layers[index].frame += 1
            for place in 0..<count {
                let head = CoreWorld.descriptor(layers[index].picture, isKey: isKey, isFirst: place == 0, layer: index)
                let frame = layers[index].frame
                let tail: [UInt8] = [
                    0xAB, UInt8(index), isKey ? 1 : 0, UInt8(frame >> 16 & 255), UInt8(frame >> 8 & 255),
                    UInt8(frame & 255), UInt8(place), UInt8(count), 0, 0, 0, 0xAB,
                ]
                let body = head + [UInt8](repeating: 7, count: max(0, size - head.count - tail.count)) + tail
                send(
                    payloadType: 96, ssrc: 1 + UInt32(index), sequence: layers[index].sequence,
                    timestamp: layers[index].timestamp, place == count - 1, [(4, [0x30]), (10, [0x61 + UInt8(index)])],
                    body)
                layers[index].sequence &+= 1
            }
            layers[index].picture &+= 1
            layers[index].timestamp &+= 3000
        }
    }

    private static func descriptor(_ picture: UInt16, isKey: Bool, isFirst: Bool, layer: Int) -> [UInt8] {
        var bytes: [UInt8] = [
            isFirst ? 0x90 : 0x80, 0xF0, 0x80 | UInt8(picture >> 8 & 0x7F), UInt8(picture & 0xFF), UInt8(picture & 0xFF),
            0x03,
        ]
        guard isFirst else { return bytes }
        bytes += [isKey ? 0x10 : 0x11, 0, 0]
        let width = 320 << layer
        if isKey { bytes += [0x9D, 0x01, 0x2A, UInt8(width & 255), UInt8(width >> 8), 180, 0] }
        return bytes
    }

    private func send(
        payloadType: UInt8, ssrc: UInt32, sequence: UInt16, timestamp: UInt32, _ marker: Bool,
        _ extensions: [(id: UInt8, bytes: [UInt8])], _ body: [UInt8]
    ) {
        var packet = [UInt8](repeating: 0, count: 60)
        let length = packet.withUnsafeMutableBytes { raw in
            var writer = RTPHeaderWriter(
                into: raw, payloadType: payloadType, marker: marker, sequence: sequence, timestamp: timestamp, ssrc: ssrc)
            writer.beginExtensions(twoByte: false)
            for (id, bytes) in extensions { bytes.withUnsafeBytes { writer.append(id: id, bytes: $0) } }
            return writer.finish()
        }
        packet.removeLast(packet.count - length)
        packet += body
        _ = packet.withUnsafeMutableBytes { forwarder.receive(rtp: $0, from: publisher, now: now, arrival: now) }
        drain()
    }

    // MARK: - What leaves

    private func drain() {
        while let peer = forwarder.popDirtyPeer() {
            while case let length = forwarder.writeNextControl(for: peer, into: buffer), length > 0 {
                if peer == publisher { hear(UnsafeRawBufferPointer(rebasing: buffer[..<length])) }
            }
            while let packet = forwarder.writeNext(for: peer, now: now, into: buffer) {
                let bytes = Array(buffer[..<packet.headerLength]) + Array(packet.payload)
                if packet.slot == 2 { noteSound(packet.payload) }
                down.send(bytes, bytes: bytes.count + 16, now: now)
            }
        }
    }

    private func noteSound(_ payload: UnsafeRawBufferPointer) {
        var sentAt: UInt64 = 0
        for index in 0..<8 { sentAt |= UInt64(payload[index]) << (8 * UInt64(index)) }
        longestAudioWait = max(longestAudioWait, now - sentAt)
    }

    private func hear(_ compound: UnsafeRawBufferPointer) {
        var packets = RTCPPackets(compound)
        while let packet = packets.next() {
            var wanted: [UInt32] = []
            switch packet.message {
            case .pictureLoss(let loss): wanted.append(loss.media)
            case .fullIntraRequest(let request): for entry in request.entries { wanted.append(entry.ssrc) }
            default: break
            }
            for ssrc in wanted {
                let index = Int(ssrc) - 1
                guard layers.indices.contains(index) else { continue }
                layers[index].keyAt = min(layers[index].keyAt, now + CoreWorld.keyFrameDelay)
            }
        }
    }

    private var description: String {
        let peer = forwarder.peers[viewer]
        let carried = forwarder.encodings.find(forwarder.streams[stream].pointee.current)?.pointee.index ?? 255
        return "\((now - CoreWorld.begin) / 1_000_000) ms: estimate \(Int(peer.pointee.bandwidth.estimate / 1000)) kbit/s, "
            + "layer \(carried), \(peer.pointee.bandwidth.trend.use), "
            + "queue \(Int(peer.pointee.bandwidth.queueing * 1000)) ms, under way "
            + "\(peer.pointee.bandwidth.history.bytesInFlight), waiting \(peer.pointee.queue.bytes), "
            + "last frame \(receiver.lastFrame), \((now - receiver.lastDecoded) / 1_000_000) ms ago, "
            + "longest gap \(receiver.longestGap / 1_000_000) ms"
    }
}
