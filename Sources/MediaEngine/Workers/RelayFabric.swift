// The workers as each other's neighbours, and the rings between them.
import Forwarding
import PacketRing

/// What a part of a room publishes, complete: a later one replaces those before it.
struct RoomExport: Sendable {
    struct Track: Sendable {
        var number: UInt32
        var published: PublishedTrack
        var isMuted: Bool
    }

    struct Peer: Sendable {
        var name: String
        var formats: [(UInt8, PayloadFormat)]
        var extensions: [(HeaderExtensionKind, UInt8)]
        var tracks: [Track]
    }

    var room: String
    var from: Int
    var incarnation: UInt64
    var version: UInt64
    var peers: [Peer]
}

/// One ring for each pair of workers and direction, made when it is first used.
final class RelayFabric: Sendable {
    private struct Neighbour {
        weak var worker: MediaWorker?
    }

    private let count: Int
    private let neighbours: Lock<[Neighbour]>
    private let rings: Lock<[PacketRing?]>

    init(count: Int) {
        self.count = count
        neighbours = Lock(Array(repeating: Neighbour(), count: count))
        rings = Lock(Array(repeating: nil, count: count * count))
    }

    func set(_ workers: [MediaWorker]) { neighbours.withLock { $0 = workers.map { Neighbour(worker: $0) } } }

    func worker(_ index: Int) -> MediaWorker? { neighbours.withLock { $0[index].worker } }

    func ring(from: Int, to: Int) -> PacketRing {
        rings.withLock { rings in
            if let ring = rings[from * count + to] { return ring }
            // The producer says itself when the consumer is to be woken.
            let ring = PacketRing(capacity: RelayLinks.ringBytes, wakeBytes: RelayLinks.ringBytes)
            rings[from * count + to] = ring
            return ring
        }
    }

    /// nil when there is none yet.
    func existingRing(from: Int, to: Int) -> PacketRing? { rings.withLock { $0[from * count + to] } }
}
