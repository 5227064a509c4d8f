// How an answer is written: one m-line per offered m-line, the transport repeated in each that is accepted.

struct AnswerWriter {
    let offer: EvaluatedOffer
    let transport: AnswerTransport
    let wishes: [AnswerSection]

    func write() -> SessionDescription {
        let accepted = Set(offer.sections.filter { wish(for: $0) != nil }.map(\.mid))
        let bundled = offer.bundledMids.filter { accepted.contains($0) }
        var answer = SessionDescription(
            origin: .init(sessionID: String(transport.sessionID), version: transport.sessionVersion))
        answer.lines.append(SDPLine("t", "0 0"))
        if transport.iceLite { answer.lines.append(.attribute("ice-lite")) }
        if !bundled.isEmpty {
            answer.lines.append(.attribute("group", (["BUNDLE"] + bundled).joined(separator: " ")))
        }
        if offer.allowsMixedExtensions { answer.lines.append(.attribute("extmap-allow-mixed")) }
        answer.lines.append(.attribute("msid-semantic", " WMS *"))
        for section in offer.sections {
            if let wish = wish(for: section) {
                answer.media.append(accept(section, wish: wish, isTagged: section.mid == bundled.first))
            } else {
                answer.media.append(reject(section))
            }
        }
        return answer
    }

    /// Nil for a section that is answered with port 0.
    private func wish(for section: OfferedSection) -> AnswerSection? {
        guard !section.isRejected else { return nil }
        let wish =
            wishes.first { $0.mid == section.mid } ?? AnswerSection(mid: section.mid, direction: .inactive)
        return wish.isRejected ? nil : wish
    }

    private func reject(_ section: OfferedSection) -> MediaDescription {
        var media = MediaDescription(
            kind: section.kindText, port: 0, protocolText: section.protocolText, formats: section.formats)
        media.lines.append(SDPLine("c", "IN IP4 0.0.0.0"))
        if section.kindText == "audio" || section.kindText == "video" { media.lines.append(.attribute("inactive")) }
        if !section.mid.isEmpty { media.lines.append(.attribute("mid", section.mid)) }
        return media
    }

    private func accept(_ section: OfferedSection, wish: AnswerSection, isTagged: Bool) -> MediaDescription {
        var media = MediaDescription(
            kind: section.kindText, port: defaultCandidate?.port ?? 9, protocolText: section.protocolText,
            formats: section.formats)
        let address = defaultCandidate?.address ?? "0.0.0.0"
        media.lines.append(SDPLine("c", "IN \(address.utf8.contains(UInt8(ascii: ":")) ? "IP6" : "IP4") \(address)"))
        if section.kind != .application { media.lines.append(.attribute("rtcp", "9 IN IP4 0.0.0.0")) }
        writeTransport(to: &media, isTagged: isTagged)
        media.lines.append(.attribute("mid", section.mid))
        if section.kind == .application {
            media.lines.append(.attribute("sctp-port", "5000"))
            media.lines.append(.attribute("max-message-size", "262144"))
            return media
        }
        let direction = wish.direction.intersection(section.direction.reversed)
        for negotiated in section.extensions {
            let suffix = negotiated.direction == .sendrecv ? "" : "/\(negotiated.direction.reversed.rawValue)"
            media.lines.append(.attribute("extmap", "\(negotiated.id)\(suffix) \(negotiated.uri.rawValue)"))
        }
        media.lines.append(.attribute(direction.rawValue))
        if direction.sends { writeStreamNames(wish, to: &media) }
        media.lines.append(.attribute("rtcp-mux"))
        media.lines.append(.attribute("rtcp-rsize"))
        media.formats = section.codecs.flatMap { codec in
            // Browsers send redundancy when it stands before what it is of.
            [codec.redundancyPayloadType, codec.payloadType, codec.retransmissionPayloadType].compactMap { number in
                number.map { String($0) }
            }
        }
        let startBitrate = section.kind == .video && direction.receives ? wish.startBitrate : nil
        for codec in section.codecs { write(codec, startBitrate: startBitrate, to: &media) }
        if direction.sends { writeSources(wish, to: &media) }
        if direction.receives { writeSimulcast(section, to: &media) }
        return media
    }

    // MARK: - Transport

