// One live room with its surroundings: the connections of its people, their media, its recording.
package import Archive
package import MediaEngine
import Rooms

/// How the people of one room are connected; `HubServices` are what all rooms share.
package struct HubServices: Sendable {
    package var media: MediaEngine
    package var archive: Archive?
    package var log: Log
    package var clock: @Sendable () -> UInt64

    package init(
        media: MediaEngine, archive: Archive?, log: Log, clock: @escaping @Sendable () -> UInt64 = { monotonicNow() }
    ) {
        self.media = media
        self.archive = archive
        self.log = log
        self.clock = clock
    }
}

actor RoomSession {
    nonisolated let name: String
    /// What logs call the room: nothing can be concluded from it.
    nonisolated let opaqueID: String
    nonisolated let live: LiveRoom
    nonisolated let services: HubServices

    private var connections: [ParticipantID: Connection] = [:]
    private var joining: [Connection] = []
    private(set) var devices = DeviceTable()
    private var recording = Recording.none
    private var recordingWaiters: [CheckedContinuation<Void, Never>] = []
    private var snapshotDue: UInt64 = 0
    /// Who dominates the conversation; told to those who come later.
    private var speaker: String?
    private var isLeaving = false
    private var floorHolder: ParticipantID?
    private var pump: Task<Void, Never>?
    private(set) var isClosed = false

    /// A page's connection. Owned by this actor.
    private final class Connection {
        enum Phase {
            /// Events are kept until it is known from which on they are new to the client.
            case joining(held: [(seq: UInt64, message: OutgoingMessage)])
            case waiting
            case live(lastSeq: UInt64)
        }

        let socket: WebSocket
        var phase = Phase.joining(held: [])

        init(_ socket: WebSocket) { self.socket = socket }

        func send(_ message: OutgoingMessage, seq: UInt64) {
            switch phase {
            case .joining(let held): phase = .joining(held: held + [(seq, message)])
            case .waiting: break
            case .live(let lastSeq):
                guard seq > lastSeq else { return }
                phase = .live(lastSeq: seq)
                socket.send(message)
            }
        }

        /// The client knows everything up to `seq`; what was held goes out behind it.
        func goLive(after seq: UInt64) {
            let held: [(seq: UInt64, message: OutgoingMessage)] =
                if case .joining(let held) = phase { held } else { [] }
            phase = .live(lastSeq: seq)
            for entry in held { send(entry.message, seq: entry.seq) }
        }

        var isLive: Bool { if case .live = phase { true } else { false } }
    }

    private enum Recording {
        case none
        /// Begun; events are kept until the archive has its file.
        case starting(after: UInt64, held: [(seq: UInt64, bytes: [UInt8])])
        case running(id: String)
        /// Stopped; what is in the ring is being written.
        case finishing

        var isOn: Bool { if case .none = self { false } else { true } }
    }

    init(name: String, kind: RoomKind, title: String, services: HubServices) {
        self.name = name
        self.services = services
        opaqueID = OpaqueID.of(room: name)
        live = LiveRoom(room: name, kind: kind, title: title, clock: services.clock)
    }

    /// Begins to carry the room's outputs. Called once, right after making it.
    func start() {
        guard pump == nil else { return }
        pump = Task { [live] in
            for await output in live.outputs { await self.carry(output) }
        }
        services.log(.info, "room.opened") { $0.field("room", opaqueID) }
    }

    // MARK: pages

    /// Joins, and answers the client itself, so that its first event comes right after the answer.
    func join(
        _ socket: WebSocket, _ claimant: Claimant, resume: ClientMessage.Resume?, reply id: Int64
    ) async throws(Refusal) -> ParticipantID {
        guard !isClosed else { throw Refusal("room_ended", "this session has ended") }
        let connection = Connection(socket)
        joining.append(connection)
        defer { joining.removeAll { $0 === connection } }
        let admission = try await live.join(claimant, resume: resume.map { ($0.session, $0.seq) })
        let participant = admission.participant
        if let former = connections.updateValue(connection, forKey: participant), former !== connection {
            former.socket.close(.replaced, "continued on another connection")
        }
        socket.send(ServerMessage.ok(id) { ServerMessage.admission(admission, room: name, into: &$0) })
        switch admission.catchup {
        case .waiting: connection.phase = .waiting
        case .snapshot(let snapshot): connection.goLive(after: snapshot.seq)
        case .tail(let events): connection.goLive(after: events.last?.seq ?? resume?.seq ?? 0)
        }
        if let speaker, connection.isLive {
            socket.send(presence: ServerMessage.speaker(speaker), key: PresenceKey(kind: "speaker", by: ""))
        }
        services.log(.info, admission.resumed ? "participant.resumed" : "participant.joined") { json in
            json.field("room", opaqueID)
            json.field("participant", participant.text)
            json.field("role", admission.role.rawValue)
        }
        return participant
    }

    /// The page's socket is gone; the participant may come back.
    func disconnected(_ participant: ParticipantID, _ socket: WebSocket) async {
        guard let connection = connections[participant], connection.socket === socket else { return }
        connections[participant] = nil
        await live.disconnected(participant)
    }

    func negotiate(
        _ participant: ParticipantID, sdp: String, declared: [ClientMessage.DeclaredStream]
    ) async throws(Refusal) -> PeerAnswer {
        let permissions = try await permissions(of: participant)
        let mayPublish = permissions.contains(.publish)
        let maySpeak = permissions.contains(.speak)
        let offer = PeerOffer(
            sdp: sdp,
            streams: declared.map {
                StreamDeclaration(mid: $0.mid, stream: $0.stream, role: $0.role.rawValue, muted: $0.muted)
            },
            maySend: mayPublish || maySpeak, subscription: .everything)
        let answer: PeerAnswer
        do throws(NegotiationError) {
            answer = try await services.media.negotiate(room: name, peer: participant.text, offer: offer)
        } catch {
            throw Refusal(error.code, error.message)
        }
        guard !isClosed else { throw Refusal("room_ended", "this session has ended") }
        await publish(answer.published, declared, of: participant, mayPublish: mayPublish, maySpeak: maySpeak)
        return answer
    }

    /// Tells the room what is sent now. What the role may not send is stopped at the engine and not announced.
    private func publish(
        _ published: [PublishedStream], _ declared: [ClientMessage.DeclaredStream], of participant: ParticipantID,
        mayPublish: Bool, maySpeak: Bool
    ) async {
        var streams: [String: RoomState.Stream] = [:]
        for stream in published {
            let declaration = declared.first { $0.stream == stream.stream }
            let isAllowed = stream.kind == .audio ? maySpeak : mayPublish
            guard isAllowed else {
                await services.media.setMuted(room: name, peer: participant.text, stream: stream.stream, true)
                continue
            }
            streams[stream.stream] = RoomState.Stream(
                kind: stream.kind == .audio ? .audio : .video,
                role: declaration?.role ?? RoomState.StreamRole(rawValue: stream.role)
                    ?? (stream.kind == .audio ? .audio : .camera),
                label: declaration?.label ?? "", codec: stream.codec, muted: declaration?.muted ?? false)
        }
        await live.setStreams(streams, of: participant)
    }

    /// What the page shows; nil when it does not say.
    func setView(_ participant: ParticipantID, _ view: PageView?) async throws(Refusal) {
        _ = try await permissions(of: participant)
        await services.media.setView(room: name, peer: participant.text, view)
    }

    private func permissions(of participant: ParticipantID) async throws(Refusal) -> Set<Permission> {
        guard let status = await live.state.participants[participant]?.status else {
            throw Refusal("not_in_room", "you are not in this room any more; join again")
        }
        guard status != .waiting else { throw Refusal("waiting", "you are in the lobby until somebody lets you in") }
        return await live.permissions(of: participant)
    }

    func told(_ event: MediaEvent) async {
        switch event {
        case .connected(_, let peer):
            notify(
                peer,
                ServerMessage.notice("media.state") { json in
                    json.field("state", "connected")
                    json.field("reason", "")
                })
        case .disconnected(_, let peer, let reason):
            notify(
                peer,
                ServerMessage.notice("media.state") { json in
                    json.field("state", "disconnected")
                    json.field("reason", reason)
                })
            // A device has no other line to us: without media it is gone.
            if let resource = devices.resource(of: ParticipantID(peer)) { await removeDevice(resource, reason: reason) }
        case .sectionsChanged(_, let peer, let sections, let needed):
            notify(peer, ServerMessage.sections(sections, needed))
        case .audioLevels(_, let levels):
            let message = ServerMessage.levels(levels)
            for connection in connections.values where connection.isLive {
                connection.socket.send(presence: message, key: PresenceKey(kind: "levels", by: ""))
            }
        case .dominantSpeaker(_, let peer):
            speaker = peer
            let message = ServerMessage.speaker(peer)
            for connection in connections.values where connection.isLive {
                connection.socket.send(presence: message, key: PresenceKey(kind: "speaker", by: ""))
            }
        case .streamsWanted(_, let peer, let streams):
            notify(peer, ServerMessage.wanted(streams))
        case .camerasRefused(_, let peer, let refused):
            notify(peer, ServerMessage.refused(refused))
        case .streamFlowing:
            break
        }
    }

    private func notify(_ peer: String, _ message: OutgoingMessage) {
        guard let connection = connections[ParticipantID(peer)], connection.isLive else { return }
        connection.socket.send(message)
    }

    // MARK: devices (WHIP and WHEP)

    /// Lets a device in and negotiates for it in one step; on failure it was never there.
    func addDevice(
        _ claimant: Claimant, key: DeviceKey, sdp: String, streams: [StreamDeclaration], maySend: Bool,
        subscription: Subscription
    ) async throws(DeviceFault) -> (DeviceTable.Entry, PeerAnswer) {
        guard !isClosed else { throw .refused(Refusal("room_ended", "this session has ended")) }
        guard devices.count < DeviceTable.limit else {
            throw .refused(Refusal("too_many_devices", "this room has \(DeviceTable.limit) devices; that is the most"))
        }
        if case .ingest = key, devices.entry(for: key) != nil {
            throw .refused(Refusal("conflict", "this name sends already; DELETE its session first"))
        }
        let admission: Admission
        do throws(Refusal) {
            admission = try await live.join(claimant)
        } catch {
            throw .refused(error)
        }
        let participant = admission.participant
        if case .waiting = admission.catchup {
            _ = try? await live.perform(.leave, by: participant)
            throw .refused(
                Refusal("waiting", "this role waits in the lobby, which WHIP and WHEP cannot; use a device token"))
        }
        let offer = PeerOffer(sdp: sdp, streams: streams, maySend: maySend, subscription: subscription)
        let answer: PeerAnswer
        do throws(NegotiationError) {
            answer = try await services.media.negotiate(room: name, peer: participant.text, offer: offer)
            if !answer.refused.sent.isEmpty {
                // An encoder has no page that could say so and wait.
                await services.media.closePeer(room: name, peer: participant.text, reason: "overloaded")
                throw NegotiationError(status: .unavailable, code: "overloaded", message: answer.refused.message)
            }
        } catch {
            _ = try? await live.perform(.leave, by: participant)
            throw .negotiation(error)
        }
        let entry = devices.insert(
            participant, key, identity: claimant.identity,
            remoteFragment: SDPGlance.attribute("ice-ufrag", in: sdp) ?? "")
        await publish(
            answer.published, [], of: participant,
            mayPublish: admission.permissions.contains(.publish), maySpeak: admission.permissions.contains(.speak))
        return (entry, answer)
    }

    func patchDevice(
        _ resource: String, identity: String, ifMatch: String, fragment: String
    ) async throws(DeviceFault) -> DevicePatch {
        guard let entry = devices.entry(resource: resource), entry.identity == identity else { throw .gone }
        // RFC 9725 §4.3.2 writes the star of a restart with quotes.
        let isAny = ifMatch == "\"*\"" || ifMatch == "*"
        guard isAny || FileResponses.matches(ifMatch, entry.tag, weakly: false) else { throw .otherTag }
        let remote = SDPGlance.attribute("ice-ufrag", in: fragment) ?? ""
        guard isAny || (!remote.isEmpty && remote != entry.remoteFragment) else { return .trickled }
        let answer: String
        do throws(NegotiationError) {
            answer = try await services.media.restartICE(
                room: name, peer: entry.participant.text, fragment: fragment)
        } catch {
            throw .negotiation(error)
        }
        guard let tag = devices.restarted(resource, remoteFragment: remote) else { throw .gone }
        return .restarted(fragment: answer, tag: tag)
    }

    /// False: there is no such session, or it is somebody else's.
    func removeDevice(_ resource: String, identity: String) async -> Bool {
        guard devices.entry(resource: resource)?.identity == identity else { return false }
        return await removeDevice(resource, reason: "left")
    }

    @discardableResult
    func removeDevice(_ resource: String, reason: String) async -> Bool {
        guard let entry = devices.remove(resource) else { return false }
        await services.media.closePeer(room: name, peer: entry.participant.text, reason: reason)
        _ = try? await live.perform(.leave, by: entry.participant)
        return true
    }

    /// The participant that a path names: by its id, or by the name a device came under.
    func participant(named name: String, sending stream: String?) async -> ParticipantID? {
        if let device = devices.participant(named: name, stream: stream) { return device }
        let id = ParticipantID(name)
        let status = await live.state.participants[id]?.status
        return status == .present || status == .disconnected ? id : nil
    }

    // MARK: recording

    func startRecording(title: String, by participant: ParticipantID) async throws(Refusal) -> String {
        try await live.demand(.record, of: participant)
        guard let archive = services.archive else {
            throw Refusal("no_archive", "this server has no folder for recordings")
        }
        switch recording {
        case .none: break
        case .starting, .running: throw Refusal("already_recording", "this room is being recorded already")
        case .finishing: throw Refusal("busy", "the last recording is still being written; try again in a moment")
        }
        guard !isLeaving, !isClosed else { throw Refusal("room_ended", "this session has ended") }
        recording = .starting(after: .max, held: [])
        let snapshot = await live.snapshot
        let roomTitle = snapshot.state.title
        let chosen = title.isEmpty ? (roomTitle.isEmpty ? name : roomTitle) : title
        if case .starting(_, let held) = recording { recording = .starting(after: snapshot.seq, held: held) }
        let ring = await services.media.startRecording(room: name)
        do {
            let id = try await archive.start(
                room: name, title: chosen, snapshotJSON: ServerMessage.encode(snapshot.state),
                roomOpenedAt: live.openedAt, ring: ring)
            if case .starting(let after, let held) = recording {
                for entry in held where entry.seq > after {
                    await archive.append(recording: id, eventJSON: entry.bytes)
                }
            }
            recording = .running(id: id)
            snapshotDue = services.clock() &+ Self.snapshotInterval
            await live.recordingStarted(id, title: chosen, by: participant)
            // Whoever ended the room meanwhile found nothing to stop.
            if isLeaving || isClosed { await live.recordingStopped(by: nil) }
            if isClosed { finishRecording() }
            services.log(.info, "recording.started") { json in
                json.field("room", opaqueID)
                json.field("recording", id)
            }
            return id
        } catch {
            await services.media.stopRecording(room: name)
            recordingIsOver()
            services.log(.error, "recording.failed") { json in
                json.field("room", opaqueID)
                json.field("code", error.code)
            }
            throw Refusal(error.code, "the recording did not start: \(error.message)")
        }
    }

    func stopRecording(by participant: ParticipantID) async throws(Refusal) {
        try await live.demand(.record, of: participant)
        guard case .running = recording else { throw Refusal("not_recording", "nothing is being recorded") }
        // The event comes first, so that it is the timeline's last line.
        await live.recordingStopped(by: participant)
    }

    private static let snapshotInterval: UInt64 = 20_000_000_000

    private func recordEvent(_ event: RoomEvent, _ bytes: [UInt8]) async {
        switch recording {
        case .none, .finishing: break
        case .starting(let after, let held): recording = .starting(after: after, held: held + [(event.seq, bytes)])
        case .running(let id):
            await services.archive?.append(recording: id, eventJSON: bytes)
            if case .recordingStopped = event.body { finishRecording() }
        }
    }

    private func finishRecording() {
        guard case .running(let id) = recording else { return }
        recording = .finishing
        Task { await finish(id) }
    }

    private func recordingIsOver() {
        recording = .none
        for waiter in recordingWaiters { waiter.resume() }
        recordingWaiters = []
    }

    private func recordingFinished() async {
        guard recording.isOn else { return }
        await withCheckedContinuation { recordingWaiters.append($0) }
    }

    private func finish(_ id: String) async {
        defer { recordingIsOver() }
        await services.media.stopRecording(room: name)
        do {
            let summary = try await services.archive?.finish(recording: id)
            services.log(.info, "recording.ready") { json in
                json.field("room", opaqueID)
                json.field("recording", id)
                json.field("bytes", Int(summary?.bytes ?? 0))
                json.field("tracks", summary?.tracks ?? 0)
            }
        } catch {
            services.log(.error, "recording.failed") { json in
                json.field("recording", id)
                json.field("code", error.code)
            }
        }
    }

    // MARK: what the room says

    private func carry(_ output: RoomOutput) async {
        switch output {
        case .event(let event):
            let bytes = ServerMessage.event(event)
            let message = OutgoingMessage(bytes)
            for connection in connections.values { connection.send(message, seq: event.seq) }
            for connection in joining where !connections.values.contains(where: { $0 === connection }) {
                connection.send(message, seq: event.seq)
            }
            await recordEvent(event, bytes)
            if case .floorChanged(let holder, _) = event.body { await floorMoved(to: holder) }
        case .pointer(let pointer, let by):
            let message = ServerMessage.pointer(pointer, by: by)
            for (participant, connection) in connections where participant != by && connection.isLive {
                connection.socket.send(
                    presence: message, key: PresenceKey(kind: "pointer/" + pointer.viewport, by: by.text))
            }
        case .admitted(let admission):
            guard let connection = connections[admission.participant] else { return }
            connection.socket.send(
                ServerMessage.notice("admitted") { ServerMessage.admission(admission, room: name, into: &$0) })
            if case .snapshot(let snapshot) = admission.catchup {
                connection.phase = .live(lastSeq: snapshot.seq)
            }
        case .gone(let participant, let reason):
            await services.media.closePeer(room: name, peer: participant.text, reason: reason)
            if let resource = devices.resource(of: participant) { devices.remove(resource) }
            guard let connection = connections.removeValue(forKey: participant) else { return }
            if connection.isLive {
                if reason != "left" { connection.socket.send(ServerMessage.goodbye(reason)) }
            } else {
                connection.socket.send(ServerMessage.notice("rejected") { $0.field("reason", reason) })
            }
            connection.socket.close(.ended, "")
        case .mute(let participant, let stream, let muted):
            await services.media.setMuted(room: name, peer: participant.text, stream: stream, muted)
        case .ended(let reason):
            await close(reason)
        }
    }

    /// Who spoke only because of the floor stops when it is gone.
    private func floorMoved(to holder: ParticipantID?) async {
        guard let former = floorHolder, former != holder else { return floorHolder = holder }
        floorHolder = holder
        guard let streams = await live.state.participants[former]?.streams, !streams.isEmpty else { return }
        let permissions = await live.permissions(of: former)
        let allowed = streams.filter { permissions.contains($0.value.kind == .audio ? .speak : .publish) }
        guard allowed.count < streams.count else { return }
        for name in streams.keys where allowed[name] == nil {
            await services.media.setMuted(room: self.name, peer: former.text, stream: name, true)
        }
        await live.setStreams(allowed, of: former)
    }

    private func close(_ reason: String) async {
        guard !isClosed else { return }
        isClosed = true
        let message = ServerMessage.goodbye(reason)
        for connection in Array(connections.values) + joining {
            connection.socket.send(message)
            connection.socket.close(.ended, "")
        }
        connections = [:]
        finishRecording()
        await recordingFinished()
        await services.media.closeRoom(name)
        services.log(.info, "room.ended") { $0.field("room", opaqueID) }
    }

    // MARK: housekeeping

    /// About once a second.
    func tick() async {
        await live.expire()
        let now = services.clock()
        if case .running(let id) = recording, now >= snapshotDue {
            snapshotDue = now &+ Self.snapshotInterval
            let snapshot = await live.snapshot
            let t = await live.now
            await services.archive?.snapshot(recording: id, t: t, stateJSON: ServerMessage.encode(snapshot.state))
        }
    }

    /// Tells everybody, then ends the recording. For the server's own end; people may come back after its restart.
    func sayGoodbye(_ reason: String) async {
        isLeaving = true
        let message = ServerMessage.goodbye(reason)
        for connection in Array(connections.values) + joining { connection.socket.send(message) }
        // Its event passes through the pump and ends the recording there, as the timeline's last line.
        await live.recordingStopped(by: nil)
        await recordingFinished()
        for connection in Array(connections.values) + joining { connection.socket.close(.goingAway, reason) }
    }

    var connectionCount: Int { connections.count }
    var isRecording: Bool { recording.isOn }
}
