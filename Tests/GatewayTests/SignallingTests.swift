// consilium.v1 over real sockets against a whole server: joining, deciding, resuming, refusing.
import Foundation
import Gateway
import MediaEngine
import Rooms
import Testing

@Suite("Signalling") struct SignallingTests {
    @Test("lets people in, tells them of each other, and carries chat in order")
    func joinAndChat() async throws {
        try await TestService.run { service, _ in
            let (chair, expert) = (try TestService.token(.chair), try TestService.token(.expert))
            try await blocking {
                let a = try PageClient.joined(service.port, chair)
                let b = try PageClient.joined(service.port, expert)
                let joined = try a.event("participant.joined")
                #expect(joined["participant"] as? String == b.participant)
                #expect(joined["v"] as? Int == 1)
                for index in 0..<20 {
                    #expect(try b.request(["do": "chat.send", "text": "line \(index)"]).ok != nil)
                }
                var last = joined["seq"] as? Int ?? 0
                for index in 0..<20 {
                    let line = try a.event("chat.message")
                    #expect(line["text"] as? String == "line \(index)")
                    #expect(line["by"] as? String == b.participant)
                    #expect(line["seq"] as? Int == last + 1)
                    last += 1
                }
            }
        }
    }

    @Test("gives a late joiner a snapshot that continues without a gap")
    func snapshot() async throws {
        try await TestService.run { service, _ in
            let (chair, expert) = (try TestService.token(.chair), try TestService.token(.expert))
            try await blocking {
                let a = try PageClient.joined(service.port, chair)
                _ = try a.request(["do": "chat.send", "text": "before"])
                let b = try PageClient(port: service.port)
                let reply = try b.request(["do": "join", "token": expert])
                let ok = try #require(reply.ok)
                #expect(ok["kind"] as? String == "mdt")
                #expect(ok["role"] as? String == "expert")
                #expect((ok["permissions"] as? [String])?.contains("steer") == true)
                let snapshot = try #require(ok["snapshot"] as? [String: Any])
                let state = try #require(snapshot["state"] as? [String: Any])
                #expect((state["chat"] as? [[String: Any]])?.first?["text"] as? String == "before")
                #expect((state["participants"] as? [String: Any])?.count == 2)
                #expect(state["recording"] is NSNull)
                _ = try a.request(["do": "chat.send", "text": "after"])
                let event = try b.event("chat.message")
                #expect(event["text"] as? String == "after")
                #expect(event["seq"] as? Int == (snapshot["seq"] as? Int ?? 0) + 1)
            }
        }
    }

