// What the server says in consilium.v1, as text: replies, events, presence and notices.
import Foundation
import MediaEngine
import Rooms

enum ServerMessage {
    static func ok(_ id: Int64, _ fields: (inout JSONText) -> Void = { _ in }) -> OutgoingMessage {
        object { json in
            json.field("re", Int(id))
            json.key("ok") { $0.object(fields) }
        }
    }

    /// Without an id nobody asked; the client learns nevertheless that its message was no good.
    static func error(_ id: Int64?, code: String, message: String) -> OutgoingMessage {
        object { json in
            if let id { json.field("re", Int(id)) } else { json.key("re") { $0.value(nil) } }
            json.key("error") { json in
                json.object { json in
                    json.field("code", code)
                    json.field("message", message)
                }
            }
        }
    }

    static func notice(_ name: String, _ fields: (inout JSONText) -> Void = { _ in }) -> OutgoingMessage {
        object { json in
            json.field("notice", name)
            fields(&json)
        }
    }

    static func goodbye(_ reason: String) -> OutgoingMessage { notice("goodbye") { $0.field("reason", reason) } }

    static func event(_ event: RoomEvent) -> [UInt8] { encode(event) }

    static func pointer(_ pointer: Pointer, by: ParticipantID) -> OutgoingMessage {
        object { json in
            json.field("presence", "pointer")
            json.field("by", by.text)
            json.field("viewport", pointer.viewport)
            json.field("sop", pointer.sop)
            json.field("frame", pointer.frame)
            json.key("x") { $0.value(raw: number(pointer.x)) }
            json.key("y") { $0.value(raw: number(pointer.y)) }
        }
    }

    static func levels(_ levels: [String: Int]) -> OutgoingMessage {
        object { json in
            json.field("presence", "levels")
            json.key("levels") { json in
                json.object { json in
                    for (participant, level) in levels.sorted(by: { $0.key < $1.key }) {
                        json.field(participant, level)
                    }
                }
            }
        }
    }

    static func wanted(_ streams: [WantedStream]) -> OutgoingMessage {
        notice("media.wanted") { json in
            json.key("streams") { json in
                json.array { json in
                    for stream in streams {
                        json.object { json in
                            json.field("mid", stream.mid)
                            json.field("stream", stream.stream)
                            json.field("wanted", stream.wanted)
                            json.key("rids") { json in
                                json.array { json in
                                    for rid in stream.rids { json.value(rid) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    static func refused(_ refused: RefusedCameras) -> OutgoingMessage {
        notice("media.refused") { json in
            json.field("message", refused.message)
            json.key("sent") { json in
                json.array { json in
                    for stream in refused.sent { json.value(stream) }
                }
            }
            json.key("received") { json in
                json.array { json in
                    for stream in refused.received {
                        json.object { json in
                            json.field("participant", stream.participant)
                            json.field("stream", stream.stream)
                        }
                    }
                }
            }
        }
    }

    static func speaker(_ participant: String?) -> OutgoingMessage {
        object { json in
            json.field("presence", "speaker")
            json.field("participant", participant)
        }
    }

    static func sections(_ sections: [SectionAssignment], _ needed: SectionsNeeded) -> OutgoingMessage {
        notice("media.sections") { write(sections, needed, into: &$0) }
    }

    /// The fields of a join's reply and of the notice `admitted`.
    static func admission(_ admission: Admission, room: String, into json: inout JSONText) {
        json.field("participant", admission.participant.text)
        json.field("session", admission.session)
        if case .waiting = admission.catchup {
            json.field("waiting", true)
            return
        }
        json.field("room", room)
        json.field("kind", admission.kind.rawValue)
        json.field("role", admission.role.rawValue)
        json.field("now", Int(admission.now))
        json.key("permissions") { json in
            json.array { json in
                for permission in admission.permissions { json.value(permission.rawValue) }
            }
        }
        switch admission.catchup {
        case .waiting: break
        case .snapshot(let snapshot):
            if admission.resumed { json.field("resumed", true) }
            json.key("snapshot") { $0.value(raw: encode(snapshot)) }
        case .tail(let events):
            json.field("resumed", true)
            json.key("tail") { json in
                json.array { json in
                    for event in events { json.value(raw: encode(event)) }
                }
            }
        }
    }

    static func answer(_ answer: PeerAnswer, into json: inout JSONText) {
        json.field("sdp", answer.sdp)
        write(answer.sections, answer.needed, into: &json)
        json.key("published") { json in
            json.array { json in
                for stream in answer.published {
                    json.object { json in
                        json.field("mid", stream.mid)
                        json.field("stream", stream.stream)
                        json.field("kind", stream.kind.rawValue)
                        json.field("codec", stream.codec)
                    }
                }
            }
        }
    }

    private static func write(_ sections: [SectionAssignment], _ needed: SectionsNeeded, into json: inout JSONText) {
        json.key("sections") { json in
            json.array { json in
                for section in sections {
                    json.object { json in
                        json.field("mid", section.mid)
                        json.field("kind", section.kind.rawValue)
                        json.field("participant", section.participant)
                        json.field("stream", section.stream)
                        if section.shared { json.field("shared", true) }
                    }
                }
            }
        }
        json.key("needed") { json in
            json.object { json in
                json.field("audio", needed.audio)
                json.field("video", needed.video)
            }
        }
    }

    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // The values of Rooms are numbers, texts and lists of them; encoding them cannot fail.
        return (try? encoder.encode(value)).map { Array($0) } ?? Array("null".utf8)
    }

    private static func number(_ value: Double?) -> [UInt8] {
        guard let value, value.isFinite else { return Array("null".utf8) }
        // Swift writes 1e+16 and the like as JSON allows it.
        return Array("\(value)".utf8)
    }

    private static func object(_ fields: (inout JSONText) -> Void) -> OutgoingMessage {
        var json = JSONText()
        json.object(fields)
        return OutgoingMessage(json.bytes)
    }
}
