// A room while it lives: it decides on commands, writes the log, and says what changed. Sockets and media are elsewhere.

/// Who knocks, as the token says.
package struct Claimant: Sendable, Equatable {
    /// The stable identity of the person or device within the hospital's accounts.
    package var identity: String
    package var name: String
    package var role: Role

    package init(identity: String, name: String, role: Role) {
        self.identity = identity
        self.name = name
        self.role = role
    }
}

/// A reason a room says no, for the person who asked.
package struct Refusal: Error, Equatable, Sendable {
    package var code: String
    package var message: String

    package init(_ code: String, _ message: String) {
        self.code = code
        self.message = message
    }
}

/// A state and the number of the last event in it.
package struct Snapshot: Codable, Sendable, Equatable {
    package var seq: UInt64
    package var state: RoomState
}

/// The answer to somebody who joins, comes back, or is let in.
package struct Admission: Sendable {
    package enum Catchup: Sendable {
        case snapshot(Snapshot)
        /// The events since the number the client had.
        case tail([RoomEvent])
        /// In the lobby: nothing of the room is told yet.
        case waiting
    }
    package var participant: ParticipantID
    /// What the client shows to come back as the same participant.
    package var session: String
    package var role: Role
    package var kind: RoomKind
    package var permissions: [Permission]
    package var now: Int64
    package var catchup: Catchup
    package var resumed: Bool
}

/// What a room says to its surroundings, in order.
package enum RoomOutput: Sendable {
    case event(RoomEvent)
    case pointer(Pointer, by: ParticipantID)
    /// A waiting participant was let in.
    case admitted(Admission)
    /// A participant is gone for good; its connections are closed with the reason.
    case gone(ParticipantID, reason: String)
    /// A stream's sound or picture is to be stopped or let through.
    case mute(ParticipantID, stream: String, muted: Bool)
    case ended(reason: String)
}

