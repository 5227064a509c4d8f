// What travels through the ring: the kinds of record, the shape of their payloads, and how a track is declared.

package enum PacketRecordKind: UInt8, Sendable {
    /// One RTP packet, decrypted, as the participant sent it.
    case packet = 1
    /// Payload: a `TrackDeclaration` in JSON. Comes before the track's first packet.
    case trackDeclared = 2
    case trackEnded = 3
    /// Payload: ssrc UInt32, ntp UInt64, rtp UInt32, little endian.
    case senderReport = 4
    /// Payload: UInt64 little endian, how many records were lost since the record before.
    case dropped = 5
    /// Nothing follows.
    case end = 6
}

/// A record as the consumer sees it. The payload lives inside the ring, for the duration of the call only.
package struct PacketRecord {
    package let kind: PacketRecordKind
    /// Which simulcast encoding of the track.
    package let encoding: UInt8
    package let track: UInt32
    /// CLOCK_MONOTONIC nanoseconds.
    package let arrival: UInt64
    package let payload: UnsafeRawBufferPointer

    /// The clock pair of a `.senderReport`.
    package var senderReport: SenderReportClock? {
        guard kind == .senderReport, payload.count >= SenderReportClock.encodedBytes else { return nil }
        return SenderReportClock(
            ssrc: UInt32(littleEndian: payload.loadUnaligned(fromByteOffset: 0, as: UInt32.self)),
            ntp: UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: 4, as: UInt64.self)),
            rtp: UInt32(littleEndian: payload.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
    }

    /// How many records a `.dropped` stands for.
    package var droppedCount: UInt64? {
        guard kind == .dropped, payload.count >= 8 else { return nil }
        return UInt64(littleEndian: payload.loadUnaligned(as: UInt64.self))
    }
}

/// RTCP's statement that one moment is `ntp` on the sender's wall clock and `rtp` on the track's clock.
package struct SenderReportClock: Sendable, Equatable {
    package let ssrc: UInt32
    package let ntp: UInt64
    package let rtp: UInt32

    package static let encodedBytes = 16

    package init(ssrc: UInt32, ntp: UInt64, rtp: UInt32) {
        self.ssrc = ssrc
        self.ntp = ntp
        self.rtp = rtp
    }
}

/// What the recorder has to know of a track before its first packet.
package struct TrackDeclaration: Codable, Sendable, Equatable {
    package var track: UInt32
    package var participant: String
    package var stream: String
    /// `audio` or `video`.
    package var kind: String
    /// `camera`, `document`, `imaging`, `surgicalField`, `panorama`, `vitals` or `audio`.
    package var role: String
    /// `VP8`, `VP9`, `AV1`, `H264` or `opus`.
    package var codec: String
    package var clockRate: UInt32
    package var channels: Int
    package var payloadType: UInt8
    /// The codec's format parameters (SDP fmtp).
    package var parameters: [String: String]

    package init(
        track: UInt32, participant: String, stream: String, kind: String, role: String, codec: String,
        clockRate: UInt32, channels: Int, payloadType: UInt8, parameters: [String: String] = [:]
    ) {
        self.track = track
        self.participant = participant
        self.stream = stream
        self.kind = kind
        self.role = role
        self.codec = codec
        self.clockRate = clockRate
        self.channels = channels
        self.payloadType = payloadType
        self.parameters = parameters
    }
}
