// The packet path of a worker: from received batches through transports and forwarding to the send queue.
import Forwarding
import PacketRing
import PeerTransport
import WireFormats

/// All state that packets touch, in one value that one thread owns. Peers' ids are the same here and in the forwarder.
struct WorkerCore: ~Copyable {
    /// After this many media packets what they caused is sent, so that the history still holds them all.
    static let packetsPerFlush = 96
    static let largestDatagram = 1500
    /// Batches taken from the socket before other descriptors have their turn.
    static let batchesPerTurn = 4

    var forwarder: Forwarder
    var links = Slab<PeerLink>(capacity: 64)
    var paths = Slab<MediaPath>(capacity: 128)
    var addresses = AddressTable()
    /// TCP connection identifiers to paths.
    var connections = IntegerTable()
    var ufrags = IntegerTable()
    var sendQueue: SendQueue
    var batch = ReceiveBatch()
    let limits: MediaEngineConfiguration.Limits

    /// The recorders' rings; a track knows the place of its own.
    var rings: [PacketRing?] = []
    var recordingCount = 0
    /// To and from other workers.
    var relay = RelayLinks()
    /// What happened to transports, for the control side.
    var transportEvents: [TransportEvent] = []

    // Counters.
    var datagramsReceived: UInt64 = 0
    var bytesReceived: UInt64 = 0
    var refused = [UInt64](repeating: 0, count: RefusedDatagram.allCases.count)
    var recorderDrops: UInt64 = 0

    private var pathGeneration: UInt32 = 0
    var packetsSinceFlush = 0
    private var transportsDue: UInt64 = .max

    enum TransportEvent {
        case connected(Int32)
        case ended(Int32, reason: String)
    }

    init(
        socket: borrowing DatagramSocket, now: UInt64, wallClockOffset: UInt64, seed: UInt64,
        limits: MediaEngineConfiguration.Limits
    ) {
        forwarder = Forwarder(now: now, wallClockOffset: wallClockOffset, seed: seed)
        sendQueue = SendQueue(socket: socket)
        self.limits = limits
    }

    // MARK: - Datagrams in

    /// Takes what waits at the socket, and forwards it; answers with the time when that is done.
    mutating func receive(from socket: borrowing DatagramSocket, now: UInt64) -> UInt64 {
        var now = now
        for _ in 0..<WorkerCore.batchesPerTurn {
            guard socket.receive(into: &batch) > 0 else { break }
            for index in 0..<batch.count {
                let message = batch[index]
                receive(message, now: now)
                if packetsSinceFlush >= WorkerCore.packetsPerFlush { now = sendPending(now: now) }
            }
            if !batch.isFull { break }
        }
        // Who is awake anyway does what a timer would soon wake it for, and sends it along.
        forwarder.handleSoon(now: now)
        return sendPending(now: now)
    }

    /// Something for the control side to hear.
    var hasNews: Bool { !transportEvents.isEmpty || forwarder.hasNotices || !relay.requests.isEmpty }

    private mutating func receive(_ message: ReceivedMessage, now: UInt64) {
        var path = addresses.find(message.source)
        var offset = 0
        while offset < message.length {
            let length = min(message.segmentSize, message.length - offset)
            let datagram = UnsafeMutableRawBufferPointer(start: message.base + offset, count: length)
            offset += length
            datagramsReceived &+= 1
            bytesReceived &+= UInt64(length)
            let kind = DatagramKind.classify(UnsafeRawBufferPointer(datagram))
            if let known = path, kind == .rtp {
                receiveMedia(datagram, link: paths[known].pointee.link, now: now, arrival: message.arrival)
            } else {
                receiveOther(
                    datagram, kind, path: path, way: .datagram(message.source), now: now, arrival: message.arrival)
                path = addresses.find(message.source)
            }
        }
    }

    /// A frame of a TCP connection (RFC 4571).
    mutating func receive(_ frame: UnsafeMutableRawBufferPointer, on connection: FramedTCPConnection, now: UInt64) {
        datagramsReceived &+= 1
        bytesReceived &+= UInt64(frame.count)
        let path = connections.find(UInt64(connection.identifier))
        let kind = DatagramKind.classify(UnsafeRawBufferPointer(frame))
        if let path, kind == .rtp {
            receiveMedia(frame, link: paths[path].pointee.link, now: now, arrival: now)
        } else {
            receiveOther(frame, kind, path: path, way: .stream(connection), now: now, arrival: now)
        }
        if packetsSinceFlush >= WorkerCore.packetsPerFlush { sendPending(now: now) }
    }

