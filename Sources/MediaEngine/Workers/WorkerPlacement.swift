// Which worker takes a new room, and which one takes a new viewer of a room that one worker should not hold alone.

/// A worker as placement sees it.
struct WorkerBurden: Sendable, Equatable {
    /// The busy share of its thread, smoothed over the last seconds.
    var load = 0.0
    /// Streams that have come so lately that the load does not show them yet.
    var freshStreams = 0.0
    var rooms = 0

    /// What the load is about to be. A stream is taken for a quarter of a percent of a core, a room for little, so that
    /// workers that all idle take turns.
    var expected: Double { load + freshStreams * 0.0025 + Double(rooms) * 0.001 }
}

struct WorkerPlacement: Sendable, Equatable {
    /// Peers of one room that one worker takes before further viewers go to another.
    var peersPerPart = 250
    /// From this load on a worker gets no further viewers of a room, if another one bears less.
    var fullLoad = 0.7
    /// So much less the other one must bear.
    var advantage = 0.15

    /// The worker that bears least.
    func room(_ burdens: [WorkerBurden]) -> Int {
        burdens.indices.min { burdens[$0].expected < burdens[$1].expected } ?? 0
    }

    /// - Parameters:
    ///   - parts: how many peers of the room each worker holds that has a part of it
    ///   - home: the worker where the room began
    func viewer(home: Int, parts: [Int: Int], _ burdens: [WorkerBurden]) -> Int {
        guard burdens.count > 1, isFull(home, parts, burdens) else { return home }
        let roomy = parts.keys.filter { !isFull($0, parts, burdens) }
        if let part = least(roomy, burdens) { return part }
        let others = burdens.indices.filter { parts[$0] == nil && $0 != home }
        if let other = least(others, burdens), isWorthMoving(home, parts, to: other, burdens) { return other }
        // All are full: the rooms' parts share what comes.
        return least([home] + parts.keys, burdens) ?? home
    }

    private func isFull(_ worker: Int, _ parts: [Int: Int], _ burdens: [WorkerBurden]) -> Bool {
        parts[worker, default: 0] >= peersPerPart || burdens[worker].expected >= fullLoad
    }

    private func isWorthMoving(_ home: Int, _ parts: [Int: Int], to other: Int, _ burdens: [WorkerBurden]) -> Bool {
        if burdens[other].expected + advantage <= burdens[home].expected { return true }
        return parts[home, default: 0] >= peersPerPart && burdens[other].expected < fullLoad
    }

    private func least(_ workers: some Collection<Int>, _ burdens: [WorkerBurden]) -> Int? {
        workers.sorted().min { burdens[$0].expected < burdens[$1].expected }
    }
}