    @Test("keeps a participant whose connection broke, and gives the tail to the same identity")
    func resume() async throws {
        try await TestService.run { service, _ in
            let (chair, expert) = (try TestService.token(.chair), try TestService.token(.expert))
            let stranger = try TestService.token(.expert, identity: "somebody-else")
            try await blocking {
                let a = try PageClient.joined(service.port, chair)
                var session = ""
                var seq = 0
                var participant = ""
                do {
                    let b = try PageClient.joined(service.port, expert)
                    (session, seq, participant) = (b.session, b.seq, b.participant)
                }
                #expect(try a.event("participant.disconnected")["participant"] as? String == participant)
                _ = try a.request(["do": "chat.send", "text": "while you were away"])
                let thief = try PageClient(port: service.port)
                let stolen = try thief.request(
                    ["do": "join", "token": stranger, "resume": ["session": session, "seq": seq]])
                #expect(stolen.errorCode == "foreign_session")
                let back = try PageClient(port: service.port)
                let reply = try back.request(
                    ["do": "join", "token": expert, "resume": ["session": session, "seq": seq]])
                let ok = try #require(reply.ok)
                #expect(ok["participant"] as? String == participant)
                #expect(ok["resumed"] as? Bool == true)
                #expect(ok["snapshot"] == nil)
                let tail = try #require(ok["tail"] as? [[String: Any]])
                #expect(
                    tail.map { $0["event"] as? String } == [
                        "participant.disconnected", "chat.message", "participant.reconnected",
                    ])
                _ = try a.request(["do": "chat.send", "text": "welcome back"])
                #expect(try back.event("chat.message")["text"] as? String == "welcome back")
            }
        }
    }

    @Test("closes the older of two connections of one session")
    func replaced() async throws {
        try await TestService.run { service, _ in
            let chair = try TestService.token(.chair)
            try await blocking {
                let first = try PageClient.joined(service.port, chair)
                let second = try PageClient(port: service.port)
                let reply = try second.request(
                    ["do": "join", "token": chair, "resume": ["session": first.session, "seq": first.seq]])
                #expect(reply.ok?["participant"] as? String == first.participant)
                #expect(try first.closeCode() == 4001)
                #expect(try second.request(["do": "ping"]).ok?["now"] is Int)
            }
        }
    }

    @Test("holds an attendee in the lobby until somebody decides")
    func lobby() async throws {
        try await TestService.run { service, _ in
            let chair = try TestService.token(.chair)
            let one = try TestService.token(.attendee, identity: "one")
            let two = try TestService.token(.attendee, identity: "two")
            try await blocking {
                let a = try PageClient.joined(service.port, chair)
                let b = try PageClient(port: service.port)
                let waiting = try b.request(["do": "join", "token": one])
                #expect(waiting.ok?["waiting"] as? Bool == true)
                #expect(waiting.ok?["snapshot"] == nil)
                let id = try #require(waiting.ok?["participant"] as? String)
                #expect(try b.request(["do": "chat.send", "text": "x"]).errorCode == "waiting")
                #expect(try b.request(["do": "negotiate", "sdp": "v=0", "streams": []]).errorCode == "waiting")
                #expect(try a.event("participant.waiting")["participant"] as? String == id)
                #expect(try a.request(["do": "lobby.admit", "participant": id]).ok != nil)
                let admitted = try b.notice("admitted")
                #expect(admitted["snapshot"] is [String: Any])
                _ = try a.request(["do": "chat.send", "text": "hello"])
                #expect(try b.event("chat.message")["text"] as? String == "hello")

                let c = try PageClient(port: service.port)
                let other = try c.request(["do": "join", "token": two])
                let otherID = try #require(other.ok?["participant"] as? String)
                _ = try a.request(["do": "lobby.reject", "participant": otherID, "reason": "not today"])
                #expect(try c.notice("rejected")["reason"] as? String == "not today")
                #expect(try c.closeCode() == 4002)
                let again = try PageClient(port: service.port).request(["do": "join", "token": two])
                #expect(again.errorCode == "barred")
            }
        }
    }

    @Test("tells pointers to the others only, the latest alone")
    func pointers() async throws {
        try await TestService.run { service, _ in
            let (chair, expert) = (try TestService.token(.chair), try TestService.token(.expert))
            try await blocking {
                let a = try PageClient.joined(service.port, chair)
                let b = try PageClient.joined(service.port, expert)
                #expect(
                    try a.request(["do": "viewport.open", "viewport": "main", "study": "1.2", "series": "1.2.3"]).ok
                        != nil)
                try a.send(["do": "pointer", "viewport": "main", "sop": "1.2.3.4", "frame": 1, "x": 12.5, "y": 7])
                let presence = try b.next { $0["presence"] as? String == "pointer" }
                #expect(presence["by"] as? String == a.participant)
                #expect(presence["x"] as? Double == 12.5)
                try a.send([
                    "do": "pointer", "viewport": "main", "sop": "1.2.3.4", "frame": 1, "x": NSNull(), "y": NSNull(),
                ])
                #expect(try b.next { $0["presence"] != nil }["x"] is NSNull)
                #expect(
                    try b.request(["do": "viewport.update", "viewport": "main", "patch": ["invert": true]]).errorCode
                        == "floor_needed")
            }
        }
    }

    @Test("ends for everybody, and the name is free for the next session")
    func end() async throws {
        try await TestService.run { service, _ in
            let (chair, expert) = (try TestService.token(.chair), try TestService.token(.expert))
            try await blocking {
                let a = try PageClient.joined(service.port, chair)
                let b = try PageClient.joined(service.port, expert)
                #expect(try b.request(["do": "room.end"]).errorCode == "not_permitted")
                #expect(try a.request(["do": "room.end", "reason": "done"]).ok != nil)
                #expect(try b.event("room.ended")["reason"] as? String == "done")
                #expect(try b.notice("goodbye")["reason"] as? String == "done")
                #expect(try b.closeCode() == 4002)
                let next = try PageClient.joined(service.port, chair)
                #expect(next.participant == "p1")
            }
        }
    }

    @Test("says goodbye to everybody when the server stops")
    func goodbye() async throws {
        let page = Lock<PageClient?>(nil)
        try await TestService.run { service, _ in
            let chair = try TestService.token(.chair)
            try await blocking { page.withLock { $0 = try? PageClient.joined(service.port, chair) } }
        }
        try await blocking {
            let page = try #require(page.withLock { $0 })
            #expect(try page.notice("goodbye")["reason"] as? String == "test over")
            #expect(try page.closeCode() == 1001)
        }
    }

    @Test("records what is said, from start to stop", .timeLimit(.minutes(1)))
    func recording() async throws {
        try await TestService.run { service, directory in
            let (chair, attendee) = (try TestService.token(.chair), try TestService.token(.expert))
            let foreign = try TestService.token(.chair, room: "other")
            let id = try await blocking {
                let a = try PageClient.joined(service.port, chair)
                let b = try PageClient.joined(service.port, attendee)
                #expect(try b.request(["do": "recording.start"]).errorCode == "not_permitted")
                let id = try #require(
                    try a.request(["do": "recording.start", "title": "Case 7"]).ok?["recording"] as? String)
                #expect(try b.event("recording.started")["title"] as? String == "Case 7")
                #expect(try b.request(["do": "recording.consent", "given": true]).ok != nil)
                #expect(try a.request(["do": "recording.start"]).errorCode == "already_recording")
                _ = try b.request(["do": "chat.send", "text": "on the record"])
                #expect(try a.request(["do": "recording.stop"]).ok != nil)
                #expect(try b.event("recording.stopped")["recording"] as? String == id)
                _ = try b.request(["do": "chat.send", "text": "off the record"])
                return id
            }
            var state = ""
            var list: [[String: Any]] = []
            while state != "ready" {
                let answer = try await RawClient.request(
                    port: service.port, "GET", "/v1/recordings", headers: ["Authorization": "Bearer \(chair)"])
                let json = try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
                list = json?["recordings"] as? [[String: Any]] ?? []
                state = list.first?["state"] as? String ?? ""
            }
            #expect(list.first?["title"] as? String == "Case 7")
            let timeline = try await RawClient.request(
                port: service.port, "GET", "/v1/recordings/\(id)/timeline.ndjson",
                headers: ["Authorization": "Bearer \(chair)"])
            #expect(timeline.status == 200)
            #expect(timeline.text.contains("on the record"))
            #expect(timeline.text.contains("recording.started"))
            #expect(timeline.text.contains("recording.stopped"))
            #expect(!timeline.text.contains("off the record"))
            let other = try await RawClient.request(
                port: service.port, "GET", "/v1/recordings/\(id)/manifest.json",
                headers: ["Authorization": "Bearer \(foreign)"])
            #expect(other.status == 404)
            let hidden = try await RawClient.request(
                port: service.port, "GET", "/v1/recordings", headers: ["Authorization": "Bearer \(foreign)"])
            #expect(hidden.text == #"{"recordings":[]}"#)
            let escape = try await RawClient.request(
                port: service.port, "GET", "/v1/recordings/\(id)/tracks/..%2f..%2farchive.sqlite",
                headers: ["Authorization": "Bearer \(chair)"])
            #expect(escape.status == 404)
        }
    }

    @Test("closes a room that stays empty, and keeps one that somebody may come back to")
    func emptyRooms() async throws {
        try await TestService.run({ $0.hub.emptyGrace = 0 }) { service, _ in
            let chair = try TestService.token(.chair)
            let page = Lock<PageClient?>(nil)
            try await blocking { page.withLock { $0 = try? PageClient.joined(service.port, chair) } }
            await service.hub.tick()
            await service.hub.tick()
            #expect(await service.hub.counts().rooms == 1)
            try await blocking {
                let page = try #require(page.withLock { $0 })
                #expect(try page.request(["do": "leave"]).ok != nil)
                #expect(try page.closeCode() == 4002)
            }
            // The end of a room passes through its output; every tick looks again.
            while await service.hub.counts().rooms > 0 { await service.hub.tick() }
        }
    }
}

