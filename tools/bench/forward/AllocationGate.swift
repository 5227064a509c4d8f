// The allocation gate: heap allocations of the worker's thread while a room is served, which have to be none.
import AllocationCounter
import CLinux
import Glibc
import MediaEngine

/// Windows of a thousand packets, received and sent ones together. What a packet allocates would be in all of them; what
/// a clock does now and then, such as telling signalling who speaks, is in few, and is told.
struct AllocationGate {
    struct Outcome {
        var name: String
        var windows: [UInt64]
        var packets: Int

        private var sorted: [UInt64] { windows.sorted() }
        var median: UInt64 { sorted[windows.count / 2] }
        var line: String {
            let total = windows.reduce(0, +)
            let perThousand = Double(total) * 1000 / Double(max(packets, 1))
            return "\(name): \(packets) packets in \(windows.count) windows; allocations per 1000: "
                + "median \(median), most \(sorted[windows.count - 1]), mean \((perThousand * 100).rounded() / 100)"
        }
    }

    static let publishers = 6
    private static let warmUp: UInt64 = 6_000_000_000
    private static let window = 1000

    /// Runs on the calling thread, in real time. `isRelayed`: all listeners are on another worker than the publishers, and
    /// what both of them allocate counts.
    static func run(
        fanOut: Int, isRelayed: Bool = false, seconds: Double, processor: Int32
    ) async throws -> Outcome {
        let server =
            isRelayed
            ? try EngineServer(processor: processor, workers: 2, peersPerWorker: publishers)
            : try EngineServer(processor: processor)
        var senders: [GatePublisher] = []
        var listeners: [GateListener] = []
        for number in 1...publishers {
            senders.append(try await GatePublisher.join(server, room: "gate", number: number))
        }
        // So many that a window is shorter than the clocks that tick ten times a second or less, whatever the fan-out; two
        // workers have such clocks each.
        for sender in senders { sender.largePackets = max(4, (isRelayed ? 240 : 80) / (fanOut + 1)) }
        for number in 1...fanOut {
            listeners.append(
                try await GateListener.join(server, room: "gate", number: number, cameras: publishers))
        }
        let counters = try server.workerThreads.map { thread in
            guard let counter = allocation_counter_of_thread(thread) else {
                throw BenchError("a worker's thread has not allocated anything, not even at its beginning")
            }
            return counter
        }
        let outcome = drive(
            senders, listeners, counters, name: isRelayed ? "fan-out \(fanOut), relayed" : "fan-out \(fanOut)",
            seconds: seconds)
        if isRelayed {
            let relayed = await server.engine.statistics().workers.reduce(0) { $0 + $1.packetsRelayedIn }
            guard relayed > 0 else { throw BenchError("nothing was relayed from worker to worker") }
        }
        await server.engine.shutdown()
        return outcome
    }

    private static func read(_ counters: [UnsafeRawPointer]) -> UInt64 {
        counters.reduce(0) { $0 + allocation_counter_read($1) }
    }

    private static func drive(
        _ senders: [GatePublisher], _ listeners: [GateListener], _ counters: [UnsafeRawPointer], name: String,
        seconds: Double
    ) -> Outcome {
        var outcome = Outcome(name: name, windows: [], packets: 0)
        var batch = ReceiveBatch(capacity: 16)
        let start = MonotonicClock.now()
        let measured = start + warmUp
        let end = measured + UInt64(seconds * 1e9)
        var tick = 0
        var sent = 0
        var packetsBefore = 0
        var allocationsBefore: UInt64?
        while true {
            // Ticks of a millisecond.
            let due = start + UInt64(tick) * 1_000_000
            var now = MonotonicClock.now()
            if now < due { usleep(UInt32(min(due - now, 1_000_000) / 1000)) }
            now = MonotonicClock.now()
            if now >= end { break }
            for (index, sender) in senders.enumerated() {
                if (tick + index * 3) % 20 == 0 {
                    sender.sendSound(now: now)
                    sent += 1
                }
                if (tick + index * 5) % 33 == 0 {
                    sender.sendPicture(now: now)
                    sent += 1 + sender.largePackets
                }
                if (tick + index * 150) % 1000 == 0 { sender.sendReports(now: now) }
                if tick % 5 == 0 { sender.client.socket.receive(into: &batch) }
            }
            for (index, listener) in listeners.enumerated() {
                listener.take(into: &batch, now: now)
                if (tick + index * 7) % 50 == 0 { listener.sendFeedback() }
                if (tick + index * 37) % 1000 == 999 { listener.sendReports() }
                if (tick + index) % 5000 == 0 { listener.client.keepAlive() }
            }
            tick += 1
            guard now >= measured else { continue }
            let packets = sent + listeners.reduce(0) { $0 + $1.received }
            if let before = allocationsBefore {
                guard packets - packetsBefore >= window else { continue }
                let allocations = read(counters)
                outcome.windows.append(allocations - before)
                outcome.packets += packets - packetsBefore
                allocationsBefore = allocations
            } else {
                allocationsBefore = read(counters)
            }
            packetsBefore = packets
        }
        return outcome
    }
}
