// The front of the media engine: everything that signalling may ask of it; the work is done on the worker's thread.
package import PacketRing

package final class MediaEngine: Sendable {
    package let events: AsyncStream<MediaEvent>
    package let configuration: MediaEngineConfiguration
    let worker: MediaWorker

    package init(configuration: MediaEngineConfiguration) throws {
        self.configuration = configuration
        let (events, continuation) = AsyncStream.makeStream(
            of: MediaEvent.self, bufferingPolicy: .bufferingNewest(4096))
        self.events = events
        worker = try MediaWorker(configuration: configuration, events: continuation)
        try worker.loop.start()
        // The first job on the loop: sockets are served from then on.
        Task { [worker] in await worker.begin() }
    }

    deinit { worker.loop.stop() }

    /// The UDP port that is bound, also when the configuration said 0.
    package var udpPort: UInt16 { worker.udpPort }
    /// The ICE-TCP port that is bound, 0 when it is off.
    package var tcpPort: UInt16 { worker.tcpPort }

    /// A first offer, a further offer, an ICE restart or a replaced page: which of them it is, the description itself says.
    package func negotiate(room: String, peer: String, offer: PeerOffer) async throws(NegotiationError) -> PeerAnswer {
        try await worker.negotiate(room: room, peer: peer, offer: offer)
    }

    /// Restarts ICE from an `application/trickle-ice-sdpfrag` (RFC 8840, RFC 9725 §4.3.3) and answers with one.
    package func restartICE(room: String, peer: String, fragment: String) async throws(NegotiationError) -> String {
        try await worker.restartICE(room: room, peer: peer, fragment: fragment)
    }

    package func closePeer(room: String, peer: String, reason: String) async {
        await worker.closePeer(room: room, peer: peer, reason: reason)
    }

    package func closeRoom(_ room: String) async {
        await worker.closeRoom(room)
    }

    package func setMuted(room: String, peer: String, stream: String, _ muted: Bool) async {
        await worker.setMuted(room: room, peer: peer, stream: stream, muted)
    }

    /// What the peer's page shows, nil when it does not say; what it does not show is not sent to it.
    package func setView(room: String, peer: String, _ view: PageView?) async {
        await worker.setView(room: room, peer: peer, view)
    }

    /// Every packet of the room from now on, before any layer switching; asked again, it answers with the same ring.
    package func startRecording(room: String) async -> PacketRing {
        await worker.startRecording(room: room)
    }

    package func stopRecording(room: String) async {
        await worker.stopRecording(room: room)
    }

    package func statistics(room: String) async -> RoomStatistics {
        await worker.statistics(room: room)
    }

    /// Why each receiver gets what it gets.
    package func explain(room: String) async -> RoomExplanation {
        await worker.explain(room: room)
    }

    package func statistics() async -> EngineStatistics {
        await worker.statistics()
    }

    /// Says goodbye to every peer, ends recordings and stops the thread.
    package func shutdown() async {
        await worker.shutdown()
        worker.loop.stop()
    }
}
