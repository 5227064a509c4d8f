// The one error that leaves this module: a code for programs, words for people, a status for HTTP.

/// Why an image, a series or a frame cannot be shown. The message names UIDs, lengths and syntaxes, never a patient.
package struct ImagingError: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        case notFound = "not_found"
        case unsupportedTransferSyntax = "unsupported_transfer_syntax"
        case unsupportedPixels = "unsupported_pixels"
        case malformed = "malformed_dicom"
        case cutOff = "cut_off"
        case unreadable = "unreadable"
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var httpStatus: Int {
        switch code {
        case .notFound: 404
        case .unsupportedTransferSyntax, .unsupportedPixels: 415
        case .malformed, .cutOff: 422
        case .unreadable: 500
        }
    }
}
