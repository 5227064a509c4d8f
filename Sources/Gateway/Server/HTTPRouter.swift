// Which handler answers which method and path. A pattern is literal segments and `{name}` segments.

package typealias HTTPHandler = @Sendable (HTTPRequest) async -> HTTPResponse

package struct HTTPRoute: Sendable {
    package var method: HTTPMethod
    package var pattern: String
    /// Bytes of request body that the server reads before it refuses with 413.
    package var bodyLimit: Int
    package var handler: HTTPHandler
    fileprivate var segments: [PathSegment]
}

private enum PathSegment: Sendable {
    case literal(String)
    case parameter(String)
}

package struct HTTPRouter: Sendable {
    package static let defaultBodyLimit = 64 * 1024

    package enum Match: Sendable {
        case found(HTTPRoute, parameters: [String: String])
        case methodNotAllowed(allowed: [HTTPMethod])
        case notFound
    }

    private var routes: [HTTPRoute] = []

    package init() {}

    package mutating func on(
        _ method: HTTPMethod, _ pattern: String, bodyLimit: Int = defaultBodyLimit, _ handler: @escaping HTTPHandler
    ) {
        routes.append(
            HTTPRoute(
                method: method, pattern: pattern, bodyLimit: bodyLimit, handler: handler,
                segments: Self.segments(of: pattern)))
    }

    /// `HEAD` finds the `GET` handler when it has none of its own; the server leaves the body out.
    package func match(_ method: HTTPMethod, _ path: String) -> Match {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        var allowed: [HTTPMethod] = []
        var best: (route: HTTPRoute, parameters: [String: String])?
        for route in routes {
            guard let parameters = Self.bind(route.segments, parts) else { continue }
            if route.method == method || (method == .head && route.method == .get) {
                // The route with fewer parameters is the more exact one.
                if let found = best, found.parameters.count <= parameters.count { continue }
                best = (route, parameters)
            }
            if !allowed.contains(route.method) { allowed.append(route.method) }
        }
        if let best { return .found(best.route, parameters: best.parameters) }
        return allowed.isEmpty ? .notFound : .methodNotAllowed(allowed: allowed)
    }

    private static func segments(of pattern: String) -> [PathSegment] {
        pattern.split(separator: "/").map { part in
            part.hasPrefix("{") && part.hasSuffix("}")
                ? .parameter(String(part.dropFirst().dropLast())) : .literal(String(part))
        }
    }

    private static func bind(_ segments: [PathSegment], _ parts: [Substring]) -> [String: String]? {
        guard segments.count == parts.count else { return nil }
        var parameters: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .literal(let text): guard text == part else { return nil }
            case .parameter(let name): parameters[name] = String(part)
            }
        }
        return parameters
    }
}
