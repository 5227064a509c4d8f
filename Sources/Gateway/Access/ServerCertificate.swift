// A self-signed certificate for the first start, so that browsers get HTTPS before the hospital brings its own.
import COpenSSL
import Glibc

package enum ServerCertificate {
    package struct Fault: Error, CustomStringConvertible, Sendable {
        package var description: String
    }

    /// What `consilium doctor` says about a certificate file.
    package struct Summary: Sendable, Equatable {
        package var subject: String
        /// Negative when it has expired.
        package var daysLeft: Int
        package var fitsKey: Bool
    }

    private static let validDays = 397

    /// Makes both files when neither exists. ECDSA P-256, for `localhost` and the given numeric addresses.
    package static func makeIfMissing(
        certificate: String, privateKey: String, addresses: [String]
    ) throws(Fault) -> Bool {
        switch (SecretFile.exists(certificate), SecretFile.exists(privateKey)) {
        case (true, true): return false
        case (true, false): throw Fault(description: "\(certificate) is there, its key \(privateKey) is not")
        case (false, true): throw Fault(description: "\(privateKey) is there, its certificate \(certificate) is not")
        case (false, false): break
        }
        let (certificateText, keyText) = try make(addresses: addresses)
        do {
            try SecretFile.create(privateKey, keyText)
            try SecretFile.create(certificate, certificateText)
        } catch {
            throw Fault(description: error.description)
        }
        return true
    }

    /// PEM texts of a new certificate and its key.
    static func make(addresses: [String]) throws(Fault) -> (certificate: [UInt8], key: [UInt8]) {
        defer { ERR_clear_error() }
        guard let key = consilium_generate_ec("P-256"), let certificate = X509_new() else {
            throw Fault(description: "OpenSSL cannot make a key")
        }
        defer {
            EVP_PKEY_free(key)
            X509_free(certificate)
        }
        let name = X509_get_subject_name(certificate)
        var serial = Cryptography.randomBytes(8)
        serial[0] &= 0x7F
        let number = serial.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let lifetime = validDays * 24 * 3600
        let names = (["DNS:localhost"] + addresses.filter { !$0.contains("%") }.map { "IP:\($0)" })
            .joined(separator: ",")
        guard X509_set_version(certificate, 2) == 1,
            ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number) == 1,
            X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != nil,
            X509_gmtime_adj(X509_getm_notAfter(certificate), lifetime) != nil,
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC_VALUE, "Consilium on this host", -1, -1, 0) == 1,
            X509_set_issuer_name(certificate, name) == 1, X509_set_pubkey(certificate, key) == 1,
            add(NID_subject_alt_name, names, to: certificate),
            add(NID_basic_constraints, "critical,CA:FALSE", to: certificate),
            add(NID_ext_key_usage, "serverAuth", to: certificate),
            X509_sign(certificate, key, EVP_sha256()) > 0
        else { throw Fault(description: "OpenSSL cannot make a certificate for \(names)") }

        let certificateText = try text { PEM_write_bio_X509($0, certificate) }
        let keyText = try text { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }
        return (certificateText, keyText)
    }

    private static let MBSTRING_ASC_VALUE: Int32 = 0x1001

    private static func add(_ identifier: Int32, _ value: String, to certificate: OpaquePointer) -> Bool {
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, certificate, certificate, nil, nil, 0)
        guard let entry = X509V3_EXT_conf_nid(nil, &context, identifier, value) else { return false }
        defer { X509_EXTENSION_free(entry) }
        return X509_add_ext(certificate, entry, -1) == 1
    }

    private static func text(_ write: (OpaquePointer) -> Int32) throws(Fault) -> [UInt8] {
        guard let memory = BIO_new(BIO_s_mem()) else { throw Fault(description: "OpenSSL has no memory") }
        defer { BIO_free(memory) }
        guard write(memory) == 1 else { throw Fault(description: "OpenSSL cannot write PEM") }
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = BIO_read(memory, &bytes, Int32(bytes.count))
        guard count > 0 else { throw Fault(description: "OpenSSL wrote an empty PEM") }
        return Array(bytes[..<Int(count)])
    }

    /// Reads a certificate and its key as the server would.
    package static func inspect(certificate path: String, privateKey: String) throws(Fault) -> Summary {
        defer { ERR_clear_error() }
        guard let file = BIO_new_file(path, "r") else { throw Fault(description: "\(path) cannot be opened") }
        defer { BIO_free(file) }
        guard let certificate = PEM_read_bio_X509(file, nil, nil, nil) else {
            throw Fault(description: "\(path) has no PEM certificate")
        }
        defer { X509_free(certificate) }
        guard let keyFile = BIO_new_file(privateKey, "r") else {
            throw Fault(description: "\(privateKey) cannot be opened")
        }
        defer { BIO_free(keyFile) }
        guard let key = PEM_read_bio_PrivateKey(keyFile, nil, nil, nil) else {
            throw Fault(description: "\(privateKey) has no PEM key, or one with a passphrase")
        }
        defer { EVP_PKEY_free(key) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        ASN1_TIME_diff(&days, &seconds, nil, X509_get0_notAfter(certificate))
        var subject = [CChar](repeating: 0, count: 256)
        X509_NAME_oneline(X509_get_subject_name(certificate), &subject, 256)
        return Summary(
            subject: String(decoding: subject.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self),
            daysLeft: seconds < 0 && days == 0 ? -1 : Int(days), fitsKey: X509_check_private_key(certificate, key) == 1)
    }
}
