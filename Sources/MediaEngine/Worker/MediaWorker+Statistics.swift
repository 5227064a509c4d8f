// The figures of a room and of the engine, put together when somebody asks.
import Forwarding
import PeerTransport
import WireFormats

extension MediaWorker {
    func statistics(room name: String) -> RoomStatistics {
        guard let room = rooms[name] else { return RoomStatistics(room: name, recording: false, peers: []) }
        return RoomStatistics(
            room: name, recording: room.ring != nil,
            peers: room.peers.values.filter { $0.origin == nil }.sorted { $0.name < $1.name }.map(statistics(of:)))
    }

    /// Receivers here of what is published on other workers, by participant and stream.
    func relayedReceivers(room name: String) -> [String: [String: Int]] {
        var counts: [String: [String: Int]] = [:]
        for peer in rooms[name]?.peers.values.filter({ $0.origin != nil }) ?? [] {
            for published in peer.published {
                let count = core.forwarder.tracks.find(published.track)?.pointee.receivers.count ?? 0
                counts[peer.name, default: [:]][published.stream] = count
            }
        }
        return counts
    }

    private func statistics(of peer: PeerEntry) -> RoomStatistics.Peer {
        let link = core.links[peer.id]
        let media = core.forwarder.peers[peer.id]
        let state =
            switch link.pointee.transport.state {
            case .new: "new"
            case .connecting: "connecting"
            case .connected: "connected"
            case .failed: "failed"
            case .closed: "closed"
            }
        let way: String? =
            switch link.pointee.destination {
            case .datagram: "udp"
            case .stream: "tcp"
            case nil: nil
            }
        return RoomStatistics.Peer(
            peer: peer.name, state: state, transport: way,
            roundTripMilliseconds: media.pointee.roundTrip.map { Double($0) / 1_000_000 },
            published: peer.published.compactMap(statistics(of:)), received: peer.sections.compactMap(statistics(of:)))
    }

    private func statistics(of published: PublishedTrack) -> RoomStatistics.Published? {
        guard let track = core.forwarder.tracks.find(published.track) else { return nil }
        let now = loop.now
        let layers = track.pointee.encodings.map { id in
            let encoding = core.forwarder.encodings[id]
            let rid = encoding.pointee.rid
            return RoomStatistics.Layer(
                rid: rid.isEmpty ? nil : String(decoding: rid, as: UTF8.self), ssrc: encoding.pointee.ssrc ?? 0,
                flowing: encoding.pointee.isFlowing(newest: track.pointee.lastPacketAt, now: now),
                width: encoding.pointee.width > 0 ? Int(encoding.pointee.width) : nil,
                height: encoding.pointee.height > 0 ? Int(encoding.pointee.height) : nil,
                bitsPerSecond: encoding.pointee.statistics.bitsPerSecond, packets: encoding.pointee.statistics.packets,
                bytes: encoding.pointee.statistics.bytes,
                packetsLost: UInt64(clamping: encoding.pointee.statistics.cumulativeLost),
                packetsRecovered: encoding.pointee.statistics.recovered, nacksSent: encoding.pointee.nack.requested,
                keyFrames: encoding.pointee.keyFrames,
                keyFrameRequests: encoding.pointee.keyFrameRequester.sent)
        }
        return RoomStatistics.Published(
            stream: published.stream, kind: published.kind, role: published.role, codec: published.codec.name,
            muted: track.pointee.isMuted, receivers: track.pointee.receivers.count, layers: layers)
    }

    private func statistics(of section: ReceiveSection) -> RoomStatistics.Received? {
        guard let stream = core.forwarder.streams.find(section.stream) else { return nil }
        let layer = core.forwarder.encodings.find(stream.pointee.current).flatMap { encoding -> String? in
            encoding.pointee.rid.isEmpty ? nil : String(decoding: encoding.pointee.rid, as: UTF8.self)
        }
        return RoomStatistics.Received(
            mid: section.mid, kind: section.kind, participant: section.participant, stream: section.streamName,
            layer: layer, ssrc: section.ssrc, packets: stream.pointee.packets, bytes: stream.pointee.bytes,
            retransmitted: stream.pointee.retransmitted, nacksReceived: stream.pointee.nacksReceived,
            keyFrameRequests: stream.pointee.keyFrameRequests,
            fractionLost: Double(stream.pointee.fractionLost) / 256,
            jitterMilliseconds: Double(stream.pointee.jitter) * 1000 / Double(max(stream.pointee.clockRate, 1)),
            switches: stream.pointee.switches, awaitingKeyFrame: stream.pointee.awaitsKeyFrame)
    }

    func statistics() -> EngineStatistics {
        var result = EngineStatistics()
        let counters = core.forwarder.counters
        let sent = core.sendQueue.counters
        result.rooms = rooms.count
        result.peers = core.links.count
        result.connectedPeers = rooms.values.reduce(0) { $0 + $1.peers.values.count { $0.isConnected } }
        result.paths = core.paths.count
        result.tcpConnections = tcpConnectionCount
        result.datagramsReceived = core.datagramsReceived
        result.bytesReceived = core.bytesReceived
        result.datagramsSent = sent.datagrams
        result.bytesSent = sent.bytes
        result.sendsSystemCalls = sent.systemCalls
        result.sendFailures = sent.dropped
        result.packetsReceived = counters.packetsReceived &- core.relay.packetsIn
        result.packetsForwarded = counters.packetsForwarded
        result.packetsRetransmitted = counters.packetsRetransmitted
        result.nacksSent = counters.nacksSent
        result.nacksReceived = counters.nacksReceived
        result.keyFrameRequestsSent = counters.keyFrameRequestsSent
        result.keyFrameRequestsReceived = counters.keyFrameRequestsReceived
        result.queueDrops = counters.queueDrops
        result.recorderBytesDropped = core.recorderDrops
        for reason in RefusedDatagram.allCases where core.refused[reason.rawValue] > 0 {
            result.refused[reason.name] = core.refused[reason.rawValue]
        }
        for reason in PacketRefusal.allCases where counters[reason] > 0 {
            result.refused["rtp_\(reason)"] = counters[reason]
        }
        result.workers = [workerStatistics()]
        return result
    }
}
