// Answers: well-formed for every recorded offer, and saying what was asked of them.

import Testing
import WireFormats

@Suite("Answers")
struct AnswerTests {
    @Test("every recorded offer gets a well-formed answer")
    func recordedOffers() throws {
        for (name, text) in try TestData.offers() {
            let offer = try SessionDescription(parsing: text)
            let evaluated = try evaluate(offer: offer)
            let wishes = evaluated.sections.map { section in
                AnswerSection(
                    mid: section.mid, direction: .sendrecv, sendSSRC: UInt32(section.index + 1000),
                    sendRetransmissionSSRC: UInt32(section.index + 2000), participant: "p1", stream: "camera")
            }
            let answer = makeAnswer(to: evaluated, transport: .sample(), sections: wishes)
            try checkWellFormed(answer, offer: offer, name: name)
            #expect(try SessionDescription(parsing: answer.description) == answer, "\(name)")
        }
    }

    private func checkWellFormed(_ answer: SessionDescription, offer: SessionDescription, name: String) throws {
        #expect(answer.media.count == offer.media.count, "\(name)")
        let bundle = try #require(answer.attribute("group")).split(separator: " ").dropFirst()
        var accepted: [Substring] = []
        for (media, offered) in zip(answer.media, offer.media) {
            #expect(media.kind == offered.kind, "\(name)")
            #expect(media.attribute("mid") == offered.attribute("mid"), "\(name)")
            #expect(media.protocolText == offered.protocolText)
            guard media.port != 0 else { continue }
            accepted.append(try #require(media.attribute("mid")))
            #expect(media.attribute("setup") == "passive")
            #expect(media.attribute("fingerprint") != nil)
            #expect(media.hasAttribute("rtcp-mux"))
            for format in media.formats {
                let map = media.attributes("rtpmap").filter { $0.hasPrefix("\(format) ") }
                #expect(map.count == 1, "\(name): payload type \(format)")
                #expect(offered.attributes("rtpmap").contains { $0 == map.first ?? "" }, "\(name): \(map)")
                #expect(map.allSatisfy { !$0.contains("red/90000") && !$0.contains("ulpfec/") }, "\(name)")
            }
            for value in media.attributes("extmap") {
                #expect(offered.attributes("extmap").contains(value), "\(name): \(value)")
            }
            let directions = MediaDirection.allCases.filter { media.hasAttribute($0.rawValue) }
            let wished = MediaDirection.allCases.first { offered.hasAttribute($0.rawValue) } ?? .sendrecv
            #expect(directions == [wished.reversed], "\(name)")
        }
        #expect(Array(bundle) == accepted.sorted { bundle.firstIndex(of: $0) ?? 0 < bundle.firstIndex(of: $1) ?? 0 })
        #expect(Set(bundle) == Set(accepted), "\(name)")
    }

    @Test("a recorded chain of renegotiations keeps its session, its m-lines and its recycled sections")
    func renegotiations() throws {
        let offers = try TestData.offers().filter { $0.name.hasPrefix("chromium-renegotiate") }
        guard !offers.isEmpty else { return }
        let evaluated = try offers.map { try evaluate(offer: SessionDescription(parsing: $0.text)) }
        #expect(Set(evaluated.map(\.sessionID)).count == 1)
        let versions = evaluated.map(\.sessionVersion)
        #expect(versions == versions.sorted() && Set(versions).count == versions.count)
        for (before, after) in zip(evaluated, evaluated.dropFirst()) {
            #expect(after.sections.count >= before.sections.count)
        }
        // A stopped section is rejected; the next offer uses its line for a new mid.
        let stopped = try #require(
            evaluated.firstIndex { offer in offer.sections.contains { $0.isRejected && $0.kind == .video } })
        let index = try #require(evaluated[stopped].sections.first { $0.isRejected && $0.kind == .video }?.index)
        let recycled = evaluated[stopped + 1].sections[index]
        #expect(!recycled.isRejected)
        #expect(recycled.mid != evaluated[stopped - 1].sections[index].mid)
        let restarted = zip(evaluated, evaluated.dropFirst()).filter { $0.iceUfrag != $1.iceUfrag }
        #expect(restarted.count == 1)
        #expect(restarted.allSatisfy { $0.fingerprint == $1.fingerprint })
    }

