// What a participant may ask of a room, as it stands in `consilium.v1`; reading it checks form and size, never permission.

package enum RoomCommand: Sendable, Equatable {
    case leave
    case streamMute(stream: String, muted: Bool)
    case participantMute(ParticipantID, stream: String?)
    case participantRemove(ParticipantID, reason: String)
    case lobbyAdmit(ParticipantID)
    case lobbyReject(ParticipantID, reason: String)
    case handRaise
    case handLower(ParticipantID?)
    case floorTake
    case floorGive(ParticipantID)
    case floorRelease
    case chatSend(text: String)
    case spotlightSet(RoomState.Spotlight)
    case spotlightClear
    case consent(given: Bool)
    case viewportOpen(viewport: String, study: String, series: String)
    case viewportUpdate(viewport: String, patch: ViewportPatch)
    case viewportClose(viewport: String)
    case roomEnd(reason: String)
}

/// A pointer over a shared image: presence, never logged. Nil coordinates hide it.
package struct Pointer: Codable, Sendable, Equatable {
    package var viewport: String
    package var sop: String
    package var frame: Int
    /// Image pixels, the corner of the first pixel being 0.
    package var x: Double?
    package var y: Double?

    /// Why a pointer from a client is refused, or nil.
    package var fault: String? {
        guard Name.isValid(viewport), Name.isUniqueIdentifier(sop), (1...1_000_000).contains(frame) else {
            return "a pointer names a viewport, a SOP Instance UID and a frame"
        }
        for value in [x, y].compactMap({ $0 }) where !value.isFinite || abs(value) > 1e7 {
            return "a pointer's x and y are image pixels"
        }
        return nil
    }
}

/// Why a command cannot even be read.
package struct CommandFault: Error, Equatable {
    package var code: String
    package var message: String

    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }
}

extension RoomCommand {
    package static let maximumTextLength = 4000
    package static let maximumReasonLength = 200

    /// The commands of `consilium.v1` that a room itself carries out.
    package static let names: Set<String> = [
        "leave", "stream.mute", "participant.mute", "participant.remove", "lobby.admit", "lobby.reject", "hand.raise",
        "hand.lower", "floor.take", "floor.give", "floor.release", "chat.send", "spotlight.set", "spotlight.clear",
        "recording.consent", "viewport.open", "viewport.update", "viewport.close", "room.end",
    ]

    private enum CodingKeys: String, CodingKey {
        case stream, muted, participant, reason, text, given, viewport, study, series, patch
    }

    /// Reads the fields of one command. The name is the message's `do`.
    ///
    /// - Throws: ``CommandFault`` that names the field at fault.
    package init(name: String, from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        func field<T: Decodable>(_ key: CodingKeys, _ type: T.Type = T.self) throws -> T {
            do {
                return try c.decode(type, forKey: key)
            } catch {
                throw CommandFault(
                    code: "bad_field", message: "\(name) needs a field \"\(key.stringValue)\" of the right type")
            }
        }
        func short(_ key: CodingKeys) throws -> String {
            let text: String = try field(key)
            guard Name.isValid(text) else {
                throw CommandFault(
                    code: "bad_field", message: "\"\(key.stringValue)\" is 1 to 64 of A-Z a-z 0-9 . _ -")
            }
            return text
        }
        func uid(_ key: CodingKeys) throws -> String {
            let text: String = try field(key)
            guard Name.isUniqueIdentifier(text) else {
                throw CommandFault(code: "bad_field", message: "\"\(key.stringValue)\" is a DICOM UID")
            }
            return text
        }
        func reason() throws -> String {
            guard c.contains(.reason) else { return "" }
            let text: String = try field(.reason)
            guard text.count <= Self.maximumReasonLength else {
                throw CommandFault(
                    code: "too_long", message: "a reason has at most \(Self.maximumReasonLength) characters")
            }
            return text
        }
        switch name {
        case "leave": self = .leave
        case "stream.mute": self = .streamMute(stream: try short(.stream), muted: try field(.muted))
        case "participant.mute":
            self = .participantMute(try field(.participant), stream: c.contains(.stream) ? try short(.stream) : nil)
        case "participant.remove": self = .participantRemove(try field(.participant), reason: try reason())
        case "lobby.admit": self = .lobbyAdmit(try field(.participant))
        case "lobby.reject": self = .lobbyReject(try field(.participant), reason: try reason())
        case "hand.raise": self = .handRaise
        case "hand.lower": self = .handLower(c.contains(.participant) ? try field(.participant) : nil)
        case "floor.take": self = .floorTake
        case "floor.give": self = .floorGive(try field(.participant))
        case "floor.release": self = .floorRelease
        case "chat.send":
            let text: String = try field(.text)
            let trimmed = text.trimmingBlanks()
            guard !trimmed.isEmpty else { throw CommandFault(code: "bad_field", message: "the message is empty") }
            guard text.count <= Self.maximumTextLength else {
                throw CommandFault(
                    code: "too_long", message: "a message has at most \(Self.maximumTextLength) characters")
            }
            self = .chatSend(text: trimmed)
        case "spotlight.set":
            self = .spotlightSet(.init(participant: try field(.participant), stream: try short(.stream)))
        case "spotlight.clear": self = .spotlightClear
        case "recording.consent": self = .consent(given: try field(.given))
        case "viewport.open":
            self = .viewportOpen(viewport: try short(.viewport), study: try uid(.study), series: try uid(.series))
        case "viewport.update":
            let patch: ViewportPatch = try field(.patch)
            if let fault = patch.fault { throw CommandFault(code: "bad_field", message: fault) }
            self = .viewportUpdate(viewport: try short(.viewport), patch: patch)
        case "viewport.close": self = .viewportClose(viewport: try short(.viewport))
        case "room.end": self = .roomEnd(reason: try reason())
        default:
            throw CommandFault(code: "unknown_command", message: "there is no command of that name in consilium.v1")
        }
    }
}

extension String {
    /// Without white space at either end.
    package func trimmingBlanks() -> String {
        var view = Substring(self)
        while let first = view.first, first.isWhitespace { view.removeFirst() }
        while let last = view.last, last.isWhitespace { view.removeLast() }
        return String(view)
    }
}