@Suite("Signalling refuses") struct SignallingRefusalTests {
    @Test("who has no right to come in, with the reason")
    func tokens() async throws {
        try await TestService.run { service, _ in
            let expired = try TestService.token(.chair, seconds: -100)
            let foreign = try TestService.token(.chair, room: "other")
            let observer = try TestService.token(.observer, kind: .lesson)
            let forged = try TokenVerifier(secret: Array(repeating: 7, count: 32)).mint(
                AccessClaims(
                    room: "board", identity: "x", name: "X", role: .chair, expires: WallClock.now().seconds + 60))
            try await blocking {
                func join(_ token: Any) throws -> String? {
                    try PageClient(port: service.port).request(["do": "join", "token": token]).errorCode
                }
                #expect(try join("") == "token_missing")
                #expect(try join("abc") == "token_malformed")
                #expect(try join(expired) == "token_expired")
                #expect(try join(foreign) == "token_other_room")
                #expect(try join(forged) == "token_signature")
                #expect(try join(observer) == "not_open")
                #expect(try join(5) == "bad_field")
                let chatty = try PageClient(port: service.port)
                #expect(try chatty.request(["do": "chat.send", "text": "hi"]).errorCode == "join_first")
                #expect(try chatty.closeCode() == 1000)
            }
        }
    }

