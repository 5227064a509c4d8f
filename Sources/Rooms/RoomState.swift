// A room as a value. `apply` is the only way it changes, live, on resume and in a replay alike.

package struct RoomState: Codable, Sendable, Equatable {
    /// Chat lines kept in the state; older ones are in the log only.
    package static let chatLimit = 200

    package var room: String
    package var kind: RoomKind
    package var title: String
    package var ended = false
    package var participants: [ParticipantID: Participant] = [:]
    package var floor = Floor()
    package var spotlight: Spotlight?
    package var recording: Recording?
    package var chat: [ChatLine] = []
    package var viewports: [String: Viewport] = [:]

    package init(room: String, kind: RoomKind, title: String) {
        self.room = room
        self.kind = kind
        self.title = title
    }

    package enum Presence: String, Codable, Sendable { case present, waiting, disconnected }

    package struct Participant: Codable, Sendable, Equatable {
        package var name: String
        package var role: Role
        package var device: Bool
        package var status: Presence
        package var hand = false
        /// Consent to the running recording; nil while not asked or not answered.
        package var consent: Bool?
        package var streams: [String: Stream] = [:]
    }

    package enum MediaKind: String, Codable, Sendable { case audio, video }

    /// What a stream shows. Bandwidth, recording and layout decide by it.
    package enum StreamRole: String, Codable, Sendable, CaseIterable {
        case camera, document, imaging, surgicalField, panorama, vitals, audio
    }

    package struct Stream: Codable, Sendable, Equatable {
        package var kind: MediaKind
        package var role: StreamRole
        package var label: String
        package var codec: String
        package var muted: Bool

        package init(kind: MediaKind, role: StreamRole, label: String, codec: String, muted: Bool) {
            self.kind = kind
            self.role = role
            self.label = label
            self.codec = codec
            self.muted = muted
        }
    }

    /// Who steers. The epoch grows with every change, so that an operation of a former holder is told apart.
    package struct Floor: Codable, Sendable, Equatable {
        package var holder: ParticipantID?
        package var epoch: UInt64 = 0
    }

    package struct Spotlight: Codable, Sendable, Equatable {
        package var participant: ParticipantID
        package var stream: String

        package init(participant: ParticipantID, stream: String) {
            self.participant = participant
            self.stream = stream
        }
    }

    package struct Recording: Codable, Sendable, Equatable {
        package var recording: String
        package var title: String
        /// Session time in nanoseconds.
        package var since: Int64
    }

    package struct ChatLine: Codable, Sendable, Equatable {
        package var message: String
        package var participant: ParticipantID
        package var name: String
        package var text: String
        package var t: Int64
    }

    /// Changes the room by one event. Total: an event about somebody unknown changes nothing.
    package mutating func apply(_ event: RoomEvent) {
        switch event.body {
        case .roomOpened(let kind, let title):
            self.kind = kind
            self.title = title
        case .roomEnded:
            ended = true
        case .participantWaiting(let id, let name, let role):
            participants[id] = Participant(name: name, role: role, device: false, status: .waiting)
        case .participantJoined(let id, let name, let role, let device):
            participants[id] = Participant(name: name, role: role, device: device, status: .present)
        case .participantRejected(let id, _), .participantLeft(let id, _):
            participants[id] = nil
            if spotlight?.participant == id { spotlight = nil }
        case .participantDisconnected(let id):
            participants[id]?.status = .disconnected
        case .participantReconnected(let id):
            participants[id]?.status = .present
        case .streamPublished(let id, let stream, let description):
            participants[id]?.streams[stream] = description
        case .streamUnpublished(let id, let stream):
            participants[id]?.streams[stream] = nil
            if spotlight == Spotlight(participant: id, stream: stream) { spotlight = nil }
        case .streamMuted(let id, let stream, let muted):
            participants[id]?.streams[stream]?.muted = muted
        case .handRaised(let id):
            participants[id]?.hand = true
        case .handLowered(let id):
            participants[id]?.hand = false
        case .floorChanged(let holder, let epoch):
            floor = Floor(holder: holder, epoch: epoch)
        case .chatMessage(let message, let id, let text):
            let name = participants[id]?.name ?? ""
            chat.append(ChatLine(message: message, participant: id, name: name, text: text, t: event.t))
            if chat.count > Self.chatLimit { chat.removeFirst(chat.count - Self.chatLimit) }
        case .spotlightChanged(let spotlight):
            self.spotlight = spotlight
        case .recordingStarted(let recording, let title):
            self.recording = Recording(recording: recording, title: title, since: event.t)
            for id in participants.keys { participants[id]?.consent = nil }
        case .recordingStopped:
            recording = nil
        case .consentGiven(let id, let given):
            participants[id]?.consent = given
        case .viewportOpened(let viewport, let study, let series):
            viewports[viewport] = Viewport(study: study, series: series)
        case .viewportChanged(let viewport, let patch):
            viewports[viewport]?.properties.merge(patch)
        case .viewportClosed(let viewport):
            viewports[viewport] = nil
        }
    }
}

// Nil is written as null, so that a page sees every property it may read.
extension RoomState {
    private enum CodingKeys: String, CodingKey {
        case room, kind, title, ended, participants, floor, spotlight, recording, chat, viewports
    }

    package func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(room, forKey: .room)
        try c.encode(kind, forKey: .kind)
        try c.encode(title, forKey: .title)
        try c.encode(ended, forKey: .ended)
        try c.encode(participants, forKey: .participants)
        try c.encode(floor, forKey: .floor)
        try c.encode(spotlight, forKey: .spotlight)
        try c.encode(recording, forKey: .recording)
        try c.encode(chat, forKey: .chat)
        try c.encode(viewports, forKey: .viewports)
    }
}

extension RoomState.Participant {
    private enum CodingKeys: String, CodingKey { case name, role, device, status, hand, consent, streams }

    package func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(name, forKey: .name)
        try c.encode(role, forKey: .role)
        try c.encode(device, forKey: .device)
        try c.encode(status, forKey: .status)
        try c.encode(hand, forKey: .hand)
        try c.encode(consent, forKey: .consent)
        try c.encode(streams, forKey: .streams)
    }
}

extension RoomState.Floor {
    private enum CodingKeys: String, CodingKey { case holder, epoch }

    package func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(holder, forKey: .holder)
        try c.encode(epoch, forKey: .epoch)
    }
}
