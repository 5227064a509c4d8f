// What signalling and the media engine say to each other about one peer: offers, answers, sections and refusals.

package enum StreamKind: String, Sendable, Codable, Equatable {
    case audio, video
}

/// What the client says about one section that it sends on.
package struct StreamDeclaration: Sendable, Equatable, Codable {
    package var mid: String
    /// Unique per participant, `[A-Za-z0-9._-]{1,64}`.
    package var stream: String
    /// `camera`, `document`, `imaging`, `surgicalField`, `panorama`, `vitals` or `audio`.
    package var role: String
    package var muted: Bool

    package init(mid: String, stream: String, role: String, muted: Bool = false) {
        self.mid = mid
        self.stream = stream
        self.role = role
        self.muted = muted
    }
}

/// What a peer wants to receive of the other peers in its room.
package enum Subscription: Sendable, Equatable {
    case none
    case everything
    case participant(String)
    case stream(participant: String, stream: String)
}

package struct PeerOffer: Sendable {
    package var sdp: String
    /// Sending sections that are not declared get the names `video-0`, `audio-0`, … in the order of the offer.
    package var streams: [StreamDeclaration]
    /// Without it every sending section is answered as not wanted.
    package var maySend: Bool
    package var subscription: Subscription

    package init(sdp: String, streams: [StreamDeclaration], maySend: Bool, subscription: Subscription) {
        self.sdp = sdp
        self.streams = streams
        self.maySend = maySend
        self.subscription = subscription
    }

    /// Nothing can come of it that others would receive.
    var isReceiveOnly: Bool { !maySend || !(sdp.contains("a=sendrecv") || sdp.contains("a=sendonly")) }
}

package struct PublishedStream: Sendable, Equatable, Codable {
    package var mid: String
    package var stream: String
    package var kind: StreamKind
    package var codec: String
    package var role: String

    package init(mid: String, stream: String, kind: StreamKind, codec: String, role: String) {
        self.mid = mid
        self.stream = stream
        self.kind = kind
        self.codec = codec
        self.role = role
    }
}

/// What a receive section of a peer carries at present; without participant and stream it waits for a later stream, or
/// carries whoever speaks.
package struct SectionAssignment: Sendable, Equatable, Codable {
    package var mid: String
    package var kind: StreamKind
    package var participant: String?
    package var stream: String?
    /// Microphones take turns in it, without further word.
    package var shared: Bool

    package init(
        mid: String, kind: StreamKind, participant: String? = nil, stream: String? = nil, shared: Bool = false
    ) {
        self.mid = mid
        self.kind = kind
        self.participant = participant
        self.stream = stream
        self.shared = shared
    }
}

/// How many receive sections a peer needs for its subscription; when it has fewer, it offers again with more.
package struct SectionsNeeded: Sendable, Equatable, Codable {
    package var audio: Int
    package var video: Int

    package init(audio: Int = 0, video: Int = 0) {
        self.audio = audio
        self.video = video
    }
}

package struct PeerAnswer: Sendable {
    package var sdp: String
    package var published: [PublishedStream]
    package var sections: [SectionAssignment]
    package var needed: SectionsNeeded
    package var refused = RefusedCameras()
}

/// Why an offer was refused; nothing has changed then.
package struct NegotiationError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Status: Int, Sendable {
        /// The text is not what the protocol asks for.
        case malformed = 400
        /// No codec or transport in common.
        case notAcceptable = 406
        /// Well formed, but not something that this server does.
        case unsupported = 422
        /// A limit of this server is reached.
        case unavailable = 503
        case notFound = 404
    }

    package var status: Status
    /// One word for programs, like `no_fingerprint`.
    package var code: String
    /// Words for people: what was seen and what was expected.
    package var message: String

    package init(status: Status, code: String, message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    package var httpStatus: Int { status.rawValue }
    package var description: String { "\(code): \(message)" }
}