package actor LiveRoom {
    /// How long a participant whose connection broke stays in the room.
    package static let resumeWindow: UInt64 = 30_000_000_000
    /// How long somebody rejected or removed stays out.
    package static let banDuration: UInt64 = 60_000_000_000
    static let logLimit = 4096

    package nonisolated let outputs: AsyncStream<RoomOutput>
    package nonisolated let openedAt: UInt64
    package private(set) var state: RoomState

    private let output: AsyncStream<RoomOutput>.Continuation
    private let clock: @Sendable () -> UInt64
    private var log = RoomLog(limit: logLimit)
    private var members: [ParticipantID: Member] = [:]
    private var barred: [String: UInt64] = [:]
    private var lastParticipant = 0

    private struct Member {
        var claimant: Claimant
        var session: String
        var disconnectedAt: UInt64?
        var rate: RateLimit
        var pointerRate: RateLimit
    }

    /// - Parameter clock: monotonic nanoseconds.
    package init(room: String, kind: RoomKind, title: String, clock: @escaping @Sendable () -> UInt64) {
        (outputs, output) = AsyncStream.makeStream()
        self.clock = clock
        openedAt = clock()
        state = RoomState(room: room, kind: kind, title: title)
        let opened = RoomEvent(seq: 1, t: 0, by: nil, body: .roomOpened(kind: kind, title: title))
        state.apply(opened)
        log.append(opened)
        output.yield(.event(opened))
    }

    /// Session time: nanoseconds since the room opened.
    package var now: Int64 { Int64(clamped: clock() &- openedAt) }

    package var snapshot: Snapshot { Snapshot(seq: log.lastSequenceNumber, state: state) }

    /// The events after `seq`, or nil when they are no longer kept.
    package func tail(after seq: UInt64) -> [RoomEvent]? { log.tail(after: seq) }

    // MARK: Coming and going

    /// Lets somebody in, into the lobby, or back in.
    ///
    /// - Parameter resume: the session a client was given, and the last event it has (nil when it has none).
    package func join(_ claimant: Claimant, resume: (session: String, seq: UInt64?)? = nil) throws(Refusal) -> Admission
    {
        guard !state.ended else { throw Refusal("room_ended", "this session has ended") }
        if let resume, let id = members.first(where: { $0.value.session == resume.session })?.key {
            guard members[id]?.claimant.identity == claimant.identity else {
                throw Refusal("foreign_session", "this session belongs to somebody else; join anew")
            }
            if members[id]?.disconnectedAt != nil {
                members[id]?.disconnectedAt = nil
                if state.participants[id]?.status == .disconnected { record(.participantReconnected(id), by: id) }
            }
            return admission(id, tailAfter: resume.seq, resumed: true)
        }
        if let until = barred[claimant.identity], until > clock() {
            throw Refusal("barred", "you were asked to leave this session; try again in a minute or ask its chair")
        }
        guard members.count < state.kind.maximumParticipants else {
            throw Refusal("room_full", "this room is full: it takes \(state.kind.maximumParticipants) participants")
        }
        lastParticipant += 1
        let id = ParticipantID("p\(lastParticipant)")
        let now = clock()
        members[id] = Member(
            claimant: claimant, session: Self.makeSession(), disconnectedAt: nil,
            rate: RateLimit(perSecond: 60, burst: 120, now: now),
            pointerRate: RateLimit(perSecond: 60, burst: 60, now: now))
        if claimant.role.waitsInLobby(of: state.kind) {
            record(.participantWaiting(id, name: claimant.name, role: claimant.role), by: id)
        } else {
            enter(id, by: id)
        }
        return admission(id, tailAfter: nil, resumed: false)
    }

    /// The connection broke; the participant may come back within ``resumeWindow``.
    package func disconnected(_ id: ParticipantID) {
        guard members[id] != nil, members[id]?.disconnectedAt == nil else { return }
        members[id]?.disconnectedAt = clock()
        if state.participants[id]?.status == .present { record(.participantDisconnected(id), by: nil) }
    }

    /// Removes who did not come back in time. Called about once a second.
    package func expire() {
        let now = clock()
        for id in members.keys.sorted() {
            if let since = members[id]?.disconnectedAt, now &- since >= Self.resumeWindow {
                remove(id, reason: "connection lost", by: nil)
            }
        }
        barred = barred.filter { $0.value > now }
    }

    /// How many are in the room or may still come back.
    package var memberCount: Int { members.count }

    package func permissions(of id: ParticipantID) -> Set<Permission> {
        guard let member = members[id], state.participants[id]?.status != .waiting else { return [] }
        var permissions = member.claimant.role.permissions(in: state.kind)
        if state.floor.holder == id { permissions.formUnion(Role.floorPermissions) }
        return permissions
    }

    /// Throws the words for a person who may not do this.
    package func demand(_ permission: Permission, of id: ParticipantID) throws(Refusal) {
        guard let participant = state.participants[id] else {
            throw Refusal("not_in_room", "you are not in this room any more; join again")
        }
        guard participant.status != .waiting else {
            throw Refusal("waiting", "you are in the lobby until somebody lets you in")
        }
        guard permissions(of: id).contains(permission) else {
            throw Refusal("not_permitted", "your role (\(participant.role.rawValue)) may not do this here")
        }
    }

    // MARK: Streams and recordings, told by the media side

    /// Says what a participant sends now; the difference to before becomes events.
    package func setStreams(_ streams: [String: RoomState.Stream], of id: ParticipantID) {
        guard let known = state.participants[id]?.streams else { return }
        for stream in known.keys.sorted() where streams[stream] == nil {
            record(.streamUnpublished(id, stream: stream), by: id)
        }
        for (stream, description) in streams.sorted(by: { $0.key < $1.key }) {
            guard let before = known[stream] else {
                record(.streamPublished(id, stream: stream, description), by: id)
                continue
            }
            var unmuted = description
            unmuted.muted = before.muted
            if unmuted != before {
                record(.streamUnpublished(id, stream: stream), by: id)
                record(.streamPublished(id, stream: stream, description), by: id)
            } else if description.muted != before.muted {
                record(.streamMuted(id, stream: stream, muted: description.muted), by: id)
            }
        }
    }

    package func recordingStarted(_ recording: String, title: String, by id: ParticipantID?) {
        record(.recordingStarted(recording: recording, title: title), by: id)
    }

    package func recordingStopped(by id: ParticipantID?) {
        guard let recording = state.recording?.recording else { return }
        record(.recordingStopped(recording: recording), by: id)
    }

    /// Ends the session for everybody.
    package func end(reason: String, by id: ParticipantID? = nil) {
        guard !state.ended else { return }
        recordingStopped(by: id)
        record(.roomEnded(reason: reason), by: id)
        output.yield(.ended(reason: reason))
        output.finish()
    }

    // MARK: Commands

    /// A pointer is told to the others and forgotten; what comes too fast is dropped.
    package func point(_ pointer: Pointer, by id: ParticipantID) {
        guard pointer.fault == nil, permissions(of: id).contains(.point), state.viewports[pointer.viewport] != nil,
            members[id]?.pointerRate.take(now: clock()) == true
        else { return }
        output.yield(.pointer(pointer, by: id))
    }

    /// Carries out a command, or throws the words that say why not.
    package func perform(_ command: RoomCommand, by id: ParticipantID) throws(Refusal) {
        guard !state.ended else { throw Refusal("room_ended", "this session has ended") }
        guard members[id] != nil, let me = state.participants[id] else {
            throw Refusal("not_in_room", "you are not in this room any more; join again")
        }
        if command == .leave { return remove(id, reason: "left", by: id) }
        guard me.status != .waiting else { throw Refusal("waiting", "you are in the lobby until somebody lets you in") }
        guard members[id]?.rate.take(now: clock()) == true else {
            throw Refusal("too_fast", "too many requests; wait a moment")
        }
        switch command {
        case .leave: break
        case .streamMute(let stream, let muted): try muteOwn(stream, muted, id)
        case .participantMute(let other, let stream): try mute(other, stream, by: id)
        case .participantRemove(let other, let reason):
            try demand(.remove, of: id)
            try bar(other)
            remove(other, reason: reason.isEmpty ? "removed by the chair" : reason, by: id)
        case .lobbyAdmit(let other):
            try demand(.admit, of: id)
            guard state.participants[other]?.status == .waiting else {
                throw Refusal("not_waiting", "nobody of that name waits")
            }
            enter(other, by: id)
            output.yield(.admitted(admission(other, tailAfter: nil, resumed: false)))
        case .lobbyReject(let other, let reason):
            try demand(.admit, of: id)
            guard state.participants[other]?.status == .waiting else {
                throw Refusal("not_waiting", "nobody of that name waits")
            }
            try bar(other)
            members[other] = nil
            let words = reason.isEmpty ? "not admitted" : reason
            record(.participantRejected(other, reason: words), by: id)
            output.yield(.gone(other, reason: words))
        case .handRaise:
            try demand(.raiseHand, of: id)
            if !me.hand { record(.handRaised(id), by: id) }
        case .handLower(let other):
            if let other, other != id { try demand(.giveFloor, of: id) }
            let whose = other ?? id
            if state.participants[whose]?.hand == true { record(.handLowered(whose), by: id) }
        case .floorTake: try takeFloor(id)
        case .floorGive(let other): try giveFloor(to: other, by: id)
        case .floorRelease:
            guard state.floor.holder != nil else { return }
            if state.floor.holder != id { try demand(.giveFloor, of: id) }
            moveFloor(to: nil, by: id)
        case .chatSend(let text):
            try demand(.chat, of: id)
            record(.chatMessage(message: "m\(log.lastSequenceNumber + 1)", id, text: text), by: id)
        case .spotlightSet(let spotlight):
            try demand(.spotlight, of: id)
            guard state.participants[spotlight.participant]?.streams[spotlight.stream] != nil else {
                throw Refusal("no_stream", "that participant sends no such stream")
            }
            if state.spotlight != spotlight { record(.spotlightChanged(spotlight), by: id) }
        case .spotlightClear:
            try demand(.spotlight, of: id)
            if state.spotlight != nil { record(.spotlightChanged(nil), by: id) }
        case .consent(let given):
            guard state.recording != nil else { throw Refusal("not_recording", "nothing is being recorded") }
            record(.consentGiven(id, given: given), by: id)
        case .viewportOpen(let viewport, let study, let series):
            if state.floor.holder == nil { try takeFloor(id) }
            try demandFloor(id)
            guard state.viewports[viewport] != nil || state.viewports.count < 16 else {
                throw Refusal("too_many_viewports", "a room has at most 16 viewports")
            }
            record(.viewportOpened(viewport: viewport, study: study, series: series), by: id)
        case .viewportUpdate(let viewport, let patch):
            try demandFloor(id)
            guard state.viewports[viewport] != nil else { throw Refusal("no_viewport", "that viewport is not open") }
            record(.viewportChanged(viewport: viewport, patch: patch), by: id)
        case .viewportClose(let viewport):
            try demandFloor(id)
            if state.viewports[viewport] != nil { record(.viewportClosed(viewport: viewport), by: id) }
        case .roomEnd(let reason):
            try demand(.end, of: id)
            end(reason: reason.isEmpty ? "ended by the chair" : reason, by: id)
        }
    }
}

