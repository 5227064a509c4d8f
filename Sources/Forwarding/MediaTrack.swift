// A stream that a participant publishes, with all its encodings.

package struct MediaTrack: ~Copyable {
    package static let largestEncodingCount = 4

    package let peer: Int32
    package let room: Int32
    package let isVideo: Bool
    package var codec: CodecKind
    package var payloadType: UInt8
    package var isMuted: Bool
    package var role: StreamRole
    /// Its layers as receivers climb them, measured anew twice a second.
    package var ladder: [MeasuredLayer] = []
    /// Under which number a recorder knows it; 0 while none does.
    package var recorderTrack: UInt32 = 0
    /// Where its owner keeps the recorder.
    package var recorderRing: Int32 = -1
    /// The workers, one a bit, that it is relayed to, and under which number they know it.
    package var relayMask: UInt64 = 0
    package var relayNumber: UInt32 = 0
    /// Published on another worker, and relayed from there.
    package var isRelayed = false
    /// How many layers receivers there want.
    package var relayWanted = 0

    /// Ids, in the order in which they were bound; a place is -1 until then.
    package var encodings: [Int32] = []
    /// Ids of the receiver streams that carry this track.
    package var receivers: [Int32] = []
    /// The encoding that every receiver is to get; -1 while nothing flows.
    package var best: Int32 = -1

    // Whether packets come at all, as signalling was last told.
    package var isFlowing = false
    /// Of any encoding, with a payload.
    package var lastPacketAt: UInt64 = 0
    /// RFC 6464 levels since the last look: the loudest, 0 (silence) to 127.
    package var loudness: UInt8 = 0
    /// Layers of a simulcast by the offer; 0 without one.
    package var layerCount = 0
    package var publisherDemand = PublisherDemand(layers: 1)
    /// Of a microphone.
    package var voice = Voice()

    /// Feedback that the publisher understands.
    package var usesNack: Bool
    package var usesPictureLoss: Bool
    package var usesFullIntra: Bool

    package init(
        peer: Int32, room: Int32, isVideo: Bool, codec: CodecKind, payloadType: UInt8, isMuted: Bool, usesNack: Bool,
        usesPictureLoss: Bool, usesFullIntra: Bool,
        role: StreamRole? = nil
    ) {
        self.role = role ?? (isVideo ? .camera : .audio)
        self.peer = peer
        self.room = room
        self.isVideo = isVideo
        self.codec = codec
        self.payloadType = payloadType
        self.isMuted = isMuted
        self.usesNack = usesNack
        self.usesPictureLoss = usesPictureLoss
        self.usesFullIntra = usesFullIntra
    }
}
