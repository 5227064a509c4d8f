// Who may do what: the kinds of rooms, the roles of people in them, and the one table of permissions.

/// What a room is for. The kind decides who waits in the lobby and what a role may do.
package enum RoomKind: String, Codable, Sendable, CaseIterable {
    /// A remote consultation between points of care.
    case consultation
    /// A multidisciplinary board that works through cases.
    case mdt
    /// An operating room sends, many watch.
    case broadcast
    /// A teacher and students.
    case lesson
}

/// The role a token gives its bearer for one room.
package enum Role: String, Codable, Sendable, CaseIterable {
    case chair, expert, presenter, attendee, observer, device
}

/// One thing a participant may do.
package enum Permission: String, Codable, Sendable, CaseIterable {
    /// Send video: a camera, a screen, a document.
    case publish
    /// Send audio.
    case speak
    /// Take the floor, and with it the viewports, when nobody holds it.
    case steer
    /// Show a pointer in a shared viewport.
    case point
    case chat
    case raiseHand
    case record
    case admit
    case mute
    case remove
    case spotlight
    /// Give the floor to anybody and take it from anybody.
    case giveFloor
    /// End the session for all.
    case end
}

extension Role {
    /// The permissions of this role in a room of the given kind. This table is the only place that decides.
    package func permissions(in kind: RoomKind) -> Set<Permission> {
        let participates: Set<Permission> = [.publish, .speak, .point, .chat, .raiseHand]
        switch (self, kind) {
        case (.chair, _):
            return Set(Permission.allCases)
        case (.presenter, .lesson):
            // The teacher runs the lesson.
            return participates.union([.steer, .record, .admit, .mute, .remove, .spotlight, .giveFloor, .end])
        case (.presenter, .consultation), (.presenter, .mdt), (.presenter, .broadcast):
            return participates.union([.steer, .record, .spotlight])
        case (.expert, _):
            return participates.union([.steer])
        case (.attendee, .broadcast):
            // Students watch; the floor lets one of them speak.
            return [.chat, .raiseHand]
        case (.attendee, .lesson), (.attendee, .consultation), (.attendee, .mdt):
            return participates
        case (.observer, _):
            return []
        case (.device, _):
            return [.publish, .speak]
        }
    }

    /// What holding the floor adds, whoever holds it.
    package static let floorPermissions: Set<Permission> = [.steer, .point, .speak]

    /// Whether this role waits in the lobby until somebody admits it.
    package func waitsInLobby(of kind: RoomKind) -> Bool {
        switch (self, kind) {
        case (.attendee, .consultation), (.attendee, .mdt), (.observer, .consultation), (.observer, .mdt): true
        case (.attendee, .lesson), (.attendee, .broadcast), (.observer, .lesson), (.observer, .broadcast): false
        case (.chair, _), (.expert, _), (.presenter, _), (.device, _): false
        }
    }
}

extension RoomKind {
    /// How many participants a room of this kind takes, those in the lobby included.
    package var maximumParticipants: Int {
        switch self {
        case .consultation, .mdt: 64
        case .lesson: 300
        case .broadcast: 1000
        }
    }
}
