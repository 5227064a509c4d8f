// One RTP stream of a publisher: one layer of a simulcast, or the only encoding of a track.

/// A sender report as a point of the line between the sender's clock and the stream's timestamps.
package struct SenderClock: Sendable, Equatable {
    /// NTP format, 32.32 seconds, by the sender's clock.
    package var ntp: UInt64
    package var rtp: UInt32
    package var arrival: UInt64

    package init(ntp: UInt64, rtp: UInt32, arrival: UInt64) {
        self.ntp = ntp
        self.rtp = rtp
        self.arrival = arrival
    }

    /// The stream's timestamp at a moment of the sender's clock.
    package func timestamp(atNTP moment: UInt64, clockRate: UInt32) -> UInt32 {
        let difference = Int64(bitPattern: moment &- ntp)
        // A report and what is mapped by it lie seconds apart; beyond some minutes it says nothing.
        guard difference.magnitude < 600 << 32 else { return rtp }
        let ticks = ((difference >> 12) &* Int64(clockRate)) >> 20
        return rtp &+ UInt32(truncatingIfNeeded: ticks)
    }

    /// The moment of the sender's clock that belongs to a timestamp.
    package func ntp(atTimestamp timestamp: UInt32, clockRate: UInt32) -> UInt64 {
        guard clockRate > 0 else { return ntp }
        let ticks = Int64(Int32(bitPattern: timestamp &- rtp))
        return ntp &+ UInt64(bitPattern: (ticks << 32) / Int64(clockRate))
    }
}

package struct SourceEncoding: ~Copyable {
    /// Packets stop for this long and the layer no longer counts as flowing; a still screen sends about one a second.
    package static let silence: UInt64 = 1_200_000_000
    /// While another layer of the same picture goes on, this is enough to know that one has stopped.
    package static let silenceBesideOthers: UInt64 = 500_000_000

    // Set once, when the stream is bound.
    package let track: Int32
    /// Its place among the encodings of its track.
    package let index: UInt8
    /// Unlike an id it is never used again: references to an older stream do not find this one.
    package var stamp: UInt32
    package let rid: [UInt8]
    package let clockRate: UInt32
    package var usesNack: Bool

    // Bound by description or by the first packets.
    package var ssrc: UInt32?
    package var retransmissionSSRC: UInt32?

    // Written by every packet.
    package var ingest = LayerIngest()
    package var unwrapper = SequenceUnwrapper()
    package var history: PacketHistory
    package var statistics = ReceptionStatistics()
    package var layerRates = LayerRates()
    package var nack = NackGenerator()
    /// Packets in a row that were older than the history.
    package var staleRun = 0
    package var lastPacketAt: UInt64?
    /// Since when packets have come without a long pause.
    package var flowingSince: UInt64?
    /// Of the newest picture.
    package var newestTimestamp: UInt32?
    package var newestAt: UInt64 = 0
    /// Of layers that have others beside them.
    package var arrivalClock = ArrivalClock()

    // Written by key frames and reports.
    package var keyFrameRequester = KeyFrameRequester()
    package var keyFrames: UInt64 = 0
    package var keyFrameTimestamp: UInt32?
    package var cached = CachedKeyFrame()
    package var width: UInt16 = 0
    package var height: UInt16 = 0
    package var senderClock: SenderClock?

    package init(
        track: Int32, index: UInt8, stamp: UInt32, rid: [UInt8], clockRate: UInt32, usesNack: Bool, isVideo: Bool
    ) {
        self.track = track
        self.index = index
        self.stamp = stamp
        self.rid = rid
        self.clockRate = clockRate
        self.usesNack = usesNack
        history = isVideo ? PacketHistory() : PacketHistory(entries: 128, bytes: 16_384, atMost: 65_536)
    }

    package var isLayer: Bool { !rid.isEmpty }

    /// - Parameter newest: when the last packet of any layer of the track came
    package func isFlowing(newest: UInt64, now: UInt64) -> Bool {
        guard let lastPacketAt else { return false }
        guard lastPacketAt < now else { return true }
        return now - lastPacketAt < SourceEncoding.silence
            && (newest < lastPacketAt || newest - lastPacketAt < SourceEncoding.silenceBesideOthers)
    }

    @inline(__always)
    package mutating func noteNewest(timestamp: UInt32, isHighest: Bool, arrival: UInt64) {
        // A repaired packet may be the first of its picture, with nothing but padding behind it.
        if let newestTimestamp, !isHighest, Int32(bitPattern: timestamp &- newestTimestamp) <= 0 { return }
        newestTimestamp = timestamp
        newestAt = arrival
    }

    /// true when it begins to flow, for the first time or again.
    package mutating func notePacket(newest: UInt64, now: UInt64) -> Bool {
        let begins = !isFlowing(newest: newest, now: now)
        if begins {
            flowingSince = now
            keyFrameRequester.sourceReturned()
        }
        lastPacketAt = now
        return begins
    }
}
