// `consilium serve`: starts the server, prints where it is, and ends it when asked to.
import ArgumentParser
import Dispatch
import Foundation
import Gateway
import MediaEngine
import Rooms
import WebClient

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start the server.",
        discussion: """
            Runs until SIGTERM or SIGINT; then everybody is told, recordings are closed, and it exits 0 within five seconds.
            Media is carried by one thread less than the host has cores, each with a port of its own from media.udpPort \
            upwards; --set media.workers=N sets another number.
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .long, help: "Print a link for every role in a room called demo, valid for a day.")
    var demoLinks = false

    func run() async throws {
        let configuration = try options.read()
        let log = Log(minimum: configuration.logLevel)
        do {
            let signals = Signals()
            let verifier = try configuration.makeVerifier()
            if configuration.server.tls == .selfSigned {
                _ = try ServerCertificate.makeIfMissing(
                    certificate: configuration.selfSignedCertificate, privateKey: configuration.selfSignedKey,
                    addresses: HostAddresses.all())
            }
            let service = try await Service(configuration.service(), verifier: verifier, log: log)
            try printLinks(configuration, service.port, verifier)
            await signals.first()
            // Whatever hangs, the process does not.
            let watchdog = Task.detached {
                try await Task.sleep(for: .milliseconds(4_800))
                log(.error, "server.stop.forced")
                _exit(1)
            }
            await service.stop(reason: "The server is being stopped or restarted.")
            watchdog.cancel()
        } catch let fault as StartFault {
            complain(fault.description)
            throw ExitCode(1)
        } catch let fault as SecretFile.Fault {
            complain(fault.description)
            throw ExitCode(1)
        } catch let fault as ServerCertificate.Fault {
            complain(fault.description)
            throw ExitCode(1)
        }
    }

    private func printLinks(_ configuration: Configuration, _ port: Int, _ verifier: TokenVerifier) throws {
        let base = configuration.baseURL(port: port)
        var text = "Consilium is ready: \(base)/\n"
        if demoLinks {
            let expires = WallClock.now().seconds + 24 * 3600
            let people: [(Role, String)] = [
                (.chair, "Dr. Chair"), (.expert, "Dr. Expert"), (.presenter, "Dr. Presenter"), (.attendee, "Attendee"),
                (.observer, "Observer"),
            ]
            text +=
                "\nOpen one link per browser window. Each is a person in the room \"demo\" and is valid for a day.\n"
            for (role, name) in people {
                let token = try verifier.mint(
                    AccessClaims(
                        room: "demo", identity: "demo-\(role.rawValue)", name: name, role: role, expires: expires,
                        kind: .mdt, title: "Demo board"))
                text += "\n  \(name)\n  \(base)/room.html#room=demo&token=\(token)\n"
                if role == .chair { text += "\n  Recordings of this room\n  \(base)/replay.html#token=\(token)\n" }
            }
            let device = try verifier.mint(
                AccessClaims(
                    room: "demo", identity: "demo-encoder", name: "Encoder", role: .device, expires: expires,
                    kind: .mdt,
                    title: "Demo board"))
            text += "\n  An encoder (WHIP): POST to \(base)/whip/demo/encoder with this bearer token\n  \(device)\n"
        }
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }
}

/// SIGTERM and SIGINT as a value to wait for.
private final class Signals: Sendable {
    private let stream: AsyncStream<Int32>
    private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

    init() {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        self.stream = stream
        sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield(number) }
            source.resume()
            return source
        }
        // A client that is gone while we write is an error of that write, not of the process.
        signal(SIGPIPE, SIG_IGN)
    }

    func first() async {
        for await _ in stream { return }
    }
}

extension Configuration {
    func baseURL(port: Int) -> String {
        if !server.publicURL.isEmpty {
            return server.publicURL.hasSuffix("/") ? String(server.publicURL.dropLast()) : server.publicURL
        }
        let scheme = server.tls == .off ? "http" : "https"
        let host: String
        if NumericAddress.isLoopback(server.address) {
            host = "localhost"
        } else if ["0.0.0.0", "::"].contains(server.address) {
            // What this host is called from outside; loopback when it has no other address.
            host =
                HostAddresses.all().first { !NumericAddress.isLoopback($0) && !NumericAddress.isVersion6($0) }
                ?? "localhost"
        } else {
            host = NumericAddress.isVersion6(server.address) ? "[\(server.address)]" : server.address
        }
        return "\(scheme)://\(host):\(port)"
    }

    func service() -> ServiceConfiguration {
        var result = ServiceConfiguration(pagesDirectory: WebClient.pagesDirectory)
        result.http.bindAddress = server.address
        result.http.port = server.port
        result.http.tls = tlsFiles()
        result.http.allowedOrigins = server.allowedOrigins
        result.http.maximumConnections = server.maximumConnections
        result.http.maximumConnectionsPerAddress = server.maximumConnectionsPerAddress
        result.http.compressesWebSockets = server.compression
        result.media = MediaEngineConfiguration(
            bindAddress: media.address, udpPort: UInt16(clamping: media.udpPort),
            tcpPort: UInt16(clamping: media.tcpPort),
            announcedAddresses: media.announcedAddresses, srtp: media.srtp == .native ? .native : .libsrtp2,
            consentTimeout: .seconds(media.consentTimeoutSeconds), workers: media.workerCount,
            peersPerWorker: media.participantsPerWorker, stress: media.stressLimits)
        result.hub.maximumRooms = rooms.maximum
        result.hub.emptyGrace = UInt64(rooms.emptyGraceSeconds) * 1_000_000_000
        result.imagingFolder = imagingFolder.isEmpty ? nil : imagingFolder
        result.recordingsFolder = recordingsFolder
        return result
    }
}

extension Configuration.Media {
    var workerCount: Int { workers.count(cores: ProcessInfo.processInfo.activeProcessorCount) }
    var udpPorts: ClosedRange<Int> { udpPort...(udpPort + workerCount - 1) }
    var tcpPorts: ClosedRange<Int> { tcpPort...(tcpPort + workerCount - 1) }

    /// nil when nothing is to follow from load.
    var stressLimits: StressLimits? {
        guard refuseCamerasAtPercent > 0 || thinCamerasAtPercent > 0 else { return nil }
        func share(_ percent: Int) -> Double { percent > 0 ? Double(percent) / 100 : .infinity }
        return StressLimits(
            refuseVideo: share(refuseCamerasAtPercent), thinFaces: share(thinCamerasAtPercent))
    }
}
