// Packets from and to other workers, on the packet path: decrypted, before any layer is chosen, through a ring each way.
import Forwarding
import PacketRing
import WireFormats

/// What the packet path knows of other workers.
struct RelayLinks: ~Copyable {
    static let ringBytes = 8 << 20

    // Out.
    /// By worker; nil for those that nothing is relayed to.
    var rings: [PacketRing?] = []
    var relayedTracks = 0
    /// Workers, one a bit, that something was written for since they were last woken.
    var written: UInt64 = 0

    // In.
    /// The worker and its number for a track to the track here.
    var tracks = IntegerTable()
    /// Peers that are on other workers.
    var peers = 0
    /// Layers of tracks that receivers here want a key frame of.
    var requests: [(track: Int32, layer: UInt8)] = []
    /// For what would be sent to them: key frame requests are read from it.
    let control = UnsafeMutableRawBufferPointer.allocate(byteCount: WorkerCore.largestDatagram, alignment: 8)

    // Counters.
    var packetsOut: UInt64 = 0
    var packetsIn: UInt64 = 0
    var dropped: UInt64 = 0
    /// For a track that is not known here, or no more.
    var strays: UInt64 = 0

    deinit { control.deallocate() }

    static func key(_ worker: Int, _ number: UInt32) -> UInt64 { UInt64(worker) << 32 | UInt64(number) }
}

extension WorkerCore {
    // MARK: - Out

    mutating func relayPacket(_ packet: UnsafeRawBufferPointer, _ result: Ingested, arrival: UInt64) {
        guard let track = forwarder.tracks.find(result.track), track.pointee.relayMask != 0 else { return }
        var workers = track.pointee.relayMask
        while workers != 0 {
            let worker = workers.trailingZeroBitCount
            workers &= workers &- 1
            guard worker < relay.rings.count, let ring = relay.rings[worker] else { continue }
            if ring.write(
                packet: packet, track: track.pointee.relayNumber, encoding: result.layer, arrival: arrival)
            {
                relay.packetsOut &+= 1
            } else {
                relay.dropped &+= 1
            }
            relay.written |= 1 << UInt64(worker)
        }
    }

    /// Once after each batch.
    mutating func wakeRelays() {
        var workers = relay.written
        relay.written = 0
        while workers != 0 {
            relay.rings[workers.trailingZeroBitCount]?.wake()
            workers &= workers &- 1
        }
    }

    // MARK: - In

    /// Forwards what has come from a worker, up to so many records.
    mutating func receive(from worker: Int, _ ring: PacketRing, limit: Int, now: UInt64) {
        ring.drain(limit: limit) { record in
            switch record.kind {
            case .packet: receiveRelayed(record, from: worker, now: now)
            case .senderReport: receiveReport(record, from: worker, now: now)
            case .dropped: requestAll(from: worker)
            case .trackDeclared, .trackEnded, .end: break
            }
        }
    }

    private mutating func receiveRelayed(_ record: PacketRecord, from worker: Int, now: UInt64) {
        guard let id = relay.tracks.find(RelayLinks.key(worker, record.track)),
            forwarder.bindRelayed(record.payload, track: id, layer: record.encoding, now: now)
        else {
            relay.strays &+= 1
            return
        }
        relay.packetsIn &+= 1
        packetsSinceFlush += 1
        // The record is this consumer's until it goes on to the next one.
        let packet = UnsafeMutableRawBufferPointer(mutating: record.payload)
        let result = forwarder.receive(
            rtp: packet, from: forwarder.tracks[id].pointee.peer, now: now, arrival: record.arrival)
        deliver(UnsafeRawBufferPointer(packet), result, arrival: record.arrival)
        if packetsSinceFlush >= WorkerCore.packetsPerFlush { sendPending(now: now) }
    }

    /// As the report that the sender sent, so that it is treated like one.
    private mutating func receiveReport(_ record: PacketRecord, from worker: Int, now: UInt64) {
        guard let id = relay.tracks.find(RelayLinks.key(worker, record.track)), let clock = record.senderReport,
            let track = forwarder.tracks.find(id)
        else { return }
        let peer = track.pointee.peer
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 4) { buffer in
            var writer = RTCPWriter(buffer)
            writer.senderReport(ssrc: clock.ssrc, ntp: clock.ntp, rtp: clock.rtp, packetCount: 0, octetCount: 0)
            forwarder.receive(rtcp: writer.bytes, from: peer, now: now, arrival: record.arrival)
        }
    }

    /// Something was lost on the way: pictures begin anew.
    private mutating func requestAll(from worker: Int) {
        for index in 0..<forwarder.encodings.end {
            guard let encoding = forwarder.encodings.find(Int32(truncatingIfNeeded: index)),
                let track = forwarder.tracks.find(encoding.pointee.track), track.pointee.isVideo,
                relay.tracks.find(RelayLinks.key(worker, track.pointee.relayNumber)) == encoding.pointee.track
            else { continue }
            relay.requests.append((encoding.pointee.track, encoding.pointee.index))
        }
    }

    // MARK: - Peers of other workers

    mutating func addRelayedPeer(room: Int32, cname: String, now: UInt64) -> Int32 {
        let peer = forwarder.addPeer(room: room, cname: cname)
        let link = links.reserve()
        precondition(peer == link, "links and peers are made and removed together")
        relay.peers += 1
        // What is to be asked of it goes to its worker at once.
        forwarder.setCanSend(peer, true, now: now)
        return peer
    }

    mutating func removeRelayedPeer(_ id: Int32) {
        guard forwarder.peers.contains(id), links.find(id) == nil else { return }
        links.unreserve(id)
        forwarder.removePeer(id)
        relay.peers -= 1
    }

    /// What the core has to say to a peer of another worker: of all that only requests for key frames matter there.
    mutating func takeRequests(of id: Int32) {
        while true {
            let length = forwarder.writeNextControl(for: id, into: relay.control)
            guard length > 0 else { return }
            var packets = RTCPPackets(UnsafeRawBufferPointer(rebasing: relay.control[..<length]))
            while let packet = packets.next() {
                switch packet.message {
                case .pictureLoss(let loss): noteRequest(loss.media, of: id)
                case .fullIntraRequest(let request):
                    for entry in request.entries { noteRequest(entry.ssrc, of: id) }
                case .senderReport, .receiverReport, .sourceDescription, .goodbye, .negativeAcknowledgement,
                    .transportFeedback, .maximumBitrate, .extendedReport, .unknown, .malformed:
                    break
                }
            }
        }
    }

    private mutating func noteRequest(_ ssrc: UInt32, of peer: Int32) {
        if let source = forwarder.source(ssrc, of: peer) { relay.requests.append(source) }
    }
}
