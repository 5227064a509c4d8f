// What this server can receive, forward and answer: the list that offers are matched against.

package struct CodecCapability: Sendable {
    package enum Format: Sendable {
        case any
        /// VP9 (RFC 9628) `profile-id`.
        case vp9(profile: UInt8)
        /// H.264 (RFC 6184) profile family, any level, and `packetization-mode`.
        case h264(profile: H264Profile, packetizationMode: UInt8)
        /// AV1 `profile`.
        case av1(profile: UInt8)
    }

    package var kind: MediaKind
    package var name: String
    package var clockRate: UInt32
    package var channels: Int
    package var format: Format
    package var feedback: [String]
    package var retransmits: Bool
    /// Also inside of `red` (RFC 2198).
    package var isMadeRedundant: Bool

    package init(
        kind: MediaKind, name: String, clockRate: UInt32, channels: Int = 1, format: Format = .any,
        feedback: [String], retransmits: Bool, isMadeRedundant: Bool = false
    ) {
        self.kind = kind
        self.name = name
        self.clockRate = clockRate
        self.channels = channels
        self.format = format
        self.feedback = feedback
        self.retransmits = retransmits
        self.isMadeRedundant = isMadeRedundant
    }
}

package struct MediaCapabilities: Sendable {
    package var codecs: [CodecCapability]
    package var audioExtensions: [HeaderExtensionURI]
    package var videoExtensions: [HeaderExtensionURI]
    /// When false, `m=application` is answered with port 0.
    package var acceptsDataChannels: Bool

    package init(
        codecs: [CodecCapability], audioExtensions: [HeaderExtensionURI], videoExtensions: [HeaderExtensionURI],
        acceptsDataChannels: Bool = false
    ) {
        self.codecs = codecs
        self.audioExtensions = audioExtensions
        self.videoExtensions = videoExtensions
        self.acceptsDataChannels = acceptsDataChannels
    }

    /// Opus, VP8, VP9, H.264 and AV1, each with retransmission, Opus also in RED. No RED and no ULPFEC for video: a browser
    /// that sees RED in an answer wraps every packet in it.
    package static let consilium: MediaCapabilities = {
        let videoFeedback = ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"]
        func video(_ name: String, _ format: CodecCapability.Format) -> CodecCapability {
            CodecCapability(
                kind: .video, name: name, clockRate: 90_000, format: format, feedback: videoFeedback, retransmits: true)
        }
        var codecs = [
            CodecCapability(
                kind: .audio, name: "opus", clockRate: 48_000, channels: 2, feedback: ["transport-cc", "nack"],
                retransmits: true, isMadeRedundant: true),
            video("VP8", .any), video("VP9", .vp9(profile: 0)), video("VP9", .vp9(profile: 2)),
            video("AV1", .av1(profile: 0)),
        ]
        for profile in [H264Profile.constrainedBaseline, .baseline, .main, .constrainedHigh, .high] {
            for mode: UInt8 in [1, 0] {
                codecs.append(video("H264", .h264(profile: profile, packetizationMode: mode)))
            }
        }
        return MediaCapabilities(
            codecs: codecs,
            audioExtensions: [
                .mid, .transportWideCongestionControl, .absoluteSendTime, .audioLevel, .absoluteCaptureTime,
            ],
            videoExtensions: [
                .mid, .streamIdentifier, .repairedStreamIdentifier, .transportWideCongestionControl, .absoluteSendTime,
                .videoOrientation, .dependencyDescriptor, .absoluteCaptureTime,
            ])
    }()
}