    private mutating func receiveMedia(
        _ datagram: UnsafeMutableRawBufferPointer, link id: Int32, now: UInt64, arrival: UInt64
    ) {
        let length = links[id].pointee.transport.unprotectRTP(datagram)
        guard length > 0 else {
            refuseMedia(length)
            return
        }
        packetsSinceFlush += 1
        let packet = UnsafeMutableRawBufferPointer(start: datagram.baseAddress, count: length)
        let result = forwarder.receive(rtp: packet, from: id, now: now, arrival: arrival)
        deliver(UnsafeRawBufferPointer(packet), result, arrival: arrival)
        if relay.relayedTracks > 0, result.track >= 0 {
            for index in 0..<forwarder.recoveredCount {
                relayPacket(forwarder.recovered(index), result, arrival: arrival)
            }
            relayPacket(
                UnsafeRawBufferPointer(rebasing: packet[result.start..<(result.start + result.length)]), result,
                arrival: arrival)
        }
    }

    /// What the forwarder took, and what the packet brought back of those before it, goes to a recorder.
    mutating func deliver(_ packet: UnsafeRawBufferPointer, _ result: Ingested, arrival: UInt64) {
        guard recordingCount > 0, result.outcome == .media else { return }
        for index in 0..<forwarder.recoveredCount { record(forwarder.recovered(index), result, arrival: arrival) }
        record(
            UnsafeRawBufferPointer(rebasing: packet[result.start..<(result.start + result.length)]), result,
            arrival: arrival)
    }

    private mutating func record(_ packet: UnsafeRawBufferPointer, _ result: Ingested, arrival: UInt64) {
        guard let track = forwarder.tracks.find(result.track), track.pointee.recorderTrack != 0,
            let ring = ring(of: track.pointee.recorderRing)
        else { return }
        if !ring.write(
            packet: packet, track: track.pointee.recorderTrack, encoding: result.layer, arrival: arrival)
        {
            recorderDrops &+= UInt64(packet.count)
        }
    }

    func ring(of place: Int32) -> PacketRing? {
        place >= 0 && Int(place) < rings.count ? rings[Int(place)] : nil
    }

    mutating func addRing(_ ring: PacketRing) -> Int32 {
        recordingCount += 1
        if let free = rings.firstIndex(where: { $0 == nil }) {
            rings[free] = ring
            return Int32(truncatingIfNeeded: free)
        }
        rings.append(ring)
        return Int32(truncatingIfNeeded: rings.count - 1)
    }

    mutating func removeRing(_ place: Int32) {
        guard ring(of: place) != nil else { return }
        rings[Int(place)] = nil
        recordingCount -= 1
    }

    private mutating func refuseMedia(_ failure: Int) {
        switch failure {
        case PacketFailure.notReady: refuse(.notReady)
        case PacketFailure.authenticationFailed: refuse(.authenticationFailed)
        case PacketFailure.replayed: refuse(.replayed)
        case PacketFailure.tooManyStreams: refuse(.tooManySources)
        default: refuse(.malformedMedia)
        }
    }

    mutating func refuse(_ reason: RefusedDatagram) { refused[reason.rawValue] &+= 1 }

    private mutating func receiveOther(
        _ datagram: UnsafeMutableRawBufferPointer, _ kind: DatagramKind, path: Int32?, way: MediaPath.Way, now: UInt64,
        arrival: UInt64
    ) {
        switch kind {
        case .rtcp:
            guard let path else { return refuse(.unknownAddress) }
            let id = paths[path].pointee.link
            let length = links[id].pointee.transport.unprotectRTCP(datagram)
            guard length > 0 else { return refuseMedia(length) }
            forwarder.receive(
                rtcp: UnsafeRawBufferPointer(start: datagram.baseAddress, count: length), from: id, now: now,
                arrival: arrival)
        case .rtp: refuse(.unknownAddress)
        case .dtls:
            guard let path else { return refuse(.unknownAddress) }
            hand(datagram, to: paths[path].pointee.link, path: path, now: now)
        case .stun: receiveCheck(datagram, path: path, way: way, now: now)
        case .unknown: refuse(.unknownProtocol)
        }
    }

