// `loadgen`: synthetic participants that talk to a running server as pages and devices do, and measure what they get.
import ArgumentParser

@main
struct Loadgen: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loadgen",
        abstract: "Loads a running Consilium with synthetic participants and measures it.",
        discussion: """
            tools/bench/run-consultation, run-everyone, run-surgery and run-flood start a server on one processor and \
            this on another; they are what to run. See tools/loadgen/README.md.
            """,
        subcommands: [Consultation.self, Everyone.self, Surgery.self, Flood.self])
}
