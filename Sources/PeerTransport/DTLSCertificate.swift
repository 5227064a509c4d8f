// The server's own self-signed certificate, with the TLS context that presents it.
internal import COpenSSL

package enum DTLSError: Error, Equatable {
    /// OpenSSL refused to make a key, a certificate, a context or a session; its words.
    case setup(String)

    /// The step that failed, with what OpenSSL's error queue says.
    static func openSSL(_ step: String) -> DTLSError { .setup("\(step): \(openSSLReason())") }
}

/// Empties this thread's error queue and returns its first entry.
func openSSLReason() -> String {
    let code = ERR_get_error()
    ERR_clear_error()
    guard code != 0, let reason = ERR_reason_error_string(code) else { return "no reason given" }
    return String(cString: reason)
}

/// A private key and its self-signed certificate. Immutable once made and shared by every peer and thread.
package final class DTLSCertificate: Sendable {
    package enum Key: Sendable {
        case ecdsaP256
        case rsa2048
        case ecdsaP224
    }

    /// SHA-256, as it goes into the session description.
    package let fingerprint: CertificateFingerprint
    /// SSL_CTX and its reference counts are made for use from several threads; nothing is set after `init`.
    nonisolated(unsafe) let context: OpaquePointer

    package init(key kind: Key = .ecdsaP256) throws(DTLSError) {
        let key: OpaquePointer? =
            switch kind {
            case .ecdsaP256: consilium_generate_ec("P-256")
            case .rsa2048: consilium_generate_rsa(2048)
            case .ecdsaP224: consilium_generate_ec("P-224")
            }
        guard let key else { throw .openSSL("private key") }
        defer { EVP_PKEY_free(key) }
        let certificate = try Self.makeCertificate(for: key)
        defer { X509_free(certificate) }
        var hash = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        guard X509_digest(certificate, EVP_sha256(), &hash, &length) == 1,
            let fingerprint = CertificateFingerprint(algorithm: "sha-256", bytes: Array(hash.prefix(Int(length))))
        else { throw .openSSL("fingerprint") }
        self.fingerprint = fingerprint
        context = try Self.makeContext(key: key, certificate: certificate)
    }

    deinit {
        SSL_CTX_free(context)
    }

    private static func makeCertificate(for key: OpaquePointer) throws(DTLSError) -> OpaquePointer {
        guard let certificate = X509_new() else { throw .openSSL("certificate") }
        var serial = [UInt8](repeating: 0, count: 8)
        let name = X509_get_subject_name(certificate)
        let day = 24 * 60 * 60
        // Nobody checks a self-signed certificate's dates against a clock that may be wrong, so they are generous.
        guard RAND_bytes(&serial, 8) == 1,
            X509_set_version(certificate, 2) == 1,
            ASN1_INTEGER_set_uint64(
                X509_get_serialNumber(certificate), serial.reduce(0) { $0 << 8 | UInt64($1) } >> 1) == 1,
            X509_gmtime_adj(X509_getm_notBefore(certificate), -day) != nil,
            X509_gmtime_adj(X509_getm_notAfter(certificate), 3650 * day) != nil,
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, "consilium", -1, -1, 0) == 1,
            X509_set_issuer_name(certificate, name) == 1,
            X509_set_pubkey(certificate, key) == 1,
            X509_sign(certificate, key, EVP_sha256()) != 0
        else {
            X509_free(certificate)
            throw .openSSL("self-signed certificate")
        }
        return certificate
    }

    /// ECDHE with AEAD only; RFC 8827 makes ECDHE-ECDSA-AES128-GCM with P-256 mandatory.
    private static let ciphers = """
        ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:\
        ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384
        """

    /// X25519 for the exchange; the curves also say which ECDSA certificates are accepted.
    private static let groups = "X25519:P-256:P-384:P-224"

    private static func makeContext(
        key: OpaquePointer, certificate: OpaquePointer
    ) throws(DTLSError) -> OpaquePointer {
        guard let context = SSL_CTX_new(DTLS_method()) else { throw .openSSL("DTLS context") }
        consilium_ssl_ctx_set_options(context)
        consilium_ssl_ctx_verify_fingerprints(context)
        guard consilium_ssl_ctx_set_version(context, DTLS1_2_VERSION) == 1,
            SSL_CTX_set_cipher_list(context, ciphers) == 1,
            consilium_ssl_ctx_set_groups(context, groups) == 1,
            SSL_CTX_use_certificate(context, certificate) == 1,
            SSL_CTX_use_PrivateKey(context, key) == 1
        else {
            SSL_CTX_free(context)
            throw .openSSL("DTLS context")
        }
        return context
    }
}
