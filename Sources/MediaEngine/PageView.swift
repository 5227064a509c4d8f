// What a page shows: which streams, how large, and which of them it has pinned.

package struct PageView: Sendable, Equatable {
    package struct Stream: Sendable, Equatable {
        package var participant: String
        package var stream: String
        /// Physical pixels; a stream of no size is not shown.
        package var width: Int
        package var height: Int
        package var isPinned: Bool

        package init(participant: String, stream: String, width: Int, height: Int, isPinned: Bool = false) {
            self.participant = participant
            self.stream = stream
            self.width = width
            self.height = height
            self.isPinned = isPinned
        }
    }

    package var streams: [Stream]

    package init(streams: [Stream]) { self.streams = streams }

    /// The largest of the places that show the stream.
    func size(participant: String, stream: String) -> (width: Int, height: Int)? {
        var size: (width: Int, height: Int)?
        for shown in streams
        where shown.participant == participant && shown.stream == stream && shown.width > 0 && shown.height > 0 {
            size = (max(size?.width ?? 0, shown.width), max(size?.height ?? 0, shown.height))
        }
        return size
    }

    var pinnedParticipants: Set<String> { Set(streams.lazy.filter(\.isPinned).map(\.participant)) }
}

/// Which layers of a published stream its publisher need send.
package struct WantedStream: Sendable, Equatable {
    package var mid: String
    package var stream: String
    package var wanted: Bool
    /// Of a simulcast, those to send; empty for streams without one.
    package var rids: [String]

    package init(mid: String, stream: String, wanted: Bool, rids: [String]) {
        self.mid = mid
        self.stream = stream
        self.wanted = wanted
        self.rids = rids
    }
}
