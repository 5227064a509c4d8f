// An offer matched against what this server can do: values the media engine works with, no text left.

package struct NegotiatedCodec: Sendable, Hashable {
    package var payloadType: UInt8
    /// As the offerer spelt it: `VP8`, `opus`.
    package var name: String
    package var clockRate: UInt32
    package var channels: Int
    package var parameters: FormatParameters
    /// `nack`, `nack pli`, `ccm fir`, `transport-cc`, `goog-remb`: what both sides know.
    package var feedback: [String]
    package var retransmissionPayloadType: UInt8?
    /// Of packets that hold this format's payloads and those of packets before them (RFC 2198).
    package var redundancyPayloadType: UInt8?

    package init(
        payloadType: UInt8, name: String, clockRate: UInt32, channels: Int, parameters: FormatParameters,
        feedback: [String], retransmissionPayloadType: UInt8?, redundancyPayloadType: UInt8? = nil
    ) {
        self.payloadType = payloadType
        self.name = name
        self.clockRate = clockRate
        self.channels = channels
        self.parameters = parameters
        self.feedback = feedback
        self.retransmissionPayloadType = retransmissionPayloadType
        self.redundancyPayloadType = redundancyPayloadType
    }
}

package struct NegotiatedExtension: Sendable, Hashable {
    package var id: UInt8
    package var uri: HeaderExtensionURI
    /// The offerer's view; `sendrecv` when the offer gave no suffix.
    package var direction: MediaDirection

    package init(id: UInt8, uri: HeaderExtensionURI, direction: MediaDirection = .sendrecv) {
        self.id = id
        self.uri = uri
        self.direction = direction
    }
}

/// One simulcast encoding the offerer wants to send.
package struct OfferedEncoding: Sendable, Hashable {
    package var rid: String
    package var isPaused: Bool

    package init(rid: String, isPaused: Bool = false) {
        self.rid = rid
        self.isPaused = isPaused
    }
}

/// One SSRC the offerer announced, with its retransmission SSRC (`a=ssrc-group:FID`).
package struct OfferedSSRC: Sendable, Hashable {
    package var ssrc: UInt32
    package var retransmission: UInt32?
    package var cname: String?

    package init(ssrc: UInt32, retransmission: UInt32? = nil, cname: String? = nil) {
        self.ssrc = ssrc
        self.retransmission = retransmission
        self.cname = cname
    }
}

package struct OfferedSection: Sendable {
    /// Position among the m-lines, from 0; an answer keeps it.
    package var index: Int
    package var mid: String
    package var kind: MediaKind
    /// The offerer's view.
    package var direction: MediaDirection
    /// Matched codecs in the offerer's order of preference.
    package var codecs: [NegotiatedCodec]
    package var extensions: [NegotiatedExtension]
    /// Simulcast encodings to be sent, in the offerer's order; empty without simulcast.
    package var encodings: [OfferedEncoding]
    /// Announced sources without their retransmission SSRCs, which stand in the same entry.
    package var ssrcs: [OfferedSSRC]
    package var streamIdentifier: String?
    package var trackIdentifier: String?
    /// Port 0 in the offer, nothing in common, outside the bundle, or a kind that is not served: answered with port 0.
    package var isRejected: Bool

    package var rids: [String] { encodings.map(\.rid) }

    /// What the answer must repeat of the m-line.
    var kindText: String
    var protocolText: String
    var formats: [String]
}

package struct EvaluatedOffer: Sendable {
    package var sections: [OfferedSection]
    /// Mids of the bundle group in the offer's order, only sections that are not rejected.
    package var bundledMids: [String]
    package var iceUfrag: String
    package var icePwd: String
    package var iceOptions: [String]
    package var isICELite: Bool
    package var candidates: [ICECandidate]
    package var hasAllCandidates: Bool
    /// The first of sha-256, sha-384, sha-512 that was offered.
    package var fingerprint: CertificateFingerprint
    package var setup: SetupRole
    /// From `o=`: the same for every offer of one peer connection; another one means another peer connection.
    package var sessionID: String
    package var sessionVersion: UInt64
    package var allowsMixedExtensions: Bool

    /// The DTLS role to answer with: the server waits, so that an ICE-lite peer need not guess when a path works.
    package var answerSetup: SetupRole { setup == .passive ? .active : .passive }
}

package func evaluate(
    offer: SessionDescription, capabilities: MediaCapabilities = .consilium
) throws(SDPError) -> EvaluatedOffer {
    var evaluation = OfferEvaluator(offer: offer, capabilities: capabilities)
    return try evaluation.run()
}
