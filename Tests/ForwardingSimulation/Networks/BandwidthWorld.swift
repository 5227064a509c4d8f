// A sender with layers, the real estimator, pacer and allocator, a bottleneck, and receivers that give feedback: all in
// virtual time. Packets are numbers; nothing is encoded.
import Forwarding
import NetworkSimulator
import WireFormats

struct PacketTag {
    var viewer: Int
    var sequence: UInt16
    var bytes: Int
    var isAudio = false
}

/// Delivered bytes and waiting between two moments.
struct MeasuringWindow {
    private(set) var start = UInt64.max
    private(set) var end = UInt64.max
    private(set) var longestQueueing: UInt64 = 0
    private(set) var longestAudioQueueing: UInt64 = 0
    private(set) var bytes: [Int] = []

    mutating func open(from first: Double, to last: Double) {
        start = BandwidthWorld.begin + .seconds(first)
        end = BandwidthWorld.begin + .seconds(last)
    }

    mutating func addViewer() { bytes.append(0) }

    mutating func note(_ delivery: Delivery<PacketTag>, delay: UInt64) {
        if delivery.arrival >= start, delivery.arrival < end { bytes[delivery.payload.viewer] += delivery.bytes + 28 }
        guard delivery.sent >= start, delivery.sent < end else { return }
        let least = delivery.sent + delay
        let queueing = delivery.arrival > least ? delivery.arrival - least : 0
        longestQueueing = max(longestQueueing, queueing)
        if delivery.payload.isAudio { longestAudioQueueing = max(longestAudioQueueing, queueing) }
    }

    /// With everything around the packets.
    var bitsPerSecond: Double { Double(bytes.reduce(0, +)) * 8e9 / Double(max(1, end &- start)) }

    /// Jain's index of what the viewers got.
    var fairness: Double {
        let rates = bytes.map(Double.init)
        let sum = rates.reduce(0, +)
        let squares = rates.reduce(0) { $0 + $1 * $1 }
        return squares == 0 ? 0 : sum * sum / (Double(rates.count) * squares)
    }
}

/// A publisher's stream as one viewer is to get it.
struct SimulatedStream {
    var role: StreamRole
    var layers: [MeasuredLayer]
    var current = -1
    /// What waits for a key frame, and when that comes.
    var pending: (rung: Int, at: UInt64)?
    var nextFrame: UInt64 = 0
    var switches: [UInt64] = []

    static let meeting: [SimulatedStream] = [
        .simulcast(.surgicalField, [0.3, 0.8, 1.5]), .simulcast(.document, [0.4, 1.2, 2.5]),
        .simulcast(.camera, [0.15, 0.4, 1.2]), .simulcast(.camera, [0.15, 0.4, 1.2]),
        .simulcast(.camera, [0.15, 0.4, 1.2]), .simulcast(.camera, [0.15, 0.4, 1.2]),
    ]

    static func simulcast(_ role: StreamRole, _ megabits: [Double]) -> SimulatedStream {
        SimulatedStream(
            role: role,
            layers: megabits.enumerated().map { index, rate in
                MeasuredLayer(
                    target: LayerTarget(spatial: UInt8(index)), pixels: 1000 << (2 * index), bitsPerSecond: rate * 1e6)
            })
    }
}

final class SimulatedViewer {
    let index: Int
    var bandwidth = PeerBandwidth()
    var allocator = LayerAllocator()
    var streams: [SimulatedStream]
    /// Sends as much as the estimate allows, as a file transfer would.
    let isElastic: Bool
    let startsAt: UInt64
    var sequence: UInt16 = 65_000
    var queue: [(bytes: Int, stream: Int)] = []
    var head = 0
    var queuedBytes = 0
    var nextAudio: UInt64
    var credit = 0.0
    var nextTick: UInt64
    var arrivals = ArrivalLog()
    var report = ArrivalLog.Report()
    var restarts = 0

    init(index: Int, streams: [SimulatedStream], startsAt: UInt64) {
        self.index = index
        self.streams = streams
        isElastic = streams.isEmpty
        self.startsAt = startsAt
        nextAudio = startsAt
        nextTick = startsAt
        bandwidth.enable(.transportFeedback, now: startsAt)
        for (place, stream) in streams.enumerated() {
            let rungs = LayerLadder.make(stream.layers, role: stream.role)
            allocator.streams.append(AllottedStream(id: Int32(place), role: stream.role, rungs: rungs))
        }
    }
}

final class BandwidthWorld {
    static let begin: UInt64 = 1_000_000_000
    static let payload = 1150
    static let audioBytes = 110
    /// Seconds of what an elastic sender hands over ahead.
    static let largestBacklog = 0.05
    static let audioRate = 60_000.0
    static let keyFrameDelay: UInt64 = 120_000_000

