// One numbered entry of a room's log and its JSON. The log is the session: nothing else changes a room.

/// An event as it stands in the log, on the wire and in a recording's timeline.
package struct RoomEvent: Sendable, Equatable {
    /// The version of the event's form; a reader refuses versions it does not know.
    package static let version = 1

    /// The place in the room's order, from 1 without gaps.
    package var seq: UInt64
    /// Nanoseconds since the room opened.
    package var t: Int64
    /// Who caused it; nil when the server did.
    package var by: ParticipantID?
    package var body: Body

    package init(seq: UInt64, t: Int64, by: ParticipantID?, body: Body) {
        self.seq = seq
        self.t = t
        self.by = by
        self.body = body
    }

    package enum Body: Sendable, Equatable {
        case roomOpened(kind: RoomKind, title: String)
        case roomEnded(reason: String)
        case participantWaiting(ParticipantID, name: String, role: Role)
        case participantJoined(ParticipantID, name: String, role: Role, device: Bool)
        case participantRejected(ParticipantID, reason: String)
        case participantDisconnected(ParticipantID)
        case participantReconnected(ParticipantID)
        case participantLeft(ParticipantID, reason: String)
        case streamPublished(ParticipantID, stream: String, RoomState.Stream)
        case streamUnpublished(ParticipantID, stream: String)
        case streamMuted(ParticipantID, stream: String, muted: Bool)
        case handRaised(ParticipantID)
        case handLowered(ParticipantID)
        case floorChanged(holder: ParticipantID?, epoch: UInt64)
        case chatMessage(message: String, ParticipantID, text: String)
        case spotlightChanged(RoomState.Spotlight?)
        case recordingStarted(recording: String, title: String)
        case recordingStopped(recording: String)
        case consentGiven(ParticipantID, given: Bool)
        case viewportOpened(viewport: String, study: String, series: String)
        case viewportChanged(viewport: String, patch: ViewportPatch)
        case viewportClosed(viewport: String)
    }

    /// The event's name on the wire.
    package var name: Kind {
        switch body {
        case .roomOpened: .roomOpened
        case .roomEnded: .roomEnded
        case .participantWaiting: .participantWaiting
        case .participantJoined: .participantJoined
        case .participantRejected: .participantRejected
        case .participantDisconnected: .participantDisconnected
        case .participantReconnected: .participantReconnected
        case .participantLeft: .participantLeft
        case .streamPublished: .streamPublished
        case .streamUnpublished: .streamUnpublished
        case .streamMuted: .streamMuted
        case .handRaised: .handRaised
        case .handLowered: .handLowered
        case .floorChanged: .floorChanged
        case .chatMessage: .chatMessage
        case .spotlightChanged: .spotlightChanged
        case .recordingStarted: .recordingStarted
        case .recordingStopped: .recordingStopped
        case .consentGiven: .consentGiven
        case .viewportOpened: .viewportOpened
        case .viewportChanged: .viewportChanged
        case .viewportClosed: .viewportClosed
        }
    }

    package enum Kind: String, Codable, Sendable, CaseIterable {
        case roomOpened = "room.opened"
        case roomEnded = "room.ended"
        case participantWaiting = "participant.waiting"
        case participantJoined = "participant.joined"
        case participantRejected = "participant.rejected"
        case participantDisconnected = "participant.disconnected"
        case participantReconnected = "participant.reconnected"
        case participantLeft = "participant.left"
        case streamPublished = "stream.published"
        case streamUnpublished = "stream.unpublished"
        case streamMuted = "stream.muted"
        case handRaised = "hand.raised"
        case handLowered = "hand.lowered"
        case floorChanged = "floor.changed"
        case chatMessage = "chat.message"
        case spotlightChanged = "spotlight.changed"
        case recordingStarted = "recording.started"
        case recordingStopped = "recording.stopped"
        case consentGiven = "consent.given"
        case viewportOpened = "viewport.opened"
        case viewportChanged = "viewport.changed"
        case viewportClosed = "viewport.closed"
    }
}

extension RoomEvent: Codable {
    private enum CodingKeys: String, CodingKey {
        case seq, t, v, event, by
        case kind, title, reason, participant, name, role, device, stream, label, codec, muted, holder, epoch
        case message, text, recording, given, viewport, study, series, patch
    }

