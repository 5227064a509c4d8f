// The forwarding core of one worker: peers, their tracks and encodings, and the streams that receivers get.
import WireFormats

/// A value without sockets, clocks or threads. Hand in decrypted packets, the time and the decisions of signalling; then
/// drain what is to be sent, peer by peer:
///
/// ```swift
/// _ = forwarder.receive(rtp: packet, from: peer, now: now, arrival: arrival)
/// while let peer = forwarder.popDirtyPeer() {
///     while let packet = forwarder.writeNext(for: peer, now: now, into: buffer) { … protect, send … }
/// }
/// ```
package struct Forwarder: ~Copyable {
    package struct Counters: Sendable, Equatable {
        package var packetsReceived: UInt64 = 0
        package var packetsForwarded: UInt64 = 0
        package var packetsRetransmitted: UInt64 = 0
        /// Retransmissions that nobody asked for: probes.
        package var packetsPadded: UInt64 = 0
        /// Lost by transport feedback and sent again unasked.
        package var lossesRepeated: UInt64 = 0
        package var nacksSent: UInt64 = 0
        package var nacksReceived: UInt64 = 0
        package var keyFrameRequestsSent: UInt64 = 0
        package var keyFrameRequestsReceived: UInt64 = 0
        package var feedbackReceived: UInt64 = 0
        package var queueDrops: UInt64 = 0
        /// Streams that began with a key frame from the cache.
        package var cacheStarts: UInt64 = 0
        /// Lost packets of sound that came with those after them.
        package var packetsFromRedundancy: UInt64 = 0
        package var refused = InlineArray<16, UInt64>(repeating: 0)

        package subscript(_ reason: PacketRefusal) -> UInt64 { refused[Int(reason.rawValue)] }

        package static func == (left: Counters, right: Counters) -> Bool {
            PacketRefusal.allCases.allSatisfy { left[$0] == right[$0] }
                && left.packetsReceived == right.packetsReceived && left.packetsForwarded == right.packetsForwarded
        }
    }

    package static let slowTick: UInt64 = 100_000_000
    package static let fastTick: UInt64 = 5_000_000
    /// Feedback and the slow tick may come this much early, when there are packets to come along with.
    package static let earliness: UInt64 = 25_000_000
    package static let reportInterval: UInt64 = 1_000_000_000
    package static let levelInterval: UInt64 = 200_000_000

    package var peers = Slab<PeerMedia>(capacity: 64)
    package var tracks = Slab<MediaTrack>(capacity: 64)
    package var encodings = Slab<SourceEncoding>(capacity: 64)
    package var streams = Slab<ReceiverStream>(capacity: 64)
    package var audioRooms = Slab<AudioRoom>(capacity: 16)
    package var counters = Counters()

    /// Faces are sent in their smallest layer, whatever pages show and paths carry.
    package internal(set) var thinsFaces = false

    /// Peers with something to send.
    var dirty: [Int32] = []
    var notices: [ForwardingNotice] = []
    private var handedOver: [ForwardingNotice] = []
    var nextStamp: UInt32 = 1
    var random: SplitMix64
    /// Added to the clock it gives nanoseconds since 1970.
    let wallClockOffset: UInt64

    /// How much histories have grown for the sake of joiners.
    var cacheBytes = 0

    // Used again and again by reports.
    let scratch: UnsafeMutableRawBufferPointer
    var redundancy = RedundancyBuffers()
    /// Zeros, and their count in the last byte.
    let padding: UnsafeMutableRawBufferPointer
    var sequences: [UInt16] = []
    var measured: [MeasuredLayer] = []
    var layerStates: [LayerState] = []
    var report = ArrivalLog.Report()
    var reportBlocks: [ReportBlock] = []

    var fastDue: UInt64 = .max
    /// The part of it that may come early.
    var feedbackDue: UInt64 = .max
    var slowDue: UInt64 = 0
    /// The next slot that packets wait for, and the receivers whose packets do.
    var pacerDue: UInt64 = .max
    var paced: [Int32] = []
    var levelsDue: UInt64 = 0

    package init(now: UInt64, wallClockOffset: UInt64, seed: UInt64) {
        self.wallClockOffset = wallClockOffset
        random = SplitMix64(state: seed)
        scratch = .allocate(byteCount: 1200, alignment: 16)
        padding = .allocate(byteCount: Forwarder.paddingBytes, alignment: 16)
        padding.initializeMemory(as: UInt8.self, repeating: 0)
        padding[Forwarder.paddingBytes - 1] = UInt8(Forwarder.paddingBytes)
        slowDue = now &+ Forwarder.slowTick
        levelsDue = now &+ Forwarder.levelInterval
    }

    deinit {
        scratch.deallocate()
        padding.deallocate()
    }

    package mutating func randomNumber() -> UInt64 { random.next() }

    package var nextDeadline: UInt64 {
        peers.count == 0 ? .max : min(fastDue, slowDue, pacerDue)
    }

    /// NTP format (RFC 3550 §4) of a moment of the clock.
    package func ntp(at now: UInt64) -> UInt64 {
        let nanoseconds = now &+ wallClockOffset
        let seconds = nanoseconds / 1_000_000_000 &+ 2_208_988_800
        let fraction = ((nanoseconds % 1_000_000_000) << 32) / 1_000_000_000
        return seconds << 32 | fraction
    }

    package mutating func popNotice() -> ForwardingNotice? {
        notices.isEmpty ? nil : notices.removeFirst()
    }

    package var hasNotices: Bool { !notices.isEmpty }

    package mutating func takeNotices() -> [ForwardingNotice] {
        guard !notices.isEmpty else { return [] }
        // Two arrays take turns, so that neither is filled while somebody still reads it.
        handedOver.removeAll(keepingCapacity: true)
        swap(&notices, &handedOver)
        return handedOver
    }

    package mutating func popDirtyPeer() -> Int32? {
        while let id = dirty.popLast() {
            guard let peer = peers.find(id), peer.pointee.isDirty else { continue }
            peer.pointee.isDirty = false
            return id
        }
        return nil
    }

    package var hasDirtyPeers: Bool { !dirty.isEmpty }

    mutating func markDirty(_ peer: Int32) {
        let state = peers[peer]
        guard !state.pointee.isDirty else { return }
        state.pointee.isDirty = true
        dirty.append(peer)
    }

    mutating func refuse(_ reason: PacketRefusal) -> Ingested {
        counters.refused[Int(reason.rawValue)] &+= 1
        return Ingested(outcome: .refused(reason))
    }
}

