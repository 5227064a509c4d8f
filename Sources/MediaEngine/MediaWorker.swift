// One worker: the actor whose executor is its event loop.
import PacketRing

actor MediaWorker {
    nonisolated let udpPort: UInt16
    nonisolated let tcpPort: UInt16
    private let events: AsyncStream<MediaEvent>.Continuation

    init(configuration: MediaEngineConfiguration, events: AsyncStream<MediaEvent>.Continuation) throws {
        self.events = events
        udpPort = configuration.udpPort
        tcpPort = configuration.tcpPort
    }

    func negotiate(room: String, peer: String, offer: PeerOffer) throws(NegotiationError) -> PeerAnswer {
        throw NegotiationError(status: .unsupported, code: "not_ready", message: "the media engine is not built yet")
    }
    func restartICE(room: String, peer: String, fragment: String) throws(NegotiationError) -> String {
        throw NegotiationError(status: .unsupported, code: "not_ready", message: "the media engine is not built yet")
    }
    func closePeer(room: String, peer: String, reason: String) {}
    func closeRoom(_ room: String) {}
    func setMuted(room: String, peer: String, stream: String, _ muted: Bool) {}
    func startRecording(room: String) -> PacketRing { PacketRing() }
    func stopRecording(room: String) {}
    func statistics(room: String) -> RoomStatistics { RoomStatistics(room: room, recording: false, peers: []) }
    func statistics() -> EngineStatistics { EngineStatistics() }
    func shutdown() { events.finish() }
}
