// The few file operations the archive makes, behind a protocol, so that tests can let the nth of them fail.

import Glibc

/// A failed system call.
package struct StorageError: Error, Sendable, Equatable {
    package var operation: String
    package var path: String
    package var errno: Int32

    package init(operation: String, path: String, errno: Int32) {
        self.operation = operation
        self.path = path
        self.errno = errno
    }
}

/// One open file. Writes go to given places; a write is whole or it throws.
package protocol StorageFile: AnyObject, Sendable {
    var path: String { get }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(StorageError)
    /// Returns fewer bytes than asked for only at the end of the file.
    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int64) throws(StorageError) -> Int
    func size() throws(StorageError) -> Int64
    func truncate(to size: Int64) throws(StorageError)
    /// Makes the content durable.
    func sync() throws(StorageError)
    func close()
}

/// A file system as the archive uses it.
package protocol Storage: Sendable {
    /// Creates an empty file; an existing one is emptied.
    func create(_ path: String) throws(StorageError) -> any StorageFile
    /// Opens an existing file for reading and writing.
    func open(_ path: String) throws(StorageError) -> any StorageFile
    func makeFolder(_ path: String) throws(StorageError)
    func rename(_ from: String, to: String) throws(StorageError)
    func remove(_ path: String) throws(StorageError)
    /// Makes a folder's entries durable.
    func syncFolder(_ path: String) throws(StorageError)
}

extension StorageFile {
    package func write(_ bytes: [UInt8], at offset: Int64) throws(StorageError) {
        do {
            try bytes.withUnsafeBytes { buffer in try write(buffer, at: offset) }
        } catch let error as StorageError {
            throw error
        } catch {
            throw StorageError(operation: "write", path: path, errno: EIO)
        }
    }

    /// Up to `count` bytes from `offset` on.
    package func read(_ count: Int, at offset: Int64) throws(StorageError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: max(0, count))
        var got = 0
        do {
            got = try bytes.withUnsafeMutableBytes { buffer in try read(into: buffer, at: offset) }
        } catch let error as StorageError {
            throw error
        } catch {
            throw StorageError(operation: "read", path: path, errno: EIO)
        }
        if got < bytes.count { bytes.removeLast(bytes.count - got) }
        return bytes
    }

    /// The whole file, refused beyond `limit`.
    package func readAll(limit: Int64 = 1 << 30) throws(StorageError) -> [UInt8] {
        let size = try size()
        guard size <= limit else { throw StorageError(operation: "read", path: path, errno: EFBIG) }
        return try read(Int(size), at: 0)
    }
}

extension Storage {
    /// Replaces a file by another content so that a crash leaves the old or the new one, whole.
    package func replace(_ path: String, with bytes: [UInt8]) throws(StorageError) {
        let temporary = path + ".part"
        let file = try create(temporary)
        defer { file.close() }
        try file.write(bytes, at: 0)
        try file.sync()
        try rename(temporary, to: path)
        try syncFolder(folder(of: path))
    }
}

/// The folder part of a path.
package func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

func describe(errno code: Int32) -> String {
    strerror(code).map { String(cString: $0) } ?? "error \(code)"
}

/// The real file system.
package struct PosixStorage: Storage {
    package init() {}

    package func create(_ path: String) throws(StorageError) -> any StorageFile {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard descriptor >= 0 else { throw StorageError(operation: "create", path: path, errno: errno) }
        return PosixFile(descriptor: descriptor, path: path)
    }

    package func open(_ path: String) throws(StorageError) -> any StorageFile {
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw StorageError(operation: "open", path: path, errno: errno) }
        return PosixFile(descriptor: descriptor, path: path)
    }

    package func makeFolder(_ path: String) throws(StorageError) {
        guard mkdir(path, 0o750) == 0 || errno == EEXIST else {
            throw StorageError(operation: "mkdir", path: path, errno: errno)
        }
    }

    package func rename(_ from: String, to: String) throws(StorageError) {
        guard Glibc.rename(from, to) == 0 else { throw StorageError(operation: "rename", path: to, errno: errno) }
    }

    package func remove(_ path: String) throws(StorageError) {
        guard unlink(path) == 0 else { throw StorageError(operation: "unlink", path: path, errno: errno) }
    }

    package func syncFolder(_ path: String) throws(StorageError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StorageError(operation: "open", path: path, errno: errno) }
        defer { _ = Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw StorageError(operation: "fsync", path: path, errno: errno) }
    }
}

/// A descriptor that closes itself. Positioned calls only, so threads may share it.
private final class PosixFile: StorageFile {
    let path: String
    private let descriptor: Int32

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { _ = Glibc.close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(StorageError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset) + done)
            if count < 0 {
                if errno == EINTR { continue }
                throw StorageError(operation: "write", path: path, errno: errno)
            }
            guard count > 0 else { throw StorageError(operation: "write", path: path, errno: ENOSPC) }
            done += count
        }
    }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int64) throws(StorageError) -> Int {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
            let count = pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + done)
            if count < 0 {
                if errno == EINTR { continue }
                throw StorageError(operation: "read", path: path, errno: errno)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    func size() throws(StorageError) -> Int64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw StorageError(operation: "stat", path: path, errno: errno) }
        return Int64(status.st_size)
    }

    func truncate(to size: Int64) throws(StorageError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else {
            throw StorageError(operation: "truncate", path: path, errno: errno)
        }
    }

    func sync() throws(StorageError) {
        guard fdatasync(descriptor) == 0 else { throw StorageError(operation: "sync", path: path, errno: errno) }
    }

    /// The descriptor itself is closed with the last reference, so that a sync in another thread never meets a stranger's
    /// file under a reused number.
    func close() {}
}
