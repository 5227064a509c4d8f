// A worker's look at itself: how busy it is, and what follows from that.
import Forwarding
import PacketRing

/// What a worker keeps of its own load.
struct Workload {
    var meter = LoadMeter()
    /// nil: nothing follows from load.
    var stress: StressLevel?
    var due: UInt64 = 0
    /// When the loop was to come back at the latest.
    var deadline: UInt64 = .max

    // Counters.
    var camerasRefusedFromSenders: UInt64 = 0
    var camerasRefusedToReceivers: UInt64 = 0
    var timesThinned: UInt64 = 0

    var state: StressState { stress?.state ?? .relaxed }

    init(stress limits: StressLimits?) { stress = limits.map { StressLevel($0) } }

    mutating func noteDelay(now: UInt64) {
        if deadline < now { meter.note(delay: now - deadline) }
        deadline = .max
    }
}

extension MediaWorker {
    /// A loop that is late by so much all the time counts as fully loaded, whatever its own share is: somebody else has
    /// the core.
    private static let unbearableDelay = 100_000_000.0

    private var streamCount: Int { core.forwarder.streams.count + core.forwarder.tracks.count }

    func measureLoad(now: UInt64) {
        workload.meter.sample(thread: LoadMeter.threadTime(), now: now, streams: streamCount)
        workload.due = now &+ (core.links.count > 0 ? LoadMeter.interval : LoadMeter.idleInterval)
        let meter = workload.meter
        let load = configuration.loadReading?(index) ?? meter.busy
        gauge.set(load: load, loopDelay: meter.loopDelay, settledStreams: meter.settledStreams)
        showStreams()
        let delay = configuration.loadReading == nil ? Double(meter.loopDelay) / MediaWorker.unbearableDelay : 0
        let pressure = max(load, delay)
        let before = workload.state
        if workload.stress?.note(load: pressure, now: now) == true { stressChanged(from: before, now: now) }
    }

    /// For placement, which must not wait for the load to show them.
    func showStreams() { gauge.set(streams: streamCount) }

    func workerStatistics() -> WorkerStatistics {
        var figures = WorkerStatistics()
        figures.worker = index
        figures.udpPort = udpPort
        figures.load = configuration.loadReading?(index) ?? workload.meter.busy
        figures.loopDelayMilliseconds = Double(workload.meter.loopDelay) / 1e6
        figures.stress = workload.state
        figures.camerasRefusedFromSenders = workload.camerasRefusedFromSenders
        figures.camerasRefusedToReceivers = workload.camerasRefusedToReceivers
        figures.timesThinned = workload.timesThinned
        figures.packetsRelayedOut = core.relay.packetsOut
        figures.packetsRelayedIn = core.relay.packetsIn
        figures.relayDrops = core.relay.dropped
        for other in relayState.inbound.keys {
            figures.relayBytesWaiting += fabric.existingRing(from: other, to: index)?.pendingBytes ?? 0
        }
        figures.rooms = rooms.count
        figures.peers = core.links.count
        return figures
    }
}
