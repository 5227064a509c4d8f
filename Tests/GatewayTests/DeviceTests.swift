// WHIP and WHEP over HTTP: sessions, entity tags and every refusal of RFC 9725 that this server knows.
import Foundation
import Gateway
import MediaEngine
import Rooms
import Testing

@Suite("WHIP and WHEP") struct DeviceTests {
    private func request(
        _ port: Int, _ method: String, _ path: String, _ token: String?, type: String? = "application/sdp",
        body: String? = nil, headers: [String: String] = [:]
    ) async throws -> RawResponse {
        var all = headers
        if let token { all["Authorization"] = "Bearer \(token)" }
        if let type, body != nil { all["Content-Type"] = type }
        return try await RawClient.request(port: port, method, path, headers: all, body: body.map { Array($0.utf8) })
    }

    @Test("let an encoder in as a device, and out again with DELETE")
    func session() async throws {
        try await TestService.run { service, _ in
            let device = try TestService.token(.device, name: "OR 2")
            let chair = try TestService.token(.chair)
            let page = Lock<PageClient?>(nil)
            try await blocking { page.withLock { $0 = try? PageClient.joined(service.port, chair) } }
            let made = try await request(
                service.port, "POST", "/whip/board/or-2/field?role=surgicalField", device, body: TestOffer.sdp())
            #expect(made.status == 201, "\(made.text)")
            #expect(made.headers["content-type"] == "application/sdp")
            #expect(made.headers["accept-patch"] == "application/trickle-ice-sdpfrag")
            #expect(made.text.contains("a=ice-lite"))
            #expect(made.text.contains("a=recvonly"))
            let location = try #require(made.headers["location"])
            let tag = try #require(made.headers["etag"])
            #expect(tag.hasPrefix("\"") && tag.hasSuffix("\""))
            let participant = try await blocking {
                let page = try #require(page.withLock { $0 })
                let joined = try page.event("participant.joined")
                #expect(joined["device"] as? Bool == true)
                #expect(joined["name"] as? String == "OR 2")
                let video = try page.next {
                    $0["event"] as? String == "stream.published" && $0["kind"] as? String == "video"
                }
                #expect(video["stream"] as? String == "field")
                #expect(video["role"] as? String == "surgicalField")
                return joined["participant"] as? String ?? ""
            }

            let twice = try await request(service.port, "POST", "/whip/board/or-2/field", device, body: TestOffer.sdp())
            #expect(twice.status == 409)
            for path in [location, "/whip/board/or-2/field", "/whep/board"] {
                let get = try await request(service.port, "GET", path, device)
                #expect(get.status == 204)
                #expect(get.body.isEmpty)
            }
            let options = try await request(service.port, "OPTIONS", "/whip/board/or-2", nil)
            #expect(options.status == 204)
            #expect(options.headers["accept-post"] == "application/sdp")

            let fragmentType = "application/trickle-ice-sdpfrag"
            let same =
                "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef0123456789\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
                + "a=candidate:1 1 udp 1 192.0.2.1 4000 typ host\r\n"
            let none = try await request(service.port, "PATCH", location, device, type: fragmentType, body: same)
            #expect(none.status == 428)
            let stale = try await request(
                service.port, "PATCH", location, device, type: fragmentType, body: same,
                headers: ["If-Match": "\"old\""])
            #expect(stale.status == 412)
            let wrongType = try await request(
                service.port, "PATCH", location, device, type: "text/plain", body: same, headers: ["If-Match": tag])
            #expect(wrongType.status == 415)
            let trickled = try await request(
                service.port, "PATCH", location, device, type: fragmentType, body: same, headers: ["If-Match": tag])
            #expect(trickled.status == 204)
            let restarted = try await request(
                service.port, "PATCH", location, device, type: fragmentType,
                body: same.replacing("abcd", with: "wxyz"), headers: ["If-Match": "\"*\""])
            #expect(restarted.status == 200, "\(restarted.text)")
            #expect(restarted.headers["etag"] != tag)
            #expect(restarted.text.contains("a=ice-ufrag:"))

            let played = try await request(
                service.port, "POST", "/whep/board/or-2", chair,
                body: TestOffer.sdp(direction: "recvonly", fragment: "play"))
            #expect(played.status == 201, "\(played.text)")
            #expect(played.text.contains("a=sendonly"))
            let byID = try await request(
                service.port, "POST", "/whep/board/\(participant)/field", chair,
                body: TestOffer.sdp(direction: "recvonly", fragment: "byid"))
            #expect(byID.status == 201, "\(byID.text)")
            let program = try await request(
                service.port, "POST", "/whep/board", chair, body: TestOffer.sdp(direction: "recvonly", fragment: "prog")
            )
            #expect(program.status == 201, "\(program.text)")

            let stranger = try TestService.token(.device, identity: "another-device")
            let notTheirs = try await request(service.port, "DELETE", location, stranger)
            #expect(notTheirs.status == 404)
            let deleted = try await request(service.port, "DELETE", location, device)
            #expect(deleted.status == 200)
            try await blocking {
                let left = try #require(page.withLock { $0 }).event("participant.left")
                #expect(left["participant"] as? String == participant)
            }
            let again = try await request(service.port, "DELETE", location, device)
            #expect(again.status == 404)
        }
    }

