// Makes written files durable twice a second, many at a time: parallel syncs share the file system's journal commit.

import Foundation

/// One recording's files. Sequential syncs of 60 files take three times as long as parallel ones, and a thread that syncs
/// must not be the one that writes.
final class SyncGroup: @unchecked Sendable {
    private static let parallelSyncs = 8

    private let interval: TimeInterval
    private let condition = NSCondition()
    // Guarded by `condition`.
    private var dirty: [ObjectIdentifier: any StorageFile] = [:]
    private var failures: [ObjectIdentifier: StorageError] = [:]
    private var isStopped = false
    private var hasEnded = false
    private var afterRound: (() -> Void)?

    /// `afterRound` runs on this group's thread after each round.
    init(interval: TimeInterval, afterRound: @escaping @Sendable () -> Void) {
        self.interval = interval
        self.afterRound = afterRound
        let thread = Thread { [self] in run() }
        thread.name = "archive-sync"
        thread.start()
    }

    func markDirty(_ file: any StorageFile) {
        condition.lock()
        dirty[ObjectIdentifier(file)] = file
        condition.unlock()
    }

    /// The failure of a file's sync, once: after it the kernel may have thrown the unsynced pages away, so the file must
    /// not be trusted to grow.
    func takeFailure(of file: any StorageFile) -> StorageError? {
        condition.lock()
        defer { condition.unlock() }
        return failures.removeValue(forKey: ObjectIdentifier(file))
    }

    /// Syncs everything dirty now, in the caller's time.
    func syncNow() {
        condition.lock()
        let files = Array(dirty.values)
        dirty.removeAll(keepingCapacity: true)
        condition.unlock()
        let errors = Self.sync(files)
        guard !errors.isEmpty else { return }
        condition.lock()
        for (file, error) in errors { failures[ObjectIdentifier(file)] = error }
        condition.unlock()
    }

    /// A last round, then the thread ends; returns when it has.
    func stop() {
        condition.lock()
        isStopped = true
        condition.broadcast()
        while !hasEnded { condition.wait() }
        condition.unlock()
    }

    private func run() {
        while true {
            condition.lock()
            if !isStopped { _ = condition.wait(until: Date(timeIntervalSinceNow: interval)) }
            let last = isStopped
            let work = afterRound
            condition.unlock()
            syncNow()
            work?()
            if last { break }
        }
        condition.lock()
        afterRound = nil
        hasEnded = true
        condition.broadcast()
        condition.unlock()
    }

    /// Syncs files on several threads and returns those that failed.
    static func sync(_ files: [any StorageFile]) -> [(file: any StorageFile, error: StorageError)] {
        let round = Round(files)
        let helpers = min(parallelSyncs, files.count) - 1
        let group = DispatchGroup()
        for _ in 0..<max(0, helpers) {
            group.enter()
            Thread.detachNewThread {
                round.work()
                group.leave()
            }
        }
        round.work()
        group.wait()
        return round.errors
    }
}

/// The files of one round, handed out one by one.
private final class Round: @unchecked Sendable {
    private let files: [any StorageFile]
    private let lock = NSLock()
    private var next = 0
    private var failed: [(file: any StorageFile, error: StorageError)] = []

    init(_ files: [any StorageFile]) { self.files = files }

    var errors: [(file: any StorageFile, error: StorageError)] { lock.withLock { failed } }

    func work() {
        while let file = take() {
            do throws(StorageError) {
                try file.sync()
            } catch {
                lock.withLock { failed.append((file, error)) }
            }
        }
    }

    private func take() -> (any StorageFile)? {
        lock.withLock {
            guard next < files.count else { return nil }
            next += 1
            return files[next - 1]
        }
    }
}
