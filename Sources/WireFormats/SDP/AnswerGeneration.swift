// The answer to an evaluated offer (RFC 8829 section 5.3, RFC 9143 for the bundle).

package struct AnswerTransport: Sendable {
    package var ufrag: String
    package var pwd: String
    package var fingerprint: CertificateFingerprint
    package var setup: SetupRole
    package var candidates: [ICECandidate]
    package var iceLite: Bool
    /// `o=` of the answers of one peer connection: the same id, a version that grows by one each time.
    package var sessionID: UInt64
    package var sessionVersion: UInt64

    package init(
        ufrag: String, pwd: String, fingerprint: CertificateFingerprint, setup: SetupRole, candidates: [ICECandidate],
        iceLite: Bool = true, sessionID: UInt64 = 1, sessionVersion: UInt64 = 1
    ) {
        self.ufrag = ufrag
        self.pwd = pwd
        self.fingerprint = fingerprint
        self.setup = setup
        self.candidates = candidates
        self.iceLite = iceLite
        self.sessionID = sessionID
        self.sessionVersion = sessionVersion
    }
}

/// What the server wants of one section; "send" is server to client.
package struct AnswerSection: Sendable {
    package var mid: String
    /// The server's view, as it will be written; narrowed to what the offer allows.
    package var direction: MediaDirection
    package var sendSSRC: UInt32?
    package var sendRetransmissionSSRC: UInt32?
    /// The `a=msid` stream: tracks of one participant play in sync.
    package var participant: String?
    package var stream: String?
    package var cname: String
    /// In kbit/s, written as `x-google-start-bitrate` for video that the client sends.
    package var startBitrate: Int?
    package var isRejected: Bool

    package init(
        mid: String, direction: MediaDirection, sendSSRC: UInt32? = nil, sendRetransmissionSSRC: UInt32? = nil,
        participant: String? = nil, stream: String? = nil, cname: String = "consilium", startBitrate: Int? = nil,
        isRejected: Bool = false
    ) {
        self.mid = mid
        self.direction = direction
        self.sendSSRC = sendSSRC
        self.sendRetransmissionSSRC = sendRetransmissionSSRC
        self.participant = participant
        self.stream = stream
        self.cname = cname
        self.startBitrate = startBitrate
        self.isRejected = isRejected
    }
}

/// Every m-line of the offer is answered in its place. A section without an entry in `sections` is answered `inactive`.
package func makeAnswer(
    to offer: EvaluatedOffer, transport: AnswerTransport, sections: [AnswerSection]
) -> SessionDescription {
    AnswerWriter(offer: offer, transport: transport, wishes: sections).write()
}
