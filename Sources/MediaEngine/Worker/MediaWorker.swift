// One worker: the actor that sits on its event loop, owns its sockets and rooms, and answers signalling.
import Forwarding
import Glibc
import PacketRing
import PeerTransport
import WireFormats

actor MediaWorker {
    nonisolated let loop: EventLoop
    nonisolated let udpPort: UInt16
    nonisolated let tcpPort: UInt16
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    let configuration: MediaEngineConfiguration
    /// Its number among the engine's workers.
    nonisolated let index: Int
    let gauge: WorkerGauge
    let directory: RoomDirectory
    let fabric: RelayFabric
    let certificate: DTLSCertificate
    let candidates: [ICECandidate]
    private let events: AsyncStream<MediaEvent>.Continuation
    private let socket: DatagramSocket
    private let listener: FramedTCPListener?
    var core: WorkerCore
    private var registration: EventLoop.Registration?
    private var waitsForRoom = false
    private var recorderDue: UInt64 = .max
    private var isShutDown = false
    var workload: Workload
    var relayState = RelayState()

    // Control.
    var rooms: [String: RoomEntry] = [:]
    var roomNames: [Int32: String] = [:]
    var nextRoom: Int32 = 1
    var nextOrder: UInt64 = 1
    var nextRecorderTrack: UInt32 = 1
    /// Which participant a link or a track belongs to.
    var owners: [Int32: (room: String, peer: String)] = [:]
    var trackOwners: [Int32: (room: String, peer: String, stream: String)] = [:]

    init(
        configuration: MediaEngineConfiguration, index: Int, certificate: DTLSCertificate,
        events: AsyncStream<MediaEvent>.Continuation, gauge: WorkerGauge, directory: RoomDirectory, fabric: RelayFabric
    ) throws {
        self.configuration = configuration
        self.index = index
        self.certificate = certificate
        self.events = events
        self.gauge = gauge
        self.directory = directory
        self.fabric = fabric
        workload = Workload(stress: configuration.stress)
        loop = try EventLoop(name: "media-\(index)")
        let ports = configuration.ports(of: index)
        let socket = try MediaWorker.openSocket(configuration, port: ports.udp)
        udpPort = socket.localAddress.port
        if ports.tcp != 0 {
            var limits = FramedTCPLimits()
            limits.connections = configuration.limits.connections
            listener = try FramedTCPListener(
                binding: try MediaWorker.bindAddress(configuration, port: ports.tcp), loop: loop,
                limits: limits)
        } else {
            listener = nil
        }
        tcpPort = listener?.localAddress.port ?? 0
        candidates =
            LocalCandidates(
                bound: configuration.bindAddress, announced: configuration.announcedAddresses, udpPort: udpPort,
                tcpPort: tcpPort
            ).list
        let now = MonotonicClock.now()
        core = WorkerCore(
            socket: socket, now: now, wallClockOffset: MediaWorker.wallClockOffset(now: now),
            seed: UInt64.random(in: .min ... .max), limits: configuration.limits)
        self.socket = socket
    }

    private static func bindAddress(_ configuration: MediaEngineConfiguration, port: UInt16) throws -> SocketAddress {
        guard let address = SocketAddress(configuration.bindAddress, port: port) else {
            throw SystemCallError(call: "bind \(configuration.bindAddress)", code: EINVAL)
        }
        return address
    }

    private static func openSocket(_ configuration: MediaEngineConfiguration, port: UInt16) throws -> DatagramSocket {
        let address = try bindAddress(configuration, port: port)
        if address.family == .v6, address.isUnspecified { return try DatagramSocket.bindAny(port: address.port) }
        return try DatagramSocket(binding: address)
    }

    private static func wallClockOffset(now: UInt64) -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let wall = UInt64(clamping: time.tv_sec) * 1_000_000_000 + UInt64(clamping: time.tv_nsec)
        return wall &- now
    }

    /// The first job on the loop.
    func begin() {
        do {
            try start()
        } catch {
            // Only a process without descriptors gets here; without its sockets the worker serves nobody.
            shutdown()
        }
    }

    private func start() throws {
        let socketIsReady = MediaWorker.onLoop { (worker: isolated MediaWorker, readiness: Readiness) in
            worker.socketIsReady(readiness)
        }
        let deadlineIsOver = MediaWorker.onLoop { (worker: isolated MediaWorker, now: UInt64) in
            worker.handleTimeout(now: now)
        }
        let turnEnds = MediaWorker.onLoop { (worker: isolated MediaWorker, now: UInt64) in worker.endTurn(now: now) }
        registration = try loop.register(socket.descriptor, for: .readable) { [unowned self] readiness in
            socketIsReady(self, readiness)
        }
        loop.onDeadline = { [unowned self] now in deadlineIsOver(self, now) }
        loop.endOfTurn = { [unowned self] now in turnEnds(self, now) }
        guard let listener else { return }
        let receiveFrame = MediaWorker.onLoop { (worker: isolated MediaWorker, frame: HandedOver) in
            worker.core.receive(frame.frame, on: frame.connection, now: frame.now)
        }
        listener.onFrame = { [unowned self] connection, frame, now in
            receiveFrame(self, HandedOver(connection: connection, frame: frame, now: now))
        }
        listener.onClose = { [unowned self] connection, _ in
            let handed = HandedOver(
                connection: connection, frame: UnsafeMutableRawBufferPointer(start: nil, count: 0), now: 0)
            assumeIsolated { $0.core.connectionClosed(handed.connection) }
        }
        try listener.start()
    }

    /// What the loop's own thread hands to itself: isolation checking cannot see that no thread is crossed.
    private struct HandedOver: @unchecked Sendable {
        let connection: FramedTCPConnection
        let frame: UnsafeMutableRawBufferPointer
        let now: UInt64
    }

    /// What `assumeIsolated` does, for handlers that only the loop's thread calls: it would put a closure on the heap at
    /// every call, and so two with every turn. This is made once.
    static func onLoop<Argument>(
        _ body: @escaping @Sendable (isolated MediaWorker, Argument) -> Void
    ) -> @Sendable (MediaWorker, Argument) -> Void {
        unsafeBitCast(body, to: (@Sendable (MediaWorker, Argument) -> Void).self)
    }

    // MARK: - Turns of the loop

    private func socketIsReady(_ readiness: Readiness) {
        if readiness.contains(.writable), waitsForRoom { flush() }
        if readiness.contains(.readable) || readiness.contains(.error) {
            loop.advance(to: core.receive(from: socket, now: loop.now))
        }
    }

    private func handleTimeout(now: UInt64) {
        core.handleTimeout(now: now)
        listener?.handleTimeout(now: now)
        if now >= recorderDue { serveRecorders(now: now) }
        workload.noteDelay(now: now)
        if now >= workload.due { measureLoad(now: now) }
    }

    /// Whatever happened in this turn: what it produced leaves now, together.
    private func endTurn(now: UInt64) {
        guard !isShutDown else { return }
        let now = core.sendPending(now: now)
        flush()
        if core.hasNews {
            handleTransportEvents(now: now)
            handleNotices(now: now)
            if !core.relay.requests.isEmpty { askOthers() }
            core.sendPending(now: now)
            flush()
        }
        var deadline = min(core.nextDeadline, recorderDue, workload.due)
        if let listener { deadline = min(deadline, listener.nextDeadline) }
        workload.deadline = deadline
        loop.deadline = deadline
    }

    private func flush() {
        let isBlocked = core.sendQueue.flush() == .blocked
        guard isBlocked != waitsForRoom, let registration else { return }
        waitsForRoom = isBlocked
        loop.modify(registration, for: isBlocked ? [.readable, .writable] : .readable)
    }

    private func handleTransportEvents(now: UInt64) {
        while !core.transportEvents.isEmpty {
            let event = core.transportEvents.removeFirst()
            switch event {
            case .connected(let id):
                guard let (room, peer) = owners[id] else { continue }
                rooms[room]?.peers[peer]?.isConnected = true
                events.yield(.connected(room: room, peer: peer))
            case .ended(let id, let reason):
                guard let (room, peer) = owners[id] else { continue }
                remove(peer: peer, room: room)
                forgetIfEmpty(room)
                events.yield(.disconnected(room: room, peer: peer, reason: reason))
            }
        }
    }

    private func handleNotices(now: UInt64) {
        for notice in core.forwarder.takeNotices() {
            switch notice {
            case .trackFlowing(let track, let isFlowing):
                guard let owner = trackOwners[track], origin(of: owner.peer, in: owner.room) == nil else { continue }
                events.yield(
                    .streamFlowing(room: owner.room, peer: owner.peer, stream: owner.stream, flowing: isFlowing))
            case .codecChanged(let track): codecChanged(track, now: now)
            case .levels(let room, let levels): report(levels, room: room)
            case .wantedLayers(let track, let count):
                if !tellOrigin(track, count: count) { tellWanted(track, count: count) }
            case .speaker(let room, let track):
                guard let name = roomNames[room], speaksFor(name) else { continue }
                events.yield(.dominantSpeaker(room: name, peer: trackOwners[track]?.peer))
            case .senderReport(let track, let layer, let ssrc, let clock):
                record(clock, ssrc: ssrc, track: track, layer: layer)
                relay(clock, ssrc: ssrc, track: track, layer: layer)
            case .sourceEnded: continue
            }
        }
    }

    private func report(_ levels: [TrackLevel], room: Int32) {
        guard let name = roomNames[room], speaksFor(name) else { return }
        var loudest = [String: Int](minimumCapacity: levels.count)
        for level in levels {
            guard let owner = trackOwners[level.track] else { continue }
            loudest[owner.peer] = max(loudest[owner.peer] ?? 0, Int(level.level))
        }
        if !loudest.isEmpty { events.yield(.audioLevels(room: name, levels: loudest)) }
    }

    func emit(_ event: MediaEvent) { events.yield(event) }

    func setRecorderDeadline(_ deadline: UInt64) { recorderDue = deadline }

    var tcpConnectionCount: Int { listener?.connectionCount ?? 0 }

    // MARK: - Leaving

    func closePeer(room: String, peer: String, reason: String) {
        guard let entry = rooms[room]?.peers[peer], entry.origin == nil else { return }
        remove(peer: peer, room: room)
        forgetIfEmpty(room)
    }

    func closeRoom(_ room: String) {
        guard let entry = rooms[room] else { return }
        stopRecording(room: room)
        for peer in entry.peers.values where peer.origin == nil { remove(peer: peer.name, room: room) }
        forgetIfEmpty(room)
    }

    func shutdown() {
        guard !isShutDown else { return }
        for room in Array(rooms.keys) { closeRoom(room) }
        core.sendPending(now: loop.now)
        flush()
        isShutDown = true
        listener?.stop()
        stopListening()
        if let registration { loop.deregister(registration) }
        registration = nil
        loop.deadline = .max
    }

    /// Takes the peer out of its room; what it published leaves the others' sections. The room may be empty then.
    func remove(peer: String, room: String) {
        if let relayed = rooms[room]?.peers[peer], relayed.origin != nil {
            removeRelayed(relayed, room: room)
            return assignSections(room: room, except: nil)
        }
        guard let entry = rooms[room]?.peers.removeValue(forKey: peer) else { return }
        for track in entry.published { retire(track) }
        owners[entry.id] = nil
        core.removeLink(entry.id)
        directory.left(room, peer: peer, worker: index)
        assignSections(room: room, except: nil)
        if !entry.published.isEmpty { publicationsChanged(room) }
    }

    func forgetIfEmpty(_ room: String) {
        guard let entry = rooms[room], entry.isEmpty, entry.ring == nil else { return }
        leaveParts(entry)
        rooms[room] = nil
        roomNames[entry.id] = nil
        directory.closed(room, worker: index)
    }
}
