// The figures that the engine can be asked for: of a room with its streams, and of the whole engine.

package struct RoomStatistics: Sendable, Codable, Equatable {
    package struct Layer: Sendable, Codable, Equatable {
        package var rid: String?
        package var ssrc: UInt32
        package var flowing: Bool
        package var width: Int?
        package var height: Int?
        package var bitsPerSecond: Int
        package var packets: UInt64
        package var bytes: UInt64
        package var packetsLost: UInt64
        package var packetsRecovered: UInt64
        package var nacksSent: UInt64
        package var keyFrames: UInt64
        package var keyFrameRequests: UInt64
    }

    package struct Published: Sendable, Codable, Equatable {
        package var stream: String
        package var kind: StreamKind
        package var role: String
        package var codec: String
        package var muted: Bool
        package var receivers: Int
        package var layers: [Layer]
    }

    package struct Received: Sendable, Codable, Equatable {
        package var mid: String
        package var kind: StreamKind
        package var participant: String?
        package var stream: String?
        package var layer: String?
        package var ssrc: UInt32
        package var packets: UInt64
        package var bytes: UInt64
        package var retransmitted: UInt64
        package var nacksReceived: UInt64
        package var keyFrameRequests: UInt64
        package var fractionLost: Double
        package var jitterMilliseconds: Double
        package var switches: UInt64
        package var awaitingKeyFrame: Bool
    }

    package struct Peer: Sendable, Codable, Equatable {
        package var peer: String
        package var state: String
        package var transport: String?
        package var roundTripMilliseconds: Double?
        package var published: [Published]
        package var received: [Received]
    }

    package var room: String
    package var recording: Bool
    package var peers: [Peer]

    /// Receivers on other workers, by participant and stream.
    mutating func add(_ receivers: [String: [String: Int]]) {
        for index in peers.indices {
            guard let counts = receivers[peers[index].peer] else { continue }
            for place in peers[index].published.indices {
                peers[index].published[place].receivers += counts[peers[index].published[place].stream] ?? 0
            }
        }
    }
}

/// Counters of the whole engine since its start; `refused` counts unknown and hostile traffic by reason.
package struct EngineStatistics: Sendable, Codable, Equatable {
    package var rooms = 0
    package var peers = 0
    package var connectedPeers = 0
    package var paths = 0
    package var tcpConnections = 0
    package var datagramsReceived: UInt64 = 0
    package var bytesReceived: UInt64 = 0
    package var datagramsSent: UInt64 = 0
    package var bytesSent: UInt64 = 0
    package var sendsSystemCalls: UInt64 = 0
    package var sendFailures: UInt64 = 0
    package var packetsReceived: UInt64 = 0
    package var packetsForwarded: UInt64 = 0
    package var packetsRetransmitted: UInt64 = 0
    package var nacksSent: UInt64 = 0
    package var nacksReceived: UInt64 = 0
    package var keyFrameRequestsSent: UInt64 = 0
    package var keyFrameRequestsReceived: UInt64 = 0
    /// Video that had waited for too long, and packets without place in a queue.
    package var queueDrops: UInt64 = 0
    package var recorderBytesDropped: UInt64 = 0
    package var refused: [String: UInt64] = [:]
    package var workers: [WorkerStatistics] = []
    package init() {}

    /// Another worker's part; rooms are not summed, since one may lie on several.
    mutating func add(_ other: EngineStatistics) {
        peers += other.peers
        connectedPeers += other.connectedPeers
        paths += other.paths
        tcpConnections += other.tcpConnections
        datagramsReceived &+= other.datagramsReceived
        bytesReceived &+= other.bytesReceived
        datagramsSent &+= other.datagramsSent
        bytesSent &+= other.bytesSent
        sendsSystemCalls &+= other.sendsSystemCalls
        sendFailures &+= other.sendFailures
        packetsReceived &+= other.packetsReceived
        packetsForwarded &+= other.packetsForwarded
        packetsRetransmitted &+= other.packetsRetransmitted
        nacksSent &+= other.nacksSent
        nacksReceived &+= other.nacksReceived
        keyFrameRequestsSent &+= other.keyFrameRequestsSent
        keyFrameRequestsReceived &+= other.keyFrameRequestsReceived
        queueDrops &+= other.queueDrops
        recorderBytesDropped &+= other.recorderBytesDropped
        refused.merge(other.refused) { $0 &+ $1 }
        workers += other.workers
    }
}

/// One worker: how busy it is, what it holds, and what has come to it from other workers.
package struct WorkerStatistics: Sendable, Codable, Equatable {
    package var worker = 0
    package var udpPort: UInt16 = 0
    /// The busy share of its thread, smoothed over about a second.
    package var load = 0.0
    /// How late its loop comes to what is due.
    package var loopDelayMilliseconds = 0.0
    package var stress = StressState.relaxed
    package var rooms = 0
    package var peers = 0
    package var camerasRefusedFromSenders: UInt64 = 0
    package var camerasRefusedToReceivers: UInt64 = 0
    package var timesThinned: UInt64 = 0
    /// Packets to and from other workers, for rooms that span several; those that found no room in a ring.
    package var packetsRelayedOut: UInt64 = 0
    package var packetsRelayedIn: UInt64 = 0
    package var relayDrops: UInt64 = 0
    /// What waits in the rings from other workers, at this moment.
    package var relayBytesWaiting = 0
    package init() {}
}
