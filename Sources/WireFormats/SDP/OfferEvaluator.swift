// How an offer is read: the bundle, its one transport, then section by section what both sides can do.

struct OfferEvaluator {
    private let offer: SessionDescription
    private let capabilities: MediaCapabilities
    /// One transport has one meaning per extension id (RFC 9143 section 9.1).
    private var extensionByID: [UInt8: HeaderExtensionURI] = [:]

    init(offer: SessionDescription, capabilities: MediaCapabilities) {
        self.offer = offer
        self.capabilities = capabilities
    }

    mutating func run() throws(SDPError) -> EvaluatedOffer {
        guard !offer.media.isEmpty else { throw .missingMediaSection }
        let mids = try readMids()
        let bundled = try readBundle(mids)
        var sections: [OfferedSection] = []
        for index in offer.media.indices {
            sections.append(try evaluateSection(index, mid: mids[index], isBundled: bundled.contains(mids[index])))
        }
        // The transport is described by the first section of the bundle that is in use.
        guard let tagged = bundled.compactMap({ mid in mids.firstIndex(of: mid) }).first else {
            throw .missingBundle(reason: "no section is in use")
        }
        let live = Set(sections.filter { !$0.isRejected }.map(\.mid))
        return try readTransport(tagged: tagged, sections: sections, bundled: bundled.filter { live.contains($0) })
    }

    // MARK: - Bundle

    private func isLive(_ media: MediaDescription) -> Bool { media.port != 0 || media.hasAttribute("bundle-only") }

    private func readMids() throws(SDPError) -> [String] {
        var seen: Set<String> = []
        var mids: [String] = []
        for (index, media) in offer.media.enumerated() {
            guard let mid = media.attribute("mid").map(String.init) else {
                guard !isLive(media) else { throw .missingIdentification(section: index) }
                mids.append("")
                continue
            }
            guard mid.isToken, mid.utf8.count <= 32 else {
                throw .malformed(line: lineNumber(index, of: "mid"), reason: "mid \(mid.excerpt) is no short token")
            }
            guard seen.insert(mid).inserted else { throw .duplicateIdentification(mid: mid) }
            mids.append(mid)
        }
        return mids
    }

    /// The mids of the first BUNDLE group that are in use, in the group's order.
    private func readBundle(_ mids: [String]) throws(SDPError) -> [String] {
        let live = offer.media.indices.filter { isLive(offer.media[$0]) }.map { mids[$0] }
        guard let group = offer.attributes("group").map(\.words).first(where: { $0.first == "BUNDLE" }) else {
            // One section alone has nothing to be bundled with.
            guard live.count == 1 else { throw .missingBundle(reason: "the offer has no a=group:BUNDLE") }
            return live
        }
        var bundled: [String] = []
        for mid in group.dropFirst().map(String.init) where live.contains(mid) && !bundled.contains(mid) {
            bundled.append(mid)
        }
        guard !bundled.isEmpty else { throw .missingBundle(reason: "no section in use belongs to the bundle group") }
        return bundled
    }

    // MARK: - Transport

    private func readTransport(
        tagged: Int, sections: [OfferedSection], bundled: [String]
    ) throws(SDPError) -> EvaluatedOffer {
        let media = offer.media[tagged]
        let mid = sections[tagged].mid
        guard let ufrag = media.attribute("ice-ufrag") ?? offer.attribute("ice-ufrag"),
            let pwd = media.attribute("ice-pwd") ?? offer.attribute("ice-pwd"),
            Self.isICEText(ufrag, 4...256), Self.isICEText(pwd, 22...256)
        else { throw .missingICECredentials(mid: mid) }
        let setupText = media.attribute("setup") ?? offer.attribute("setup") ?? "active"
        guard let setup = SetupRole(rawValue: String(setupText)), setup != .holdconn else {
            throw .unsupportedSetup(seen: setupText.excerpt)
        }
        let options = media.attribute("ice-options") ?? offer.attribute("ice-options") ?? ""
        return EvaluatedOffer(
            sections: sections, bundledMids: bundled, iceUfrag: String(ufrag), icePwd: String(pwd),
            iceOptions: options.words.map(String.init), isICELite: offer.hasAttribute("ice-lite"),
            candidates: media.attributes("candidate").prefix(64).compactMap { ICECandidate(parsing: $0) },
            hasAllCandidates: media.hasAttribute("end-of-candidates") || offer.hasAttribute("end-of-candidates"),
            fingerprint: try readFingerprint(tagged, mid: mid), setup: setup, sessionID: offer.origin.sessionID,
            sessionVersion: offer.origin.version,
            allowsMixedExtensions: offer.hasAttribute("extmap-allow-mixed")
                || sections.indices.allSatisfy {
                    sections[$0].isRejected || offer.media[$0].hasAttribute("extmap-allow-mixed")
                })
    }

    private static func isICEText(_ text: Substring, _ length: ClosedRange<Int>) -> Bool {
        length.contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
    }

