// Why a session description was refused: what was seen, what was expected, and a stable code for clients.

package enum SDPError: Error, Equatable, Sendable {
    /// A line that breaks the grammar of RFC 8866 or of the attribute's own document. Lines count from 1; 0 is the whole text.
    case malformed(line: Int, reason: String)
    case tooLarge(what: String, seen: Int, limit: Int)
    case missingMediaSection
    case missingIdentification(section: Int)
    case duplicateIdentification(mid: String)
    case missingBundle(reason: String)
    case missingRTCPMultiplexing(mid: String)
    case missingICECredentials(mid: String)
    case missingFingerprint(mid: String)
    case unsupportedFingerprint(algorithms: [String])
    case unsupportedSetup(seen: String)
    case conflictingExtension(id: UInt8, first: String, second: String)

    /// For programs: stable, never translated.
    package var code: String {
        switch self {
        case .malformed: "malformed_sdp"
        case .tooLarge: "sdp_too_large"
        case .missingMediaSection: "no_media_section"
        case .missingIdentification: "missing_mid"
        case .duplicateIdentification: "duplicate_mid"
        case .missingBundle: "missing_bundle"
        case .missingRTCPMultiplexing: "missing_rtcp_mux"
        case .missingICECredentials: "missing_ice_credentials"
        case .missingFingerprint: "missing_fingerprint"
        case .unsupportedFingerprint: "unsupported_fingerprint"
        case .unsupportedSetup: "unsupported_setup"
        case .conflictingExtension: "conflicting_extension"
        }
    }

    /// True when the text is no session description at all; otherwise it is one that this server can't serve.
    package var isMalformed: Bool {
        switch self {
        case .malformed, .tooLarge: true
        case .missingMediaSection, .missingIdentification, .duplicateIdentification, .missingBundle,
            .missingRTCPMultiplexing, .missingICECredentials, .missingFingerprint, .unsupportedFingerprint,
            .unsupportedSetup, .conflictingExtension:
            false
        }
    }

    /// For people.
    package var message: String {
        switch self {
        case .malformed(let line, let reason):
            line > 0 ? "line \(line): \(reason)" : reason
        case .tooLarge(let what, let seen, let limit):
            "\(what): \(seen), at most \(limit) are accepted"
        case .missingMediaSection:
            "the offer has no media section"
        case .missingIdentification(let section):
            "media section \(section) has no a=mid"
        case .duplicateIdentification(let mid):
            "two media sections share the mid \(mid)"
        case .missingBundle(let reason):
            "all media must be bundled on one transport: \(reason)"
        case .missingRTCPMultiplexing(let mid):
            "media section \(mid) has no a=rtcp-mux"
        case .missingICECredentials(let mid):
            "media section \(mid) has no usable a=ice-ufrag and a=ice-pwd"
        case .missingFingerprint(let mid):
            "media section \(mid) has no a=fingerprint: media is only accepted encrypted"
        case .unsupportedFingerprint(let algorithms):
            "no fingerprint with sha-256, sha-384 or sha-512, seen: \(algorithms.joined(separator: ", "))"
        case .unsupportedSetup(let seen):
            "a=setup:\(seen) can't be answered, expected actpass, active or passive"
        case .conflictingExtension(let id, let first, let second):
            "header extension \(id) stands for both \(first) and \(second) on one transport"
        }
    }
}
