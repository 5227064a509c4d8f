// One seeded run of a named network: its figures, and the bounds it breaks.
import Forwarding
import NetworkSimulator

package struct NetworkRun: Sendable {
    package let name: String
    package let seed: UInt64
    /// Of the path's rate, where that is what is asked.
    package private(set) var used = 0.0
    package private(set) var loss = 0.0
    /// Seconds; of an event's aftermath where there is one.
    package private(set) var queueing = 0.0
    /// Seconds that sound spent in the path's queue beyond its delay: other people's traffic and ours.
    package private(set) var audioInQueue = 0.0
    package private(set) var fairness = 1.0
    package private(set) var switches = 0
    package private(set) var seconds = 0.0
    package private(set) var broken: [NetworkCase.Bound] = []

    /// With `trace`, what each sender thinks is written line by line.
    package init(_ network: NetworkCase, seed: UInt64, trace: ((String) -> Void)? = nil) {
        name = network.name
        self.seed = seed
        let world = BandwidthWorld(network.network, seed: seed)
        if let trace { world.trace = { trace($1.description(now: $0.now)) } }
        // Without chance on the link, runs differ by when they begin.
        let offset = 0.3 * world.random.unit()
        switch network.traffic {
        case .elastic: world.addViewer([], after: offset)
        case .meeting: world.addViewer(SimulatedStream.meeting, after: offset)
        case .pair:
            world.addViewer([], after: offset)
            world.addViewer([], after: 1 + offset)
        }
        seconds = network.seconds
        let usedFrom = network.usedFrom + offset + (network.traffic.isPair && network.event == nil ? 1 : 0)
        world.use.open(from: usedFrom, to: seconds)
        world.queue.open(from: network.event == nil ? usedFrom : network.queueFrom, to: seconds)
        if case .detour(let more) = network.event {
            world.run(until: NetworkCase.eventAt)
            world.down.conditions.delay += .seconds(more)
        }
        world.run(until: seconds)
        used = world.use.bitsPerSecond / network.capacity(from: usedFrom, to: seconds)
        loss = world.selfMadeLoss
        queueing = Double(world.queue.longestQueueing) / 1e9
        audioInQueue = Double(world.queue.longestAudioQueueing) / 1e9
        if network.traffic.isPair { fairness = world.use.fairness }
        if network.traffic.isMeeting {
            // What follows a change of the network is no flapping.
            switches = world.mostSwitches(from: network.event == nil ? NetworkCase.usedWithin : usedFrom)
        }
        judge(network)
    }

    private mutating func judge(_ network: NetworkCase) {
        if used < network.limit(.used) { broken.append(.used) }
        if loss > network.limit(.loss) { broken.append(.loss) }
        if network.isFall, queueing > network.limit(.queue) { broken.append(.queue) }
        if fairness < network.limit(.fairness) { broken.append(.fairness) }
        if Double(switches) > network.limit(.switches) { broken.append(.switches) }
    }
}

extension SimulatedViewer {
    fileprivate func description(now: UInt64) -> String {
        func number(_ value: Double) -> String { String(Int(value.rounded())) }
        let seconds = Double(now - BandwidthWorld.begin) / 1e9
        let carried = bandwidth.acknowledged.bitsPerSecond ?? 0
        return "\(number(seconds * 1000)) ms, viewer \(index): estimate \(number(bandwidth.estimate / 1000)) kbit/s, "
            + "delay allows \(number(bandwidth.control.bitsPerSecond / 1000)), "
            + "loss allows \(number((bandwidth.loss.bitsPerSecond ?? 0) / 1000)), arrives \(number(carried / 1000)), "
            + "capacity \(number((bandwidth.control.capacity.bitsPerSecond ?? 0) / 1000)), \(bandwidth.trend.use), "
            + "slope \(number(bandwidth.trend.slope * 1000)) ‰ over \(number(bandwidth.trend.threshold)), "
            + "queue \(number(bandwidth.queueing * 1000)) ms, round trip \(number(bandwidth.roundTrip * 1000)) ms, "
            + "under way \(bandwidth.history.bytesInFlight), waiting \(queuedBytes), "
            + "\(bandwidth.limit.isLimited ? "limited, " : "")\(bandwidth.probing.cluster == nil ? "" : "probing, ")"
            + "probes \(bandwidth.probing.count), failed \(bandwidth.probing.failures), given \(allocator.streams.map(\.given))"
    }
}

extension NetworkCase {
    /// The share of the path that a meeting has to use. Estimates swing between what the path carries and 85 % of it, and a
    /// step up keeps a margin below the lower end, so what fits there has to be shown; a little less counts as much, since
    /// the frames of a stream vary.
    var neededByMeeting: Double {
        let capacity = capacity(from: usedFrom, to: seconds)
        var allocator = LayerAllocator()
        for (place, stream) in SimulatedStream.meeting.enumerated() {
            let rungs = LayerLadder.make(stream.layers, role: stream.role)
            allocator.streams.append(AllottedStream(id: Int32(place), role: stream.role, rungs: rungs))
        }
        _ = allocator.decide(
            estimate: capacity * 0.85 * LayerAllocator.usableForSteps, audio: BandwidthWorld.audioRate,
            mayStepUp: false, now: 1)
        return 0.95 * allocator.givenBitsPerSecond / capacity
    }
}