    private func readFingerprint(_ index: Int, mid: String) throws(SDPError) -> CertificateFingerprint {
        var values = offer.media[index].attributes("fingerprint")
        if values.isEmpty { values = offer.attributes("fingerprint") }
        guard !values.isEmpty else { throw .missingFingerprint(mid: mid) }
        var readable: [CertificateFingerprint] = []
        for value in values {
            let words = value.words
            guard words.count == 2 else {
                throw .malformed(line: lineNumber(index, of: "fingerprint"), reason: "a=fingerprint has not two words")
            }
            let algorithm = words[0].lowercased()
            guard let length = CertificateFingerprint.length(of: algorithm) else { continue }
            let bytes = words[1].split(separator: ":", omittingEmptySubsequences: false).map(Self.hexadecimalPair)
            guard bytes.count == length, !bytes.contains(nil) else {
                throw .malformed(
                    line: lineNumber(index, of: "fingerprint"),
                    reason: "\(algorithm) fingerprint, expected \(length) hexadecimal bytes with colons")
            }
            readable.append(CertificateFingerprint(algorithm: algorithm, bytes: bytes.compactMap(\.self)))
        }
        guard let best = readable.min(by: { $0.bytes.count < $1.bytes.count }) else {
            throw .unsupportedFingerprint(algorithms: values.prefix(8).map { ($0.words.first ?? "").excerpt })
        }
        return best
    }

    private static func hexadecimalPair(_ text: Substring) -> UInt8? {
        guard text.utf8.count == 2, !text.hasPrefix("+"), !text.hasPrefix("-") else { return nil }
        return UInt8(text, radix: 16)
    }

    // MARK: - Sections

    private mutating func evaluateSection(
        _ index: Int, mid: String, isBundled: Bool
    ) throws(SDPError) -> OfferedSection {
        let media = offer.media[index]
        let kind = MediaKind(rawValue: media.kind)
        var section = OfferedSection(
            index: index, mid: mid, kind: kind ?? .application, direction: readDirection(media), codecs: [],
            extensions: [], encodings: [], ssrcs: [], streamIdentifier: nil, trackIdentifier: nil, isRejected: true,
            kindText: media.kind, protocolText: media.protocolText, formats: media.formats)
        guard isBundled, let kind else { return section }
        if kind == .application {
            section.isRejected = !(capabilities.acceptsDataChannels && media.protocolText.hasSuffix("/DTLS/SCTP"))
            return section
        }
        let isSecure = media.protocolText == "UDP/TLS/RTP/SAVPF" || media.protocolText == "TCP/DTLS/RTP/SAVPF"
        guard isSecure else { return section }
        guard media.hasAttribute("rtcp-mux") || media.hasAttribute("rtcp-mux-only") else {
            throw .missingRTCPMultiplexing(mid: mid)
        }
        section.codecs = try readCodecs(index, kind: kind)
        guard !section.codecs.isEmpty else { return section }
        section.isRejected = false
        section.extensions = try readExtensions(index, kind: kind)
        section.encodings = try readEncodings(index, kind: kind, extensions: section.extensions)
        section.ssrcs = try readSources(index)
        readStreamNames(media, into: &section)
        return section
    }

    private func readDirection(_ media: MediaDescription) -> MediaDirection {
        for lines in [media.lines, offer.lines] {
            for line in lines where line.type == "a" {
                if let direction = MediaDirection(rawValue: line.value) { return direction }
            }
        }
        return .sendrecv
    }

    private func readCodecs(_ index: Int, kind: MediaKind) throws(SDPError) -> [NegotiatedCodec] {
        let formats = try PayloadFormats(
            media: offer.media[index], firstLine: lineNumber(section: index, line: 0))
        return formats.matched(with: capabilities.codecs.filter { $0.kind == kind })
    }

    private mutating func readExtensions(_ index: Int, kind: MediaKind) throws(SDPError) -> [NegotiatedExtension] {
        let accepted = kind == .audio ? capabilities.audioExtensions : capabilities.videoExtensions
        var extensions: [NegotiatedExtension] = []
        for value in offer.attributes("extmap") + offer.media[index].attributes("extmap") {
            let words = value.words
            let identifier = words.first?.split(separator: "/", omittingEmptySubsequences: false) ?? []
            guard words.count >= 2, identifier.count <= 2, let number = identifier.first?.decimal(UInt16.self) else {
                throw .malformed(
                    line: lineNumber(index, of: "extmap"), reason: "a=extmap:\(value.excerpt) has no id and URI")
            }
            var direction = MediaDirection.sendrecv
            if identifier.count == 2 {
                guard let named = MediaDirection(rawValue: String(identifier[1])) else {
                    throw .malformed(
                        line: lineNumber(index, of: "extmap"), reason: "direction \(identifier[1].excerpt) is none")
                }
                direction = named
            }
            // 15 means "stop" in one-byte headers; numbers from 256 up ask for an id to be chosen later (RFC 8285).
            guard let id = UInt8(exactly: number), id != 0, id != 15, direction != .inactive,
                let uri = HeaderExtensionURI(rawValue: String(words[1])), accepted.contains(uri),
                !extensions.contains(where: { $0.uri == uri })
            else { continue }
            if let other = extensionByID[id], other != uri {
                throw .conflictingExtension(id: id, first: other.rawValue, second: uri.rawValue)
            }
            extensionByID[id] = uri
            extensions.append(NegotiatedExtension(id: id, uri: uri, direction: direction))
        }
        return extensions
    }

