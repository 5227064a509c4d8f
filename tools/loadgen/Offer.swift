// Offers of synthetic participants, and what their answers say.
import Forwarding
import MediaEngine
import PeerTransport
import WireFormats

import struct PeerTransport.CertificateFingerprint

/// What a participant sends and has room to receive, before it is put into words.
struct Offer {
    struct Stream {
        var name: String
        var role: String
        /// From small to large; with more than one it is a simulcast.
        var encodings: [VideoShape]
    }

    var streams: [Stream] = []
    var sendsAudio = false
    var receivesVideo = 0
    var receivesAudio = 0
    var usesFeedback = true
    let seed: UInt64

    private(set) var videos: [VideoSource] = []
    private(set) var audios: [AudioSource] = []

    init(seed: UInt64) { self.seed = seed }

    /// What `negotiate` declares of the sending sections.
    var declarations: [[String: any Sendable]] {
        var list: [[String: any Sendable]] = streams.enumerated().map { index, stream in
            ["mid": "v\(index)", "stream": stream.name, "role": stream.role, "label": "", "muted": false]
        }
        if sendsAudio {
            list.append(["mid": "a", "stream": "microphone", "role": "audio", "label": "", "muted": false])
        }
        return list
    }

    mutating func makeSources() {
        var random = SplitMix64(state: seed)
        for (index, stream) in streams.enumerated() {
            for shape in stream.encodings {
                videos.append(VideoSource(shape: shape, mid: "v\(index)", seed: random.next()))
            }
        }
        if sendsAudio { audios.append(AudioSource(mid: "a", seed: random.next())) }
    }

    func text(_ credentials: ICECredentials, _ fingerprint: CertificateFingerprint) -> String {
        var sections: [(mid: String, lines: [String])] = []
        for (index, stream) in streams.enumerated() {
            sections.append(("v\(index)", videoLines(sending: stream, mid: "v\(index)")))
        }
        if sendsAudio { sections.append(("a", audioLines(isSending: true))) }
        for index in 0..<receivesVideo { sections.append(("rv\(index)", videoLines(sending: nil, mid: "rv\(index)"))) }
        for index in 0..<receivesAudio { sections.append(("ra\(index)", audioLines(isSending: false))) }
        let hex = fingerprint.bytes.map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return digits.count == 1 ? "0" + digits : digits
        }
        var lines = [
            "v=0", "o=- \(seed >> 2) 1 IN IP4 127.0.0.1", "s=-", "t=0 0",
            "a=group:BUNDLE " + sections.map(\.mid).joined(separator: " "), "a=extmap-allow-mixed",
            "a=ice-options:trickle",
        ]
        for section in sections {
            lines.append(section.lines[0])
            lines += [
                "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0", "a=ice-ufrag:\(credentials.ufrag)",
                "a=ice-pwd:\(credentials.password)",
                "a=fingerprint:\(fingerprint.algorithm.rawValue) \(hex.joined(separator: ":"))", "a=setup:actpass",
                "a=mid:\(section.mid)", "a=rtcp-mux", "a=rtcp-rsize",
            ]
            lines += section.lines.dropFirst()
        }
        return lines.map { $0 + "\r\n" }.joined()
    }

    private var commonExtensions: [String] {
        var lines = [
            "a=extmap:\(Wire.mid) \(HeaderExtensionURI.mid.rawValue)",
            "a=extmap:\(Wire.absoluteSendTime) \(HeaderExtensionURI.absoluteSendTime.rawValue)",
            "a=extmap:\(Wire.captureTime) \(HeaderExtensionURI.absoluteCaptureTime.rawValue)",
        ]
        if usesFeedback {
            lines.append(
                "a=extmap:\(Wire.transportSequence) \(HeaderExtensionURI.transportWideCongestionControl.rawValue)")
        }
        return lines
    }

    private func videoLines(sending stream: Stream?, mid: String) -> [String] {
        var lines = ["m=video 9 UDP/TLS/RTP/SAVPF \(Wire.video) \(Wire.videoRepair)"] + commonExtensions
        lines += [
            "a=rtpmap:\(Wire.video) VP8/90000", "a=rtcp-fb:\(Wire.video) nack", "a=rtcp-fb:\(Wire.video) nack pli",
            "a=rtcp-fb:\(Wire.video) ccm fir", "a=rtpmap:\(Wire.videoRepair) rtx/90000",
            "a=fmtp:\(Wire.videoRepair) apt=\(Wire.video)",
        ]
        if usesFeedback { lines.append("a=rtcp-fb:\(Wire.video) transport-cc") }
        guard let stream else { return lines + ["a=recvonly"] }
        lines += ["a=sendonly", "a=msid:load \(mid)"]
        let own = videos.filter { $0.mid == mid }
        if stream.encodings.count > 1 {
            lines += [
                "a=extmap:\(Wire.rid) \(HeaderExtensionURI.streamIdentifier.rawValue)",
                "a=extmap:\(Wire.repairedRid) \(HeaderExtensionURI.repairedStreamIdentifier.rawValue)",
            ]
            let rids = stream.encodings.compactMap(\.rid)
            lines += rids.map { "a=rid:\($0) send" }
            lines.append("a=simulcast:send " + rids.joined(separator: ";"))
        } else if let source = own.first {
            lines += [
                "a=ssrc-group:FID \(source.ssrc) \(source.repairSSRC)", "a=ssrc:\(source.ssrc) cname:load",
                "a=ssrc:\(source.repairSSRC) cname:load",
            ]
        }
        return lines
    }

    private func audioLines(isSending: Bool) -> [String] {
        var lines = ["m=audio 9 UDP/TLS/RTP/SAVPF \(Wire.audio)"] + commonExtensions
        lines += [
            "a=extmap:\(Wire.level) \(HeaderExtensionURI.audioLevel.rawValue)", "a=rtpmap:\(Wire.audio) opus/48000/2",
            "a=fmtp:\(Wire.audio) minptime=10;useinbandfec=1",
        ]
        if usesFeedback { lines.append("a=rtcp-fb:\(Wire.audio) transport-cc") }
        guard isSending, let source = audios.first else { return lines + ["a=recvonly"] }
        return lines + ["a=sendonly", "a=msid:load a", "a=ssrc:\(source.ssrc) cname:load"]
    }
}

