// `consilium recordings`: what is recorded, and finishing what a crash left unfinished.
import Archive
import ArgumentParser
import Foundation
import Gateway

struct Recordings: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List and recover recordings.", subcommands: [List.self, Recover.self])

    private static func open(_ options: ConfigurationOptions) async throws -> Archive {
        let folder = try options.read().recordingsFolder
        do throws(ArchiveError) {
            return try await Archive(directory: folder)
        } catch {
            complain(error.message)
            throw ExitCode(1)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List all recordings, newest first.")

        @OptionGroup var options: ConfigurationOptions

        @Option(name: .long, help: "Only those whose title or room has this text.")
        var matching: String?

        func run() async throws {
            let archive = try await Recordings.open(options)
            do throws(ArchiveError) {
                for recording in try await archive.list(matching: matching) {
                    let seconds = recording.duration / 1_000_000_000
                    let megabytes = Double(recording.bytes) / 1_000_000
                    print(
                        [
                            recording.recording, String(recording.started.prefix(16)), recording.state.rawValue,
                            "\(seconds / 60):\(seconds % 60 < 10 ? "0" : "")\(seconds % 60)",
                            String(format: "%.1f MB", megabytes), recording.room, recording.title,
                        ].joined(separator: "  "))
                }
            } catch {
                complain(error.message)
                throw ExitCode(1)
            }
        }
    }

    struct Recover: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Finish recordings that a crash left unfinished. The server does it at its start, too.",
            discussion: "Only while the server does not run: it would take a running recording for an unfinished one.")

        @OptionGroup var options: ConfigurationOptions

        func run() async throws {
            let folder = try options.read().recordingsFolder
            let lock: FolderLock
            do throws(FolderLock.Fault) {
                lock = try FolderLock(folder: folder)
            } catch {
                complain(error.description)
                throw ExitCode(1)
            }
            let archive = try await Recordings.open(options)
            defer { withExtendedLifetime(lock) {} }
            let recovered = await archive.recover()
            for recording in recovered {
                print(
                    "\(recording.recording)  \(recording.tracks) tracks, \(recording.bytesCut) bytes of torn ends cut off"
                )
            }
            print(recovered.isEmpty ? "Every recording is complete." : "\(recovered.count) recovered.")
        }
    }
}
