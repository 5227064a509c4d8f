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
        let fabric = RelayFabric(count: gauges.count)
        workers = try gauges.indices.map { [directory, continuation] index in
            try MediaWorker(
                configuration: configuration, index: index, certificate: certificate, events: continuation,
                gauge: gauges[index], directory: directory, fabric: fabric)
        }
        fabric.set(workers)
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
        let part = await spread(room, to: worker)
        do throws(NegotiationError) {
            let answer = try await workers[worker].negotiate(room: room, peer: peer, offer: offer)
            // Had it been closed and opened again meanwhile, the others would not know.
            if part != nil, await workers[worker].openPart(room, mayOpen: false) != part {
                _ = await spread(room, to: worker)
            }
            return answer
        } catch {
            // It may have been opened for this peer alone.
            await workers[worker].forgetIfEmpty(room)
            throw error
        }
    }

    /// Makes the worker one of those that the room is on, and all of them know each other's streams; nil when it is the
    /// only one.
    private func spread(_ room: String, to worker: Int) async -> UInt64? {
        let known = directory.parts(of: room)
        guard known.count > 1 else { return nil }
        var parts: [Int: UInt64] = [:]
        for part in known { parts[part] = await workers[part].openPart(room, mayOpen: part == worker) }
        guard parts.count > 1 else { return nil }
        for part in parts.keys.sorted() { await workers[part].joinParts(room, parts) }
        return parts[worker]
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
        var sum = await (home(of: room) ?? workers[0]).statistics(room: room)
        let parts = directory.parts(of: room)
        guard parts.count > 1 else { return sum }
        for part in parts where part != directory.home(of: room) {
            sum.peers += await workers[part].statistics(room: room).peers
        }
        for part in parts { sum.add(await workers[part].relayedReceivers(room: room)) }
        sum.peers.sort { $0.peer < $1.peer }
        return sum
    }

    /// Why each receiver gets what it gets.
    package func explain(room: String) async -> RoomExplanation {
        var sum = RoomExplanation(room: room, receivers: [])
        for part in directory.parts(of: room) { sum.receivers += await workers[part].explain(room: room).receivers }
        sum.receivers.sort { $0.peer < $1.peer }
        return sum
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