    @Test("refuse with the status and the reason that the RFC asks for")
    func refusals() async throws {
        try await TestService.run { service, _ in
            let device = try TestService.token(.device)
            let observer = try TestService.token(.observer)
            let foreign = try TestService.token(.device, room: "other")
            let offer = TestOffer.sdp()
            func status(_ path: String, _ token: String?, _ body: String, type: String = "application/sdp") async throws
                -> (Int, String)
            {
                let answer = try await request(service.port, "POST", path, token, type: type, body: body)
                #expect(answer.text.contains("\"message\""), "\(answer.text)")
                return (answer.status, answer.text)
            }
            let anonymous = try await request(service.port, "POST", "/whip/board/a", nil, body: offer)
            #expect(anonymous.status == 401)
            #expect(anonymous.headers["www-authenticate"] == "Bearer")
            #expect(try await status("/whip/board/a", "nonsense", offer).0 == 401)
            #expect(try await status("/whip/board/a", foreign, offer).0 == 403)
            #expect(try await status("/whip/board/a", observer, offer).0 == 403)
            #expect(try await status("/whip/board/a", device, offer, type: "application/json").0 == 415)
            #expect(try await status("/whip/board/a", device, "hello").0 == 400)
            #expect(try await status("/whip/board/a%20b", device, offer).0 == 400)
            #expect(try await status("/whip/board/a/s?role=selfie", device, offer).0 == 400)
            let unsafe = try await status("/whip/board/a", device, TestOffer.sdp(hasFingerprint: false))
            #expect([400, 406, 422].contains(unsafe.0) && unsafe.1.contains("fingerprint"), "\(unsafe)")
            let h265 = try await status(
                "/whip/board/a", device, offer.replacing("VP8", with: "H265").replacing("opus", with: "speex"))
            #expect([406, 422].contains(h265.0), "\(h265)")
            #expect(try await status("/whep/board/nobody", device, TestOffer.sdp(direction: "recvonly")).0 == 404)
            #expect(try await status("/whep/board", observer, TestOffer.sdp(direction: "recvonly")).0 == 403)
            let large = try await status("/whip/board/a", device, String(repeating: "a", count: 300_000))
            #expect(large.0 == 413)
            // What was refused left nobody behind.
            #expect(await service.hub.counts().members == 0)
        }
    }
}

@Suite("The HTTP interface") struct InterfaceTests {
    @Test("makes a cookie of a token, for reading only")
    func cookie() async throws {
        try await TestService.run { service, _ in
            let chair = try TestService.token(.chair)
            let refused = try await RawClient.request(
                port: service.port, "POST", "/v1/session", headers: ["Content-Length": "0"])
            #expect(refused.status == 401)
            let made = try await RawClient.request(
                port: service.port, "POST", "/v1/session",
                headers: ["Authorization": "Bearer \(chair)", "Content-Length": "0"])
            #expect(made.status == 204)
            let cookie = try #require(made.headers["set-cookie"])
            #expect(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/v1"))
            let pair = String(cookie.prefix { $0 != ";" })
            let list = try await RawClient.request(
                port: service.port, "GET", "/v1/recordings", headers: ["Cookie": "a=b; \(pair)"])
            #expect(list.status == 200)
            #expect(list.headers["cache-control"] == "no-store")
            let none = try await RawClient.request(port: service.port, "GET", "/v1/recordings")
            #expect(none.status == 401)
            let wrong = try await RawClient.request(
                port: service.port, "GET", "/v1/recordings", headers: ["Cookie": "consilium=x"])
            #expect(wrong.status == 401)
        }
    }

