// The front of the media engine: everything that signalling may ask of it; the work is done on the workers' threads.
package import PacketRing
import PeerTransport

package final class MediaEngine: Sendable {
    package let events: AsyncStream<MediaEvent>
    package let configuration: MediaEngineConfiguration
    let workers: [MediaWorker]
    let directory: RoomDirectory
    private let continuation: AsyncStream<MediaEvent>.Continuation

    package init(configuration: MediaEngineConfiguration) throws {
        self.configuration = configuration
        (events, continuation) = AsyncStream.makeStream(of: MediaEvent.self, bufferingPolicy: .bufferingNewest(4096))
        let certificate = try DTLSCertificate()
        let gauges = (0..<max(1, configuration.workers)).map { _ in WorkerGauge() }
        var placement = WorkerPlacement()
        placement.peersPerPart = max(1, configuration.peersPerWorker)
        directory = RoomDirectory(gauges: gauges, placement: placement)
        workers = try gauges.indices.map { [directory, continuation] index in
            try MediaWorker(
                configuration: configuration, index: index, certificate: certificate, events: continuation,
                gauge: gauges[index], directory: directory)
        }
        for worker in workers { try worker.loop.start() }
        // The first job on each loop: sockets are served from then on.
        Task { [workers] in for worker in workers { await worker.begin() } }
    }

    deinit { for worker in workers { worker.loop.stop() } }

    /// The first worker's.
    var worker: MediaWorker { workers[0] }

    /// The first worker's UDP port that is bound, also when the configuration said 0.
    package var udpPort: UInt16 { workers[0].udpPort }
    /// The first worker's ICE-TCP port that is bound, 0 when it is off.
    package var tcpPort: UInt16 { workers[0].tcpPort }
    /// Of all workers, in their order.
    package var udpPorts: [UInt16] { workers.map(\.udpPort) }

    private func worker(of peer: String, in room: String) -> MediaWorker? {
        directory.worker(of: peer, in: room).map { workers[$0] }
    }

    private func home(of room: String) -> MediaWorker? { directory.home(of: room).map { workers[$0] } }

    /// A first offer, a further offer, an ICE restart or a replaced page: which of them it is, the description itself says.
    package func negotiate(room: String, peer: String, offer: PeerOffer) async throws(NegotiationError) -> PeerAnswer {
        let worker = directory.enter(room, peer: peer, isViewer: offer.isReceiveOnly)
        defer { directory.leave(room, peer: peer, worker: worker) }
        return try await workers[worker].negotiate(room: room, peer: peer, offer: offer)
    }

    /// Restarts ICE from an `application/trickle-ice-sdpfrag` (RFC 8840, RFC 9725 §4.3.3) and answers with one.
    package func restartICE(room: String, peer: String, fragment: String) async throws(NegotiationError) -> String {
        try await (worker(of: peer, in: room) ?? workers[0]).restartICE(room: room, peer: peer, fragment: fragment)
    }

    package func closePeer(room: String, peer: String, reason: String) async {
        await worker(of: peer, in: room)?.closePeer(room: room, peer: peer, reason: reason)
    }

    package func closeRoom(_ room: String) async {
        for part in directory.parts(of: room) { await workers[part].closeRoom(room) }
    }

    package func setMuted(room: String, peer: String, stream: String, _ muted: Bool) async {
        await worker(of: peer, in: room)?.setMuted(room: room, peer: peer, stream: stream, muted)
    }

    /// What the peer's page shows, nil when it does not say; what it does not show is not sent to it.
    package func setView(room: String, peer: String, _ view: PageView?) async {
        await worker(of: peer, in: room)?.setView(room: room, peer: peer, view)
    }

    /// Every packet of the room from now on, before any layer switching; asked again, it answers with the same ring.
    package func startRecording(room: String) async -> PacketRing {
        let worker = directory.enter(room, peer: nil, isViewer: false)
        defer { directory.leave(room, peer: nil, worker: worker) }
        return await workers[worker].startRecording(room: room)
    }

    package func stopRecording(room: String) async {
        await home(of: room)?.stopRecording(room: room)
    }

    package func statistics(room: String) async -> RoomStatistics {
        await (home(of: room) ?? workers[0]).statistics(room: room)
    }

    /// Why each receiver gets what it gets.
    package func explain(room: String) async -> RoomExplanation {
        await (home(of: room) ?? workers[0]).explain(room: room)
    }

    package func statistics() async -> EngineStatistics {
        var sum = EngineStatistics()
        for worker in workers { sum.add(await worker.statistics()) }
        sum.rooms = directory.roomCount
        return sum
    }

    /// Says goodbye to every peer, ends recordings and stops the threads.
    package func shutdown() async {
        for worker in workers {
            await worker.shutdown()
            worker.loop.stop()
        }
        continuation.finish()
    }
}
