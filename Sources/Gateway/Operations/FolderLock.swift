// One process at a time works in a folder of recordings: a lock that the kernel lets go of when the process ends.
import Foundation
import Glibc

package final class FolderLock: Sendable {
    package struct Fault: Error, CustomStringConvertible, Sendable {
        package var description: String
    }

    private let descriptor: Int32

    /// Makes the folder when it is missing.
    package init(folder: String) throws(Fault) {
        // Whether it could be made shows when the lock file is opened.
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = folder + "/.lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Fault(description: "\(folder) cannot be used: \(SecretFile.words(errno))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw Fault(
                description:
                    "\(folder) is in use by another Consilium; stop it, or give recordings.folder another place")
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }
}
