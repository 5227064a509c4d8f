// What one peer's transport is told before its first datagram: credentials, certificates, roles and limits.

/// Names a (local socket, remote address) pair; the caller chooses the numbers.
package typealias PathID = UInt32

package struct ICECredentials: Hashable, Sendable {
    package let ufrag: String
    package let password: String

    package init(ufrag: String, password: String) {
        self.ufrag = ufrag
        self.password = password
    }

    /// 48 and 144 random bits; RFC 8445 section 5.3 asks for 24 and 128 at least.
    package static func random() -> ICECredentials {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var generator = SystemRandomNumberGenerator()
        func characters(_ count: Int) -> String {
            String((0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
        }
        return ICECredentials(ufrag: characters(8), password: characters(24))
    }
}

/// Who sends the first ClientHello (RFC 8842).
package enum DTLSRole: Sendable {
    /// `a=setup:passive`: this side is the DTLS server and waits.
    case passive
    /// `a=setup:active`: this side is the DTLS client.
    case active
}

/// The hash of the certificate that the session description promised (RFC 8122).
package struct CertificateFingerprint: Hashable, Sendable {
    package enum Algorithm: String, Sendable {
        case sha256 = "sha-256"
        case sha384 = "sha-384"
        case sha512 = "sha-512"

        package var length: Int {
            switch self {
            case .sha256: 32
            case .sha384: 48
            case .sha512: 64
            }
        }
    }

    package let algorithm: Algorithm
    package let bytes: [UInt8]

    /// `nil` for hashes too weak to trust (md5, sha-1), unknown names, and lengths that do not fit the name.
    package init?(algorithm name: String, bytes: [UInt8]) {
        guard let algorithm = Algorithm(rawValue: name.lowercased()), bytes.count == algorithm.length else {
            return nil
        }
        self.algorithm = algorithm
        self.bytes = bytes
    }
}

/// The protection profiles of DTLS-SRTP (RFC 5764, RFC 7714).
package enum SRTPProfile: UInt16, CaseIterable, Sendable {
    case aes128GCM = 0x0007
    case aes256GCM = 0x0008
    case aes128CMSHA1 = 0x0001
}

/// Whose code transforms RTP and RTCP.
package enum SRTPBackend: String, Sendable {
    case native
    case libsrtp2
}

package struct PeerTransportConfiguration: Sendable {
    package var local: ICECredentials
    package var remote: ICECredentials
    package var remoteFingerprint: CertificateFingerprint
    package var role: DTLSRole
    package var certificate: DTLSCertificate
    /// Silence after which the peer counts as gone; never below `minimumConsentTimeout`.
    package var consentTimeout: UInt64 = 30_000_000_000
    /// How long ICE and DTLS together may take.
    package var handshakeTimeout: UInt64 = 30_000_000_000
    package var srtp: SRTPBackend = .native
    /// In order of preference; the server's order decides.
    package var profiles: [SRTPProfile] = [.aes128GCM, .aes256GCM, .aes128CMSHA1]
    /// The largest DTLS datagram sent.
    package var mtu = 1200

    package init(
        local: ICECredentials, remote: ICECredentials, remoteFingerprint: CertificateFingerprint, role: DTLSRole,
        certificate: DTLSCertificate
    ) {
        self.local = local
        self.remote = remote
        self.remoteFingerprint = remoteFingerprint
        self.role = role
        self.certificate = certificate
    }

    /// Browsers check consent every few seconds; a shorter limit would cut off healthy peers.
    package static let minimumConsentTimeout: UInt64 = 10_000_000_000
}

package enum PeerTransportFailure: Equatable, Sendable {
    /// No valid connectivity check within the time allowed.
    case noConnectivity
    /// ICE works, but the DTLS handshake did not end within the time allowed.
    case handshakeTimeout
    /// The peer's certificate is not the one its description promised.
    case fingerprintMismatch
    /// The handshake ended without a common SRTP profile.
    case noSRTPProfile
    /// OpenSSL gave up; its words.
    case handshake(String)
    /// Nothing authentic has been heard for the consent time.
    case consentExpired
}

package enum PeerTransportState: Equatable, Sendable {
    /// Waits for the first valid connectivity check.
    case new
    /// A path works; the DTLS handshake is under way.
    case connecting
    case connected
    case failed(PeerTransportFailure)
    /// Closed by this side or by the peer's close_notify.
    case closed
}

/// What became of a datagram handed to `receive`.
package enum Received: Equatable, Sendable {
    /// Handled; there may be something to send.
    case consumed
    /// A check made this path the one that everything is sent on from now.
    case pathSelected(PathID)
    /// The handshake ended with this datagram: media may flow.
    case connected
    case failed(PeerTransportFailure)
    /// The peer said goodbye.
    case closed
    case dropped(DropReason)
}

package enum DropReason: Equatable, Sendable {
    case malformed
    /// A STUN request for another agent, or one whose integrity or fingerprint is wrong.
    case notAuthenticated
    /// DTLS from an address that has not passed a connectivity check.
    case unknownPath
    /// RTP or RTCP handed to `receive`, or a protocol nobody here speaks.
    case notControl
    /// STUN responses and indications, datagrams after the end.
    case unexpected
}

/// What the packet functions return instead of a length. All are negative.
package enum PacketFailure {
    /// The handshake has not ended, or the transport is closed.
    package static let notReady = -1
    package static let malformed = -2
    package static let authenticationFailed = -3
    package static let replayed = -4
    /// More synchronisation sources than the limit, none old enough to forget.
    package static let tooManyStreams = -5
    /// The destination is too small for packet and tag.
    package static let noRoom = -6
    package static let unknownSlot = -7
}
