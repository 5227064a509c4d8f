// The server's own self-signed certificate, with the TLS context that presents it.
private import COpenSSL

/// A private key and its self-signed certificate. Immutable once made and shared by every peer and thread.
package final class DTLSCertificate: Sendable {
    package enum Key: Sendable {
        case ecdsaP256
        case rsa2048
        case ecdsaP224
    }

    package let fingerprint: CertificateFingerprint

    package init(key: Key = .ecdsaP256) throws(DTLSError) {
        throw DTLSError.setup("unimplemented")
    }
}

package enum DTLSError: Error, Equatable {
    /// OpenSSL refused to make a key, a certificate, a context or a session; its words.
    case setup(String)
}
