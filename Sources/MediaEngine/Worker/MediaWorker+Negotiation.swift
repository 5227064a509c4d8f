// Offers and answers: from a description to a transport, published tracks and receive sections.
import Forwarding
import PeerTransport
import WireFormats

import struct PeerTransport.CertificateFingerprint

extension MediaWorker {
    func negotiate(room: String, peer name: String, offer: PeerOffer) throws(NegotiationError) -> PeerAnswer {
        let evaluated = try evaluate(offer)
        try OfferRules(limits: configuration.limits).check(evaluated, offer)
        let now = loop.now
        let id = try transport(for: evaluated, room: room, peer: name, now: now)
        guard var peer = rooms[room]?.peers[name] else {
            throw NegotiationError(status: .notFound, code: "no_peer", message: "the peer left while it negotiated")
        }
        let hadPublished = !peer.published.isEmpty
        peer.subscription = offer.subscription
        peer.firstMid = evaluated.bundledMids.first ?? "0"
        publish(evaluated, offer, peer: &peer, room: room, id: id, now: now)
        receive(evaluated, peer: &peer)
        peer.answerVersion += 1
        rooms[room]?.peers[name] = peer
        assignSections(room: room, except: name)
        repeatWanted(room: room, peer: name)
        showStreams()
        if !peer.published.isEmpty || hadPublished { publicationsChanged(room) }
        return answer(to: evaluated, room: room, peer: name)
    }

    private func evaluate(_ offer: PeerOffer) throws(NegotiationError) -> EvaluatedOffer {
        guard offer.sdp.utf8.count <= configuration.limits.offerBytes else {
            throw NegotiationError(
                status: .malformed, code: "sdp_too_large",
                message:
                    "the offer has \(offer.sdp.utf8.count) bytes, at most \(configuration.limits.offerBytes) are read")
        }
        do throws(SDPError) {
            return try WireFormats.evaluate(offer: SessionDescription(parsing: offer.sdp))
        } catch {
            throw NegotiationError(
                status: error.isMalformed ? .malformed : .unsupported, code: error.code, message: error.message)
        }
    }

    // MARK: - Transport

    /// Finds the peer connection that the offer belongs to, restarts its ICE when the offer asks for it, or makes a new
    /// one: another certificate or another session is another peer connection, whatever name it comes under.
    private func transport(
        for offer: EvaluatedOffer, room: String, peer name: String, now: UInt64
    ) throws(NegotiationError) -> Int32 {
        if let known = rooms[room]?.peers[name] {
            if known.sessionID == offer.sessionID, known.fingerprint == offer.fingerprint.bytes {
                if known.remoteUfrag != offer.iceUfrag || known.remotePassword != offer.icePwd {
                    restart(room: room, peer: name, ufrag: offer.iceUfrag, password: offer.icePwd)
                }
                return known.id
            }
            remove(peer: name, room: room)
        }
        guard core.links.count < configuration.limits.peers else {
            throw NegotiationError(
                status: .unavailable, code: "too_many_peers", message: "this server takes no more peers")
        }
        guard rooms[room] != nil || rooms.count < configuration.limits.rooms else {
            throw NegotiationError(
                status: .unavailable, code: "too_many_rooms", message: "this server opens no more rooms")
        }
        return try makeTransport(for: offer, room: room, peer: name, now: now)
    }

    private func makeTransport(
        for offer: EvaluatedOffer, room: String, peer name: String, now: UInt64
    ) throws(NegotiationError) -> Int32 {
        guard
            let fingerprint = CertificateFingerprint(
                algorithm: offer.fingerprint.algorithm, bytes: offer.fingerprint.bytes)
        else {
            throw NegotiationError(
                status: .unsupported, code: "unsupported_fingerprint",
                message: "fingerprints are read as sha-256, sha-384 or sha-512")
        }
        let local = makeCredentials()
        let setup = offer.answerSetup
        var transportConfiguration = PeerTransportConfiguration(
            local: local, remote: ICECredentials(ufrag: offer.iceUfrag, password: offer.icePwd),
            remoteFingerprint: fingerprint, role: setup == .active ? .active : .passive, certificate: certificate)
        transportConfiguration.consentTimeout = configuration.consentNanoseconds
        transportConfiguration.srtp = configuration.srtp == .native ? .native : .libsrtp2
        let made: PeerTransport
        do throws(DTLSError) {
            made = try PeerTransport(now: now, configuration: transportConfiguration)
        } catch {
            throw NegotiationError(
                status: .unavailable, code: "no_transport", message: "a transport could not be made: \(error)")
        }
        let roomID = openRoom(room)
        let id = core.addLink(made, ufrag: MediaWorker.key(of: local.ufrag), room: roomID, cname: name)
        owners[id] = (room, name)
        directory.joined(room, peer: name, worker: index)
        rooms[room]?.peers[name] = PeerEntry(
            name: name, id: id, sessionID: offer.sessionID, fingerprint: offer.fingerprint.bytes,
            remoteUfrag: offer.iceUfrag, remotePassword: offer.icePwd, localUfrag: local.ufrag,
            localPassword: local.password, setup: setup, answerID: core.forwarder.randomNumber() >> 2)
        return id
    }

