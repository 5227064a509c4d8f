// What the load's clients offer: one section for each stream that they send or receive.
import PeerTransport

struct OfferedSection {
    enum Kind: String { case audio, video }

    var kind: Kind
    /// Empty for a section that receives.
    var ssrcs: [UInt32] = []
    /// As many as there are sources, for a simulcast; else empty.
    var rids: [String] = []

    static func sendingVideo(_ ssrc: UInt32) -> OfferedSection { OfferedSection(kind: .video, ssrcs: [ssrc]) }
    static let receivingVideo = OfferedSection(kind: .video)
    static let receivingAudio = OfferedSection(kind: .audio)
}

enum OfferText {
    static let opusPayloadType: UInt8 = 111
    static let retransmissionPayloadType: UInt8 = 97
    static let streamIDExtension: UInt8 = 5
    static let levelExtension: UInt8 = 1

    static func make(
        _ sections: [OfferedSection], _ credentials: ICECredentials, _ fingerprint: CertificateFingerprint
    ) -> String {
        let hex = fingerprint.bytes.map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return digits.count == 1 ? "0" + digits : digits
        }
        let mids = sections.indices.map(String.init)
        var lines = [
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE \(mids.joined(separator: " "))",
            "a=extmap-allow-mixed",
        ]
        for (section, mid) in zip(sections, mids) {
            let isVideo = section.kind == .video
            let types = isVideo ? "\(MediaShape.payloadType) \(retransmissionPayloadType)" : "\(opusPayloadType)"
            lines += [
                "m=\(section.kind.rawValue) 9 UDP/TLS/RTP/SAVPF \(types)", "c=IN IP4 0.0.0.0",
                "a=rtcp:9 IN IP4 0.0.0.0", "a=ice-ufrag:\(credentials.ufrag)", "a=ice-pwd:\(credentials.password)",
                "a=ice-options:trickle",
                "a=fingerprint:\(fingerprint.algorithm.rawValue) \(hex.joined(separator: ":"))", "a=setup:actpass",
                "a=mid:\(mid)", "a=rtcp-mux", "a=rtcp-rsize",
                "a=extmap:\(MediaShape.midExtension) urn:ietf:params:rtp-hdrext:sdes:mid",
                "a=extmap:\(MediaShape.transportExtension) "
                    + "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            ]
            lines += isVideo ? videoFormat : audioFormat
            lines += direction(section, mid: mid)
        }
        return lines.map { $0 + "\r\n" }.joined()
    }

    private static var videoFormat: [String] {
        let type = MediaShape.payloadType
        return [
            "a=extmap:\(streamIDExtension) urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            "a=rtpmap:\(type) VP8/90000", "a=rtcp-fb:\(type) nack", "a=rtcp-fb:\(type) nack pli",
            "a=rtcp-fb:\(type) ccm fir", "a=rtcp-fb:\(type) transport-cc",
            "a=rtpmap:\(retransmissionPayloadType) rtx/90000", "a=fmtp:\(retransmissionPayloadType) apt=\(type)",
        ]
    }

    private static var audioFormat: [String] {
        [
            "a=extmap:\(levelExtension) urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            "a=rtpmap:\(opusPayloadType) opus/48000/2", "a=rtcp-fb:\(opusPayloadType) transport-cc",
        ]
    }

    private static func direction(_ section: OfferedSection, mid: String) -> [String] {
        guard !section.ssrcs.isEmpty else { return ["a=recvonly"] }
        var lines = ["a=sendonly", "a=msid:bench \(mid)"]
        guard section.rids.isEmpty else {
            lines += section.rids.map { "a=rid:\($0) send" }
            return lines + ["a=simulcast:send \(section.rids.joined(separator: ";"))"]
        }
        lines += section.ssrcs.map { "a=ssrc:\($0) cname:bench" }
        return lines
    }
}