    package func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(seq, forKey: .seq)
        try c.encode(t, forKey: .t)
        try c.encode(Self.version, forKey: .v)
        try c.encode(name, forKey: .event)
        try c.encode(by, forKey: .by)
        switch body {
        case .roomOpened(let kind, let title):
            try c.encode(kind, forKey: .kind)
            try c.encode(title, forKey: .title)
        case .roomEnded(let reason):
            try c.encode(reason, forKey: .reason)
        case .participantWaiting(let participant, let name, let role):
            try c.encode(participant, forKey: .participant)
            try c.encode(name, forKey: .name)
            try c.encode(role, forKey: .role)
        case .participantJoined(let participant, let name, let role, let device):
            try c.encode(participant, forKey: .participant)
            try c.encode(name, forKey: .name)
            try c.encode(role, forKey: .role)
            try c.encode(device, forKey: .device)
        case .participantRejected(let participant, let reason), .participantLeft(let participant, let reason):
            try c.encode(participant, forKey: .participant)
            try c.encode(reason, forKey: .reason)
        case .participantDisconnected(let participant), .participantReconnected(let participant),
            .handRaised(let participant), .handLowered(let participant):
            try c.encode(participant, forKey: .participant)
        case .streamPublished(let participant, let stream, let description):
            try c.encode(participant, forKey: .participant)
            try c.encode(stream, forKey: .stream)
            try description.encode(to: encoder)
        case .streamUnpublished(let participant, let stream):
            try c.encode(participant, forKey: .participant)
            try c.encode(stream, forKey: .stream)
        case .streamMuted(let participant, let stream, let muted):
            try c.encode(participant, forKey: .participant)
            try c.encode(stream, forKey: .stream)
            try c.encode(muted, forKey: .muted)
        case .floorChanged(let holder, let epoch):
            try c.encode(holder, forKey: .holder)
            try c.encode(epoch, forKey: .epoch)
        case .chatMessage(let message, let participant, let text):
            try c.encode(message, forKey: .message)
            try c.encode(participant, forKey: .participant)
            try c.encode(text, forKey: .text)
        case .spotlightChanged(let spotlight):
            try c.encode(spotlight?.participant, forKey: .participant)
            try c.encode(spotlight?.stream, forKey: .stream)
        case .recordingStarted(let recording, let title):
            try c.encode(recording, forKey: .recording)
            try c.encode(title, forKey: .title)
        case .recordingStopped(let recording):
            try c.encode(recording, forKey: .recording)
        case .consentGiven(let participant, let given):
            try c.encode(participant, forKey: .participant)
            try c.encode(given, forKey: .given)
        case .viewportOpened(let viewport, let study, let series):
            try c.encode(viewport, forKey: .viewport)
            try c.encode(study, forKey: .study)
            try c.encode(series, forKey: .series)
        case .viewportChanged(let viewport, let patch):
            try c.encode(viewport, forKey: .viewport)
            try c.encode(patch, forKey: .patch)
        case .viewportClosed(let viewport):
            try c.encode(viewport, forKey: .viewport)
        }
    }

    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        let version = try c.decode(Int.self, forKey: .v)
        guard version == Self.version else {
            throw DecodingError.dataCorruptedError(
                forKey: .v, in: c, debugDescription: "event version \(version) is not known here, only \(Self.version)")
        }
        seq = try c.decode(UInt64.self, forKey: .seq)
        t = try c.decode(Int64.self, forKey: .t)
        by = try c.decodeIfPresent(ParticipantID.self, forKey: .by)
        func participant() throws -> ParticipantID { try c.decode(ParticipantID.self, forKey: .participant) }
        func text(_ key: CodingKeys) throws -> String { try c.decode(String.self, forKey: key) }
        body =
            switch try c.decode(Kind.self, forKey: .event) {
            case .roomOpened: .roomOpened(kind: try c.decode(RoomKind.self, forKey: .kind), title: try text(.title))
            case .roomEnded: .roomEnded(reason: try text(.reason))
            case .participantWaiting:
                .participantWaiting(
                    try participant(), name: try text(.name), role: try c.decode(Role.self, forKey: .role))
            case .participantJoined:
                .participantJoined(
                    try participant(), name: try text(.name), role: try c.decode(Role.self, forKey: .role),
                    device: try c.decode(Bool.self, forKey: .device))
            case .participantRejected: .participantRejected(try participant(), reason: try text(.reason))
            case .participantDisconnected: .participantDisconnected(try participant())
            case .participantReconnected: .participantReconnected(try participant())
            case .participantLeft: .participantLeft(try participant(), reason: try text(.reason))
            case .streamPublished:
                .streamPublished(try participant(), stream: try text(.stream), try RoomState.Stream(from: decoder))
            case .streamUnpublished: .streamUnpublished(try participant(), stream: try text(.stream))
            case .streamMuted:
                .streamMuted(
                    try participant(), stream: try text(.stream), muted: try c.decode(Bool.self, forKey: .muted))
            case .handRaised: .handRaised(try participant())
            case .handLowered: .handLowered(try participant())
            case .floorChanged:
                .floorChanged(
                    holder: try c.decodeIfPresent(ParticipantID.self, forKey: .holder),
                    epoch: try c.decode(UInt64.self, forKey: .epoch))
            case .chatMessage: .chatMessage(message: try text(.message), try participant(), text: try text(.text))
            case .spotlightChanged:
                .spotlightChanged(
                    try c.decodeIfPresent(ParticipantID.self, forKey: .participant).map {
                        RoomState.Spotlight(participant: $0, stream: try text(.stream))
                    })
            case .recordingStarted: .recordingStarted(recording: try text(.recording), title: try text(.title))
            case .recordingStopped: .recordingStopped(recording: try text(.recording))
            case .consentGiven: .consentGiven(try participant(), given: try c.decode(Bool.self, forKey: .given))
            case .viewportOpened:
                .viewportOpened(viewport: try text(.viewport), study: try text(.study), series: try text(.series))
            case .viewportChanged:
                .viewportChanged(
                    viewport: try text(.viewport), patch: try c.decode(ViewportPatch.self, forKey: .patch))
            case .viewportClosed: .viewportClosed(viewport: try text(.viewport))
            }
    }
}
