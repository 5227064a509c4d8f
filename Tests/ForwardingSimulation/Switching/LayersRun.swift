// One seeded run: a publisher, a bad path to the core, receivers whose wishes change; and what must be true afterwards.
import Forwarding
import WireFormats

package final class LayersRun {
    private struct Arrival { var at: Int, order: Int, packet: SentByPublisher }

    package let scheme: LayeredScheme
    private var random: SplitMix64
    private var forwarder: Forwarder
    private var publisher: LayersPublisher
    private let source: Int32
    private let track: Int32
    private var receivers: [Int32: LayersReceiver] = [:]
    private var streams: [Int32: Int32] = [:]
    private var pausedSince: [Int32: Int] = [:]
    private var resumedAt: [Int32: Int] = [:]
    private var stuckSince: [Int32: Int] = [:]
    /// The publisher sends something.
    private var flowsSince = 0
    /// Told what happens, for whoever looks into a run.
    package var trace: ((String) -> Void)?
    private var path: [Arrival] = []
    private var order = 0
    private var repairs: [Int: SentByPublisher] = [:]
    private var keyRequests: [(at: Int, encoding: Int)] = []
    package private(set) var problems: [String] = []
    private(set) var keyFramesAsked = 0
    /// Packets of each frame that came to the core, and since when it has them all.
    private var arrived: [Int: Set<UInt16>] = [:]
    private var wholeAt: [Int: Int] = [:]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2000, alignment: 16)
    private var now = 1000
    package var virtualSeconds: Double { Double(now - 1000) / 1000 }

    // Faults of this run.
    private let loss: UInt64
    private let reordering: UInt64
    private let reportsFrom: Int
    private let lowestIsSilent: Bool
    package var decoded: Int { receivers.values.reduce(0) { $0 + $1.decoded } }

    package init(_ scheme: LayeredScheme, seed: UInt64) {
        self.scheme = scheme
        random = SplitMix64(state: seed &* 7919 &+ 17)
        loss = [0, 0, 10, 30][Int(random.next() % 4)]
        reordering = [0, 20, 60][Int(random.next() % 3)]
        reportsFrom = [1100, 1700, 2500, .max][Int(random.next() % 4)]
        let isSilent = random.next() % 5 == 0
        lowestIsSilent = isSilent && scheme.encodings > 1
        forwarder = Forwarder(now: 1_000_000_000, wallClockOffset: 1_700_000_000_000_000_000, seed: seed)
        publisher = LayersPublisher(scheme, seed: seed)
        source = forwarder.addPeer(room: 1, cname: "p")
        track = forwarder.addTrack(
            MediaTrack(
                peer: source, room: 1, isVideo: true, codec: scheme.kind, payloadType: 96, isMuted: false,
                usesNack: true, usesPictureLoss: true, usesFullIntra: true))
        forwarder.publish(
            [
                PublishedSection(
                    mid: [0x30], track: track, isVideo: true, payloadTypes: [96],
                    rids: scheme.encodings > 1 ? (0..<scheme.encodings).map { [0x61 + UInt8($0)] } : [],
                    sources: scheme.encodings > 1 ? [] : [(LayersPublisher.ssrc(0), nil)])
            ], formats: [(96, PayloadFormat(codec: scheme.kind, clockRate: 90_000))],
            extensions: [(.mid, 4), (.streamID, 10), (.dependencyDescriptor, LayersPublisher.descriptorID)],
            usesTransportFeedback: false, usesMaximumBitrate: false, peer: source, now: nanoseconds)
        forwarder.setCanSend(source, true, now: nanoseconds)
        if lowestIsSilent { publisher.setActive(0, false) }
    }

    deinit { buffer.deallocate() }

    private var nanoseconds: UInt64 { UInt64(now) * 1_000_000 }
    private func chance(_ perMille: UInt64) -> Bool { random.next() % 1000 < perMille }
    private func number(_ range: Range<Int>) -> Int { range.lowerBound + Int(random.next() % UInt64(range.count)) }

    private func join() {
        let peer = forwarder.addPeer(room: 1, cname: "r")
        let ssrc = 5000 + UInt32(peer) * 10
        let stream = forwarder.addStream(
            peer: peer, isVideo: true, mid: "7", ssrc: ssrc, retransmissionSSRC: ssrc + 1, slot: 0,
            retransmissionSlot: 1,
            extensions: ExtensionNumbers([(.dependencyDescriptor, LayersPublisher.descriptorID)]),
            now: nanoseconds)
        forwarder.setCanSend(peer, true, now: nanoseconds)
        forwarder.attach(
            stream, to: track, codec: scheme.kind, payloadType: 120, retransmissionPayloadType: nil, clockRate: 90_000,
            now: nanoseconds)
        receivers[peer] = LayersReceiver(scheme, ssrc: ssrc, now: now)
        streams[peer] = stream
    }

    private func send(_ packet: SentByPublisher, isKey: Bool) {
        repairs[packet.encoding << 16 | Int(packet.sequence)] = packet
        if isKey { trace?("\(now) key frame \(packet.frame) of \(packet.encoding), packet \(packet.sequence)") }
        if chance(loss) || (isKey && loss > 0 && chance(250)) {
            trace?("\(now) lost: \(packet.sequence) of \(packet.encoding), frame \(packet.frame)")
            return
        }
        let delay = 10 + (chance(reordering) ? number(1..<40) : 0)
        path.append(Arrival(at: now + delay, order: order, packet: packet))
        order += 1
    }

    private func deliver() {
        let due = path.filter { $0.at <= now }.sorted { ($0.at, $0.order) < ($1.at, $1.order) }
        guard !due.isEmpty else { return }
        path.removeAll { $0.at <= now }
        for arrival in due {
            var bytes = arrival.packet.bytes
            let result = bytes.withUnsafeMutableBytes {
                forwarder.receive(rtp: $0, from: source, now: nanoseconds, arrival: nanoseconds)
            }
            if arrival.packet.frame >= 0, result.outcome == .media {
                let id = arrival.packet.frame
                arrived[id, default: []].insert(arrival.packet.sequence)
                if arrived[id]?.count == publisher.frames[id].packets, wholeAt[id] == nil { wholeAt[id] = now }
            }
            drain()
        }
    }

    private func drain() {
        while let peer = forwarder.popDirtyPeer() {
            while case let length = forwarder.writeNextControl(for: peer, into: buffer), length > 0 {
                if peer == source { hear(UnsafeRawBufferPointer(rebasing: buffer[..<length])) }
            }
            while let packet = forwarder.writeNext(for: peer, now: nanoseconds, into: buffer) {
                let bytes = Array(buffer[..<packet.headerLength]) + Array(packet.payload)
                receivers[peer]?.take(bytes, now: now, truths: publisher.frames)
                trace?("\(now) receiver \(peer) gets \(receivers[peer]?.newest ?? "")")
            }
        }
    }

    /// What the core asks of the publisher.
    private func hear(_ compound: UnsafeRawBufferPointer) {
        var packets = RTCPPackets(compound)
        while let packet = packets.next() {
            switch packet.message {
            case .pictureLoss(let loss): ask(loss.media)
            case .fullIntraRequest(let request): for entry in request.entries { ask(entry.ssrc) }
            case .negativeAcknowledgement(let nack):
                let encoding = Int(nack.media) - 100
                for sequence in nack.sequences where !chance(150) {
                    guard let packet = repairs[encoding << 16 | Int(sequence)] else { continue }
                    path.append(Arrival(at: now + 25, order: order, packet: packet))
                    order += 1
                }
            default: break
            }
        }
    }

    private func ask(_ ssrc: UInt32) {
        keyFramesAsked += 1
        trace?("\(now) key frame asked of \(Int(ssrc) - 100)")
        if !chance(100) { keyRequests.append((now + 40, Int(ssrc) - 100)) }
    }

    private func report() {
        for encoding in 0..<scheme.encodings where publisher.isActive(encoding) {
            let bytes = LayersRun.compound { writer in
                writer.senderReport(
                    ssrc: LayersPublisher.ssrc(encoding), ntp: UInt64(5000 + now) << 32 / 1000,
                    rtp: publisher.timestamp(encoding, at: now), packetCount: 1, octetCount: 1)
            }
            bytes.withUnsafeBytes {
                forwarder.receive(rtcp: $0, from: source, now: nanoseconds, arrival: nanoseconds)
            }
        }
    }

    private func changeWishes(_ peer: Int32) {
        guard let stream = streams[peer] else { return }
        let target: LayerTarget
        switch number(0..<10) {
        case 0: target = .none
        case 1, 2: target = .highest
        default: target = LayerTarget(spatial: UInt8(number(0..<3)), temporal: UInt8(number(0..<3)))
        }
        want(target, peer, stream)
    }

    private func want(_ target: LayerTarget, _ peer: Int32, _ stream: Int32) {
        if target.isPaused {
            pausedSince[peer] = now
        } else if pausedSince.removeValue(forKey: peer) != nil {
            resumedAt[peer] = now
        }
        trace?("\(now) receiver \(peer) wants \(target.spatial)/\(target.temporal)")
        forwarder.setWantedLayer(receiver: peer, stream: stream, target: target, now: nanoseconds)
    }

    private func disturbPublisher() {
        if scheme.encodings > 1 {
            let encoding = number((lowestIsSilent ? 1 : 0)..<scheme.encodings)
            publisher.setActive(encoding, !publisher.isActive(encoding))
            trace?("\(now) encoding \(encoding) is \(publisher.isActive(encoding) ? "active" : "not active")")
        } else if scheme.spatial > 1 {
            let count = number(1..<(scheme.spatial + 1))
            publisher.setSpatial(0, count)
            trace?("\(now) spatial layers: \(count)")
        }
    }

    private static func compound(_ body: (inout RTCPWriter) -> Void) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1200)
        let length = buffer.withUnsafeMutableBytes { raw in
            var writer = RTCPWriter(raw)
            body(&writer)
            return writer.count
        }
        return Array(buffer.prefix(length))
    }

    package func run(disturbed: Int = 2500, calm: Int = 3000) {
        join()
        let secondJoin = now + number(200..<1500)
        var nextWish = now + 300
        var nextFault = now + 700
        let calmFrom = now + disturbed
        let end = calmFrom + calm
        var nextPicture = now
        while now < end {
            now += 5
            forwarder.handleTimeout(now: nanoseconds)
            drain()
            for request in keyRequests where request.at <= now { publisher.requestKey(request.encoding) }
            keyRequests.removeAll { $0.at <= now }
            if now >= nextPicture {
                nextPicture += 33
                for encoding in 0..<scheme.encodings {
                    for packet in publisher.picture(encoding, capture: now) {
                        send(packet, isKey: publisher.frames[packet.frame].isKey)
                    }
                    if publisher.isActive(encoding), chance(40) {
                        send(publisher.padding(encoding, capture: now), isKey: false)
                    }
                }
            }
            deliver()
            if now >= reportsFrom, now % 500 == 0 { report() }
            if now < calmFrom {
                if now >= nextWish {
                    nextWish = now + number(100..<900)
                    for peer in receivers.keys.sorted() { changeWishes(peer) }
                }
                if now >= nextFault {
                    nextFault = now + number(300..<1200)
                    disturbPublisher()
                }
            } else if now - calmFrom < 5 {
                for encoding in (lowestIsSilent ? 1 : 0)..<scheme.encodings { publisher.setActive(encoding, true) }
                if scheme.encodings == 1 { publisher.setSpatial(0, scheme.spatial) }
                for (peer, stream) in streams { want(.highest, peer, stream) }
            }
            if receivers.count == 1, now >= secondJoin { join() }
            watch()
        }
        judge()
    }

    /// Longer than this nobody sees a standing picture while the publisher sends.
    private static let longestFreeze = 3000
    /// The run may end while a packet is being repaired whose requests or repairs were lost, too.
    private static let longestRepair = 600

    private func watch() {
        if !(0..<scheme.encodings).contains(where: { publisher.isActive($0) }) { flowsSince = now }
        for (peer, receiver) in receivers where pausedSince[peer] == nil {
            let since = max(receiver.lastDecodedAt, resumedAt[peer] ?? 0, flowsSince)
            let silence = now - since
            if silence > 300, silence % 300 < 5 {
                let bytes = LayersRun.compound { $0.pictureLoss(sender: 1, media: receiver.ssrc) }
                bytes.withUnsafeBytes {
                    forwarder.receive(rtcp: $0, from: peer, now: nanoseconds, arrival: nanoseconds)
                }
                trace?("\(now) receiver \(peer) asks for a key frame")
            }
            guard silence > LayersRun.longestFreeze, stuckSince[peer] != since else { continue }
            stuckSince[peer] = since
            problems.append("receiver \(peer) has been stuck since \(since) at \(now)")
        }
    }

    private func judge() {
        for (peer, receiver) in receivers.sorted(by: { $0.key < $1.key }) {
            receiver.judge(isCleanPath: loss == 0 && reordering == 0)
            problems += receiver.problems.map { "receiver \(peer): \($0)" }
            let top = max(scheme.spatial, scheme.encodings) - 1
            if now - receiver.lastTopAt > LayersRun.longestRepair {
                problems.append("receiver \(peer) does not get layer \(top) again, last at \(receiver.lastTopAt)")
            }
            if now - receiver.lastDecodedAt > LayersRun.longestRepair {
                problems.append("receiver \(peer) ends with a standing picture since \(receiver.lastDecodedAt)")
            }
            // What was forwarded had its references forwarded as well, as far as they had come.
            for id in receiver.complete {
                for reference in publisher.frames[id].references
                where !receiver.complete.contains(reference) && (wholeAt[reference] ?? .max) < (wholeAt[id] ?? 0) {
                    problems.append("receiver \(peer): frame \(id) was forwarded, \(reference) was not")
                }
            }
        }
    }
}
