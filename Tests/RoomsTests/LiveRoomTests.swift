// What a room decides: who comes in, who may do what, and what the log says afterwards.

import Testing

@testable import Rooms

@Suite struct LiveRoomTests {
    @Test("an attendee of a board waits until the chair lets them in")
    func lobby() async throws {
        let room = makeRoom()
        let chair = try await room.join(person("chair", .chair)).participant
        let student = try await room.join(person("student", .attendee))
        guard case .waiting = student.catchup else { Issue.record("told the room to somebody who waits"); return }
        #expect(await room.refusal(of: .chatSend(text: "hello"), by: student.participant) == "waiting")
        try await room.perform(.lobbyAdmit(student.participant), by: chair)
        #expect(await room.state.participants[student.participant]?.status == .present)
        #expect(await room.refusal(of: .chatSend(text: "hello"), by: student.participant) == nil)
    }

    @Test("somebody rejected stays out for a minute, and may try again then")
    func rejection() async throws {
        let clock = TestClock()
        let room = makeRoom(clock: clock)
        let chair = try await room.join(person("chair", .chair)).participant
        let guest = try await room.join(person("guest", .observer)).participant
        try await room.perform(.lobbyReject(guest, reason: ""), by: chair)
        await #expect(throws: Refusal.self) { try await room.join(person("guest", .observer)) }
        clock.advance(seconds: 61)
        await #expect(throws: Never.self) { try await room.join(person("guest", .observer)) }
    }

