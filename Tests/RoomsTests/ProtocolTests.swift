// The JSON of events, states and commands, and that a room rebuilt from its log is the same room.

import Foundation
import Testing

@testable import Rooms

@Suite struct ProtocolTests {
    @Test(
        "a malformed command is refused by the name of its field",
        arguments: [
            ("fly", "{}", "unknown_command"), ("chat.send", "{}", "bad_field"),
            ("chat.send", #"{"text":7}"#, "bad_field"),
            ("chat.send", #"{"text":"  "}"#, "bad_field"), ("floor.give", #"{"participant":"p 1"}"#, "bad_field"),
            ("stream.mute", #"{"stream":"../x","muted":true}"#, "bad_field"),
            ("viewport.open", #"{"viewport":"main","study":"abc","series":"1.2"}"#, "bad_field"),
            ("viewport.update", #"{"viewport":"main","patch":{}}"#, "bad_field"),
            (
                "viewport.update", #"{"viewport":"main","patch":{"area":{"left":5,"top":0,"right":5,"bottom":9}}}"#,
                "bad_field"
            ),
            (
                "viewport.update", #"{"viewport":"main","patch":{"voi":{"center":1,"width":0,"function":"LINEAR"}}}"#,
                "bad_field"
            ),
            (
                "viewport.update",
                #"{"viewport":"main","patch":{"orientation":{"rotation":45,"flipHorizontal":false}}}"#, "bad_field"
            ),
        ])
    func malformed(name: String, fields: String, code: String) throws {
        let fault = #expect(throws: CommandFault.self) { try command(name, fields) }
        #expect(fault?.code == code)
    }

    @Test("a chat line of 4000 characters passes, one more does not")
    func longChat() throws {
        #expect(throws: Never.self) { try command("chat.send", #"{"text":"\#(String(repeating: "é", count: 4000))"}"#) }
        #expect(throws: CommandFault.self) {
            try command("chat.send", #"{"text":"\#(String(repeating: "é", count: 4001))"}"#)
        }
    }

    @Test("every command the protocol names can be read or says what it lacks")
    func allNames() {
        for name in RoomCommand.names {
            do {
                _ = try command(name)
            } catch let fault as CommandFault {
                #expect(fault.code == "bad_field", "\(name): \(fault.message)")
            } catch {
                Issue.record("\(name): \(error)")
            }
        }
    }

    @Test("an event of an unknown version is refused")
    func unknownVersion() {
        let line = #"{"seq":1,"t":0,"v":2,"event":"hand.raised","by":null,"participant":"p1"}"#
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(RoomEvent.self, from: Data(line.utf8)) }
    }

    @Test("rooms rebuilt from their logs equal the live ones, and events survive their JSON", arguments: 0..<50)
    func replay(seed: UInt64) async throws {
        let run = try await randomSession(seed: seed, commands: 200)
        var rebuilt = RoomState(room: "board-1", kind: .consultation, title: "")
        for event in run.events {
            let line = try encoded(event)
            let back = try JSONDecoder().decode(RoomEvent.self, from: Data(line.utf8))
            #expect(back == event, "seed \(seed)")
            rebuilt.apply(back)
        }
        #expect(try encoded(rebuilt) == encoded(run.state), "seed \(seed)")
        let state = try JSONDecoder().decode(RoomState.self, from: Data(encoded(run.state).utf8))
        #expect(state == run.state, "seed \(seed)")
    }

    /// The page's twin of `apply` is checked against the same file by Tests/Browser/test_room_state.py.
    @Test("the session kept for the page's twin is what this version makes of its seed")
    func fixtureForThePage() async throws {
        let run = try await randomSession(seed: 2026, commands: 400, kind: .mdt)
        let lines = try run.events.map { try encoded($0) } + [try encoded(run.state)]
        let text = lines.joined(separator: "\n") + "\n"
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "session-2026.ndjson")
        if ProcessInfo.processInfo.environment["CONSILIUM_WRITE_FIXTURES"] != nil {
            try Data(text.utf8).write(to: file)
        }
        let kept = String(decoding: try Data(contentsOf: file), as: UTF8.self)
        #expect(kept == text, "run once with CONSILIUM_WRITE_FIXTURES=1 if the protocol was changed on purpose")
    }
}

/// People who do anything in any order, allowed or not.
private func randomSession(seed: UInt64, commands: Int, kind: RoomKind? = nil) async throws -> (
    events: [RoomEvent], state: RoomState
) {
    var chance = SeededGenerator(seed: seed)
    let clock = TestClock()
    let room = makeRoom(kind ?? RoomKind.allCases.randomElement(using: &chance)!, clock: clock)
    var ids = [ParticipantID("p99")]
    func someone() -> ParticipantID { ids.randomElement(using: &chance)! }
    /// Asks one after the other until somebody is allowed to.
    func attempt(_ command: RoomCommand) async {
        for id in ids.shuffled(using: &chance) where await room.refusal(of: command, by: id) == nil { return }
    }
    for index in 0..<commands {
        clock.advance(seconds: Double.random(in: 0.01...2, using: &chance).rounded(.up))
        let id = someone()
        switch Int.random(in: 0..<20, using: &chance) {
        case 0, 1:
            let role = Role.allCases.randomElement(using: &chance)!
            if let admission = try? await room.join(person("person \(index)", role)) {
                ids.append(admission.participant)
            }
        case 2: await room.disconnected(id)
        case 3: await room.expire()
        case 4:
            let stream = RoomState.Stream(
                kind: Bool.random(using: &chance) ? .audio : .video,
                role: RoomState.StreamRole.allCases.randomElement(using: &chance)!, label: "Büro \(index)",
                codec: "VP8",
                muted: Bool.random(using: &chance))
            await room.setStreams(["s\(Int.random(in: 0..<3, using: &chance))": stream], of: id)
        case 5: await attempt(.handRaise)
        case 6: await attempt(.handLower(someone()))
        case 7: await attempt(.floorTake)
        case 8: await attempt(.floorGive(someone()))
        case 9: _ = await room.refusal(of: .chatSend(text: "line \(index) \u{1F600} \"quoted\""), by: id)
        case 10:
            await attempt(.spotlightSet(.init(participant: someone(), stream: "s0")))
        case 11: await attempt(.spotlightClear)
        case 12:
            await attempt(.viewportOpen(viewport: "main", study: "1.2", series: "1.2.\(index)"))
        case 13, 14:
            var patch = ViewportPatch()
            patch.image = .init(sop: "1.2.3.\(index)", frame: 1)
            patch.voi = .init(center: 40.5, width: Double(index + 1), function: .linear)
            if Bool.random(using: &chance) { patch.area = .init(left: -0.5, top: 0, right: 512, bottom: 511.25) }
            if Bool.random(using: &chance) { patch.focalPoint = [1, -2.5, Double(index)] }
            await attempt(.viewportUpdate(viewport: "main", patch: patch))
        case 15: await room.recordingStarted("rec-\(index)", title: "", by: id)
        case 16: await attempt(.consent(given: Bool.random(using: &chance)))
        case 17: await room.recordingStopped(by: id)
        case 18: await attempt(.participantMute(someone(), stream: nil))
        default: await attempt(.lobbyAdmit(someone()))
        }
    }
    let state = await room.state
    await room.end(reason: "done")
    var events: [RoomEvent] = []
    for await case .event(let event) in room.outputs { events.append(event) }
    return (events, await (state.ended ? state : room.state))
}
