// The little of a session description that WHIP must know before the media engine reads it: its sections and their names.

enum SDPGlance {
    struct Section: Equatable {
        var kind: String
        var mid: String
        var sends: Bool
    }

    /// The value of the first `a=<name>:` line.
    static func attribute(_ name: String, in sdp: String) -> String? {
        let prefix = "a=\(name):"
        return lines(of: sdp).first { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    }

    /// The offer's sections in order, at most 64.
    static func sections(of sdp: String) -> [Section] {
        var sections: [Section] = []
        for line in lines(of: sdp) {
            if line.hasPrefix("m=") {
                guard sections.count < 64 else { break }
                sections.append(Section(kind: String(line.dropFirst(2).prefix { $0 != " " }), mid: "", sends: true))
            } else if let last = sections.indices.last {
                if line.hasPrefix("a=mid:") { sections[last].mid = String(line.dropFirst(6)) }
                if line == "a=recvonly" || line == "a=inactive" { sections[last].sends = false }
            }
        }
        return sections
    }

    private static func lines(of sdp: String) -> [Substring] {
        sdp.split(omittingEmptySubsequences: true) { $0 == "\n" || $0 == "\r\n" || $0 == "\r" }
    }
}
