// The whole server in one value: what `consilium serve` starts and stops, and what tests start in their own process.
package import Archive
package import Imaging
package import MediaEngine

package struct ServiceConfiguration: Sendable {
    package var http = HTTPServerConfiguration()
    package var media = MediaEngineConfiguration()
    package var hub = HubConfiguration()
    /// Nil: no images.
    package var imagingFolder: String?
    /// Nil: nothing can be recorded.
    package var recordingsFolder: String?
    package var pagesDirectory: String

    package init(pagesDirectory: String) { self.pagesDirectory = pagesDirectory }
}

/// What stops a start, in words.
package struct StartFault: Error, CustomStringConvertible, Sendable {
    package var description: String

    package init(_ description: String) { self.description = description }
}

package final class Service: Sendable {
    package let server: HTTPServer
    package let hub: RoomHub
    package let media: MediaEngine
    package let archive: Archive?
    package let imaging: ImagingLibrary?
    package let port: Int
    package let recovered: [RecoveredRecording]
    private let folderLock: FolderLock?
    private let log: Log

    /// Opens the media ports, recovers unfinished recordings, then opens the front door.
    package init(
        _ configuration: ServiceConfiguration, verifier: TokenVerifier, log: Log
    ) async throws(StartFault) {
        self.log = log
        let startedAt = monotonicNow()
        do {
            media = try MediaEngine(configuration: configuration.media)
        } catch {
            throw StartFault("the media ports cannot be opened: \(error)")
        }
        // Recovery comes after the ports are ours: a running server's recordings must not be taken for unfinished ones.
        if let folder = configuration.recordingsFolder {
            do throws(FolderLock.Fault) {
                folderLock = try FolderLock(folder: folder)
            } catch {
                await media.shutdown()
                throw StartFault(error.description)
            }
            do throws(ArchiveError) {
                let archive = try await Archive(directory: folder)
                self.archive = archive
                recovered = await archive.recover()
            } catch {
                await media.shutdown()
                throw StartFault("the recordings in \(folder) cannot be opened: \(error.message)")
            }
        } else {
            folderLock = nil
            archive = nil
            recovered = []
        }
        for recording in recovered {
            log(.warning, "recording.recovered") { json in
                json.field("recording", recording.recording)
                json.field("tracks", recording.tracks)
                json.field("bytesCut", Int(recording.bytesCut))
            }
        }
        imaging = configuration.imagingFolder.map { ImagingLibrary(folder: $0) }
        let services = HubServices(media: media, archive: archive, log: log)
        hub = RoomHub(configuration: configuration.hub, verifier: verifier, services: services)

        let authenticator = Authenticator(verifier: verifier)
        let counters = Lock<HTTPServer?>(nil)
        var router = HTTPRouter()
        authenticator.addRoutes(to: &router)
        DeviceRoutes(hub: hub, authenticator: authenticator, allowedOrigins: configuration.http.allowedOrigins)
            .addRoutes(to: &router)
        ImagingRoutes(library: imaging, authenticator: authenticator).addRoutes(to: &router)
        RecordingRoutes(archive: archive, authenticator: authenticator).addRoutes(to: &router)
        OperationsRoutes(hub: hub, media: media, authenticator: authenticator, startedAt: startedAt) {
            await counters.withLock { $0 }?.snapshotCounters() ?? HTTPServer.Counters()
        }.addRoutes(to: &router)
        let pages = StaticPages(directory: configuration.pagesDirectory)
        server = HTTPServer(
            configuration: configuration.http, router: router, sockets: [PageConnection.route(hub)],
            fallback: { request in
                request.path.hasPrefix("/v1/")
                    ? .refusal(404, "not_found", "There is nothing at this address.") : pages.respond(to: request)
            }, log: log)
        await hub.start()
        do throws(HTTPServerError) {
            port = try await server.start()
        } catch {
            await server.stop()
            await media.shutdown()
            throw StartFault(error.description)
        }
        let server = server
        counters.withLock { $0 = server }
        if let archive { Self.watch(archive, log) }
        log(.info, "server.started") { json in
            json.field("port", port)
            json.field("udpPort", Int(media.udpPort))
            json.field("tcpPort", Int(media.tcpPort))
            json.field("tls", configuration.http.tls != nil)
        }
    }

    private static func watch(_ archive: Archive, _ log: Log) {
        Task {
            for await event in archive.events {
                switch event {
                case .trackFailed(let recording, _, let operation, let code):
                    log(.error, "recording.track.failed") { json in
                        json.field("recording", recording)
                        json.field("operation", operation)
                        json.field("errno", Int(code))
                    }
                case .gap(let recording, _, let start, let end, let cause):
                    log(.info, "recording.gap") { json in
                        json.field("recording", recording)
                        json.field("milliseconds", Int((end &- start) / 1_000_000))
                        json.field("cause", cause.rawValue)
                    }
                case .metadataFailed(let recording, _, let code):
                    log(.error, "recording.metadata.failed") { json in
                        json.field("recording", recording)
                        json.field("errno", Int(code))
                    }
                case .ready:
                    break
                }
            }
        }
    }

    /// Tells everybody, ends recordings, closes the doors. Takes well under five seconds.
    package func stop(reason: String) async {
        log(.info, "server.stopping")
        await hub.stop(reason: reason)
        await archive?.finishAll()
        // The goodbyes are with the loop; it gets a moment to write them and the close frames.
        try? await Task.sleep(for: .milliseconds(200))
        await server.stop()
        await media.shutdown()
        log(.info, "server.stopped")
    }
}