    @Test("the table of permissions holds in the room", arguments: RoomKind.allCases, Role.allCases)
    func permissions(kind: RoomKind, role: Role) async throws {
        let room = makeRoom(kind)
        let chair = try await room.join(person("chair", .chair)).participant
        let id = try await room.join(person("x", role)).participant
        if role.waitsInLobby(of: kind) { try await room.perform(.lobbyAdmit(id), by: chair) }
        let allowed = role.permissions(in: kind)
        #expect(await room.permissions(of: id) == allowed)
        #expect(await (room.refusal(of: .chatSend(text: "a"), by: id) == nil) == allowed.contains(.chat))
        #expect(await (room.refusal(of: .handRaise, by: id) == nil) == allowed.contains(.raiseHand))
        #expect(await (room.refusal(of: .floorTake, by: id) == nil) == allowed.contains(.steer))
        #expect(
            await (room.refusal(of: .participantMute(chair, stream: nil), by: id) == nil) == allowed.contains(.mute))
        #expect(await (room.refusal(of: .spotlightClear, by: id) == nil) == allowed.contains(.spotlight))
        #expect(await (room.refusal(of: .roomEnd(reason: ""), by: id) == nil) == allowed.contains(.end))
    }

    @Test("only the holder of the floor steers, and nothing of the former holder is taken after a hand-over")
    func floor() async throws {
        let room = makeRoom()
        let chair = try await room.join(person("chair", .chair)).participant
        let expert = try await room.join(person("expert", .expert)).participant
        let second = try await room.join(person("second", .expert)).participant
        try await room.perform(.viewportOpen(viewport: "main", study: "1.2", series: "1.2.3"), by: expert)
        #expect(await room.state.floor.holder == expert)
        var patch = ViewportPatch()
        patch.invert = true
        #expect(await room.refusal(of: .viewportUpdate(viewport: "main", patch: patch), by: second) == "floor_needed")
        #expect(await room.refusal(of: .floorTake, by: second) == "floor_taken")
        try await room.perform(.handRaise, by: second)
        try await room.perform(.floorGive(second), by: chair)
        #expect(await room.state.participants[second]?.hand == false)
        #expect(await room.refusal(of: .viewportUpdate(viewport: "main", patch: patch), by: expert) == "floor_needed")
        try await room.perform(.viewportUpdate(viewport: "main", patch: patch), by: second)
        #expect(await room.state.viewports["main"]?.properties.invert == true)
        #expect(await room.state.floor.epoch == 2)
    }

    @Test("the floor lets a student speak, and only while they hold it")
    func studentSpeaks() async throws {
        let room = makeRoom(.broadcast)
        let chair = try await room.join(person("chair", .chair)).participant
        let student = try await room.join(person("student", .attendee)).participant
        await #expect(throws: Refusal.self) { try await room.demand(.speak, of: student) }
        try await room.perform(.floorGive(student), by: chair)
        await #expect(throws: Never.self) { try await room.demand(.speak, of: student) }
        try await room.perform(.floorRelease, by: chair)
        await #expect(throws: Refusal.self) { try await room.demand(.speak, of: student) }
    }

    @Test("who comes back within 30 s is the same participant and gets the tail")
    func resume() async throws {
        let clock = TestClock()
        let room = makeRoom(clock: clock)
        let chair = try await room.join(person("chair", .chair)).participant
        let expert = try await room.join(person("expert", .expert))
        let seq = await room.snapshot.seq
        await room.disconnected(expert.participant)
        try await room.perform(.chatSend(text: "are you there?"), by: chair)
        clock.advance(seconds: 29)
        await room.expire()
        let back = try await room.join(person("expert", .expert), resume: (expert.session, seq))
        #expect(back.participant == expert.participant)
        #expect(back.resumed)
        guard case .tail(let events) = back.catchup else { Issue.record("no tail"); return }
        #expect(events.map(\.name) == [.participantDisconnected, .chatMessage, .participantReconnected])
    }

    @Test("who stays away longer has left, and the floor is free again")
    func expiry() async throws {
        let clock = TestClock()
        let room = makeRoom(clock: clock)
        let expert = try await room.join(person("expert", .expert))
        try await room.perform(.floorTake, by: expert.participant)
        await room.disconnected(expert.participant)
        clock.advance(seconds: 31)
        await room.expire()
        #expect(await room.state.participants.isEmpty)
        #expect(await room.state.floor.holder == nil)
        let anew = try await room.join(person("expert", .expert), resume: (expert.session, 1))
        #expect(!anew.resumed && anew.participant != expert.participant)
    }

    @Test("a session of somebody else opens nothing")
    func foreignSession() async throws {
        let room = makeRoom()
        let expert = try await room.join(person("expert", .expert))
        await #expect(throws: Refusal.self) {
            try await room.join(person("thief", .expert), resume: (expert.session, 1))
        }
    }

    @Test("a client that is too far behind gets a snapshot")
    func farBehind() async throws {
        let clock = TestClock()
        let room = makeRoom(clock: clock)
        let chair = try await room.join(person("chair", .chair))
        for _ in 0..<10_000 {
            clock.advance(seconds: 0.1)
            try await room.perform(.chatSend(text: "x"), by: chair.participant)
        }
        let back = try await room.join(person("chair", .chair), resume: (chair.session, 2))
        guard case .snapshot(let snapshot) = back.catchup else { Issue.record("a tail with a hole"); return }
        #expect(snapshot.state.chat.count == RoomState.chatLimit)
    }

    @Test("a flood of commands is refused, and the room goes on")
    func flood() async throws {
        let clock = TestClock()
        let room = makeRoom(clock: clock)
        let chair = try await room.join(person("chair", .chair)).participant
        var refused = 0
        for _ in 0..<1000 where await room.refusal(of: .chatSend(text: "x"), by: chair) == "too_fast" { refused += 1 }
        #expect(refused == 880)
        clock.advance(seconds: 1)
        #expect(await room.refusal(of: .chatSend(text: "x"), by: chair) == nil)
    }

    @Test("what the media side says of a participant's streams becomes the difference as events")
    func streams() async throws {
        let room = makeRoom()
        let id = try await room.join(person("expert", .expert)).participant
        let camera = RoomState.Stream(kind: .video, role: .camera, label: "", codec: "VP8", muted: false)
        let before = await room.snapshot.seq
        await room.setStreams(["camera": camera], of: id)
        var muted = camera
        muted.muted = true
        await room.setStreams(["camera": muted, "screen": camera], of: id)
        await room.setStreams(["screen": camera], of: id)
        let names = await room.tail(after: before)?.map(\.name)
        #expect(names == [.streamPublished, .streamMuted, .streamPublished, .streamUnpublished])
    }

    @Test("after the end nothing is taken any more, and a running recording is stopped first")
    func end() async throws {
        let room = makeRoom()
        let chair = try await room.join(person("chair", .chair)).participant
        await room.recordingStarted("r1", title: "Board", by: chair)
        try await room.perform(.roomEnd(reason: ""), by: chair)
        #expect(await room.refusal(of: .chatSend(text: "x"), by: chair) == "room_ended")
        var names: [RoomEvent.Kind] = []
        for await case .event(let event) in room.outputs { names.append(event.name) }
        #expect(names.suffix(2) == [.recordingStopped, .roomEnded])
    }
}
