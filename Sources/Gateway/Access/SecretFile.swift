// Files that nobody else may read: the token secret and private keys. Made with mode 0600, refused when others can read.
import Glibc

package enum SecretFile {
    package struct Fault: Error, CustomStringConvertible, Sendable {
        package var description: String
    }

    /// Reads a secret that only its owner can read.
    package static func read(_ path: String) throws(Fault) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Fault(description: "\(path) cannot be read: \(words(errno))") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Fault(description: "\(path) is not a file")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw Fault(
                description: "\(path) can be read by others (mode \(String(status.st_mode & 0o777, radix: 8))); "
                    + "run: chmod 600 \(path)")
        }
        guard status.st_size <= 65536 else { throw Fault(description: "\(path) is too large for a secret") }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
        guard count == bytes.count else { throw Fault(description: "\(path) cannot be read: \(words(errno))") }
        return bytes
    }

    /// Writes a new file with mode 0600. One that exists is left alone and is an error.
    package static func create(_ path: String, _ bytes: [UInt8]) throws(Fault) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Fault(description: "\(path) cannot be made: \(words(errno))") }
        defer { close(descriptor) }
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count == bytes.count, fsync(descriptor) == 0 else {
            throw Fault(description: "\(path) cannot be written: \(words(errno))")
        }
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The HS256 secret: 256 random bits in hexadecimal, made at the first start.
    package static func tokenSecret(_ path: String) throws(Fault) -> [UInt8] {
        if !exists(path) {
            let hex = Cryptography.randomBytes(32).map { byte in
                String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
            }.joined()
            try create(path, Array((hex + "\n").utf8))
        }
        let text = String(decoding: try read(path), as: UTF8.self)
        let secret = Array(text.utf8.filter { $0 > 0x20 })
        guard secret.count >= 32 else {
            throw Fault(description: "\(path) has \(secret.count) characters; a token secret has at least 32")
        }
        return secret
    }

    static func words(_ code: Int32) -> String { String(cString: strerror(code)) }
}
