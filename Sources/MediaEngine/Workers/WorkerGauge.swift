// What a worker last measured of itself, for other threads to read.
import Synchronization

/// Written by the worker four times a second, read by placement and by whoever asks for figures.
final class WorkerGauge: Sendable {
    private let load = Atomic<UInt64>(0)
    private let loopDelay = Atomic<UInt64>(0)
    private let streams = Atomic<Int>(0)
    private let settledStreams = Atomic<UInt64>(0)

    func set(load: Double, loopDelay: UInt64, settledStreams: Double) {
        self.load.store(load.bitPattern, ordering: .relaxed)
        self.loopDelay.store(loopDelay, ordering: .relaxed)
        self.settledStreams.store(settledStreams.bitPattern, ordering: .relaxed)
    }

    /// As soon as they are there, long before the load shows them.
    func set(streams: Int) { self.streams.store(streams, ordering: .relaxed) }

    func burden(rooms: Int) -> WorkerBurden {
        let settled = Double(bitPattern: settledStreams.load(ordering: .relaxed))
        return WorkerBurden(
            load: Double(bitPattern: load.load(ordering: .relaxed)),
            freshStreams: max(0, Double(streams.load(ordering: .relaxed)) - settled), rooms: rooms)
    }
}