    private var defaultCandidate: ICECandidate? {
        transport.candidates.first { $0.transport == .udp && !$0.isHiddenName } ?? nil
    }

    private func writeTransport(to media: inout MediaDescription, isTagged: Bool) {
        if isTagged {
            for candidate in transport.candidates {
                media.lines.append(.attribute("candidate", candidate.description))
            }
            media.lines.append(.attribute("end-of-candidates"))
        }
        media.lines.append(.attribute("ice-ufrag", transport.ufrag))
        media.lines.append(.attribute("ice-pwd", transport.pwd))
        media.lines.append(.attribute("fingerprint", transport.fingerprint.description))
        media.lines.append(.attribute("setup", transport.setup.rawValue))
    }

    // MARK: - Media

    private func write(_ codec: NegotiatedCodec, startBitrate: Int?, to media: inout MediaDescription) {
        let channels = codec.channels > 1 ? "/\(codec.channels)" : ""
        media.lines.append(
            .attribute("rtpmap", "\(codec.payloadType) \(codec.name)/\(codec.clockRate)\(channels)"))
        for feedback in codec.feedback {
            media.lines.append(.attribute("rtcp-fb", "\(codec.payloadType) \(feedback)"))
        }
        var parameters = codec.parameters
        if codec.isOpus { parameters["useinbandfec"] = "1" }
        if let startBitrate { parameters["x-google-start-bitrate"] = String(startBitrate) }
        if !parameters.isEmpty {
            media.lines.append(.attribute("fmtp", "\(codec.payloadType) \(parameters)"))
        }
        if let redundant = codec.redundancyPayloadType {
            media.lines.append(.attribute("rtpmap", "\(redundant) red/\(codec.clockRate)\(channels)"))
            media.lines.append(.attribute("fmtp", "\(redundant) \(codec.payloadType)/\(codec.payloadType)"))
        }
        if let repair = codec.retransmissionPayloadType {
            media.lines.append(.attribute("rtpmap", "\(repair) rtx/\(codec.clockRate)"))
            media.lines.append(.attribute("fmtp", "\(repair) apt=\(codec.payloadType)"))
        }
    }

    private func writeStreamNames(_ wish: AnswerSection, to media: inout MediaDescription) {
        let names = Self.streamNames(wish)
        media.lines.append(.attribute("msid", "\(names.stream) \(names.track)"))
    }

    private func writeSources(_ wish: AnswerSection, to media: inout MediaDescription) {
        guard let ssrc = wish.sendSSRC else { return }
        if let repair = wish.sendRetransmissionSSRC {
            media.lines.append(.attribute("ssrc-group", "FID \(ssrc) \(repair)"))
        }
        let names = Self.streamNames(wish)
        for source in [ssrc, wish.sendRetransmissionSSRC].compactMap(\.self) {
            media.lines.append(.attribute("ssrc", "\(source) cname:\(wish.cname)"))
            media.lines.append(.attribute("ssrc", "\(source) msid:\(names.stream) \(names.track)"))
        }
    }

    /// Track names must differ within a page, so they carry the participant's as well.
    private static func streamNames(_ wish: AnswerSection) -> (stream: String, track: String) {
        let participant = wish.participant.map(asToken) ?? "-"
        let track = wish.stream.map { asToken("\(wish.participant ?? "").\($0)") } ?? "section.\(asToken(wish.mid))"
        return (participant, track)
    }

    /// `msid` identifiers are tokens of at most 64 characters (RFC 8830).
    private static func asToken(_ text: String) -> String {
        let characters = text.utf8.suffix(64).map { byte -> UInt8 in
            let character = String(decoding: CollectionOfOne(byte), as: UTF8.self)
            return character.isToken ? byte : UInt8(ascii: "-")
        }
        return characters.isEmpty ? "-" : String(decoding: characters, as: UTF8.self)
    }

    private func writeSimulcast(_ section: OfferedSection, to media: inout MediaDescription) {
        guard !section.encodings.isEmpty else { return }
        for encoding in section.encodings { media.lines.append(.attribute("rid", "\(encoding.rid) recv")) }
        let list = section.encodings.map { ($0.isPaused ? "~" : "") + $0.rid }.joined(separator: ";")
        media.lines.append(.attribute("simulcast", "recv \(list)"))
    }
}