    private func restart(room: String, peer name: String, ufrag: String, password: String) {
        guard var peer = rooms[room]?.peers[name] else { return }
        let local = makeCredentials()
        core.restart(
            peer.id, local: local, remote: ICECredentials(ufrag: ufrag, password: password),
            ufrag: MediaWorker.key(of: local.ufrag))
        peer.remoteUfrag = ufrag
        peer.remotePassword = password
        peer.localUfrag = local.ufrag
        peer.localPassword = local.password
        rooms[room]?.peers[name] = peer
    }

    /// A fragment with new credentials restarts ICE and is answered with the server's; one with candidates only is
    /// answered with nothing, since a lite agent has no use for them.
    func restartICE(room: String, peer name: String, fragment: String) throws(NegotiationError) -> String {
        guard let peer = rooms[room]?.peers[name] else {
            throw NegotiationError(status: .notFound, code: "no_peer", message: "this session has ended")
        }
        let parsed: TrickleFragment
        do throws(SDPError) {
            parsed = try TrickleFragment(parsing: fragment)
        } catch {
            throw NegotiationError(status: .malformed, code: error.code, message: error.message)
        }
        guard let ufrag = parsed.ufrag, let password = parsed.pwd,
            ufrag != peer.remoteUfrag || password != peer.remotePassword
        else { return "" }
        restart(room: room, peer: name, ufrag: ufrag, password: password)
        guard let restarted = rooms[room]?.peers[name] else { return "" }
        return TrickleFragment(
            ufrag: restarted.localUfrag, pwd: restarted.localPassword, isICELite: true, mid: restarted.firstMid,
            candidates: candidates, hasAllCandidates: true
        ).description
    }

    /// Eight characters of 64 make a name that is one integer, and unlike any other in use.
    private func makeCredentials() -> ICECredentials {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        func text(_ length: Int) -> String {
            // The password is a secret: it comes from the system's generator.
            String(decoding: (0..<length).map { _ in alphabet[Int.random(in: 0..<64)] }, as: UTF8.self)
        }
        var ufrag = text(8)
        while core.ufrags.find(MediaWorker.key(of: ufrag)) != nil { ufrag = text(8) }
        return ICECredentials(ufrag: ufrag, password: text(24))
    }

    private static func key(of ufrag: String) -> UInt64 {
        Array(ufrag.utf8).withUnsafeBytes { WorkerCore.key(ufrag: $0) ?? 0 }
    }

    func openRoom(_ name: String) -> Int32 {
        if let room = rooms[name] { return room.id }
        let id = nextRoom
        nextRoom &+= 1
        rooms[name] = RoomEntry(name: name, id: id)
        relayState.version += 1
        rooms[name]?.incarnation = relayState.version
        roomNames[id] = name
        directory.opened(name, worker: index)
        return id
    }

    // MARK: - What the peer sends