    // MARK: - Sources

    private static let maximumEncodings = 8
    private static let maximumSources = 64

    private func readEncodings(
        _ index: Int, kind: MediaKind, extensions: [NegotiatedExtension]
    ) throws(SDPError) -> [OfferedEncoding] {
        let media = offer.media[index]
        // Without the extension on its packets nobody could tell one encoding from the other.
        guard kind == .video, extensions.contains(where: { $0.uri == .streamIdentifier }) else { return [] }
        let announced = media.attributes("rid").compactMap { value -> String? in
            let words = value.words
            guard words.count >= 2, words[1] == "send", Self.isRID(words[0]) else { return nil }
            return String(words[0])
        }
        var encodings: [OfferedEncoding] = []
        if let simulcast = media.attribute("simulcast") {
            for choice in Self.sendList(simulcast) {
                guard let first = choice.split(separator: ",").first else { continue }
                let isPaused = first.hasPrefix("~")
                let rid = String(isPaused ? first.dropFirst() : first)
                guard announced.contains(rid), !encodings.contains(where: { $0.rid == rid }) else { continue }
                encodings.append(OfferedEncoding(rid: rid, isPaused: isPaused))
            }
        } else {
            for rid in announced where !encodings.contains(where: { $0.rid == rid }) {
                encodings.append(OfferedEncoding(rid: rid))
            }
        }
        guard encodings.count <= Self.maximumEncodings else {
            throw .tooLarge(what: "simulcast encodings", seen: encodings.count, limit: Self.maximumEncodings)
        }
        return encodings
    }

    /// The alternatives after the word `send`. `rid=` in front is what browsers wrote before RFC 8853 was final.
    private static func sendList(_ simulcast: Substring) -> [Substring] {
        let words = simulcast.words
        guard let position = words.firstIndex(of: "send"), position + 1 < words.count else { return [] }
        let list = words[position + 1]
        return (list.hasPrefix("rid=") ? list.dropFirst(4) : list).split(separator: ";")
    }

    private static func isRID(_ text: Substring) -> Bool {
        (1...16).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
                default: false
                }
            }
    }

    private func readSources(_ index: Int) throws(SDPError) -> [OfferedSSRC] {
        let media = offer.media[index]
        var sources: [OfferedSSRC] = []
        for value in media.attributes("ssrc") {
            guard let number = value.words.first, let ssrc = number.decimal(UInt32.self) else {
                throw .malformed(line: lineNumber(index, of: "ssrc"), reason: "a=ssrc:\(value.excerpt) has no number")
            }
            let attribute = value[number.endIndex...].trimmed
            let cname = attribute.hasPrefix("cname:") ? String(attribute.dropFirst(6)) : nil
            if let known = sources.firstIndex(where: { $0.ssrc == ssrc }) {
                if let cname { sources[known].cname = cname }
            } else {
                guard sources.count < Self.maximumSources else {
                    throw .tooLarge(what: "sources in a section", seen: sources.count + 1, limit: Self.maximumSources)
                }
                sources.append(OfferedSSRC(ssrc: ssrc, cname: cname))
            }
        }
        var retransmissions: Set<UInt32> = []
        for value in media.attributes("ssrc-group") {
            let words = value.words
            guard words.first == "FID", words.count == 3, let primary = words[1].decimal(UInt32.self),
                let repair = words[2].decimal(UInt32.self), primary != repair
            else { continue }
            guard let known = sources.firstIndex(where: { $0.ssrc == primary }) else { continue }
            sources[known].retransmission = repair
            retransmissions.insert(repair)
        }
        return sources.filter { !retransmissions.contains($0.ssrc) }
    }

    private func readStreamNames(_ media: MediaDescription, into section: inout OfferedSection) {
        var value = media.attribute("msid")
        if value == nil {
            value =
                media.attributes("ssrc").lazy.compactMap { line -> Substring? in
                    guard let space = line.firstIndex(of: " ") else { return nil }
                    let attribute = line[line.index(after: space)...]
                    return attribute.hasPrefix("msid:") ? attribute.dropFirst(5) : nil
                }.first
        }
        guard let words = value?.words, let stream = words.first else { return }
        section.streamIdentifier = stream == "-" ? nil : String(stream)
        section.trackIdentifier = words.count > 1 ? String(words[1]) : nil
    }

    // MARK: - Line numbers

    private func lineNumber(section: Int, line: Int) -> Int {
        // v=, o=, s= and one m= per section are not among `lines`.
        offer.media[..<section].reduce(3 + offer.lines.count) { $0 + 1 + $1.lines.count } + 2 + line
    }

    private func lineNumber(_ section: Int, of attribute: String) -> Int {
        let line = offer.media[section].lines.firstIndex { $0.value(ofAttribute: attribute) != nil }
        return line.map { lineNumber(section: section, line: $0) } ?? 0
    }
}
