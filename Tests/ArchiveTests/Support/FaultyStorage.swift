// A file system that fails when it is told to: the nth write, once or from then on, wholly or half way through.

import Foundation
import Glibc

@testable import Archive

final class FaultyStorage: Storage, @unchecked Sendable {
    enum Fault {
        case none
        /// The nth write or creation fails, all later ones work.
        case once(at: Int, errno: Int32)
        /// From the nth on everything that needs space fails, after half of the bytes were written.
        case full(from: Int)
        /// Everything on files whose path contains this fails from the nth on.
        case file(String, from: Int, errno: Int32)
    }

    private let real = PosixStorage()
    private let fault: Fault
    private let lock = NSLock()
    private var operations = 0

    init(_ fault: Fault) { self.fault = fault }

    var count: Int { lock.withLock { operations } }

    fileprivate func check(_ operation: String, _ path: String, half: () throws(StorageError) -> Void)
        throws(StorageError)
    {
        let number = lock.withLock {
            operations += 1
            return operations
        }
        switch fault {
        case .none: return
        case .once(let at, let code):
            if number == at { throw StorageError(operation: operation, path: path, errno: code) }
        case .full(let from):
            guard number >= from else { return }
            try half()
            throw StorageError(operation: operation, path: path, errno: ENOSPC)
        case .file(let name, let from, let code):
            if number >= from, path.contains(name) { throw StorageError(operation: operation, path: path, errno: code) }
        }
    }

    func create(_ path: String) throws(StorageError) -> any StorageFile {
        try check("create", path) { () throws(StorageError) in }
        return FaultyFile(try real.create(path), self)
    }

    func open(_ path: String) throws(StorageError) -> any StorageFile { FaultyFile(try real.open(path), self) }
    func makeFolder(_ path: String) throws(StorageError) { try real.makeFolder(path) }
    func rename(_ from: String, to: String) throws(StorageError) { try real.rename(from, to: to) }
    func remove(_ path: String) throws(StorageError) { try real.remove(path) }
    func syncFolder(_ path: String) throws(StorageError) { try real.syncFolder(path) }
}

private final class FaultyFile: StorageFile, @unchecked Sendable {
    private let real: any StorageFile
    private let storage: FaultyStorage

    init(_ real: any StorageFile, _ storage: FaultyStorage) {
        self.real = real
        self.storage = storage
    }

    var path: String { real.path }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(StorageError) {
        try storage.check("write", path) { () throws(StorageError) in
            try real.write(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)]), at: offset)
        }
        try real.write(bytes, at: offset)
    }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int64) throws(StorageError) -> Int {
        try real.read(into: bytes, at: offset)
    }
    func size() throws(StorageError) -> Int64 { try real.size() }
    func truncate(to size: Int64) throws(StorageError) { try real.truncate(to: size) }
    func sync() throws(StorageError) { try real.sync() }
    func close() { real.close() }
}

/// Reads a file's fragments with the archive's own reader.
struct FileContent {
    var headerLength: Int
    /// Offset behind each whole fragment, in bytes.
    var boundaries: [Int]
    var times: [Int64]
    /// Bytes behind the last whole fragment: the index of a finished file, or a torn tail.
    var rest: Int

    init?(_ path: String) {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let container: any Container.Type = path.hasSuffix(".mp4") ? FragmentedMP4.self : WebM.self
        let bytes = [UInt8](data)
        guard let start = container.headerLength(Array(bytes.prefix(128 << 10))) else { return nil }
        headerLength = start
        boundaries = []
        times = []
        var at = start
        while let fragment = bytes.withUnsafeBytes({
            container.readFragment(UnsafeRawBufferPointer(rebasing: $0[at...]))
        }) {
            at += fragment.size
            boundaries.append(at)
            times += fragment.frames.map(\.time)
        }
        rest = bytes.count - at
    }
}
