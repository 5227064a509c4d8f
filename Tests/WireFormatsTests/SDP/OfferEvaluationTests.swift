// What is understood of an offer, and what makes it unacceptable.

import Testing
import WireFormats

@Suite("Offers")
struct OfferEvaluationTests {
    @Test("a plain video offer is understood")
    func plain() throws {
        let offer = try OfferText().evaluated()
        #expect(offer.iceUfrag == "abcd")
        #expect(offer.sessionID == "4711")
        #expect(offer.sessionVersion == 2)
        #expect(offer.setup == .actpass)
        #expect(offer.answerSetup == .passive)
        #expect(offer.fingerprint.bytes.count == 32)
        #expect(offer.bundledMids == ["0"])
        #expect(offer.allowsMixedExtensions)
        let section = try #require(offer.sections.first)
        #expect(section.direction == .sendonly)
        #expect(section.codecs.map(\.name) == ["VP8"])
        #expect(section.codecs.first?.retransmissionPayloadType == 97)
        #expect(section.codecs.first?.feedback == ["nack", "nack pli"])
        #expect(!section.isRejected)
    }

    @Test("a recorded simulcast offer gives three encodings in the sender's order")
    func recordedSimulcast() throws {
        for (name, text) in try TestData.offers() where name.hasPrefix("chromium-simulcast-3") {
            let offer = try evaluate(offer: SessionDescription(parsing: text))
            #expect(offer.sections[0].rids == ["q", "h", "f"])
            #expect(offer.sections[0].extensions.contains { $0.uri == .dependencyDescriptor && $0.id == 13 })
            #expect(offer.candidates.count == 10)
        }
    }