    private func publish(
        _ evaluated: EvaluatedOffer, _ offer: PeerOffer, peer: inout PeerEntry, room: String, id: Int32, now: UInt64
    ) {
        var kept: [PublishedTrack] = []
        peer.refused.sent = []
        var counts: [StreamKind: Int] = [:]
        for section in evaluated.sections {
            guard let kind = StreamKind(section.kind), section.direction.sends, !section.isRejected, offer.maySend,
                let first = section.codecs.first
            else { continue }
            let number = counts[kind, default: 0]
            counts[kind] = number + 1
            let declared = offer.streams.first { $0.mid == section.mid }
            let stream = declared?.stream ?? "\(kind.rawValue)-\(number)"
            let role = declared?.role ?? (kind == .audio ? "audio" : "camera")
            if let old = peer.published.first(where: { $0.mid == section.mid && $0.stream == stream && $0.kind == kind }
            ) {
                kept.append(renewed(old, section, role: role))
                continue
            }
            guard takes(role, kind) else {
                peer.refused.sent.append(stream)
                continue
            }
            let track = core.forwarder.addTrack(
                MediaTrack(
                    peer: id, room: rooms[room]?.id ?? 0, isVideo: kind == .video,
                    codec: CodecKind(name: first.name, isVideo: kind == .video), payloadType: first.payloadType,
                    isMuted: declared?.muted ?? false, usesNack: first.feedback.contains("nack"),
                    usesPictureLoss: first.feedback.contains("nack pli"),
                    usesFullIntra: first.feedback.contains("ccm fir"),
                    role: StreamRole(name: role, isVideo: kind == .video)))
            let published = PublishedTrack(
                mid: section.mid, stream: stream, kind: kind, role: role, track: track, codec: first,
                codecs: section.codecs, section: publishedSection(section, track: track, kind: kind), order: nextOrder)
            nextOrder += 1
            trackOwners[track] = (room, peer.name, stream)
            kept.append(published)
            declare(published, peer: peer.name, room: room, now: now)
        }
        for old in peer.published where !kept.contains(where: { $0.track == old.track }) { retire(old) }
        peer.published = kept
        configureForwarding(evaluated, kept, id: id, now: now)
    }

    private func renewed(_ old: PublishedTrack, _ section: OfferedSection, role: String) -> PublishedTrack {
        var renewed = old
        renewed.role = role
        core.forwarder.tracks.find(old.track)?.pointee.role = StreamRole(name: role, isVideo: old.kind == .video)
        renewed.codecs = section.codecs
        renewed.section = publishedSection(section, track: old.track, kind: old.kind)
        if let codec = section.codecs.first(where: { $0.payloadType == old.codec.payloadType }) {
            renewed.codec = codec
        }
        return renewed
    }

    private func publishedSection(_ section: OfferedSection, track: Int32, kind: StreamKind) -> PublishedSection {
        var payloadTypes = Set<UInt8>()
        for codec in section.codecs {
            payloadTypes.insert(codec.payloadType)
            if let repair = codec.retransmissionPayloadType { payloadTypes.insert(repair) }
            if let redundant = codec.redundancyPayloadType { payloadTypes.insert(redundant) }
        }
        return PublishedSection(
            mid: Array(section.mid.utf8), track: track, isVideo: kind == .video, payloadTypes: payloadTypes,
            rids: section.encodings.map { Array($0.rid.utf8) },
            sources: section.ssrcs.map { ($0.ssrc, $0.retransmission) })
    }

    private func configureForwarding(_ evaluated: EvaluatedOffer, _ kept: [PublishedTrack], id: Int32, now: UInt64) {
        var formats: [(UInt8, PayloadFormat)] = []
        var extensions: [(HeaderExtensionKind, UInt8)] = []
        var feedback = Set<String>()
        for section in evaluated.sections where !section.isRejected && section.direction.sends {
            guard let kind = StreamKind(section.kind) else { continue }
            for codec in section.codecs {
                let codecKind = CodecKind(name: codec.name, isVideo: kind == .video)
                formats.append((codec.payloadType, PayloadFormat(codec: codecKind, clockRate: codec.clockRate)))
                if let redundant = codec.redundancyPayloadType {
                    formats.append(
                        (
                            redundant,
                            PayloadFormat(codec: codecKind, holds: codec.payloadType, clockRate: codec.clockRate)
                        ))
                }
                if let repair = codec.retransmissionPayloadType {
                    formats.append(
                        (
                            repair,
                            PayloadFormat(codec: codecKind, repairs: codec.payloadType, clockRate: codec.clockRate)
                        ))
                }
                feedback.formUnion(codec.feedback)
            }
            for numbered in section.extensions { extensions.append((HeaderExtensionKind(numbered.uri), numbered.id)) }
        }
        core.forwarder.publish(
            kept.map(\.section), formats: formats, extensions: extensions,
            usesTransportFeedback: feedback.contains("transport-cc"),
            usesMaximumBitrate: feedback.contains("goog-remb"), peer: id, now: now)
    }

