// WHIP (RFC 9725) and WHEP: encoders send into a room and players receive from it, over plain HTTP requests.
import MediaEngine
import Rooms

struct DeviceRoutes: Sendable {
    private static let bodyLimit = 256 * 1024
    private static let offerType = "application/sdp"
    private static let fragmentType = "application/trickle-ice-sdpfrag"

    private enum Purpose: String {
        case whip, whep
    }

    let hub: RoomHub
    let authenticator: Authenticator
    let allowedOrigins: [String]

    func addRoutes(to router: inout HTTPRouter) {
        for (pattern, purpose) in [
            ("/whip/{room}/{participant}", Purpose.whip), ("/whip/{room}/{participant}/{stream}", .whip),
            ("/whep/{room}", .whep), ("/whep/{room}/{participant}", .whep),
            ("/whep/{room}/{participant}/{stream}", .whep),
        ] {
            router.on(.post, pattern, bodyLimit: Self.bodyLimit) { request in
                await self.sharing(request) { await self.begin(request, purpose) }
            }
            addCommon(pattern, to: &router)
        }
        for purpose in [Purpose.whip, .whep] {
            let pattern = "/v1/\(purpose.rawValue)/{room}/{session}"
            router.on(.patch, pattern, bodyLimit: Self.bodyLimit) { request in
                await self.sharing(request) { await self.patch(request) }
            }
            router.on(.delete, pattern) { request in await self.sharing(request) { await self.end(request) } }
            addCommon(pattern, to: &router)
        }
    }