/// Why a packet was not forwarded; each is counted, none is answered.
package enum PacketRefusal: UInt8, Sendable, CaseIterable {
    case malformed, unknownSource, unknownPayloadType, tooManySources, duplicate, tooOld, muted, tooLarge, emptyRepair
}

package struct Ingested: Sendable, Equatable {
    package enum Outcome: Sendable, Equatable {
        case refused(PacketRefusal)
        /// Understood, but nothing for a recorder: padding.
        case consumed
        case media
    }

    package var outcome: Outcome
    package var track: Int32 = -1
    package var layer: UInt8 = 0
    /// The packet as its publisher first sent it (a repair is unwrapped) lies from here to the end of what was handed in.
    package var start = 0
    package var length = 0
}

/// What the core has to say to those who hold it, apart from packets.
package enum ForwardingNotice: Sendable, Equatable {
    case trackFlowing(track: Int32, Bool)
    case codecChanged(track: Int32)
    case levels(room: Int32, [TrackLevel])
    /// Of the track's layers so many, from the smallest on, are of use to anybody.
    case wantedLayers(track: Int32, count: Int)
    /// Who dominates the conversation from now on; -1 for nobody.
    case speaker(room: Int32, track: Int32)
    case senderReport(track: Int32, layer: UInt8, ssrc: UInt32, clock: SenderClock)
    /// The peer said that it leaves this source.
    case sourceEnded(track: Int32, layer: UInt8)
}

package struct TrackLevel: Sendable, Equatable {
    package var track: Int32
    /// 0 (silence) to 127 (full scale).
    package var level: UInt8
}

/// A small generator whose whole state is one seed, so that runs repeat (Vigna, public domain algorithm).
package struct SplitMix64: Sendable {
    package var state: UInt64
    package init(state: UInt64) { self.state = state }
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