    var now = BandwidthWorld.begin
    var down: SimulatedLink<PacketTag>
    var up: SimulatedLink<(viewer: Int, message: [UInt8])>
    var viewers: [SimulatedViewer] = []
    var random: SeededRandom
    /// Called whenever a sender has looked at its estimate.
    var trace: ((BandwidthWorld, SimulatedViewer) -> Void)?
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1500, alignment: 16)

    /// For the use of the path and for its queue.
    var use = MeasuringWindow()
    var queue = MeasuringWindow()

    init(_ profile: NetworkProfile, seed: UInt64) {
        random = SeededRandom(seed: seed)
        down = SimulatedLink(profile.down, seed: random.next(), start: now)
        up = SimulatedLink(profile.up, seed: random.next(), start: now)
    }

    deinit { buffer.deallocate() }

    func addViewer(_ streams: [SimulatedStream], after seconds: Double = 0) {
        viewers.append(
            SimulatedViewer(
                index: viewers.count, streams: streams, startsAt: now + .seconds(seconds)))
        use.addViewer()
        queue.addViewer()
    }

    /// In steps of a millisecond, which is what a loop with timers comes to.
    func run(until seconds: Double) {
        let end = BandwidthWorld.begin + .seconds(seconds)
        while now < end {
            now += 1_000_000
            while let delivery = down.receive(now: now) { deliver(delivery) }
            while let delivery = up.receive(now: now) {
                let viewer = viewers[delivery.payload.viewer]
                receive(delivery.payload.message, viewer)
            }
            for viewer in viewers where now >= viewer.startsAt { serve(viewer) }
        }
    }

    // MARK: - The receiver

    private func deliver(_ delivery: Delivery<PacketTag>) {
        let tag = delivery.payload
        let viewer = viewers[tag.viewer]
        viewer.arrivals.record(tag.sequence, arrival: delivery.arrival)
        use.note(delivery, delay: down.conditions.delay)
        queue.note(delivery, delay: down.conditions.delay)
    }

    private func giveFeedback(_ viewer: SimulatedViewer) {
        while viewer.arrivals.collect(into: &viewer.report) {
            var writer = RTCPWriter(buffer)
            let told = writer.transportFeedback(
                sender: 1, media: 2, baseSequence: viewer.report.baseSequence,
                feedbackCount: viewer.report.feedbackCount, arrivals: viewer.report.arrivals.span)
            viewer.arrivals.confirm(viewer.report, told: told)
            guard told > 0 else { return }
            up.send((viewer.index, Array(writer.bytes)), bytes: writer.count, now: now)
        }
    }

    // MARK: - The sender

    private func receive(_ message: [UInt8], _ viewer: SimulatedViewer) {
        message.withUnsafeBytes { bytes in
            var packets = RTCPPackets(bytes)
            while let packet = packets.next() {
                guard case .transportFeedback(let feedback) = packet.message else { continue }
                if viewer.bandwidth.receive(feedback, now: now) { allot(viewer) }
                tick(viewer)
            }
        }
    }

    private func tick(_ viewer: SimulatedViewer) {
        defer { trace?(self, viewer) }
        let allocator = viewer.allocator
        let goal = viewer.isElastic ? 1e9 : allocator.goal(afterFailure: viewer.bandwidth.probing.failures > 0)
        viewer.bandwidth.tick(goal: goal, queuedBytes: viewer.queuedBytes, now: now)
        guard !viewer.isElastic, viewer.bandwidth.isOverfull(queuedBytes: viewer.queuedBytes) else { return }
        viewer.queue.removeAll()
        viewer.head = 0
        viewer.queuedBytes = 0
        viewer.restarts += 1
        for index in viewer.streams.indices where viewer.streams[index].current >= 0 {
            let rung = viewer.streams[index].pending?.rung ?? viewer.streams[index].current
            viewer.streams[index].current = -1
            viewer.streams[index].pending = viewer.streams[index].pending ?? (rung, now + BandwidthWorld.keyFrameDelay)
        }
    }

    private func allot(_ viewer: SimulatedViewer) {
        guard !viewer.isElastic else { return }
        let changed = viewer.allocator.decide(
            estimate: viewer.bandwidth.budget, stable: viewer.bandwidth.stableBudget, audio: BandwidthWorld.audioRate,
            mayStepUp: viewer.bandwidth.mayStepUp(now: now), now: now)
        guard changed else { return }
        for index in viewer.streams.indices {
            let wanted = viewer.allocator.streams[index].given
            let present = viewer.streams[index].pending?.rung ?? viewer.streams[index].current
            guard wanted != present else { continue }
            viewer.streams[index].switches.append(now)
            if wanted < 0 {
                viewer.streams[index].current = -1
                viewer.streams[index].pending = nil
                dropQueue(of: index, viewer)
            } else {
                viewer.streams[index].pending = (wanted, now + BandwidthWorld.keyFrameDelay)
            }
        }
    }

    /// What was queued of a layer that is left behind is not sent any more.
    private func dropQueue(of stream: Int, _ viewer: SimulatedViewer) {
        var kept: [(bytes: Int, stream: Int)] = []
        for packet in viewer.queue[viewer.head...] {
            if packet.stream == stream { viewer.queuedBytes -= packet.bytes } else { kept.append(packet) }
        }
        viewer.queue = kept
        viewer.head = 0
    }

    private func serve(_ viewer: SimulatedViewer) {
        if now >= viewer.nextTick {
            viewer.nextTick = now + 100_000_000
            allot(viewer)
            tick(viewer)
        }
        if now >= viewer.arrivals.nextDeadline { giveFeedback(viewer) }
        if now >= viewer.nextAudio {
            viewer.nextAudio += 20_000_000
            transmit(viewer, bytes: BandwidthWorld.audioBytes, isAudio: true)
        }
        produce(viewer)
        release(viewer)
    }

    private func produce(_ viewer: SimulatedViewer) {
        if viewer.isElastic {
            let rate = min(viewer.bandwidth.estimate, 1e9) / 8
            // What the pacer does not take stays where it is.
            guard viewer.queuedBytes < Int(rate * BandwidthWorld.largestBacklog) else { return }
            viewer.credit += rate / 1000
            while viewer.credit > Double(BandwidthWorld.payload + PeerBandwidth.overhead) {
                viewer.credit -= Double(BandwidthWorld.payload + PeerBandwidth.overhead)
                viewer.queue.append((BandwidthWorld.payload, 0))
                viewer.queuedBytes += BandwidthWorld.payload
            }
            return
        }
        for index in viewer.streams.indices {
            var isKey = false
            if let pending = viewer.streams[index].pending, now >= pending.at {
                if pending.rung < viewer.streams[index].current { dropQueue(of: index, viewer) }
                viewer.streams[index].current = pending.rung
                viewer.streams[index].pending = nil
                viewer.streams[index].nextFrame = now
                isKey = true
            }
            guard viewer.streams[index].current >= 0, now >= viewer.streams[index].nextFrame else { continue }
            viewer.streams[index].nextFrame = max(now, viewer.streams[index].nextFrame + 33_333_333)
            let rung = viewer.allocator.streams[index].rungs[viewer.streams[index].current]
            let variation = 0.7 + 0.6 * random.unit()
            var bytes = Int(rung.bitsPerSecond / 240 * (isKey ? 4 : variation))
            while bytes > 0 {
                let size = max(60, min(bytes, BandwidthWorld.payload))
                viewer.queue.append((size, index))
                viewer.queuedBytes += size
                bytes -= size
            }
        }
    }

    private func release(_ viewer: SimulatedViewer) {
        while viewer.head < viewer.queue.count, viewer.bandwidth.mayRelease(now: now) {
            let packet = viewer.queue[viewer.head]
            viewer.head += 1
            viewer.queuedBytes -= packet.bytes
            transmit(viewer, bytes: packet.bytes, isAudio: false)
        }
        if viewer.head > 512 || viewer.head == viewer.queue.count {
            viewer.queue.removeFirst(viewer.head)
            viewer.head = 0
        }
        guard viewer.head == viewer.queue.count else { return }
        while viewer.bandwidth.paddingDue(now: now) > 0 {
            transmit(viewer, bytes: BandwidthWorld.payload, isAudio: false)
        }
    }

    private func transmit(_ viewer: SimulatedViewer, bytes: Int, isAudio: Bool) {
        let sequence = viewer.sequence
        viewer.sequence &+= 1
        viewer.bandwidth.sent(sequence: sequence, bytes: bytes, now: now)
        down.send(
            PacketTag(viewer: viewer.index, sequence: sequence, bytes: bytes, isAudio: isAudio), bytes: bytes + 16,
            now: now)
    }

    // MARK: - Figures

    /// What the bottleneck dropped because we sent too much.
    var selfMadeLoss: Double {
        down.statistics.sent == 0 ? 0 : Double(down.statistics.droppedByQueue) / Double(down.statistics.sent)
    }

    /// More than one change in ten seconds.
    func mostSwitches(from start: Double) -> Int {
        let first = BandwidthWorld.begin + .seconds(start)
        var most = 0
        for viewer in viewers {
            for stream in viewer.streams {
                let times = stream.switches.filter { $0 >= first }
                for time in times {
                    most = max(most, times.count { $0 >= time && $0 < time + 10_000_000_000 })
                }
            }
        }
        return most
    }
}
