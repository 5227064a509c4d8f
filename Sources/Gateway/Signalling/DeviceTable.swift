// The WHIP and WHEP sessions of one room: their resources, entity tags and the participants behind them.
import MediaEngine
import Rooms

/// What a device came for. An ingest name is taken by one session at a time; players are as many as come.
enum DeviceKey: Hashable {
    case ingest(participant: String, stream: String?)
    case playback
}

enum DeviceFault: Error {
    case refused(Refusal)
    case negotiation(NegotiationError)
    /// There is no such session (any more), or it is somebody else's.
    case gone
    /// `If-Match` named another ICE session.
    case otherTag
}

/// What a PATCH of a WHIP or WHEP session came to.
enum DevicePatch {
    /// Candidates of the client: an ICE-lite server learns its addresses from its checks.
    case trickled
    case restarted(fragment: String, tag: String)
}

struct DeviceTable {
    struct Entry {
        /// The last part of the session's Location: nobody can guess it.
        var resource: String
        var participant: ParticipantID
        var key: DeviceKey
        /// The entity tag of the ICE session (RFC 9725 §4.3.1), with its quotes.
        var tag: String
        /// Whose token made it; nobody else's may change it.
        var identity: String
        /// The client's `a=ice-ufrag`: another one in a PATCH asks for an ICE restart.
        var remoteFragment: String
    }

    static let limit = 64
    private var entries: [String: Entry] = [:]

    var count: Int { entries.count }

    mutating func insert(
        _ participant: ParticipantID, _ key: DeviceKey, identity: String, remoteFragment: String
    ) -> Entry {
        let entry = Entry(
            resource: OpaqueID.random(), participant: participant, key: key, tag: Self.newTag(), identity: identity,
            remoteFragment: remoteFragment)
        entries[entry.resource] = entry
        return entry
    }

    func entry(resource: String) -> Entry? { entries[resource] }
    func entry(for key: DeviceKey) -> Entry? { entries.values.first { $0.key == key } }
    func resource(of participant: ParticipantID) -> String? {
        entries.values.first { $0.participant == participant }?.resource
    }

    /// The sender that came under this name; with a stream, the one that came for that stream if there is one.
    func participant(named name: String, stream: String?) -> ParticipantID? {
        var found: ParticipantID?
        for entry in entries.values {
            guard case .ingest(name, let own) = entry.key else { continue }
            if let stream, own == stream { return entry.participant }
            found = min(found ?? entry.participant, entry.participant)
        }
        return found
    }

    /// A new ICE session has a new tag.
    mutating func restarted(_ resource: String, remoteFragment: String) -> String? {
        entries[resource]?.tag = Self.newTag()
        entries[resource]?.remoteFragment = remoteFragment
        return entries[resource]?.tag
    }

    @discardableResult
    mutating func remove(_ resource: String) -> Entry? { entries.removeValue(forKey: resource) }

    private static func newTag() -> String { "\"\(OpaqueID.random())\"" }
}

/// Names from which nothing can be concluded.
package enum OpaqueID {
    private static let salt = Cryptography.randomBytes(32)

    /// 128 random bits.
    package static func random() -> String { Base64URL.encode(Cryptography.randomBytes(16)) }

    /// The same room has the same name as long as the process lives, and another one in the next.
    package static func of(room: String) -> String {
        let digest = Cryptography.hmacSHA256(key: salt, Array(room.utf8)) ?? salt
        return "room-" + Base64URL.encode(digest.prefix(6))
    }
}
