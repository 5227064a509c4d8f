// What the control side of a worker knows of its rooms: names, declarations, sections and subscriptions.
import Forwarding
import PacketRing
import WireFormats

/// A stream that a peer publishes.
struct PublishedTrack {
    let mid: String
    let stream: String
    let kind: StreamKind
    var role: String
    let track: Int32
    /// What its packets are at present.
    var codec: NegotiatedCodec
    /// Everything its payload types may be.
    var codecs: [NegotiatedCodec]
    var section: PublishedSection
    /// In the room's order of publication.
    let order: UInt64
}

/// A section on which a peer receives.
struct ReceiveSection {
    let mid: String
    let kind: StreamKind
    let stream: Int32
    let ssrc: UInt32
    let retransmissionSSRC: UInt32
    var codecs: [NegotiatedCodec]
    /// The track that it carries.
    var track: Int32?
    var participant: String?
    var streamName: String?
    /// Sources take turns in it.
    var isShared = false

    func codec(carrying other: NegotiatedCodec) -> NegotiatedCodec? {
        codecs.first { $0.carriesSameBits(as: other) }
    }

    var assignment: SectionAssignment {
        SectionAssignment(mid: mid, kind: kind, participant: participant, stream: streamName, shared: isShared)
    }
}

struct PeerEntry {
    let name: String
    let id: Int32
    /// From its descriptions: another one is another peer connection.
    let sessionID: String
    let fingerprint: [UInt8]
    var remoteUfrag: String
    var remotePassword: String
    var localUfrag: String
    var localPassword: String
    let setup: SetupRole
    let answerID: UInt64
    var answerVersion: UInt64 = 0
    var firstMid = "0"
    var subscription = Subscription.none
    var published: [PublishedTrack] = []
    var sections: [ReceiveSection] = []
    var needed = SectionsNeeded()
    /// nil until the page says what it shows.
    var view: KnownView?
    var isConnected = false
    /// What it does not get at present because of load, and what it was last told of that.
    var refused = RefusedCameras()
    var toldRefused = RefusedCameras()
    /// The worker that the peer is on, when it is not this one.
    var origin: Int?

    var publishedStreams: [PublishedStream] {
        published.map {
            PublishedStream(mid: $0.mid, stream: $0.stream, kind: $0.kind, codec: $0.codec.name, role: $0.role)
        }
    }
}

struct RoomEntry {
    let name: String
    let id: Int32
    var peers: [String: PeerEntry] = [:]
    var ring: PacketRing?
    var ringPlace: Int32 = -1
    /// Unlike that of an earlier room of the same name here.
    var incarnation: UInt64 = 0
    /// Other workers with a part of the room, each with its incarnation.
    var parts: [Int: UInt64] = [:]
    /// The other parts were told of something that is published here.
    var hasExported = false

    /// Nobody is on this worker; peers of others are here for their sake.
    var isEmpty: Bool { peers.values.allSatisfy { $0.origin != nil } }
}

extension PeerEntry {
    /// One that is on another worker: its connection, its descriptions and its sections are there.
    init(relayed name: String, id: Int32, origin: Int) {
        self.init(
            name: name, id: id, sessionID: "", fingerprint: [], remoteUfrag: "", remotePassword: "", localUfrag: "",
            localPassword: "", setup: .passive, answerID: 0)
        self.origin = origin
    }
}

extension StreamKind {
    init?(_ kind: MediaKind) {
        switch kind {
        case .audio: self = .audio
        case .video: self = .video
        case .application: return nil
        }
    }
}