    // MARK: - What the peer receives

    private func receive(_ evaluated: EvaluatedOffer, peer: inout PeerEntry) {
        var sections: [ReceiveSection] = []
        for section in evaluated.sections {
            guard let kind = StreamKind(section.kind), section.direction.receives, !section.isRejected else { continue }
            let extensions = ExtensionNumbers(section.extensions.map { (HeaderExtensionKind($0.uri), $0.id) })
            if var known = peer.sections.first(where: { $0.mid == section.mid && $0.kind == kind }) {
                known.codecs = section.codecs
                core.forwarder.streams.find(known.stream)?.pointee.extensions = extensions
                sections.append(known)
                continue
            }
            let ssrc = UInt32(truncatingIfNeeded: core.forwarder.randomNumber()) | 1
            let repair = UInt32(truncatingIfNeeded: core.forwarder.randomNumber()) & ~1
            let link = core.links[peer.id]
            let stream = core.forwarder.addStream(
                peer: peer.id, isVideo: kind == .video, mid: section.mid, ssrc: ssrc, retransmissionSSRC: repair,
                slot: link.pointee.transport.addSendStream(ssrc: ssrc),
                retransmissionSlot: link.pointee.transport.addSendStream(ssrc: repair), extensions: extensions,
                now: loop.now)
            sections.append(
                ReceiveSection(
                    mid: section.mid, kind: kind, stream: stream, ssrc: ssrc, retransmissionSSRC: repair,
                    codecs: section.codecs))
        }
        let feedback = sections.reduce(into: Set<String>()) { set, section in
            for codec in section.codecs { set.formUnion(codec.feedback) }
        }
        let hasNumbers = evaluated.sections.contains { section in
            section.direction.receives
                && section.extensions.contains { HeaderExtensionKind($0.uri) == .transportSequence }
        }
        core.forwarder.setBandwidthSource(
            hasNumbers && feedback.contains("transport-cc")
                ? .transportFeedback : feedback.contains("goog-remb") ? .maximumBitrate : .nothing,
            peer: peer.id, now: loop.now)
        for old in peer.sections where !sections.contains(where: { $0.stream == old.stream }) {
            core.forwarder.removeStream(old.stream)
        }
        peer.sections = sections
    }

    // MARK: - The answer

    private func answer(to evaluated: EvaluatedOffer, room: String, peer name: String) -> PeerAnswer {
        guard let peer = rooms[room]?.peers[name] else {
            return PeerAnswer(sdp: "", published: [], sections: [], needed: SectionsNeeded())
        }
        let sections = evaluated.sections.map { section -> AnswerSection in
            let received = peer.sections.first { $0.mid == section.mid }
            let published = peer.published.first { $0.mid == section.mid }
            var answer = AnswerSection(
                mid: section.mid, direction: MediaDirection(sends: received != nil, receives: published != nil),
                cname: received?.participant ?? name)
            answer.isRejected = section.isRejected
            if let received {
                answer.sendSSRC = received.ssrc
                let repairs = received.codecs.contains { $0.retransmissionPayloadType != nil }
                answer.sendRetransmissionSSRC = repairs ? received.retransmissionSSRC : nil
                answer.participant = received.participant
                answer.stream = received.streamName
            }
            if published?.kind == .video { answer.startBitrate = configuration.startBitrateKilobits }
            return answer
        }
        let fingerprint = WireFormats.CertificateFingerprint(
            algorithm: certificate.fingerprint.algorithm.rawValue, bytes: certificate.fingerprint.bytes)
        let description = makeAnswer(
            to: evaluated,
            transport: AnswerTransport(
                ufrag: peer.localUfrag, pwd: peer.localPassword, fingerprint: fingerprint, setup: peer.setup,
                candidates: candidates, iceLite: true, sessionID: peer.answerID, sessionVersion: peer.answerVersion),
            sections: sections)
        return PeerAnswer(
            sdp: description.description, published: peer.publishedStreams,
            sections: peer.sections.map(\.assignment), needed: peer.needed, refused: peer.refused)
    }
}
