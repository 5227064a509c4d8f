// The RTP header extensions this server understands, by the URI they are negotiated under (RFC 8285).

package enum HeaderExtensionURI: String, Sendable, CaseIterable {
    case mid = "urn:ietf:params:rtp-hdrext:sdes:mid"
    case streamIdentifier = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    case repairedStreamIdentifier = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
    case transportWideCongestionControl =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    case absoluteSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    case audioLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    case videoOrientation = "urn:3gpp:video-orientation"
    case dependencyDescriptor =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
    case absoluteCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
}
