// The microphones of one room, who of them is on the air, who dominates, and the peers that listen through shared sections.

package struct AudioRoom: ~Copyable {
    /// Besides the dominant speaker.
    package static let loudestCount = 3
    /// With so few microphones in the room everybody is sent everything, each in a section of its own.
    package static let directSources = 4
    /// Three loudest, the dominant speaker, and one that the page has pinned.
    package static let sharedSections = 5
    /// Sixteenths of a level, 3 dB: so much louder takes another's place.
    static let margin: Int32 = 48
    static let decisionInterval: UInt64 = 300_000_000

    package let room: Int32
    /// Ids of its audio tracks.
    package var sources: [Int32] = []
    /// Ids of those that are on the air; at most four.
    package var onAir: [Int32] = []
    package var dominant: Int32 = -1
    /// Ids of peers with shared sections.
    package var listeners: [Int32] = []
    package var decisionDue: UInt64 = 0

    package init(room: Int32) { self.room = room }
}
