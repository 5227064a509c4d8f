// The workers as each other's neighbours, and the rings between them.
import Forwarding
import Glibc
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
final class RelayFabric: @unchecked Sendable {
    private struct Neighbour {
        weak var worker: MediaWorker?
    }

    private let count: Int
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var neighbours: [Neighbour]
    private var rings: [PacketRing?]

    init(count: Int) {
        self.count = count
        neighbours = Array(repeating: Neighbour(), count: count)
        rings = Array(repeating: nil, count: count * count)
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    func set(_ workers: [MediaWorker]) { locked { neighbours = workers.map { Neighbour(worker: $0) } } }

    func worker(_ index: Int) -> MediaWorker? { locked { neighbours[index].worker } }

    func ring(from: Int, to: Int) -> PacketRing {
        locked {
            if let ring = rings[from * count + to] { return ring }
            // The producer says itself when the consumer is to be woken.
            let ring = PacketRing(capacity: RelayLinks.ringBytes, wakeBytes: RelayLinks.ringBytes)
            rings[from * count + to] = ring
            return ring
        }
    }

    /// nil when there is none yet.
    func existingRing(from: Int, to: Int) -> PacketRing? { locked { rings[from * count + to] } }
}
