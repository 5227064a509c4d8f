// Reading the library's folder: regular files only, nothing mapped (a file that shrinks must not become a SIGBUS).

import Glibc

/// What changes when a file's content does.
struct FileStamp: Sendable, Equatable {
    let size: Int
    let modifiedSeconds: Int
    let modifiedNanoseconds: Int
    let inode: UInt64
}

enum Files {
    /// Regular files below `root`, as paths relative to it, sorted. Hidden names are left out and directory
    /// links are not followed, so the walk ends.
    static func list(_ root: String, maximumFiles: Int, maximumDepth: Int) -> [String] {
        var found: [String] = []
        var pending = [(path: "", depth: 0)]
        while let (path, depth) = pending.popLast(), found.count < maximumFiles {
            guard let directory = opendir(path.isEmpty ? root : root + "/" + path) else { continue }
            defer { closedir(directory) }
            while let entry = readdir(directory), found.count < maximumFiles {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                guard !name.hasPrefix(".") else { continue }
                let child = path.isEmpty ? name : path + "/" + name
                var type = Int(entry.pointee.d_type)
                if type == Int(DT_UNKNOWN) || type == Int(DT_LNK) { type = typeOf(root + "/" + child, type) }
                if type == Int(DT_DIR), depth < maximumDepth { pending.append((child, depth + 1)) }
                if type == Int(DT_REG) { found.append(child) }
            }
        }
        return found.sorted()
    }

    /// A link counts as what it points to, unless that is a directory.
    private static func typeOf(_ path: String, _ type: Int) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { return Int(DT_UNKNOWN) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return Int(DT_REG)
        case S_IFDIR: return type == Int(DT_LNK) ? Int(DT_UNKNOWN) : Int(DT_DIR)
        default: return Int(DT_UNKNOWN)
        }
    }

    static func stamp(_ path: String) -> FileStamp? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return FileStamp(status)
    }

    /// Up to `count` bytes at `offset`; fewer when the file ends there. nil when it cannot be read.
    static func read(_ path: String, offset: Int, count: Int) -> [UInt8]? {
        // O_NONBLOCK: opening what has become a FIFO must not wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        // Nothing is allocated that the file cannot fill.
        let available = max(0, min(count, Int(status.st_size) - offset))
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: available) { buffer, initialized in
            while initialized < available {
                let got = pread(
                    descriptor, buffer.baseAddress.map { $0 + initialized }, available - initialized,
                    off_t(offset + initialized))
                if got < 0, errno == EINTR { continue }
                failed = got < 0
                if got <= 0 { break }
                initialized += got
            }
        }
        return failed ? nil : bytes
    }

    /// The header of a DICOM file: a beginning that usually suffices, else as much as a header may have.
    static func header(_ path: String, stamp: FileStamp, limits: DICOMLimits) throws(DICOMError) -> DICOMHeader? {
        for prefix in [64 << 10, limits.headerBytes] {
            guard let bytes = read(path, offset: 0, count: min(prefix, stamp.size)) else { return nil }
            if let header = try DICOMHeader.parse(bytes, fileLength: stamp.size, limits: limits) { return header }
        }
        throw .headerTooLong(limit: limits.headerBytes)
    }
}

extension FileStamp {
    fileprivate init(_ status: stat) {
        size = Int(status.st_size)
        modifiedSeconds = status.st_mtim.tv_sec
        modifiedNanoseconds = status.st_mtim.tv_nsec
        inode = UInt64(status.st_ino)
    }
}
