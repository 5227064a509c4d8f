// Is it alive, what does it count, how is the media of a room and why: for the hospital's IT and the statistics panel.
import MediaEngine
import Rooms

struct OperationsRoutes: Sendable {
    let hub: RoomHub
    let media: MediaEngine
    let authenticator: Authenticator
    let startedAt: UInt64
    let serverCounters: @Sendable () async -> HTTPServer.Counters

    func addRoutes(to router: inout HTTPRouter) {
        router.on(.get, "/healthz") { _ in
            // The engine answers only while its thread turns.
            _ = await media.statistics()
            return .json(Array(#"{"status":"ok"}"#.utf8))
        }
        router.on(.get, "/metrics") { request in
            // Counters of a hospital are its own affair: this machine may read them, others need a token for all rooms.
            guard NumericAddress.isLoopback(request.remoteAddress) || isForAllRooms(request) else {
                return .refusal(
                    401, TokenFault.Code.missing.rawValue, "From another machine this needs a token for all rooms.",
                    headers: [("www-authenticate", "Bearer")])
            }
            var metrics = MetricsText()
            metrics.add(uptimeNanoseconds: monotonicNow() &- startedAt)
            metrics.add(await hub.counts())
            metrics.add(await serverCounters())
            metrics.add(await media.statistics())
            return .text(metrics.text, type: "text/plain; version=0.0.4; charset=utf-8")
        }
        router.on(
            .get, "/v1/rooms/{room}/statistics",
            authenticator.guarding { request, claims in
                let room = request.parameter("room")
                guard claims.allows(room: room) else {
                    return Authenticator.response(to: TokenFault(.foreignRoom, "This token is for another room."))
                }
                guard await hub.existingSession(room) != nil else {
                    return .refusal(404, "not_open", "This session has not been opened yet.")
                }
                return .json(ServerMessage.encode(await media.statistics(room: room)))
            })
        router.on(
            .get, "/v1/rooms/{room}/explain",
            authenticator.guarding { request, claims in
                let room = request.parameter("room")
                guard claims.allows(room: room) else {
                    return Authenticator.response(to: TokenFault(.foreignRoom, "This token is for another room."))
                }
                guard await hub.existingSession(room) != nil else {
                    return .refusal(404, "not_open", "This session has not been opened yet.")
                }
                return .json(ServerMessage.encode(await media.explain(room: room)))
            })
    }

    private func isForAllRooms(_ request: HTTPRequest) -> Bool {
        (try? authenticator.claims(of: request))?.room == "*"
    }
}