// MARK: - How it is done

extension LiveRoom {
    private func record(_ body: RoomEvent.Body, by id: ParticipantID?) {
        let event = RoomEvent(seq: log.lastSequenceNumber + 1, t: now, by: id, body: body)
        state.apply(event)
        log.append(event)
        output.yield(.event(event))
    }

    private func admission(_ id: ParticipantID, tailAfter seq: UInt64?, resumed: Bool) -> Admission {
        let catchup: Admission.Catchup =
            if state.participants[id]?.status == .waiting {
                .waiting
            } else if let seq, let tail = log.tail(after: seq) {
                .tail(tail)
            } else {
                .snapshot(snapshot)
            }
        return Admission(
            participant: id, session: members[id]?.session ?? "",
            role: members[id]?.claimant.role ?? .observer, kind: state.kind,
            permissions: permissions(of: id).sorted { $0.rawValue < $1.rawValue }, now: now, catchup: catchup,
            resumed: resumed)
    }

    private func enter(_ id: ParticipantID, by: ParticipantID) {
        guard let claimant = members[id]?.claimant else { return }
        record(
            .participantJoined(id, name: claimant.name, role: claimant.role, device: claimant.role == .device), by: by)
        // One who dropped out while waiting is admitted, and still counted as away.
        if members[id]?.disconnectedAt != nil { record(.participantDisconnected(id), by: nil) }
    }

