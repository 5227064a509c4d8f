// A whole server in this process on free ports, and a page's side of consilium.v1 on a raw WebSocket.
import Foundation
import Gateway
import Rooms

enum TestService {
    static let secret = Array("a test secret of thirty-two bytes".utf8)
    static let verifier = TokenVerifier(secret: secret)

    static func token(
        _ role: Role, room: String = "board", name: String = "Dr. Test", identity: String? = nil,
        kind: RoomKind? = .mdt, seconds: Int64 = 600
    ) throws -> String {
        try verifier.mint(
            AccessClaims(
                room: room, identity: identity ?? "\(role.rawValue)-1", name: name, role: role,
                expires: WallClock.now().seconds + seconds, kind: kind, title: "A board"))
    }

    static func run(
        _ change: (inout ServiceConfiguration) -> Void = { _ in }, log: Log = .silent,
        _ body: (Service, String) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("service-\(UUID().uuidString)")
            .path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var configuration = ServiceConfiguration(pagesDirectory: directory)
        configuration.recordingsFolder = directory + "/recordings"
        change(&configuration)
        let service = try await Service(configuration, verifier: verifier, log: log)
        do {
            try await body(service, directory)
        } catch {
            await service.stop(reason: "test failed")
            throw error
        }
        await service.stop(reason: "test over")
    }
}

/// Blocking; to be used inside `blocking`.
final class PageClient {
    typealias Message = [String: Any]

    let raw: RawClient
    private(set) var participant = ""
    private(set) var session = ""
    private(set) var seq = 0
    private var nextID = 100
    private var kept: [Message] = []

    init(port: Int, room: String = "board") throws {
        raw = try RawClient(port: port)
        let answer = try raw.upgrade("/v1/rooms/\(room)/socket")
        guard answer.status == 101 else { throw RawFault(description: "no WebSocket: \(answer.status) \(answer.text)") }
    }

    static func joined(_ port: Int, _ token: String, room: String = "board") throws -> PageClient {
        let page = try PageClient(port: port, room: room)
        let reply = try page.request(["do": "join", "token": token])
        guard let ok = reply["ok"] as? Message else { throw RawFault(description: "not joined: \(reply)") }
        page.participant = ok["participant"] as? String ?? ""
        page.session = ok["session"] as? String ?? ""
        page.seq = (ok["snapshot"] as? Message)?["seq"] as? Int ?? 0
        return page
    }

    func send(_ message: Message) throws {
        try raw.sendFrame(Array(try JSONSerialization.data(withJSONObject: message)))
    }

    /// Sends with a new id and returns the reply; what comes before it is kept.
    func request(_ message: Message) throws -> Message {
        nextID += 1
        var message = message
        message["id"] = nextID
        try send(message)
        let id = nextID
        return try next { $0["re"] as? Int == id }
    }

    /// The next message that fits, among those kept first.
    func next(where fits: (Message) -> Bool) throws -> Message {
        if let index = kept.firstIndex(where: fits) { return kept.remove(at: index) }
        while true {
            let message = try receive()
            if fits(message) { return message }
            kept.append(message)
        }
    }

    func event(_ name: String) throws -> Message { try next { $0["event"] as? String == name } }
    func notice(_ name: String) throws -> Message { try next { $0["notice"] as? String == name } }

    func receive() throws -> Message {
        let frame = try raw.frame()
        if let code = frame.closeCode { throw RawFault(description: "closed with \(code)") }
        guard let message = try JSONSerialization.jsonObject(with: Data(frame.payload)) as? Message else {
            throw RawFault(description: "no object: \(frame.text)")
        }
        return message
    }

    func closeCode() throws -> Int? {
        while true {
            let frame = try raw.frame()
            if frame.opcode == 8 { return frame.closeCode }
        }
    }
}

extension [String: Any] {
    var errorCode: String? { (self["error"] as? [String: Any])?["code"] as? String }
    var ok: [String: Any]? { self["ok"] as? [String: Any] }
}

enum TestOffer {
    private static let fingerprint = (0..<32).map { String(format: "%02X", $0 * 7 % 256) }.joined(separator: ":")

    /// An offer as an encoder makes it: one audio and one video section, or receiving ones.
    static func sdp(
        direction: String = "sendonly", fragment: String = "abcd", hasFingerprint: Bool = true, video: Bool = true
    ) -> String {
        let transport = """
            c=IN IP4 0.0.0.0
            a=ice-ufrag:\(fragment)
            a=ice-pwd:0123456789abcdef0123456789
            \(hasFingerprint ? "a=fingerprint:sha-256 \(fingerprint)" : "a=x-nothing")
            a=setup:actpass
            a=rtcp-mux
            a=\(direction)
            """
        var text = """
            v=0
            o=- 4611731400430051336 2 IN IP4 127.0.0.1
            s=-
            t=0 0
            a=group:BUNDLE 0\(video ? " 1" : "")
            m=audio 9 UDP/TLS/RTP/SAVPF 111
            \(transport)
            a=mid:0
            a=rtpmap:111 opus/48000/2
            a=fmtp:111 minptime=10;useinbandfec=1

            """
        if direction == "sendonly" { text += "a=msid:s a\na=ssrc:1001 cname:c\n" }
        if video {
            text += """
                m=video 9 UDP/TLS/RTP/SAVPF 96
                \(transport)
                a=mid:1
                a=rtpmap:96 VP8/90000
                a=rtcp-fb:96 nack
                a=rtcp-fb:96 nack pli

                """
            if direction == "sendonly" { text += "a=msid:s v\na=ssrc:1002 cname:c\n" }
        }
        return text.replacing("\n", with: "\r\n")
    }
}
