// Files over HTTP: types, entity tags and byte ranges (RFC 9110 §13 and §14). Which file is the caller's affair.

package enum FileResponses {
    package enum ByteRange: Equatable, Sendable {
        case whole
        case part(offset: Int64, length: Int64)
        case unsatisfiable
    }

    /// Answers with the file or the part of it that was asked for, or with 304/416.
    package static func file(
        _ file: OpenFile, type: String, request: HTTPRequest, cacheControl: String
    ) -> HTTPResponse {
        let facts = file.facts
        let tag = entityTag(facts)
        let common: [(name: String, value: String)] = [
            ("etag", tag), ("accept-ranges", "bytes"), ("cache-control", cacheControl),
        ]
        if let candidates = request[.ifNoneMatch], matches(candidates, tag, weakly: true) {
            return HTTPResponse(status: 304, headers: common)
        }
        // If-Range with another tag: the part would be of another file, so the whole is sent.
        let isSameFile = request[.ifRange].map { matches($0, tag, weakly: false) } ?? true
        let asked = isSameFile ? request[.range] : nil
        switch range(asked, size: facts.size) {
        case .whole:
            return HTTPResponse(
                status: 200, headers: common + [("content-type", type)],
                body: .file(file, offset: 0, length: facts.size))
        case .part(let offset, let length):
            return HTTPResponse(
                status: 206,
                headers: common + [
                    ("content-type", type), ("content-range", "bytes \(offset)-\(offset + length - 1)/\(facts.size)"),
                ],
                body: .file(file, offset: offset, length: length))
        case .unsatisfiable:
            return .refusal(
                416, "range_not_satisfiable", "The file has \(facts.size) bytes; the range is outside of it.",
                headers: common + [("content-range", "bytes */\(facts.size)")])
        }
    }

    /// A range in another unit or of a form we cannot read is ignored, as RFC 9110 §14.2 says; so are several at once.
    package static func range(_ header: String?, size: Int64) -> ByteRange {
        guard let header, header.hasPrefix("bytes=") else { return .whole }
        let text = header.dropFirst(6)
        guard !text.contains(","), let dash = text.firstIndex(of: "-") else { return .whole }
        let first = text[..<dash]
        let last = text[text.index(after: dash)...]
        guard isDigits(first), isDigits(last) else { return .whole }
        switch (Int64(first), Int64(last)) {
        case (nil, nil):
            // Numbers too large for us are beyond every file; no numbers at all are no range.
            return first.isEmpty && last.isEmpty ? .whole : (first.isEmpty ? suffix(.max, size) : .unsatisfiable)
        case (nil, let count?):
            return first.isEmpty ? suffix(count, size) : .unsatisfiable
        case (let start?, let end):
            if let end, end < start { return .whole }
            guard start < size else { return .unsatisfiable }
            let lastByte = min(end ?? size - 1, size - 1)
            return .part(offset: start, length: lastByte - start + 1)
        }
    }

    private static func suffix(_ count: Int64, _ size: Int64) -> ByteRange {
        guard count > 0, size > 0 else { return .unsatisfiable }
        let length = min(count, size)
        return .part(offset: size - length, length: length)
    }

    private static func isDigits(_ text: Substring) -> Bool { text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } }

    package static func entityTag(_ facts: OpenFile.Facts) -> String {
        let time = UInt64(bitPattern: facts.modifiedSeconds &* 1_000_000_000 &+ facts.modifiedNanoseconds)
        return "\"\(String(facts.inode, radix: 36))-\(String(facts.size, radix: 36))-\(String(time, radix: 36))\""
    }

    package static func matches(_ header: String, _ tag: String, weakly: Bool) -> Bool {
        header.split(separator: ",").contains { candidate in
            let text = candidate.drop { $0 == " " }
            let trimmed = text.last == " " ? text.prefix { $0 != " " } : text
            if trimmed == "*" { return true }
            if weakly, trimmed.hasPrefix("W/") { return trimmed.dropFirst(2) == tag }
            return trimmed == tag
        }
    }

    package static func type(ofFile name: String) -> String {
        let suffix = name.split(separator: ".").last.map { $0.lowercased() } ?? ""
        return switch suffix {
        case "html": "text/html; charset=utf-8"
        case "js", "mjs": "text/javascript; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "json": "application/json"
        case "ndjson": "application/x-ndjson"
        case "svg": "image/svg+xml"
        case "png": "image/png"
        case "jpg", "jpeg": "image/jpeg"
        case "webp": "image/webp"
        case "ico": "image/x-icon"
        case "webm": "video/webm"
        case "mp4": "video/mp4"
        case "wasm": "application/wasm"
        case "woff2": "font/woff2"
        case "md", "txt": "text/plain; charset=utf-8"
        default: "application/octet-stream"
        }
    }
}

/// The pages, served as they are.
package struct StaticPages: Sendable {
    private let directory: String

    package init(directory: String) { self.directory = directory }

    package func respond(to request: HTTPRequest) -> HTTPResponse {
        guard request.method == .get || request.method == .head else {
            return .refusal(
                405, "method_not_allowed", "Pages are read with GET.", headers: [("allow", "GET, HEAD")])
        }
        guard let name = Self.safeName(request.path), let file = OpenFile(path: directory + "/" + name) else {
            return .refusal(404, "not_found", "There is nothing at this address.")
        }
        return FileResponses.file(
            file, type: FileResponses.type(ofFile: name), request: request, cacheControl: "no-cache")
    }

    /// A path below the directory: plain segments only, none hidden, none upwards.
    static func safeName(_ path: String) -> String? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        guard !parts.isEmpty else { return "index.html" }
        let isPlain = parts.allSatisfy { part in
            !part.hasPrefix(".")
                && part.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                        true
                    default: false
                    }
                }
        }
        guard isPlain, parts.count <= 8 else { return nil }
        return parts.joined(separator: "/")
    }
}
