// The command line: which commands there are.
import ArgumentParser

@main struct Consilium: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consilium",
        abstract: "Telemedicine consultations and live teaching: rooms, media, images and recordings in one process.",
        subcommands: [])
}
