// Why each page sees of each stream what it sees: the answer to a question that people ask.

package struct RoomExplanation: Sendable, Codable, Equatable {
    package struct Layer: Sendable, Codable, Equatable {
        /// nil for streams without simulcast.
        package var rid: String?
        /// nil while no key frame has told.
        package var width: Int?
        package var height: Int?
        /// Of one encoding in layers, the highest that is meant; nil where nothing is said of layers.
        package var spatial: Int?
        package var temporal: Int?
    }

    package struct Size: Sendable, Codable, Equatable {
        package var width: Int
        package var height: Int
    }

    package struct Stream: Sendable, Codable, Equatable {
        /// Empty for one that is kept from the receiver.
        package var mid: String
        package var kind: StreamKind
        package var participant: String?
        package var stream: String?
        package var role: String?
        /// What is being sent; nil for nothing.
        package var layer: Layer?
        /// What is to be sent, as soon as the publisher's next key frame allows; nil for nothing.
        package var wanted: Layer?
        /// How large the page says it shows it; nil when it does not say, or does not show it.
        package var shown: Size?
        /// `best`, `viewport`, `bandwidth`, `publisher`, `decoder` or `policy`.
        package var why: String
    }

    package struct Receiver: Sendable, Codable, Equatable {
        package var peer: String
        package var streams: [Stream]
    }

    package var room: String
    package var receivers: [Receiver]
}
