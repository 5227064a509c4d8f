// /v1/recordings: the list, and the files of one recording with byte ranges. A token opens its own room's recordings.
import Archive
import Rooms

struct RecordingRoutes: Sendable {
    let archive: Archive?
    let authenticator: Authenticator

    func addRoutes(to router: inout HTTPRouter) {
        router.on(
            .get, "/v1/recordings",
            handler { archive, request, claims in
                do throws(ArchiveError) {
                    let all = try await archive.list(matching: request.query["matching"].map { String($0.prefix(200)) })
                    let mine = all.filter { claims.allows(room: $0.room) }
                    return .json(ServerMessage.encode(["recordings": mine]))
                } catch {
                    return Self.response(to: error)
                }
            })
        for (pattern, prefix) in [
            ("/v1/recordings/{recording}/{file}", ""), ("/v1/recordings/{recording}/tracks/{file}", "tracks/"),
            ("/v1/recordings/{recording}/thumbnails/{file}", "thumbnails/"),
        ] {
            router.on(
                .get, pattern,
                handler { archive, request, claims in
                    do throws(ArchiveError) {
                        let recording = request.parameter("recording")
                        let summary = try await archive.summary(recording: recording)
                        guard claims.allows(room: summary.room) else { throw .unknownRecording(recording) }
                        let name = prefix + request.parameter("file")
                        let path = try await archive.fileURL(recording: recording, name: name)
                        guard let file = OpenFile(path: path) else { throw .missingFile(name) }
                        // While it is written it grows; afterwards it may be kept, but asked about.
                        return FileResponses.file(
                            file, type: FileResponses.type(ofFile: name), request: request,
                            cacheControl: summary.state == .recording ? "no-store" : "private, no-cache")
                    } catch {
                        return Self.response(to: error)
                    }
                })
        }
    }

    private typealias Handler = @Sendable (Archive, HTTPRequest, AccessClaims) async -> HTTPResponse

    private func handler(_ body: @escaping Handler) -> HTTPHandler {
        let archive = archive
        return authenticator.guarding { request, claims in
            guard claims.role != .device else {
                return .refusal(403, TokenFault.Code.role.rawValue, "Devices see no recordings.")
            }
            guard let archive else {
                return .refusal(404, "no_archive", "This server has no folder for recordings.")
            }
            return await body(archive, request, claims)
        }
    }

    private static func response(to error: ArchiveError) -> HTTPResponse {
        switch error {
        case .unknownRecording, .missingFile, .unsafeName:
            .refusal(404, error.code, error.message)
        case .storage, .database, .alreadyRecording:
            // The words name paths of this machine: they are for the log.
            .refusal(500, error.code, "The recordings cannot be read at present.")
        }
    }
}
