// The fragments in which WHIP and WHEP clients trickle candidates and restart ICE (RFC 8840 section 9, RFC 9725).

package struct TrickleFragment: Sendable, Hashable {
    package var ufrag: String?
    package var pwd: String?
    package var isICELite: Bool
    /// The section the candidates belong to; with a bundle there is only one.
    package var mid: String?
    package var candidates: [ICECandidate]
    package var hasAllCandidates: Bool

    package init(
        ufrag: String?, pwd: String?, isICELite: Bool = false, mid: String? = nil, candidates: [ICECandidate] = [],
        hasAllCandidates: Bool = false
    ) {
        self.ufrag = ufrag
        self.pwd = pwd
        self.isICELite = isICELite
        self.mid = mid
        self.candidates = candidates
        self.hasAllCandidates = hasAllCandidates
    }

    /// Reads session and media lines alike: credentials may stand before or after the m-line.
    package init(parsing text: String) throws(SDPError) {
        self.init(ufrag: nil, pwd: nil)
        var lines = try SDPLineReader(text)
        while let line = try lines.next() {
            switch line.type {
            case "m": _ = try SessionDescription.parseMedia(line.value, line: lines.number)
            case "a": try read(line, number: lines.number)
            default: continue
            }
        }
        guard (ufrag == nil) == (pwd == nil) else {
            throw .malformed(line: 0, reason: "a=ice-ufrag and a=ice-pwd come together or not at all")
        }
    }

    private mutating func read(_ line: SDPLine, number: Int) throws(SDPError) {
        if let value = line.value(ofAttribute: "ice-ufrag") {
            ufrag = try Self.agreeing(ufrag, value, length: 4...256, line: number)
        } else if let value = line.value(ofAttribute: "ice-pwd") {
            pwd = try Self.agreeing(pwd, value, length: 22...256, line: number)
        } else if let value = line.value(ofAttribute: "mid") {
            if mid == nil { mid = String(value) }
        } else if let value = line.value(ofAttribute: "candidate") {
            guard candidates.count < 64 else { throw .tooLarge(what: "candidates", seen: 65, limit: 64) }
            if let candidate = ICECandidate(parsing: value) { candidates.append(candidate) }
        } else if line.value == "end-of-candidates" {
            hasAllCandidates = true
        } else if line.value == "ice-lite" {
            isICELite = true
        }
    }

    private static func agreeing(
        _ known: String?, _ value: Substring, length: ClosedRange<Int>, line: Int
    ) throws(SDPError) -> String {
        guard length.contains(value.utf8.count), value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x3A }) else {
            throw .malformed(line: line, reason: "ICE credential of \(value.utf8.count) characters")
        }
        guard known == nil || known ?? "" == value else {
            throw .malformed(line: line, reason: "a second, different ICE credential")
        }
        return String(value)
    }
}

extension TrickleFragment: CustomStringConvertible {
    package var description: String {
        var text = ""
        if isICELite { text += "a=ice-lite\r\n" }
        if let ufrag, let pwd { text += "a=ice-ufrag:\(ufrag)\r\na=ice-pwd:\(pwd)\r\n" }
        if mid != nil || !candidates.isEmpty || hasAllCandidates {
            // RFC 8840: the m-line is there for the grammar's sake, the mid says which section is meant.
            text += "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
            if let mid { text += "a=mid:\(mid)\r\n" }
            for candidate in candidates { text += "a=candidate:\(candidate)\r\n" }
            if hasAllCandidates { text += "a=end-of-candidates\r\n" }
        }
        return text
    }
}