    /// A connectivity check says by its username whose it is; that decides, not the address, which may have had another
    /// owner before (NAT), or have had none.
    private mutating func receiveCheck(
        _ datagram: UnsafeMutableRawBufferPointer, path: Int32?, way: MediaPath.Way, now: UInt64
    ) {
        guard let name = STUN.localUfrag(of: UnsafeRawBufferPointer(datagram)) else {
            // Without a name only what belongs to a known path is of interest.
            guard let path else { return refuse(.malformedControl) }
            hand(datagram, to: paths[path].pointee.link, path: path, now: now)
            return
        }
        guard let key = WorkerCore.key(ufrag: name), let link = ufrags.find(key) else { return refuse(.unknownUfrag) }
        if let path, paths[path].pointee.link == link {
            hand(datagram, to: link, path: path, now: now)
            return
        }
        guard let new = openPath(way, link: link) else { return refuse(.tooManyPaths) }
        guard hand(datagram, to: link, path: new, now: now) else { return closePath(new) }
        // Only now that the check has proved itself does the address change hands.
        if let path { closePath(path) }
        install(new)
        closeOldestPath(of: link, but: new)
    }

    private mutating func closeOldestPath(of id: Int32, but new: Int32) {
        guard let link = links.find(id), link.pointee.paths.count > limits.pathsPerPeer else { return }
        let selected = link.pointee.transport.selectedPath
        if let oldest = link.pointee.paths.first(where: { $0 != new && paths[$0].pointee.id != selected }) {
            closePath(oldest)
        }
    }

    /// Eight characters, as this engine makes them, are one integer.
    static func key(ufrag: UnsafeRawBufferPointer) -> UInt64? {
        guard ufrag.count == 8 else { return nil }
        return ufrag.loadUnaligned(as: UInt64.self)
    }

    // MARK: - Transports

    /// false when the transport did not believe the datagram.
    @discardableResult
    private mutating func hand(
        _ datagram: UnsafeMutableRawBufferPointer, to id: Int32, path: Int32, now: UInt64
    ) -> Bool {
        let link = links[id]
        let result = link.pointee.transport.receive(
            now: now, datagram: datagram, from: paths[path].pointee.id,
            address: transportAddress(paths[path].pointee.way))
        transmitControl(id)
        transportsDue = min(transportsDue, link.pointee.transport.nextDeadline)
        selectPath(id)
        switch result {
        case .consumed, .pathSelected: break
        case .connected:
            link.pointee.isConnected = true
            forwarder.setCanSend(id, true, now: now)
            transportEvents.append(.connected(id))
        case .failed(let failure): transportEvents.append(.ended(id, reason: failure.words))
        case .closed: transportEvents.append(.ended(id, reason: "closed"))
        case .dropped(let reason):
            switch reason {
            case .malformed: refuse(.malformedControl)
            case .notAuthenticated: refuse(.notAuthenticated)
            case .unknownPath: refuse(.unknownAddress)
            case .notControl: refuse(.unknownProtocol)
            case .unexpected: refuse(.malformedControl)
            }
            return false
        }
        return true
    }

    private func transportAddress(_ way: MediaPath.Way) -> TransportAddress {
        let address =
            switch way {
            case .datagram(let address): address
            case .stream(let connection): connection.remoteAddress
            }
        switch address.family {
        case .v4: return TransportAddress(ipv4: UInt32(truncatingIfNeeded: address.low), port: address.port)
        case .v6: return TransportAddress(ipv6High: address.high, low: address.low, port: address.port)
        }
    }

    private mutating func selectPath(_ id: Int32) {
        let link = links[id]
        guard let selected = link.pointee.transport.selectedPath else { return }
        for path in link.pointee.paths where paths[path].pointee.id == selected {
            link.pointee.destination = paths[path].pointee.way
        }
    }

