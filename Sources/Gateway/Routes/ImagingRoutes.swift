// /v1/imaging: the list of studies, a series' geometry, and coded frames.
import Imaging
import Rooms

struct ImagingRoutes: Sendable {
    let library: ImagingLibrary?
    let authenticator: Authenticator

    func addRoutes(to router: inout HTTPRouter) {
        // The list names patients: it is for those who may choose what is shown.
        router.on(
            .get, "/v1/imaging/studies",
            handler { library, _, claims in
                guard claims.role.permissions(in: claims.kind ?? .consultation).contains(.steer) else {
                    return .refusal(403, TokenFault.Code.role.rawValue, "Your role may not choose what is shown.")
                }
                let studies = await library.studies()
                return .json(ServerMessage.encode(["studies": studies]))
            })
        router.on(
            .get, "/v1/imaging/series/{series}",
            handler { library, request, _ in
                guard Name.isUniqueIdentifier(request.parameter("series")) else { return Self.badIdentifier }
                do throws(ImagingError) {
                    return .json(ServerMessage.encode(try await library.series(request.parameter("series"))))
                } catch {
                    return Self.response(to: error)
                }
            })
        router.on(
            .get, "/v1/imaging/frames/{sop}/{frame}",
            handler { library, request, _ in
                guard Name.isUniqueIdentifier(request.parameter("sop")), let frame = Int(request.parameter("frame")),
                    frame > 0
                else { return Self.badIdentifier }
                do throws(ImagingError) {
                    let coded = try await library.frame(sop: request.parameter("sop"), frame: frame)
                    return Self.answer(coded, request)
                } catch {
                    return Self.response(to: error)
                }
            })
    }

    private typealias Handler = @Sendable (ImagingLibrary, HTTPRequest, AccessClaims) async -> HTTPResponse

    private func handler(_ body: @escaping Handler) -> HTTPHandler {
        let library = library
        return authenticator.guarding { request, claims in
            guard claims.role != .device else {
                return .refusal(403, TokenFault.Code.role.rawValue, "Devices see no images.")
            }
            guard let library else {
                return .refusal(404, "no_images", "This server has no folder of images; see imaging.folder.")
            }
            return await body(library, request, claims)
        }
    }

    /// A SOP instance never changes, so its frame may be kept; private, since it shows a patient.
    private static func answer(_ frame: CodedFrame, _ request: HTTPRequest) -> HTTPResponse {
        let checksum = frame.bytes.dropFirst(24).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let tag = "\"\(String(checksum, radix: 36))-\(String(frame.bytes.count, radix: 36))\""
        let headers: [(name: String, value: String)] = [("etag", tag), ("cache-control", "private, max-age=3600")]
        if let candidates = request[.ifNoneMatch], FileResponses.matches(candidates, tag, weakly: true) {
            return HTTPResponse(status: 304, headers: headers)
        }
        return HTTPResponse(
            status: 200, headers: headers + [("content-type", CodedFrame.contentType)], body: .bytes(frame.bytes))
    }

    private static let badIdentifier = HTTPResponse.refusal(
        400, "bad_identifier", "Images are named by DICOM UIDs, and frames count from 1.")

    private static func response(to error: ImagingError) -> HTTPResponse {
        .refusal(error.httpStatus, error.code.rawValue, error.message)
    }
}
