// What a client of consilium.v1 may say, read strictly. Form and size are checked here; permission never is.
import Foundation
package import MediaEngine
package import Rooms

package struct ClientMessage: Sendable {
    package enum Content: Sendable, Equatable {
        case join(token: String, resume: Resume?)
        /// nil: the page does not say what it shows.
        case viewSet(PageView?)
        case negotiate(sdp: String, streams: [DeclaredStream])
        case recordingStart(title: String)
        case recordingStop
        case pointer(Pointer)
        case ping
        case room(RoomCommand)
    }

    package struct Resume: Sendable, Equatable {
        package var session: String
        package var seq: UInt64?
    }

    /// What the client says about a section of its offer that it sends on.
    package struct DeclaredStream: Sendable, Equatable {
        package var mid: String
        package var stream: String
        package var role: RoomState.StreamRole
        package var label: String
        package var muted: Bool
    }

    package static let messageLimit = 64 * 1024
    /// An offer with many sections and candidates.
    package static let negotiateLimit = 256 * 1024
    package static let sdpLimit = 200 * 1024
    package static let maximumStreams = 16
    package static let maximumLabelLength = 100
    package static let maximumShown = 256
    package static let maximumPixels = 32_768
    private static let maximumScreen = 15
    private static let maximumID: Int64 = 1 << 53

    /// Nil: the client wants no reply.
    package var id: Int64?
    package var content: Result<Content, CommandFault>

    package static func read(_ bytes: [UInt8]) -> ClientMessage {
        do {
            let message = try JSONDecoder().decode(ClientMessage.self, from: Data(bytes))
            if bytes.count > messageLimit, case .success(let content) = message.content {
                guard case .negotiate = content else {
                    return ClientMessage(
                        id: message.id,
                        content: .failure(
                            CommandFault(
                                code: "too_long", message: "a message has at most \(messageLimit) bytes, an offer more")
                        ))
                }
            }
            return message
        } catch {
            return ClientMessage(
                id: nil,
                content: .failure(
                    CommandFault(
                        code: "bad_message",
                        message: "a message is one JSON object with \"do\", and \"id\" (a whole number) for a reply")))
        }
    }
}

