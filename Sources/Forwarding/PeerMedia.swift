// The media of one peer, both ways: what its packets are, and what waits to be sent to it.

/// A section that the peer sends on.
package struct PublishedSection: Sendable {
    package var mid: [UInt8]
    package var track: Int32
    package var isVideo: Bool
    package var payloadTypes: Set<UInt8>
    /// Simulcast encodings by `rid`; empty without simulcast.
    package var rids: [[UInt8]]
    /// SSRCs from the description, each with that of its retransmissions.
    package var sources: [(ssrc: UInt32, retransmission: UInt32?)]

    package init(
        mid: [UInt8], track: Int32, isVideo: Bool, payloadTypes: Set<UInt8>, rids: [[UInt8]],
        sources: [(ssrc: UInt32, retransmission: UInt32?)]
    ) {
        self.mid = mid
        self.track = track
        self.isVideo = isVideo
        self.payloadTypes = payloadTypes
        self.rids = rids
        self.sources = sources
    }
}

package struct PeerMedia: ~Copyable {
    /// Layers, their retransmissions, and some that were replaced.
    package static let largestSourceCount = 64
    package static let largestControlBytes = 65_536

    package let room: Int32
    /// The SSRC under which the server reports to this peer.
    package let reportingSSRC: UInt32
    package var cname: [UInt8]

    // By negotiation.
    package var sections: [PublishedSection] = []
    /// What the peer's payload types and extension numbers mean; numbers are the same in all of its bundled sections.
    package var formats = InlineArray<128, PayloadFormat>(repeating: PayloadFormat())
    /// `HeaderExtensionKind` by number, 0xFF for unknown.
    package var extensionKinds = InlineArray<256, UInt8>(repeating: 0xFF)
    package var usesTransportFeedback = false
    package var usesMaximumBitrate = false
    /// Ids of its receiver streams.
    package var streams: [Int32] = []
    package var canSend = false

    // Incoming.
    /// SSRC to encoding id times two, plus one for its retransmissions.
    package var sources = IntegerTable()
    package var arrivals = ArrivalLog()
    /// From the sender's NTP clock to the server's: the smallest seen, which is the least delayed.
    package var clockOffset: Int64?
    package var roundTrip: UInt64?
    package var referenceTime: (ssrc: UInt32, ntp: UInt32, arrival: UInt64)?
    package var maximumBitrate: UInt64?

    // Outgoing.
    /// Video that waits; sound and repairs go before it.
    package var queue = OutgoingQueue()
    package var audioQueue = OutgoingQueue(capacity: 16)
    package var repairQueue = OutgoingQueue(capacity: 16)
    package var bandwidth = PeerBandwidth()
    package var allocator = LayerAllocator()
    var isPaced = false
    var paddingTurn: UInt16 = 0
    package var transportSequence: UInt16 = 1
    package var isDirty = false
    package var reportsDue: UInt64 = 0
    private var control: [UInt8] = []
    private var controlEnds: [Int] = []
    private var controlSent = 0

    package init(room: Int32, reportingSSRC: UInt32, cname: [UInt8]) {
        self.room = room
        self.reportingSSRC = reportingSSRC
        self.cname = cname
    }

    package var hasControl: Bool { controlSent < controlEnds.count }

    mutating func appendControl(_ packet: UnsafeRawBufferPointer) -> Bool {
        guard packet.count > 0, control.count + packet.count <= PeerMedia.largestControlBytes else { return false }
        control.append(contentsOf: packet)
        controlEnds.append(control.count)
        return true
    }

    /// Copies the next compound packet out; 0 when there is none.
    mutating func popControl(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        while hasControl {
            let start = controlSent == 0 ? 0 : controlEnds[controlSent - 1]
            let length = controlEnds[controlSent] - start
            controlSent += 1
            let fits = length <= buffer.count
            if fits {
                control.withUnsafeBytes {
                    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + length]))
                }
            }
            if controlSent == controlEnds.count {
                control.removeAll(keepingCapacity: true)
                controlEnds.removeAll(keepingCapacity: true)
                controlSent = 0
            }
            if fits { return length }
        }
        return 0
    }

    var hasWaiting: Bool { !queue.isEmpty || !repairQueue.isEmpty }

    /// Sound leaves at once, the rest as fast as the path carries it, repairs first.
    @inline(__always)
    mutating func popNext(now: UInt64) -> OutgoingPacket? {
        if let packet = audioQueue.popFirst() { return packet }
        if !repairQueue.isEmpty, bandwidth.mayRepair(now: now) { return repairQueue.popFirst() }
        guard !queue.isEmpty, bandwidth.mayRelease(now: now) else { return nil }
        return queue.popFirst()
    }

    package mutating func discardOutput() {
        while audioQueue.popFirst() != nil {}
        while repairQueue.popFirst() != nil {}
        while queue.popFirst() != nil {}
        control.removeAll(keepingCapacity: true)
        controlEnds.removeAll(keepingCapacity: true)
        controlSent = 0
    }
}
