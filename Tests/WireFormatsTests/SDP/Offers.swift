// Offers made for the tests, one section at a time, so that each test shows only what it is about.

import WireFormats

struct OfferText {
    var session = ["t=0 0", "a=group:BUNDLE 0", "a=extmap-allow-mixed"]
    var sections: [[String]] = [OfferText.video()]

    var text: String {
        (["v=0", "o=- 4711 2 IN IP4 127.0.0.1", "s=-"] + session + sections.flatMap(\.self))
            .map { $0 + "\r\n" }.joined()
    }

    func evaluated(_ capabilities: MediaCapabilities = .consilium) throws -> EvaluatedOffer {
        try evaluate(offer: SessionDescription(parsing: text), capabilities: capabilities)
    }

    static let fingerprint =
        "a=fingerprint:sha-256 "
        + (0..<32).map { $0 < 6 ? "0\($0 + 10)".suffix(2) : "A\($0 % 10)" }.joined(separator: ":")

    static let transport = [
        "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789abcdefghijkl", fingerprint, "a=setup:actpass",
    ]

    static func video(mid: String = "0", extra: [String] = [], direction: String = "sendonly") -> [String] {
        ["m=video 9 UDP/TLS/RTP/SAVPF 96 97"] + transport
            + [
                "a=mid:\(mid)", "a=\(direction)", "a=rtcp-mux", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack",
                "a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 x-unheard-of", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96",
            ] + extra
    }

    static func audio(mid: String = "1", extra: [String] = []) -> [String] {
        ["m=audio 9 UDP/TLS/RTP/SAVPF 111 0"] + transport
            + [
                "a=mid:\(mid)", "a=sendrecv", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc",
                "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtpmap:0 PCMU/8000",
            ] + extra
    }

    static func application(mid: String) -> [String] {
        ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel"] + transport + ["a=mid:\(mid)", "a=sctp-port:5000"]
    }

    /// A video section with these formats instead of VP8.
    static func video(formats: [(payloadType: Int, map: String, parameters: String?)]) -> [String] {
        let numbers = formats.map { String($0.payloadType) }.joined(separator: " ")
        return ["m=video 9 UDP/TLS/RTP/SAVPF \(numbers)"] + transport + ["a=mid:0", "a=sendrecv", "a=rtcp-mux"]
            + formats.flatMap { format in
                ["a=rtpmap:\(format.payloadType) \(format.map)"]
                    + (format.parameters.map { ["a=fmtp:\(format.payloadType) \($0)"] } ?? [])
            }
    }
}

extension AnswerTransport {
    static func sample(setup: SetupRole = .passive, version: UInt64 = 1) -> AnswerTransport {
        AnswerTransport(
            ufrag: "serv", pwd: "0123456789abcdefghijkl",
            fingerprint: CertificateFingerprint(algorithm: "sha-256", bytes: (0..<32).map { UInt8($0) }), setup: setup,
            candidates: [
                ICECandidate(
                    foundation: "1", transport: .udp, priority: 2_130_706_431, address: "192.0.2.1", port: 40_000),
                ICECandidate(
                    foundation: "2", transport: .tcp, priority: 1_694_498_815, address: "192.0.2.1", port: 443,
                    tcpType: .passive),
            ], sessionID: 99, sessionVersion: version)
    }
}