    @Test("tells health and counters, and no names")
    func operations() async throws {
        let lines = Lock<[String]>([])
        let log = Log(minimum: .debug) { line in lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
        try await TestService.run(log: log) { service, _ in
            let chair = try TestService.token(.chair, room: "mueller-case", name: "Dr. Secret Name")
            let page = Lock<PageClient?>(nil)
            try await blocking {
                page.withLock { $0 = try? PageClient.joined(service.port, chair, room: "mueller-case") }
            }
            let health = try await RawClient.request(port: service.port, "GET", "/healthz")
            #expect(health.text == #"{"status":"ok"}"#)
            let metrics = try await RawClient.request(port: service.port, "GET", "/metrics")
            #expect(metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            #expect(metrics.text.contains("consilium_rooms 1\n"))
            #expect(metrics.text.contains("consilium_participants 1\n"))
            #expect(metrics.text.contains("consilium_websockets_open 1\n"))
            #expect(metrics.text.contains("consilium_worker_stress{worker=\"0\"} 0\n"))
            for line in metrics.text.split(separator: "\n") where !line.hasPrefix("#") {
                #expect(line.wholeMatch(of: /consilium_[a-z0-9_]+(\{[a-z]+="[^"]*"\})? -?[0-9]+/) != nil, "\(line)")
            }
            let statistics = try await RawClient.request(
                port: service.port, "GET", "/v1/rooms/mueller-case/statistics",
                headers: ["Authorization": "Bearer \(chair)"])
            #expect(statistics.status == 200)
            let foreign = try TestService.token(.chair, room: "other")
            let other = try await RawClient.request(
                port: service.port, "GET", "/v1/rooms/mueller-case/statistics",
                headers: ["Authorization": "Bearer \(foreign)"])
            #expect(other.status == 403)
            #expect(!metrics.text.contains("mueller"))
        }
        let text = lines.withLock { $0.joined() }
        #expect(text.contains("\"room.opened\""))
        #expect(text.contains("\"participant.joined\""))
        #expect(!text.contains("mueller") && !text.contains("Secret") && !text.contains("eyJ"))
    }

    @Test(
        "serves images to who may see them",
        .enabled(if: TestData.dicom != nil, "CONSILIUM_TEST_DATA has no DICOM files"))
    func images() async throws {
        try await TestService.run({ $0.imagingFolder = TestData.dicom }) { service, _ in
            let chair = ["Authorization": "Bearer \(try TestService.token(.chair))"]
            let attendee = ["Authorization": "Bearer \(try TestService.token(.attendee))"]
            let device = ["Authorization": "Bearer \(try TestService.token(.device))"]
            let studies = try await RawClient.request(port: service.port, "GET", "/v1/imaging/studies", headers: chair)
            #expect(studies.status == 200)
            let json = try JSONSerialization.jsonObject(with: Data(studies.body)) as? [String: Any]
            let list = try #require(json?["studies"] as? [[String: Any]])
            let series = try #require(
                list.flatMap { $0["series"] as? [[String: Any]] ?? [] }.first { $0["supported"] as? Bool == true })
            let uid = try #require(series["series"] as? String)
            let hidden = try await RawClient.request(
                port: service.port, "GET", "/v1/imaging/studies", headers: attendee)
            #expect(hidden.status == 403)
            let detail = try await RawClient.request(
                port: service.port, "GET", "/v1/imaging/series/\(uid)", headers: attendee)
            #expect(detail.status == 200)
            let images =
                (try JSONSerialization.jsonObject(with: Data(detail.body)) as? [String: Any])?["images"]
                as? [[String: Any]]
            let image = try #require(images?.first { $0["reason"] == nil })
            let path = "/v1/imaging/frames/\(image["sop"] as? String ?? "")/\(image["frame"] as? Int ?? 0)"
            let frame = try await RawClient.request(port: service.port, "GET", path, headers: attendee)
            #expect(frame.status == 200)
            #expect(frame.body.starts(with: Array("CFR1".utf8)))
            let tag = try #require(frame.headers["etag"])
            let same = try await RawClient.request(
                port: service.port, "GET", path, headers: attendee.merging(["If-None-Match": tag]) { $1 })
            #expect(same.status == 304)
            #expect(try await RawClient.request(port: service.port, "GET", path, headers: device).status == 403)
            #expect(try await RawClient.request(port: service.port, "GET", path).status == 401)
            for bad in ["/v1/imaging/frames/1.2.3/1", "/v1/imaging/series/1.2.3"] {
                #expect(try await RawClient.request(port: service.port, "GET", bad, headers: chair).status == 404)
            }
            for bad in ["/v1/imaging/frames/..%2fx/1", "/v1/imaging/frames/1.2/0", "/v1/imaging/frames/1.2/x"] {
                let answer = try await RawClient.request(port: service.port, "GET", bad, headers: chair)
                #expect([400, 404].contains(answer.status))
            }
        }
    }
}

enum TestData {
    static let dicom: String? = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let base =
            ProcessInfo.processInfo.environment["CONSILIUM_TEST_DATA"] ?? root.appendingPathComponent("../shared").path
        let path = base + "/dicom"
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }()
}
