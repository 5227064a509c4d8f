// The small closed vocabularies of a session description: kinds of media, directions, DTLS roles, fingerprints.

package enum MediaKind: String, Sendable, Codable, CaseIterable {
    case audio, video, application
}

/// Who sends, from the point of view of the side that wrote the description.
package enum MediaDirection: String, Sendable, Codable, CaseIterable {
    case sendrecv, sendonly, recvonly, inactive

    package init(sends: Bool, receives: Bool) {
        self =
            switch (sends, receives) {
            case (true, true): .sendrecv
            case (true, false): .sendonly
            case (false, true): .recvonly
            case (false, false): .inactive
            }
    }

    package var sends: Bool { self == .sendrecv || self == .sendonly }
    package var receives: Bool { self == .sendrecv || self == .recvonly }

    /// The same agreement seen from the other side.
    package var reversed: MediaDirection { MediaDirection(sends: receives, receives: sends) }

    /// What remains when both wishes must hold.
    package func intersection(_ other: MediaDirection) -> MediaDirection {
        MediaDirection(sends: sends && other.sends, receives: receives && other.receives)
    }
}

/// RFC 4145 `a=setup`, with the DTLS meaning of RFC 8842.
package enum SetupRole: String, Sendable {
    case active, passive, actpass, holdconn
}

/// RFC 8122: a certificate named by its hash.
package struct CertificateFingerprint: Sendable, Hashable {
    /// In lower case: `sha-256`.
    package var algorithm: String
    package var bytes: [UInt8]

    package init(algorithm: String, bytes: [UInt8]) {
        self.algorithm = algorithm
        self.bytes = bytes
    }

    /// Length of the hash for the algorithms strong enough to name a peer; nil for all others.
    package static func length(of algorithm: String) -> Int? {
        switch algorithm {
        case "sha-256": 32
        case "sha-384": 48
        case "sha-512": 64
        default: nil
        }
    }
}

extension CertificateFingerprint: CustomStringConvertible {
    package var description: String {
        "\(algorithm) \(bytes.map(Self.hexadecimal).joined(separator: ":"))"
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return byte < 16 ? "0" + digits : digits
    }
}