    @Test(
        "messages that are not as they should be, and goes on",
        arguments: [
            ("{", "bad_message"), ("[]", "bad_message"), ("null", "bad_message"), (#""x""#, "bad_message"),
            ("{}", "bad_message"),
            (#"{"id":"7","do":"ping"}"#, "bad_message"), (#"{"id":7.5,"do":"ping"}"#, "bad_message"),
            (#"{"id":-1,"do":"ping"}"#, "bad_message"), (#"{"id":7}"#, "bad_message"),
            (#"{"id":7,"do":5}"#, "bad_message"),
            (#"{"id":7,"do":"sudo"}"#, "unknown_command"), (#"{"id":7,"do":""}"#, "unknown_command"),
            (#"{"do":"hand.raise"}"#, "id_missing"), (#"{"id":7,"do":"chat.send"}"#, "bad_field"),
            (#"{"id":7,"do":"chat.send","text":5}"#, "bad_field"),
            (#"{"id":7,"do":"chat.send","text":"   "}"#, "bad_field"),
            (#"{"id":7,"do":"negotiate"}"#, "bad_field"),
            (#"{"id":7,"do":"negotiate","sdp":"x","streams":{}}"#, "bad_field"),
            (#"{"id":7,"do":"negotiate","sdp":"x","streams":[{"mid":"0"}]}"#, "bad_field"),
            (
                #"{"id":7,"do":"negotiate","sdp":"x","streams":[{"mid":"0","stream":"a b","role":"camera"}]}"#,
                "bad_field"
            ),
            (#"{"id":7,"do":"join","token":"x"}"#, "already_joined"),
            (#"{"id":7,"do":"viewport.open","viewport":"main","study":"x","series":"1.2"}"#, "bad_field"),
            (#"{"id":7,"do":"pointer","viewport":"main"}"#, "bad_field"),
            (#"{"id":7,"do":"participant.remove","participant":"p99"}"#, "no_participant"),
            (#"{"id":7,"do":"recording.stop"}"#, "not_recording"),
            (String(repeating: "[", count: 60_000), "bad_message"),
            (#"{"id":7,"do":"chat.send","text":""# + String(repeating: "x", count: 5000) + "\"}", "too_long"),
            (#"{"id":7,"do":"chat.send","text":""# + String(repeating: "x", count: 70_000) + "\"}", "too_long"),
        ])
    func malformed(text: String, code: String) async throws {
        try await TestService.run { service, _ in
            let chair = try TestService.token(.chair)
            try await blocking {
                let page = try PageClient.joined(service.port, chair)
                try page.raw.sendFrame(text)
                #expect(try page.next { $0["re"] != nil }.errorCode == code)
                #expect(try page.request(["do": "ping"]).ok != nil)
            }
        }
    }

    @Test("a session description without a fingerprint, with its reason")
    func noFingerprint() async throws {
        try await TestService.run { service, _ in
            let chair = try TestService.token(.chair)
            try await blocking {
                let page = try PageClient.joined(service.port, chair)
                let bad = try page.request([
                    "do": "negotiate", "sdp": TestOffer.sdp(hasFingerprint: false), "streams": [],
                ])
                #expect(bad.errorCode?.contains("fingerprint") == true, "\(bad)")
                let garbage = try page.request(["do": "negotiate", "sdp": "hello", "streams": []])
                #expect(garbage.errorCode != nil)
                let good = try page.request([
                    "do": "negotiate", "sdp": TestOffer.sdp(),
                    "streams": [
                        ["mid": "0", "stream": "microphone", "role": "audio", "label": "", "muted": true],
                        ["mid": "1", "stream": "camera", "role": "camera", "label": "Desk", "muted": false],
                    ],
                ])
                let ok = try #require(good.ok, "\(good)")
                #expect((ok["sdp"] as? String)?.contains("a=ice-lite") == true)
                #expect((ok["published"] as? [Any])?.count == 2)
                let camera = try page.next {
                    $0["event"] as? String == "stream.published" && $0["stream"] as? String == "camera"
                }
                #expect(camera["label"] as? String == "Desk")
                #expect(camera["codec"] as? String == "VP8")
                let microphone = try page.next {
                    $0["event"] as? String == "stream.published" && $0["stream"] as? String == "microphone"
                }
                #expect(microphone["muted"] as? Bool == true)
            }
        }
    }

    @Test("a page that says nothing for five seconds")
    func silent() async throws {
        try await TestService.run({ $0.hub.joinTimeout = .milliseconds(50) }) { service, _ in
            try await blocking {
                let page = try PageClient(port: service.port)
                #expect(try page.closeCode() == 4003)
            }
        }
    }
}
