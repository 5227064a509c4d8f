// Which worker holds which room, and which of its peers are on another worker than the one it began on.

/// Asked by the engine's callers and told by the workers, once for every decision of signalling. A room stays where it
/// is as long as a worker has it open or a call for it is under way.
final class RoomDirectory: Sendable {
    private struct Room {
        let home: Int
        /// Workers that have the room open.
        var open: Set<Int> = []
        var peers: [String: Int] = [:]
        /// Calls under way.
        var calls: [(peer: String?, worker: Int)] = []

        var parts: Set<Int> { open.union(calls.lazy.map(\.worker)) }

        var peersByPart: [Int: Int] {
            var counts: [Int: Int] = [:]
            for part in parts { counts[part] = 0 }
            for worker in peers.values { counts[worker, default: 0] += 1 }
            return counts
        }

        func worker(of peer: String) -> Int? {
            peers[peer] ?? calls.first { $0.peer == peer }?.worker
        }
    }

    private let gauges: [WorkerGauge]
    private let placement: WorkerPlacement
    private let rooms = Lock<[String: Room]>([:])

    init(gauges: [WorkerGauge], placement: WorkerPlacement) {
        self.gauges = gauges
        self.placement = placement
    }

    private func burdens(_ rooms: [String: Room]) -> [WorkerBurden] {
        var held = [Int](repeating: 0, count: gauges.count)
        for room in rooms.values { for worker in room.parts { held[worker] += 1 } }
        return gauges.indices.map { gauges[$0].burden(rooms: held[$0]) }
    }

    // MARK: - Callers

    /// The worker that a call for this peer goes to, the room being placed by it when it is new. Every `enter` is
    /// followed by a `leave`.
    func enter(_ name: String, peer: String?, isViewer: Bool) -> Int {
        rooms.withLock { rooms in
            var room = rooms[name] ?? Room(home: placement.room(burdens(rooms)))
            var worker = room.home
            if let peer {
                // A peer stays where its connection is.
                if let known = room.worker(of: peer) {
                    worker = known
                } else if isViewer {
                    worker = placement.viewer(home: room.home, parts: room.peersByPart, burdens(rooms))
                }
            }
            room.calls.append((peer, worker))
            rooms[name] = room
            return worker
        }
    }

    func leave(_ name: String, peer: String?, worker: Int) {
        rooms.withLock { rooms in
            guard let call = rooms[name]?.calls.firstIndex(where: { $0.peer == peer && $0.worker == worker }) else {
                return
            }
            rooms[name]?.calls.remove(at: call)
            forgetIfGone(name, &rooms)
        }
    }

    /// nil when there is no such room.
    func worker(of peer: String, in name: String) -> Int? {
        rooms.withLock { rooms in rooms[name].map { $0.worker(of: peer) ?? $0.home } }
    }

    func home(of name: String) -> Int? { rooms.withLock { rooms in rooms[name]?.home } }

    /// Every worker with a part of the room.
    func parts(of name: String) -> [Int] { rooms.withLock { rooms in rooms[name]?.parts.sorted() ?? [] } }

    var roomCount: Int { rooms.withLock { rooms in rooms.count } }

    // MARK: - Workers

    func opened(_ name: String, worker: Int) {
        rooms.withLock { rooms in _ = rooms[name, default: Room(home: worker)].open.insert(worker) }
    }

    func closed(_ name: String, worker: Int) {
        rooms.withLock { rooms in
            rooms[name]?.open.remove(worker)
            forgetIfGone(name, &rooms)
        }
    }

    func joined(_ name: String, peer: String, worker: Int) {
        rooms.withLock { rooms in rooms[name]?.peers[peer] = worker }
    }

    func left(_ name: String, peer: String, worker: Int) {
        rooms.withLock { rooms in if rooms[name]?.peers[peer] == worker { rooms[name]?.peers[peer] = nil } }
    }

    private func forgetIfGone(_ name: String, _ rooms: inout [String: Room]) {
        guard let room = rooms[name], room.open.isEmpty, room.calls.isEmpty else { return }
        rooms[name] = nil
    }
}
