// Who asks, over HTTP: a bearer token, or the cookie that POST /v1/session made of one.

struct Authenticator: Sendable {
    static let cookieName = "consilium"

    let verifier: TokenVerifier

    /// From the header, else from the cookie. A cookie is good for reading only: what changes something needs the header,
    /// which no other site's page can send.
    func claims(of request: HTTPRequest) throws(TokenFault) -> AccessClaims {
        if let token = request.bearerToken { return try verifier.verify(token) }
        let isReading = request.method == .get || request.method == .head
        return try verifier.verify(isReading ? request.cookie(Self.cookieName) : nil)
    }

    static func response(to fault: TokenFault) -> HTTPResponse {
        let isForbidden = fault.code == .foreignRoom || fault.code == .role
        // RFC 6750 §3: the challenge says what is wrong only when a token was shown.
        let challenge = fault.code == .missing ? "Bearer" : #"Bearer error="invalid_token""#
        return .refusal(
            isForbidden ? 403 : 401, fault.code.rawValue, fault.message,
            headers: isForbidden ? [] : [("www-authenticate", challenge)])
    }

    /// Runs a handler for who may come in.
    func guarding(_ handler: @escaping @Sendable (HTTPRequest, AccessClaims) async -> HTTPResponse) -> HTTPHandler {
        { request in
            do throws(TokenFault) {
                let claims = try self.claims(of: request)
                return await handler(request, claims)
            } catch {
                return Self.response(to: error)
            }
        }
    }

    func addRoutes(to router: inout HTTPRouter, now: @escaping @Sendable () -> Int64 = { WallClock.now().seconds }) {
        let verifier = verifier
        router.on(.post, "/v1/session", bodyLimit: 0) { request in
            do throws(TokenFault) {
                let token = request.bearerToken
                let claims = try verifier.verify(token)
                let seconds = max(0, claims.expires - now())
                return HTTPResponse(
                    status: 204, headers: [("set-cookie", Self.cookie(token ?? "", seconds, request.isSecure))])
            } catch {
                return Self.response(to: error)
            }
        }
        router.on(.delete, "/v1/session") { request in
            HTTPResponse(status: 204, headers: [("set-cookie", Self.cookie("", 0, request.isSecure))])
        }
    }

    private static func cookie(_ value: String, _ seconds: Int64, _ isSecure: Bool) -> String {
        "\(cookieName)=\(value); Path=/v1; Max-Age=\(seconds); HttpOnly; SameSite=Strict" + (isSecure ? "; Secure" : "")
    }
}