    /// Sends what the transport itself has to say, each datagram on the path it names.
    mutating func transmitControl(_ id: Int32) {
        let link = links[id]
        while let (pathID, bytes) = link.pointee.transport.nextTransmit() {
            guard let path = paths.find(Int32(truncatingIfNeeded: pathID & 0xFFFF)), path.pointee.id == pathID else {
                continue
            }
            bytes.withUnsafeBytes { send($0, on: path.pointee.way) }
        }
    }

    private mutating func send(_ bytes: UnsafeRawBufferPointer, on way: MediaPath.Way) {
        switch way {
        case .datagram(let address):
            guard let room = sendQueue.reserve(address, bytes.count) else { return }
            room.copyMemory(from: bytes)
            sendQueue.commit(bytes.count)
        case .stream(let connection): connection.send(bytes, .control)
        }
    }

    // MARK: - Links and paths

    /// nil when the forwarder's id and the link's would not be the same, which nothing can cause.
    mutating func addLink(_ transport: consuming PeerTransport, ufrag: UInt64, room: Int32, cname: String) -> Int32 {
        let peer = forwarder.addPeer(room: room, cname: cname)
        let link = links.insert(PeerLink(transport: transport, ufrags: [ufrag]))
        precondition(peer == link, "links and peers are made and removed together")
        ufrags.set(ufrag, to: link)
        transportsDue = min(transportsDue, links[link].pointee.transport.nextDeadline)
        return link
    }

    /// After a restart checks with the old name are still answered for a while (RFC 8445 §9).
    mutating func restart(_ id: Int32, local: ICECredentials, remote: ICECredentials, ufrag: UInt64) {
        let link = links[id]
        link.pointee.transport.restartICE(local: local, remote: remote)
        link.pointee.ufrags.append(ufrag)
        ufrags.set(ufrag, to: id)
        if link.pointee.ufrags.count > 2 { ufrags.remove(link.pointee.ufrags.removeFirst()) }
    }

    mutating func removeLink(_ id: Int32) {
        guard let link = links.find(id) else { return }
        link.pointee.transport.close()
        transmitControl(id)
        for path in links[id].pointee.paths { removePath(path) }
        for ufrag in links[id].pointee.ufrags { ufrags.remove(ufrag) }
        links.remove(id)
        forwarder.removePeer(id)
    }

    private mutating func openPath(_ way: MediaPath.Way, link id: Int32) -> Int32? {
        guard paths.count <= min(limits.peers * limits.pathsPerPeer, 0xFFFE) else { return nil }
        pathGeneration = (pathGeneration &+ 1) & 0xFFFF
        // The slab says where it lies only once it lies there: a placeholder takes the place first.
        let index = paths.insert(MediaPath(link: id, way: way, id: 0))
        paths[index].pointee = MediaPath(
            link: id, way: way, id: pathGeneration << 16 | UInt32(truncatingIfNeeded: index))
        links[id].pointee.paths.append(index)
        return index
    }

    private mutating func install(_ index: Int32) {
        switch paths[index].pointee.way {
        case .datagram(let address): addresses.set(address, to: index)
        case .stream(let connection):
            connections.set(UInt64(connection.identifier), to: index)
            connection.markAuthenticated()
        }
    }

    mutating func closePath(_ index: Int32) {
        guard let path = paths.find(index) else { return }
        if let link = links.find(path.pointee.link) {
            let wasSelected = link.pointee.transport.selectedPath == path.pointee.id
            link.pointee.transport.forget(path: path.pointee.id)
            link.pointee.paths.removeAll { $0 == index }
            if wasSelected { link.pointee.destination = nil }
            selectPath(path.pointee.link)
        }
        removePath(index)
    }

    private mutating func removePath(_ index: Int32) {
        guard let path = paths.find(index) else { return }
        switch path.pointee.way {
        case .datagram(let address): if addresses.find(address) == index { addresses.remove(address) }
        case .stream(let connection):
            if connections.find(UInt64(connection.identifier)) == index {
                connections.remove(UInt64(connection.identifier))
            }
        }
        paths.remove(index)
    }

    mutating func connectionClosed(_ connection: FramedTCPConnection) {
        if let path = connections.find(UInt64(connection.identifier)) { closePath(path) }
    }

    // MARK: - Time

