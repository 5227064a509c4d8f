// What the media engine tells signalling about on its own.

package enum MediaEvent: Sendable, Equatable {
    /// ICE, DTLS and SRTP are up.
    case connected(room: String, peer: String)
    /// The peer's transport is gone; the room and its other peers live on.
    case disconnected(room: String, peer: String, reason: String)
    /// What the receive sections of this peer carry has changed without a negotiation of its own.
    case sectionsChanged(room: String, peer: String, sections: [SectionAssignment], needed: SectionsNeeded)
    /// The first packet of a published stream has come, or none has come for some seconds.
    case streamFlowing(room: String, peer: String, stream: String, flowing: Bool)
    /// Loudness by participant, 0 (silence) to 127 (full scale), five times a second while somebody speaks.
    case audioLevels(room: String, levels: [String: Int])
    /// The publisher need send only these layers of these streams.
    case streamsWanted(room: String, peer: String, streams: [WantedStream])
    /// Cameras that are not taken from this peer, or not sent to it, because the server is at its limit; none any more when
    /// there is room again, and then the peer offers anew what was not taken.
    case camerasRefused(room: String, peer: String, RefusedCameras)
    /// Who dominates the conversation from now on; nil when that participant is gone.
    case dominantSpeaker(room: String, peer: String?)
}