    private func remove(_ id: ParticipantID, reason: String, by: ParticipantID?) {
        guard members.removeValue(forKey: id) != nil else { return }
        if state.floor.holder == id { moveFloor(to: nil, by: by) }
        record(.participantLeft(id, reason: reason), by: by)
        output.yield(.gone(id, reason: reason))
    }

    private func bar(_ id: ParticipantID) throws(Refusal) {
        guard let member = members[id] else { throw Refusal("no_participant", "nobody of that name is here") }
        barred[member.claimant.identity] = clock() + Self.banDuration
    }

    private func muteOwn(_ stream: String, _ muted: Bool, _ id: ParticipantID) throws(Refusal) {
        guard let known = state.participants[id]?.streams[stream] else {
            throw Refusal("no_stream", "you send no stream of that name")
        }
        if !muted { try demand(known.kind == .audio ? .speak : .publish, of: id) }
        guard known.muted != muted else { return }
        record(.streamMuted(id, stream: stream, muted: muted), by: id)
        output.yield(.mute(id, stream: stream, muted: muted))
    }

    private func mute(_ other: ParticipantID, _ stream: String?, by id: ParticipantID) throws(Refusal) {
        try demand(.mute, of: id)
        guard let participant = state.participants[other] else {
            throw Refusal("no_participant", "nobody of that name is here")
        }
        let chosen = participant.streams.filter { name, description in
            stream == nil ? description.kind == .audio : name == stream
        }
        for name in chosen.keys.sorted() where participant.streams[name]?.muted == false {
            record(.streamMuted(other, stream: name, muted: true), by: id)
            output.yield(.mute(other, stream: name, muted: true))
        }
    }

    private func takeFloor(_ id: ParticipantID) throws(Refusal) {
        guard state.floor.holder != id else { return }
        try demand(.steer, of: id)
        if let holder = state.floor.holder, !permissions(of: id).contains(.giveFloor) {
            let name = state.participants[holder]?.name ?? "somebody else"
            throw Refusal("floor_taken", "\(name) has the floor; ask for it by raising your hand")
        }
        moveFloor(to: id, by: id)
    }

    private func giveFloor(to other: ParticipantID, by id: ParticipantID) throws(Refusal) {
        if state.floor.holder != id { try demand(.giveFloor, of: id) }
        guard state.participants[other]?.status == .present else {
            throw Refusal("no_participant", "nobody of that name is here")
        }
        guard state.floor.holder != other else { return }
        moveFloor(to: other, by: id)
        if state.participants[other]?.hand == true { record(.handLowered(other), by: id) }
    }

    private func moveFloor(to holder: ParticipantID?, by id: ParticipantID?) {
        record(.floorChanged(holder: holder, epoch: state.floor.epoch + 1), by: id)
    }

    private func demandFloor(_ id: ParticipantID) throws(Refusal) {
        guard state.floor.holder == id else {
            throw Refusal("floor_needed", "only who has the floor steers; take it or ask for it")
        }
    }

    /// 128 random bits in hexadecimal.
    private static func makeSession() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<2).map { _ in
            let text = String(generator.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
    }
}

extension Int64 {
    /// The value, or the largest there is.
    fileprivate init(clamped value: UInt64) { self = value > UInt64(Int64.max) ? .max : Int64(value) }
}
