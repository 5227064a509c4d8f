// The headers that every answer carries: what a browser may do with our pages, and what it may keep.

package enum SecurityHeaders {
    /// Nothing from elsewhere, nothing inline, no frames of others. `blob:` is what the pages make themselves; workers
    /// and media need it. `ws:`/`wss:` to the own host is part of 'self'.
    package static let contentSecurityPolicy =
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        + "media-src 'self' blob: mediastream:; worker-src 'self' blob:; connect-src 'self'; font-src 'self'; "
        + "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

    private static let always: [(name: String, value: String)] = [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-security-policy", contentSecurityPolicy),
        ("permissions-policy", "camera=(self), microphone=(self), display-capture=(self), geolocation=()"),
    ]

    /// The handler's own headers win. What is no static page is not to be kept by anyone.
    static func complete(
        _ headers: [(name: String, value: String)], path: String
    ) -> [(name: String, value: String)] {
        var result = headers
        let names = Set(headers.map { $0.name.lowercased() })
        for header in always where !names.contains(header.name) { result.append(header) }
        if !names.contains("cache-control") { result.append(("cache-control", "no-store")) }
        return result
    }
}