extension ClientMessage: Decodable {
    private enum CodingKeys: String, CodingKey {
        case id
        case command = "do"
        case token, resume, session, seq, sdp, streams, mid, stream, role, label, muted, title
        case participant, width, height, screen, pinned
    }

    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        if c.contains(.id) {
            let id = try c.decode(Int64.self, forKey: .id)
            guard (0...Self.maximumID).contains(id) else {
                throw DecodingError.dataCorruptedError(forKey: .id, in: c, debugDescription: "out of range")
            }
            self.id = id
        } else {
            id = nil
        }
        let command = try c.decode(String.self, forKey: .command)
        do {
            content = .success(try Self.content(command, c, decoder))
        } catch let fault as CommandFault {
            content = .failure(fault)
        } catch {
            content = .failure(
                CommandFault(code: "bad_field", message: "a field of \(command.prefix(40)) is not as it should be"))
        }
    }

    private static func content(
        _ command: String, _ c: KeyedDecodingContainer<CodingKeys>, _ decoder: any Decoder
    ) throws -> Content {
        switch command {
        case "join":
            let token: String = try field(c, .token, of: command)
            guard token.utf8.count <= TokenVerifier.maximumTokenLength else {
                throw CommandFault(
                    code: "too_long", message: "a token has at most \(TokenVerifier.maximumTokenLength) bytes")
            }
            return .join(token: token, resume: try resume(c))
        case "negotiate":
            let sdp: String = try field(c, .sdp, of: command)
            guard sdp.utf8.count <= sdpLimit else {
                throw CommandFault(code: "too_long", message: "an offer has at most \(sdpLimit) bytes")
            }
            return .negotiate(sdp: sdp, streams: try streams(c))
        case "view.set":
            return .viewSet(try view(c))
        case "recording.start":
            let title: String = c.contains(.title) ? try field(c, .title, of: command) : ""
            guard title.count <= AccessClaims.maximumTitleLength else {
                throw CommandFault(
                    code: "too_long", message: "a title has at most \(AccessClaims.maximumTitleLength) characters")
            }
            return .recordingStart(title: title.trimmingBlanks())
        case "recording.stop":
            return .recordingStop
        case "ping":
            return .ping
        case "pointer":
            let pointer: Pointer
            do {
                pointer = try Pointer(from: decoder)
            } catch {
                throw CommandFault(
                    code: "bad_field", message: "a pointer names viewport, sop, frame, x and y (null hides it)")
            }
            if let fault = pointer.fault { throw CommandFault(code: "bad_field", message: fault) }
            return .pointer(pointer)
        default:
            guard RoomCommand.names.contains(command) else {
                throw CommandFault(
                    code: "unknown_command", message: "there is no command \"\(command.prefix(40))\" in consilium.v1")
            }
            return .room(try RoomCommand(name: command, from: decoder))
        }
    }

    private static func view(_ c: KeyedDecodingContainer<CodingKeys>) throws -> PageView? {
        guard c.contains(.streams), try !c.decodeNil(forKey: .streams) else { return nil }
        guard var list = try? c.nestedUnkeyedContainer(forKey: .streams) else {
            throw CommandFault(code: "bad_field", message: "\"streams\" is a list")
        }
        var streams: [PageView.Stream] = []
        while !list.isAtEnd {
            guard streams.count < maximumShown else {
                throw CommandFault(code: "too_many_streams", message: "a page shows at most \(maximumShown) streams")
            }
            guard let s = try? list.nestedContainer(keyedBy: CodingKeys.self),
                let participant = try? s.decode(String.self, forKey: .participant), Name.isValid(participant),
                let stream = try? s.decode(String.self, forKey: .stream), Name.isValid(stream),
                let width = try? s.decode(Int.self, forKey: .width), (0...maximumPixels).contains(width),
                let height = try? s.decode(Int.self, forKey: .height), (0...maximumPixels).contains(height)
            else {
                throw CommandFault(
                    code: "bad_field",
                    message: "a shown stream has participant, stream, width and height (0 to \(maximumPixels) pixels)")
            }
            let screen = s.contains(.screen) ? try? s.decode(Int.self, forKey: .screen) : 0
            let pinned = s.contains(.pinned) ? try? s.decode(Bool.self, forKey: .pinned) : false
            guard let screen, (0...maximumScreen).contains(screen), let pinned else {
                throw CommandFault(
                    code: "bad_field", message: "screen is a number from 0 to \(maximumScreen), pinned is true or false"
                )
            }
            streams.append(
                PageView.Stream(
                    participant: participant, stream: stream, width: width, height: height, isPinned: pinned))
        }
        return PageView(streams: streams)
    }

    private static func resume(_ c: KeyedDecodingContainer<CodingKeys>) throws -> Resume? {
        guard c.contains(.resume), try !c.decodeNil(forKey: .resume) else { return nil }
        guard let r = try? c.nestedContainer(keyedBy: CodingKeys.self, forKey: .resume),
            let session = try? r.decode(String.self, forKey: .session), session.utf8.count <= 128
        else { throw CommandFault(code: "bad_field", message: "\"resume\" has a session and the last seq") }
        guard r.contains(.seq) else { return Resume(session: session, seq: nil) }
        guard let seq = try? r.decode(UInt64.self, forKey: .seq) else {
            throw CommandFault(code: "bad_field", message: "\"resume.seq\" is the number of the last event")
        }
        return Resume(session: session, seq: seq)
    }

    private static func streams(_ c: KeyedDecodingContainer<CodingKeys>) throws -> [DeclaredStream] {
        guard c.contains(.streams) else { return [] }
        guard var list = try? c.nestedUnkeyedContainer(forKey: .streams) else {
            throw CommandFault(code: "bad_field", message: "\"streams\" is a list")
        }
        var streams: [DeclaredStream] = []
        while !list.isAtEnd {
            guard streams.count < maximumStreams else {
                throw CommandFault(
                    code: "too_many_streams", message: "an offer declares at most \(maximumStreams) streams")
            }
            guard let s = try? list.nestedContainer(keyedBy: CodingKeys.self),
                let mid = try? s.decode(String.self, forKey: .mid), (1...32).contains(mid.utf8.count),
                let stream = try? s.decode(String.self, forKey: .stream), Name.isValid(stream),
                let role = try? s.decode(RoomState.StreamRole.self, forKey: .role)
            else {
                throw CommandFault(
                    code: "bad_field",
                    message: "a stream has mid, stream (1 to 64 of A-Z a-z 0-9 . _ -) and role ("
                        + RoomState.StreamRole.allCases.map(\.rawValue).joined(separator: ", ") + ")")
            }
            let label = s.contains(.label) ? try? s.decode(String.self, forKey: .label) : ""
            let muted = s.contains(.muted) ? try? s.decode(Bool.self, forKey: .muted) : false
            guard let label, let muted, label.count <= maximumLabelLength else {
                throw CommandFault(
                    code: "bad_field",
                    message:
                        "a stream's label is a text of at most \(maximumLabelLength) characters, muted is true or false"
                )
            }
            guard !streams.contains(where: { $0.stream == stream || $0.mid == mid }) else {
                throw CommandFault(code: "bad_field", message: "two streams have the same name or section")
            }
            streams.append(DeclaredStream(mid: mid, stream: stream, role: role, label: label, muted: muted))
        }
        return streams
    }

    private static func field<Value: Decodable>(
        _ c: KeyedDecodingContainer<CodingKeys>, _ key: CodingKeys, of command: String
    ) throws -> Value {
        guard let value = try? c.decode(Value.self, forKey: key) else {
            throw CommandFault(
                code: "bad_field", message: "\(command) needs a field \"\(key.stringValue)\" of the right type")
        }
        return value
    }
}