    @Test("paused encodings are marked, alternatives and unknown or repeated rids are left out")
    func pausedSimulcast() throws {
        let rid = "a=extmap:10 \(HeaderExtensionURI.streamIdentifier.rawValue)"
        var offer = OfferText()
        offer.sections = [
            OfferText.video(extra: [
                rid, "a=rid:q send", "a=rid:h send max-width=640", "a=rid:f send", "a=rid:f send", "a=rid:r recv",
                "a=simulcast:send q;~h,f;f;f;z recv r",
            ])
        ]
        let section = try offer.evaluated().sections[0]
        #expect(
            section.encodings == [
                OfferedEncoding(rid: "q"), OfferedEncoding(rid: "h", isPaused: true), OfferedEncoding(rid: "f"),
            ])
    }

    @Test("an application section after the video does not lose its encodings")
    func applicationAfterSimulcast() throws {
        let rid = "a=extmap:10 \(HeaderExtensionURI.streamIdentifier.rawValue)"
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 0 2"
        offer.sections = [
            OfferText.video(extra: [rid, "a=rid:a send", "a=rid:b send", "a=simulcast: send rid=a;b"]),
            OfferText.application(mid: "2"),
        ]
        #expect(try offer.evaluated().sections[0].rids == ["a", "b"])
    }

    @Test("without the rid extension there are no encodings to tell apart")
    func simulcastWithoutExtension() throws {
        var offer = OfferText()
        offer.sections = [OfferText.video(extra: ["a=rid:q send", "a=rid:h send", "a=simulcast:send q;h"])]
        #expect(try offer.evaluated().sections[0].encodings.isEmpty)
    }

    @Test("sources are paired with their retransmission, and carry stream names")
    func sources() throws {
        var offer = OfferText()
        offer.sections = [
            OfferText.video(extra: [
                "a=ssrc-group:FID 11 12", "a=ssrc:11 cname:x", "a=ssrc:11 msid:stream track", "a=ssrc:12 cname:x",
                "a=ssrc:13 cname:x", "a=ssrc-group:SIM 11 13",
            ])
        ]
        let section = try offer.evaluated().sections[0]
        #expect(
            section.ssrcs == [
                OfferedSSRC(ssrc: 11, retransmission: 12, cname: "x"), OfferedSSRC(ssrc: 13, cname: "x"),
            ])
        #expect(section.streamIdentifier == "stream")
        #expect(section.trackIdentifier == "track")
    }

    @Test("extensions keep their id and direction; inactive, reserved and unknown ones are left out")
    func extensions() throws {
        let mid = HeaderExtensionURI.mid.rawValue
        let rid = HeaderExtensionURI.streamIdentifier.rawValue
        let time = HeaderExtensionURI.absoluteSendTime.rawValue
        var offer = OfferText()
        offer.sections = [
            OfferText.video(extra: [
                "a=extmap:16 \(mid)", "a=extmap:2/recvonly \(rid)", "a=extmap:3/inactive \(time)",
                "a=extmap:15 \(time)",
                "a=extmap:4096 \(time)", "a=extmap:5 urn:example:unheard-of",
                "a=extmap:12 urn:ietf:params:rtp-hdrext:encrypt \(time)",
            ])
        ]
        #expect(
            try offer.evaluated().sections[0].extensions == [
                NegotiatedExtension(id: 16, uri: .mid),
                NegotiatedExtension(id: 2, uri: .streamIdentifier, direction: .recvonly),
            ])
    }

    @Test("one id with two meanings in a bundle is refused")
    func conflictingExtensions() {
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 0 1"
        offer.sections = [
            OfferText.video(extra: ["a=extmap:4 \(HeaderExtensionURI.mid.rawValue)"]),
            OfferText.audio(extra: ["a=extmap:4 \(HeaderExtensionURI.audioLevel.rawValue)"]),
        ]
        #expect(throws: SDPError.self) { try offer.evaluated() }
    }

    @Test("formats are matched by profile and packetization mode, not by name alone")
    func formats() throws {
        var offer = OfferText()
        offer.sections = [
            OfferText.video(formats: [
                (100, "H264/90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
                (101, "H264/90000", "profile-level-id=640c1f"), (102, "H264/90000", "profile-level-id=f4001f"),
                (103, "H264/90000", nil), (104, "h264/90000", "packetization-mode=2;profile-level-id=42e01f"),
                (105, "VP9/90000", "profile-id=2"), (106, "VP9/90000", "profile-id=1"), (107, "VP9/90000", nil),
                (108, "AV1/90000", "level-idx=5;profile=0;tier=0"), (109, "AV1/90000", "profile=1"),
                (110, "red/90000", nil), (111, "ulpfec/90000", nil), (112, "H265/90000", nil), (113, "VP8/48000", nil),
                (114, "rtx/90000", "apt=105"), (70, "VP8/90000", nil),
            ])
        ]
        let codecs = try offer.evaluated().sections[0].codecs
        #expect(codecs.map(\.payloadType) == [100, 101, 103, 105, 107, 108])
        #expect(codecs.map(\.h264Profile).prefix(3) == [.constrainedBaseline, .constrainedHigh, .baseline])
        #expect(codecs[3].retransmissionPayloadType == 114)
    }

    @Test(
        "profile families are recognised whatever the level",
        arguments: [
            ("42e01f", H264Profile.constrainedBaseline), ("42c02a", .constrainedBaseline), ("42001f", .baseline),
            ("4d001f", .main), ("4d401f", .main), ("4dc01f", .constrainedBaseline), ("640034", .high),
            ("640c1f", .constrainedHigh), ("f4001f", .predictiveHigh444),
        ])
    func profileFamilies(text: String, profile: H264Profile) {
        #expect(H264Profile(profileLevelID: text) == profile)
    }

    @Test("a format goes to a receiver whose format carries the same bits")
    func interchangeable() throws {
        func codec(_ map: String, _ parameters: String?) throws -> NegotiatedCodec {
            var offer = OfferText()
            offer.sections = [OfferText.video(formats: [(96, map, parameters)])]
            return try #require(try offer.evaluated().sections[0].codecs.first)
        }
        let level31 = try codec("H264/90000", "packetization-mode=1;profile-level-id=42e01f")
        let level40 = try codec("H264/90000", "packetization-mode=1;profile-level-id=42e028")
        let main = try codec("H264/90000", "packetization-mode=1;profile-level-id=4d001f")
        let mode0 = try codec("H264/90000", "profile-level-id=42e01f")
        #expect(level31.carriesSameBits(as: level40))
        #expect(!level31.carriesSameBits(as: main))
        #expect(!level31.carriesSameBits(as: mode0))
        #expect(!level31.carriesSameBits(as: try codec("VP8/90000", nil)))
    }

    @Test("Opus keeps its in-band error correction and needs two channels")
    func opus() throws {
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 1"
        offer.sections = [OfferText.audio()]
        let codec = try #require(try offer.evaluated().sections[0].codecs.first)
        #expect(codec.parameters["useinbandfec"] == "1")
        #expect(codec.channels == 2)
        #expect(codec.feedback == ["transport-cc"])
        offer.sections = [OfferText.audio().map { $0.replacing("opus/48000/2", with: "opus/48000") }]
        #expect(try offer.evaluated().sections[0].isRejected)
    }

    @Test("sections outside the bundle, of other kinds, or with nothing in common are rejected one by one")
    func rejectedSections() throws {
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 0 1 2 3"
        offer.sections = [
            OfferText.video(), OfferText.application(mid: "1"),
            OfferText.video(mid: "2").map { $0.replacing("VP8", with: "XYZ") },
            ["m=text 9 UDP/TLS/RTP/SAVPF 99"] + OfferText.transport + ["a=mid:3"],
            OfferText.audio(mid: "4"), ["m=video 0 UDP/TLS/RTP/SAVPF 96", "a=mid:5"], ["m=video 0 RTP/AVP 96"],
        ]
        let sections = try offer.evaluated().sections
        #expect(sections.map(\.isRejected) == [false, true, true, true, true, true, true])
        #expect(try offer.evaluated().bundledMids == ["0"])
        var capabilities = MediaCapabilities.consilium
        capabilities.acceptsDataChannels = true
        #expect(try offer.evaluated(capabilities).bundledMids == ["0", "1"])
    }

    @Test("a section that is only there for the bundle may have port 0")
    func bundleOnly() throws {
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 0 1"
        var second = OfferText.audio(extra: ["a=bundle-only"])
        second[0] = second[0].replacing("audio 9", with: "audio 0")
        second.removeAll { $0.hasPrefix("a=ice-") || $0.hasPrefix("a=fingerprint") || $0.hasPrefix("a=setup") }
        offer.sections = [OfferText.video(), second]
        #expect(try offer.evaluated().sections.map(\.isRejected) == [false, false])
    }

    @Test("one section alone need not be bundled, two must")
    func bundle() throws {
        var offer = OfferText()
        offer.session = ["t=0 0"]
        #expect(try offer.evaluated().bundledMids == ["0"])
        offer.sections.append(OfferText.audio())
        #expect(code(of: offer) == "missing_bundle")
    }

    @Test("of several fingerprints the one every peer can check is taken")
    func fingerprints() throws {
        let sha512 = "a=fingerprint:SHA-512 " + Array(repeating: "aB", count: 64).joined(separator: ":")
        var offer = OfferText()
        offer.sections = [[OfferText.video()[0], sha512] + OfferText.video().dropFirst()]
        #expect(try offer.evaluated().fingerprint.algorithm == "sha-256")
        offer.sections = [OfferText.video().map { $0.hasPrefix("a=fingerprint") ? sha512 : $0 }]
        #expect(
            try offer.evaluated().fingerprint == .init(algorithm: "sha-512", bytes: Array(repeating: 0xAB, count: 64)))
    }

    @Test("transport attributes may stand at the session level")
    func sessionLevel() throws {
        var offer = OfferText()
        let moved = OfferText.transport.filter { $0.hasPrefix("a=") }
        offer.session += moved
        offer.sections = [OfferText.video().filter { !moved.contains($0) }]
        #expect(try offer.evaluated().icePwd == "0123456789abcdefghijkl")
    }

    @Test(
        "an offer that can't be served is refused with a code",
        arguments: [
            ("a=fingerprint", nil, "missing_fingerprint"),
            ("a=fingerprint", "a=fingerprint:sha-1 00:11", "unsupported_fingerprint"),
            ("a=fingerprint", "a=fingerprint:sha-256 00:11", "malformed_sdp"),
            ("a=fingerprint", "a=fingerprint:sha-256", "malformed_sdp"),
            ("a=ice-ufrag", nil, "missing_ice_credentials"),
            ("a=ice-pwd", "a=ice-pwd:short", "missing_ice_credentials"),
            ("a=ice-ufrag", "a=ice-ufrag:ab:cd", "missing_ice_credentials"), ("a=rtcp-mux", nil, "missing_rtcp_mux"),
            ("a=mid", nil, "missing_mid"), ("a=mid", "a=mid:two words", "malformed_sdp"),
            ("a=setup", "a=setup:holdconn", "unsupported_setup"), ("a=setup", "a=setup:maybe", "unsupported_setup"),
            ("m=video", "m=video 9 UDP/TLS/RTP/SAVPF 96 200", "malformed_sdp"),
            ("m=video", "m=video 9 UDP/TLS/RTP/SAVPF 96 x", "malformed_sdp"),
            ("a=rtpmap:96", "a=rtpmap:300 VP8/90000", "malformed_sdp"),
            ("a=rtpmap:96", "a=rtpmap:96 VP8", "malformed_sdp"), ("a=rtpmap:96", "a=rtpmap:96 VP8/0", "malformed_sdp"),
            ("a=rtcp-fb:96 nack", "a=extmap:x urn:y", "malformed_sdp"),
            ("a=rtcp-fb:96 nack", "a=ssrc:4294967296 cname:x", "malformed_sdp"),
        ] as [(String, String?, String)])
    func refused(prefix: String, replacement: String?, expected: String) {
        var offer = OfferText()
        offer.sections = [
            OfferText.video().compactMap { line in
                line.hasPrefix(prefix) ? replacement : line
            }
        ]
        #expect(code(of: offer) == expected)
    }

    @Test("the error of a bad attribute names its line")
    func lineOfError() {
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 0 1"
        offer.sections = [OfferText.video(), OfferText.audio(extra: ["a=rtpmap:400 x/1"])]
        let expected = offer.text.split(separator: "\r\n").firstIndex { $0.hasPrefix("a=rtpmap:400") }
        #expect {
            try offer.evaluated()
        } throws: { error in
            guard case .malformed(let line, _) = error as? SDPError else { return false }
            return line - 1 == expected
        }
    }

    @Test("two sections with one mid are refused, and so is an offer without any section")
    func shapes() {
        var offer = OfferText()
        offer.sections = [OfferText.video(), OfferText.audio(mid: "0")]
        #expect(code(of: offer) == "duplicate_mid")
        offer.sections = []
        #expect(code(of: offer) == "no_media_section")
        offer.sections = [["m=video 0 UDP/TLS/RTP/SAVPF 96", "a=mid:0"]]
        #expect(code(of: offer) == "missing_bundle")
    }

    private func code(of offer: OfferText) -> String? {
        do {
            _ = try offer.evaluated()
            return nil
        } catch {
            return (error as? SDPError)?.code
        }
    }
}