    /// RFC 9725 §4.2: GET has no content. OPTIONS says what is taken, and lets pages of allowed origins in.
    private func addCommon(_ pattern: String, to router: inout HTTPRouter) {
        router.on(.get, pattern) { request in await self.sharing(request) { HTTPResponse(status: 204) } }
        router.on(.options, pattern) { request in
            await self.sharing(request) {
                HTTPResponse(
                    status: 204,
                    headers: [
                        ("accept-post", Self.offerType), ("allow", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
                    ])
            }
        }
    }

    private func sharing(_ request: HTTPRequest, _ answer: () async -> HTTPResponse) async -> HTTPResponse {
        var response = await answer()
        if let origin = request[.origin], allowedOrigins.contains(origin) {
            response.headers += [
                ("access-control-allow-origin", origin), ("vary", "origin"),
                ("access-control-allow-methods", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
                ("access-control-allow-headers", "authorization, content-type, if-match"),
                ("access-control-expose-headers", "location, etag, accept-patch"),
                ("cross-origin-resource-policy", "cross-origin"),
            ]
        }
        return response
    }

    // MARK: POST

    private func begin(_ request: HTTPRequest, _ purpose: Purpose) async -> HTTPResponse {
        guard Self.mediaType(request) == Self.offerType else {
            return .refusal(
                415, "unsupported_media_type", "The offer's Content-Type is \(Self.offerType).",
                headers: [("accept-post", Self.offerType)])
        }
        guard let sdp = String(validating: request.body, as: UTF8.self), !sdp.isEmpty else {
            return .refusal(400, "malformed", "The body is not a session description in UTF-8.")
        }
        do throws(TokenFault) {
            // A cookie would let another site's page publish: the bearer token alone counts.
            let claims = try authenticator.verifier.verify(request.bearerToken)
            return await begin(request, purpose, claims, sdp)
        } catch {
            return Authenticator.response(to: error)
        }
    }

    private func begin(
        _ request: HTTPRequest, _ purpose: Purpose, _ claims: AccessClaims, _ sdp: String
    ) async -> HTTPResponse {
        do throws(DeviceFault) {
            let session: RoomSession
            do throws(Refusal) {
                session = try await hub.session(for: claims, room: request.parameter("room"))
            } catch {
                throw .refused(error)
            }
            let (entry, answer) =
                switch purpose {
                case .whip: try await ingest(request, claims, sdp, session)
                case .whep: try await play(request, claims, sdp, session)
                }
            return HTTPResponse(
                status: 201,
                headers: [
                    ("content-type", Self.offerType), ("etag", entry.tag), ("accept-patch", Self.fragmentType),
                    ("location", "/v1/\(purpose.rawValue)/\(session.name)/\(entry.resource)"),
                ], body: .bytes(Array(answer.sdp.utf8)))
        } catch {
            return Self.response(to: error)
        }
    }

    private func ingest(
        _ request: HTTPRequest, _ claims: AccessClaims, _ sdp: String, _ session: RoomSession
    ) async throws(DeviceFault) -> (DeviceTable.Entry, PeerAnswer) {
        let participant = request.parameter("participant")
        let stream = request.parameters["stream"]
        for name in [participant, stream].compactMap({ $0 }) where !Name.isValid(name) {
            throw .refused(Refusal("bad_name", "names in the address are 1 to 64 of A-Z a-z 0-9 . _ -"))
        }
        let videoRole = request.query["role"] ?? "camera"
        guard let role = RoomState.StreamRole(rawValue: videoRole), role != .audio else {
            throw .refused(
                Refusal("bad_role", "role is one of camera, document, imaging, surgicalField, panorama, vitals"))
        }
        let kind = await session.live.state.kind
        guard claims.role.permissions(in: kind).contains(.publish) else {
            throw .refused(Refusal("not_permitted", "the role \(claims.role.rawValue) may not send into this room"))
        }
        return try await session.addDevice(
            Claimant(identity: claims.identity, name: claims.name, role: .device),
            key: .ingest(participant: participant, stream: stream), sdp: sdp,
            streams: Self.declarations(sdp, stream: stream, role: role), maySend: true, subscription: .none)
    }

    /// Names for the sections that the encoder sends: the one of the address, or `video-0`, `audio-0` and so on.
    static func declarations(_ sdp: String, stream: String?, role: RoomState.StreamRole) -> [StreamDeclaration] {
        var videos = 0
        var audios = 0
        var declarations: [StreamDeclaration] = []
        for section in SDPGlance.sections(of: sdp) where section.sends && !section.mid.isEmpty {
            switch section.kind {
            case "video":
                let name = stream.map { videos == 0 ? $0 : "\($0)-\(videos)" } ?? "video-\(videos)"
                declarations.append(StreamDeclaration(mid: section.mid, stream: name, role: role.rawValue))
                videos += 1
            case "audio":
                let name = stream.map { audios == 0 ? "\($0)-audio" : "\($0)-audio-\(audios)" } ?? "audio-\(audios)"
                declarations.append(StreamDeclaration(mid: section.mid, stream: name, role: "audio"))
                audios += 1
            default: break
            }
        }
        return declarations
    }

    private func play(
        _ request: HTTPRequest, _ claims: AccessClaims, _ sdp: String, _ session: RoomSession
    ) async throws(DeviceFault) -> (DeviceTable.Entry, PeerAnswer) {
        let subscription: Subscription
        if let name = request.parameters["participant"] {
            guard let participant = await session.participant(named: name, sending: request.parameters["stream"]) else {
                throw .refused(Refusal("not_found", "nobody of that name sends this here"))
            }
            subscription =
                request.parameters["stream"].map { .stream(participant: participant.text, stream: $0) }
                ?? .participant(participant.text)
        } else if let spotlight = await session.live.state.spotlight {
            subscription = .participant(spotlight.participant.text)
        } else {
            subscription = .everything
        }
        // Who watches is seen: a player is in the list of participants like everybody else.
        return try await session.addDevice(
            Claimant(identity: claims.identity, name: claims.name, role: claims.role),
            key: .playback, sdp: sdp, streams: [], maySend: false, subscription: subscription)
    }

    // MARK: PATCH and DELETE

    private func patch(_ request: HTTPRequest) async -> HTTPResponse {
        guard Self.mediaType(request) == Self.fragmentType else {
            return .refusal(
                415, "unsupported_media_type", "The fragment's Content-Type is \(Self.fragmentType).",
                headers: [("accept-patch", Self.fragmentType)])
        }
        do throws(TokenFault) {
            let claims = try authenticator.verifier.verify(request.bearerToken)
            guard claims.allows(room: request.parameter("room")),
                let session = await hub.existingSession(request.parameter("room"))
            else { return Self.response(to: .gone) }
            guard let ifMatch = request[.ifMatch] else {
                return .refusal(
                    428, "precondition_required",
                    "If-Match is needed: the session's entity tag, or \"*\" to restart ICE.")
            }
            guard let fragment = String(validating: request.body, as: UTF8.self), !fragment.isEmpty else {
                return .refusal(400, "malformed", "The body is not a fragment of a session description in UTF-8.")
            }
            do throws(DeviceFault) {
                switch try await session.patchDevice(
                    request.parameter("session"), identity: claims.identity, ifMatch: ifMatch, fragment: fragment)
                {
                case .trickled: return HTTPResponse(status: 204)
                case .restarted(let fragment, let tag):
                    return HTTPResponse(
                        status: 200, headers: [("content-type", Self.fragmentType), ("etag", tag)],
                        body: .bytes(Array(fragment.utf8)))
                }
            } catch {
                return Self.response(to: error)
            }
        } catch {
            return Authenticator.response(to: error)
        }
    }

    private func end(_ request: HTTPRequest) async -> HTTPResponse {
        do throws(TokenFault) {
            let claims = try authenticator.verifier.verify(request.bearerToken)
            guard claims.allows(room: request.parameter("room")),
                let session = await hub.existingSession(request.parameter("room")),
                await session.removeDevice(request.parameter("session"), identity: claims.identity)
            else { return Self.response(to: .gone) }
            return HTTPResponse(status: 200)
        } catch {
            return Authenticator.response(to: error)
        }
    }

    // MARK: answers

    private static func mediaType(_ request: HTTPRequest) -> String {
        (request[.contentType] ?? "").prefix { $0 != ";" }.lowercased().trimmingBlanks()
    }

    private static func response(to fault: DeviceFault) -> HTTPResponse {
        switch fault {
        case .negotiation(let error): return .refusal(error.httpStatus, error.code, error.message)
        case .gone: return .refusal(404, "not_found", "There is no such session.")
        case .otherTag:
            return .refusal(412, "precondition_failed", "If-Match names another ICE session; use the latest ETag.")
        case .refused(let refusal):
            let status =
                switch refusal.code {
                case "not_found", "not_open", "room_ended": 404
                case "conflict": 409
                case "bad_room", "bad_name", "bad_role": 400
                case "busy", "unavailable", "room_full", "too_many_devices": 503
                default: 403
                }
            let headers: [(name: String, value: String)] = status == 503 ? [("retry-after", "10")] : []
            return .refusal(status, refusal.code, refusal.message, headers: headers)
        }
    }
}
