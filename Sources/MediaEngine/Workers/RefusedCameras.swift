// What a peer goes without because its worker is at its limit.

package struct RefusedCameras: Sendable, Equatable {
    package struct Received: Sendable, Equatable {
        package var participant: String
        package var stream: String

        package init(participant: String, stream: String) {
            self.participant = participant
            self.stream = stream
        }
    }

    /// Names of the peer's own streams that are not taken.
    package var sent: [String] = []
    /// Others' streams that it is not sent.
    package var received: [Received] = []

    package init(sent: [String] = [], received: [Received] = []) {
        self.sent = sent
        self.received = received
    }

    package var isEmpty: Bool { sent.isEmpty && received.isEmpty }

    /// Words for people; empty when nothing is refused.
    package var message: String {
        if isEmpty { return "" }
        let what =
            sent.isEmpty
            ? "does not send further camera pictures to this page" : "does not take your camera picture"
        return
            "The server is at its limit and \(what) at present. Sound, documents and images go on as before, and the "
            + "pictures come by themselves when there is room again."
    }
}
