// Where the recorder's packets come from: the packet ring in the server, a script in virtual time in the tests.

/// What one record of the source is. The numbers are those of the packet ring.
package enum SourceRecord {
    /// One RTP packet as the participant sent it: decrypted, without retransmission wrapping and duplicates.
    case packet(track: UInt32, encoding: UInt8, arrival: UInt64, bytes: UnsafeRawBufferPointer)
    /// A track begins; the bytes are a `RecordedTrackDeclaration` in JSON.
    case trackDeclared(track: UInt32, arrival: UInt64, json: UnsafeRawBufferPointer)
    case trackEnded(track: UInt32, arrival: UInt64)
    /// One RTCP sender report's clock pair.
    case senderReport(track: UInt32, encoding: UInt8, arrival: UInt64, ssrc: UInt32, ntp: UInt64, rtp: UInt32)
    /// The source was full and this many records were lost since the last one.
    case dropped(count: UInt64, arrival: UInt64)
    /// Nothing follows.
    case end(arrival: UInt64)
}

/// A source of records with one consumer. It never waits for that consumer: what does not fit is counted and told.
package protocol RecordSource: Sendable {
    /// Hands over up to `limit` records, oldest first, and returns how many there were. The bytes live for the call.
    func drain(limit: Int, _ body: (SourceRecord) -> Void) -> Int
    /// Returns when there is something to drain or the time is over.
    func wait(milliseconds: Int32)
    /// Asks the sender of this track for a key frame, soon.
    func requestKeyFrame(track: UInt32)
}

/// What the media engine says about a track when it begins.
package struct RecordedTrackDeclaration: Codable, Sendable, Equatable {
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

    package init(
        track: UInt32, participant: String, stream: String, kind: String, role: String, codec: String,
        clockRate: UInt32, channels: Int, payloadType: UInt8
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
    }
}