    var nextDeadline: UInt64 { min(forwarder.nextDeadline, transportsDue) }

    mutating func handleTimeout(now: UInt64) {
        forwarder.handleTimeout(now: now)
        guard now >= transportsDue else { return }
        transportsDue = .max
        for index in 0..<links.end {
            let id = Int32(truncatingIfNeeded: index)
            guard let link = links.find(id) else { continue }
            if now >= link.pointee.transport.nextDeadline {
                link.pointee.transport.handleTimeout(now: now)
                transmitControl(id)
                if case .failed(let failure) = link.pointee.transport.state {
                    transportEvents.append(.ended(id, reason: failure.words))
                }
            }
            transportsDue = min(transportsDue, link.pointee.transport.nextDeadline)
        }
    }

    // MARK: - Packets out

    /// Encrypts what waits for each peer, one peer after the other, so that packets to one destination lie together.
    ///
    /// To a hundred receivers that takes milliseconds: each is served at the time when it is served, or its estimate of the
    /// path would take them for a queue. Answers with that time, so that none goes backwards.
    @discardableResult
    mutating func sendPending(now: UInt64) -> UInt64 {
        packetsSinceFlush = 0
        if relay.written != 0 { wakeRelays() }
        var now = now
        var served = 0
        while let id = forwarder.popDirtyPeer() {
            served += 1
            if served & 3 == 0 { now = MonotonicClock.now() }
            if relay.peers > 0, links.find(id) == nil { takeRequests(of: id) }
            guard let link = links.find(id), link.pointee.isConnected, let destination = link.pointee.destination else {
                forwarder.peers.find(id)?.pointee.discardOutput()
                continue
            }
            switch destination {
            case .datagram(let address): sendDatagrams(id, to: address, now: now)
            case .stream(let connection): sendFrames(id, on: connection, now: now)
            }
        }
        return now
    }

    private mutating func sendDatagrams(_ id: Int32, to address: SocketAddress, now: UInt64) {
        let link = links[id]
        while let room = sendQueue.reserve(address, WorkerCore.largestDatagram) {
            let length = forwarder.writeNextControl(for: id, into: room)
            guard length > 0 else { break }
            sendQueue.commit(link.pointee.transport.protectRTCP(room, length: length))
        }
        while let room = sendQueue.reserve(address, WorkerCore.largestDatagram) {
            guard let packet = forwarder.writeNext(for: id, now: now, into: room) else { return }
            let length = link.pointee.transport.protectRTP(
                slot: packet.slot, destination: room, headerLength: packet.headerLength, payload: packet.payload)
            if length <= 0 { forwarder.counters.queueDrops &+= 1 }
            sendQueue.commit(length)
            link.pointee.packetsSent &+= 1
        }
        // The socket takes no more: a packet that would wait for it is late, and its receiver will ask again.
        forwarder.giveUpOutput(of: id)
    }

    private mutating func sendFrames(_ id: Int32, on connection: FramedTCPConnection, now: UInt64) {
        let link = links[id]
        while let room = connection.reserve(WorkerCore.largestDatagram, .control) {
            let length = forwarder.writeNextControl(for: id, into: room)
            guard length > 0 else { break }
            connection.commit(link.pointee.transport.protectRTCP(room, length: length))
        }
        defer { connection.flush() }
        while let room = connection.reserve(WorkerCore.largestDatagram, .media) {
            guard let packet = forwarder.writeNext(for: id, now: now, into: room) else { return }
            connection.commit(
                link.pointee.transport.protectRTP(
                    slot: packet.slot, destination: room, headerLength: packet.headerLength, payload: packet.payload))
            link.pointee.packetsSent &+= 1
        }
        forwarder.giveUpOutput(of: id)
    }
}

extension PeerTransportFailure {
    /// For logs and for the page; no addresses, no names.
    var words: String {
        switch self {
        case .noConnectivity: "no_connectivity"
        case .handshakeTimeout: "handshake_timeout"
        case .fingerprintMismatch: "fingerprint_mismatch"
        case .noSRTPProfile: "no_srtp_profile"
        case .handshake(let reason): "handshake_failed: \(reason)"
        case .consentExpired: "consent_expired"
        }
    }
}