    @Test("what the server sends is named, what it receives is not")
    func sending() throws {
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 0 1"
        offer.sections = [OfferText.video(direction: "recvonly"), OfferText.video(mid: "1")]
        let answer = makeAnswer(
            to: try offer.evaluated(), transport: .sample(),
            sections: [
                AnswerSection(
                    mid: "0", direction: .sendonly, sendSSRC: 7, sendRetransmissionSSRC: 8, participant: "p3",
                    stream: "camera", cname: "c3"),
                AnswerSection(mid: "1", direction: .recvonly, startBitrate: 1200),
            ])
        #expect(answer.media[0].attribute("msid") == "p3 p3.camera")
        #expect(answer.media[0].attribute("ssrc-group") == "FID 7 8")
        #expect(
            answer.media[0].attributes("ssrc") == [
                "7 cname:c3", "7 msid:p3 p3.camera", "8 cname:c3", "8 msid:p3 p3.camera",
            ])
        #expect(answer.media[0].attribute("fmtp") == "97 apt=96")
        #expect(!answer.media[1].hasAttribute("ssrc"))
        #expect(answer.media[1].attributes("fmtp") == ["96 x-google-start-bitrate=1200", "97 apt=96"])
        #expect(answer.media[0].attributes("candidate").count == 2)
        #expect(answer.media[1].attributes("candidate").isEmpty)
        #expect(answer.media[0].port == 40_000)
        #expect(answer.origin.sessionID == "99")
    }

    @Test("a direction is never wider than the offer allows, and unmentioned sections rest")
    func directions() throws {
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 0 1 2"
        offer.sections = [
            OfferText.video(), OfferText.video(mid: "1", direction: "inactive"),
            OfferText.video(mid: "2", direction: "recvonly"),
        ]
        let answer = makeAnswer(
            to: try offer.evaluated(), transport: .sample(),
            sections: [AnswerSection(mid: "0", direction: .sendrecv), AnswerSection(mid: "1", direction: .sendrecv)])
        #expect(answer.media[0].hasAttribute("recvonly"))
        #expect(answer.media[1].hasAttribute("inactive"))
        #expect(answer.media[2].hasAttribute("inactive"))
        #expect(answer.media[2].port != 0)
    }

    @Test("simulcast is answered with the offered rids, paused ones still paused")
    func simulcast() throws {
        var offer = OfferText()
        offer.sections = [
            OfferText.video(extra: [
                "a=extmap:10/sendonly \(HeaderExtensionURI.streamIdentifier.rawValue)", "a=rid:q send", "a=rid:f send",
                "a=simulcast:send ~q;f",
            ])
        ]
        let media = makeAnswer(
            to: try offer.evaluated(), transport: .sample(), sections: [AnswerSection(mid: "0", direction: .recvonly)]
        ).media[0]
        #expect(media.attributes("rid") == ["q recv", "f recv"])
        #expect(media.attribute("simulcast") == "recv ~q;f")
        #expect(media.attribute("extmap") == "10/recvonly \(HeaderExtensionURI.streamIdentifier.rawValue)")
    }

    @Test("rejected sections keep their place with port 0 and leave the bundle")
    func rejected() throws {
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 0 1 2"
        offer.sections = [OfferText.video(), OfferText.application(mid: "1"), OfferText.audio(mid: "2")]
        let answer = makeAnswer(
            to: try offer.evaluated(), transport: .sample(),
            sections: [AnswerSection(mid: "0", direction: .inactive, isRejected: true)])
        #expect(answer.media.map { $0.port == 0 } == [true, true, false])
        #expect(answer.attribute("group") == "BUNDLE 2")
        // The transport is then described by the first section that is left.
        #expect(answer.media[2].attributes("candidate").count == 2)
    }

    @Test("a data channel is answered only where it is served")
    func dataChannel() throws {
        var offer = OfferText()
        offer.session[1] = "a=group:BUNDLE 0 1"
        offer.sections = [OfferText.video(), OfferText.application(mid: "1")]
        var capabilities = MediaCapabilities.consilium
        capabilities.acceptsDataChannels = true
        let answer = makeAnswer(to: try offer.evaluated(capabilities), transport: .sample(), sections: [])
        #expect(answer.media[1].formats == ["webrtc-datachannel"])
        #expect(answer.media[1].attribute("sctp-port") == "5000")
        #expect(answer.media[1].port != 0)
    }

    @Test("names that are no tokens can't add lines to the answer")
    func hostileNames() throws {
        var offer = OfferText()
        offer.sections = [OfferText.video(direction: "recvonly")]
        let answer = makeAnswer(
            to: try offer.evaluated(), transport: .sample(),
            sections: [
                AnswerSection(
                    mid: "0", direction: .sendonly, sendSSRC: 1, participant: "p\r\na=evil",
                    stream: String(repeating: "ü", count: 90))
            ])
        let text = answer.description
        #expect(!text.contains("a=evil\r\n") && !text.contains("\na=evil"))
        #expect(try SessionDescription(parsing: text) == answer)
    }

    private func audio(_ extra: [String], numbers: String = "111 63 0") throws -> [String] {
        var offer = OfferText()
        var section = OfferText.audio(mid: "0", extra: extra)
        section[0] = "m=audio 9 UDP/TLS/RTP/SAVPF \(numbers)"
        offer.sections = [section]
        let answer = makeAnswer(
            to: try offer.evaluated(), transport: .sample(), sections: [AnswerSection(mid: "0", direction: .sendrecv)])
        return answer.description.split(separator: "\r\n").map { String($0) }
    }

    @Test("RED over Opus is answered in front of it, and Opus with in-band correction")
    func redundancy() throws {
        let lines = try audio(["a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111"])
        #expect(lines.contains { $0.hasPrefix("m=audio") && $0.hasSuffix(" 63 111") })
        #expect(lines.contains("a=rtpmap:63 red/48000/2"))
        #expect(lines.contains("a=fmtp:63 111/111"))
        #expect(lines.contains { $0.hasPrefix("a=fmtp:111 ") && $0.contains("useinbandfec=1") })
    }

    @Test(
        "RED over anything else, or on a number that looks like RTCP, is left out",
        arguments: ["111/0", "0/0", "111", "111/111/63", "", "111/", "111/111;x=1"])
    func otherRedundancy(parameters: String) throws {
        let lines = try audio(["a=rtpmap:63 red/48000/2", "a=fmtp:63 \(parameters)"])
        #expect(lines.contains { $0.hasPrefix("m=audio") && $0.hasSuffix("SAVPF 111") })
        #expect(!lines.contains { $0.contains(" red/") })
        let looksLikeControl = try audio(["a=rtpmap:72 red/48000/2", "a=fmtp:72 111/111"], numbers: "111 72 0")
        #expect(!looksLikeControl.contains { $0.contains(" red/") })
    }
}