struct Answer {
    let server: SocketAddress
    let credentials: ICECredentials
    let fingerprint: CertificateFingerprint
    /// One for every section that the server may send on.
    let streams: [ReceivedStream]

    init(_ sdp: String) throws {
        let lines = sdp.split(whereSeparator: \.isNewline).map(String.init)
        func value(_ attribute: String) throws -> String {
            guard let line = lines.first(where: { $0.hasPrefix("a=\(attribute):") }) else {
                throw LoadFault("the answer has no a=\(attribute)")
            }
            return String(line.dropFirst(attribute.count + 3))
        }
        let hash = try value("fingerprint").split(separator: " ")
        let bytes = (hash.last ?? "").split(separator: ":").compactMap { UInt8($0, radix: 16) }
        guard let expected = CertificateFingerprint(algorithm: String(hash.first ?? ""), bytes: bytes) else {
            throw LoadFault("the answer's fingerprint is not usable")
        }
        fingerprint = expected
        credentials = ICECredentials(ufrag: try value("ice-ufrag"), password: try value("ice-pwd"))
        // The server announces all its addresses; the load sits on the same host.
        let candidate = lines.lazy.compactMap { line -> UInt16? in
            let words = line.split(separator: " ")
            guard line.hasPrefix("a=candidate:"), words.count > 6, words[2].lowercased() == "udp" else { return nil }
            return UInt16(words[5])
        }.first
        guard let port = candidate else { throw LoadFault("the answer has no UDP candidate") }
        server = .loopback4(port: port)

        var streams: [ReceivedStream] = []
        var section: [String] = []
        func finish() {
            guard let kind = section.first, section.contains("a=sendonly") || section.contains("a=sendrecv") else {
                return
            }
            let isVideo = kind.hasPrefix("m=video")
            if let group = section.first(where: { $0.hasPrefix("a=ssrc-group:FID ") }) {
                let numbers = group.split(separator: " ").dropFirst().compactMap { UInt32($0) }
                if numbers.count == 2 {
                    streams.append(ReceivedStream(isVideo: isVideo, ssrc: numbers[0], repairSSRC: numbers[1]))
                }
            } else if let line = section.first(where: { $0.hasPrefix("a=ssrc:") }),
                let number = line.dropFirst(7).split(separator: " ").first.flatMap({ UInt32($0) })
            {
                streams.append(ReceivedStream(isVideo: isVideo, ssrc: number, repairSSRC: nil))
            }
        }
        for line in lines {
            if line.hasPrefix("m=") {
                finish()
                section = []
            }
            section.append(line)
        }
        finish()
        self.streams = streams
    }
}
