// One receive section of a peer: an outgoing RTP stream with numbers of its own, whatever source it carries.

package struct ReceiverStream: ~Copyable {
    package static let longestMid = 16

    // By negotiation; the same as long as the section lives.
    package let peer: Int32
    package let isVideo: Bool
    package let ssrc: UInt32
    package let retransmissionSSRC: UInt32
    package var extensions: ExtensionNumbers { didSet { needsTwoBytes = extensions.needsTwoBytes } }
    /// Numbers above 14 exist in the two-byte form only (RFC 8285 §4.2).
    private(set) var needsTwoBytes: Bool
    package private(set) var midLength: UInt8 = 0
    private var mid = InlineArray<16, UInt8>(repeating: 0)
    /// The transport's numbers for both SSRCs.
    package let slot: Int
    package let retransmissionSlot: Int
    /// The receiver may not know of the stream before: its answer is still on the way.
    let notBefore: UInt64

    // By assignment.
    package var track: Int32 = -1
    package var codec: CodecKind = .unknown
    package var payloadType: UInt8 = 0
    /// 0xFF when the receiver has no RTX for this codec.
    package var retransmissionPayloadType: UInt8 = 0xFF
    /// Sound goes out as RED under this payload type; 0xFF when the receiver does not know RED.
    package var redundancyPayloadType: UInt8 = 0xFF
    package var clockRate: UInt32 = 90_000
    /// The encoding that is forwarded, and the one that shall be from its next key frame on; -1 for none.
    package var current: Int32 = -1
    package var currentStamp: UInt32 = 0
    /// The encoding that was forwarded last, whose stamp `currentStamp` is.
    var previous: Int32 = -1
    package var target: Int32 = -1
    /// Carries whichever microphone is on the air, or the pinned one.
    package var isShared = false
    package var isPinned = false
    /// What the page shows of it, and the largest layer that is of use for that.
    package var view = ViewDemand.unknown
    package var useful = UsefulLayer.everything
    /// By whoever allots bandwidth and knows what the page shows.
    package var wantedLayer = LayerTarget.highest
    /// Why it is that one.
    package var reason = LayerReason.best
    /// The same for whoever allots bandwidth.
    package var demand = StreamDemand()
    /// The wanted layer is one that allocation chose, and not simply the best.
    var isBounded = false
    package var layers = LayerSelector()
    /// The key frame that was shown alone, while the next one is waited for: its encoding's stamp and its place.
    package var shown: (stamp: UInt32, sequence: UInt32)?

    // Written by every packet.
    package var rewriter: StreamRewriter
    package var sent: SentPackets
    package var retransmissionSequence: UInt16
    package var packets: UInt64 = 0
    package var bytes: UInt64 = 0
    package var retransmitted: UInt64 = 0

    // Written by reports and feedback.
    /// Until the receiver has reported on the SSRC, packets carry the section's mid (RFC 8843 §15).
    package var isAcknowledged = false
    package var fractionLost: UInt8 = 0
    package var jitter: UInt32 = 0
    package var nacksReceived: UInt64 = 0
    package var keyFrameRequests: UInt64 = 0
    package var lastKeyFrameRequest: UInt64 = 0
    package var switches: UInt64 = 0
    package var senderReportDue: UInt64 = 0

    package init(
        peer: Int32, isVideo: Bool, mid text: [UInt8], ssrc: UInt32, retransmissionSSRC: UInt32, slot: Int,
        retransmissionSlot: Int, extensions: ExtensionNumbers, notBefore: UInt64, seed: UInt64
    ) {
        self.peer = peer
        self.isVideo = isVideo
        self.ssrc = ssrc
        self.retransmissionSSRC = retransmissionSSRC
        self.slot = slot
        self.retransmissionSlot = retransmissionSlot
        self.extensions = extensions
        self.notBefore = notBefore
        needsTwoBytes = extensions.needsTwoBytes
        rewriter = StreamRewriter(seed: seed)
        sent = SentPackets(capacity: isVideo ? 1024 : 128)
        retransmissionSequence = UInt16(truncatingIfNeeded: seed >> 24) & 0x3FFF
        if text.count <= ReceiverStream.longestMid {
            midLength = UInt8(text.count)
            for (index, byte) in text.enumerated() { mid[index] = byte }
        }
    }

    func copyMid(to place: UnsafeMutableRawPointer) {
        for index in 0..<Int(midLength) { place.storeBytes(of: mid[index], toByteOffset: index, as: UInt8.self) }
    }

    package var awaitsKeyFrame: Bool {
        isVideo && track >= 0 && target >= 0 && (current != target || layers.awaitsKeyFrame)
    }
}
