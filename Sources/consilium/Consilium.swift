// The command line: which commands there are, and what they share.
import ArgumentParser
import Foundation
import Gateway

@main struct Consilium: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consilium",
        abstract: "Telemedicine consultations and live teaching: rooms, media, images and recordings in one process.",
        subcommands: [Serve.self, Token.self, Recordings.self, Doctor.self])
}

/// Where the settings come from; the same for every command.
struct ConfigurationOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("The configuration file. Without it every setting has its default.", valueName: "file"))
    var config: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp(
            "One setting, which wins over the file: --set server.port=8081. May be repeated.", valueName: "key=value"))
    var overrides: [String] = []

    func read() throws -> Configuration {
        var text: String?
        if let config {
            guard let data = FileManager.default.contents(atPath: config) else {
                throw ValidationError("\(config) cannot be read; give the configuration file's path.")
            }
            guard let read = String(data: data, encoding: .utf8) else {
                throw ValidationError("\(config) is not UTF-8 text.")
            }
            text = read
        }
        do {
            return try ConfigurationReader.read(text: text, file: config ?? "(no file)", overrides: overrides)
        } catch {
            complain("\(error)")
            throw ExitCode(78)
        }
    }
}

/// Words for the person at the terminal, apart from the log.
func complain(_ text: String) {
    FileHandle.standardError.write(Data("consilium: \(text.replacing("\n", with: "\nconsilium: "))\n".utf8))
}

extension Configuration {
    /// The state directory is for its owner only; made when missing.
    func makeStateDirectory() throws {
        for path in [stateDirectory, (access.secretFile as NSString).deletingLastPathComponent] where !path.isEmpty {
            guard !FileManager.default.fileExists(atPath: path) else { continue }
            do {
                try FileManager.default.createDirectory(
                    atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            } catch {
                throw StartFault("\(path) cannot be made: \(error.localizedDescription)")
            }
        }
    }

    /// The verifier of tokens; makes the secret at the first start.
    func makeVerifier() throws -> TokenVerifier {
        try makeStateDirectory()
        var keys = KeySet()
        if !access.keySetFile.isEmpty {
            guard let data = FileManager.default.contents(atPath: access.keySetFile) else {
                throw StartFault("\(access.keySetFile) cannot be read")
            }
            keys = try KeySet(json: Array(data))
        }
        return TokenVerifier(secret: try SecretFile.tokenSecret(access.secretFile), keys: keys)
    }

    var selfSignedCertificate: String { stateDirectory + "/certificate.pem" }
    var selfSignedKey: String { stateDirectory + "/certificate-key.pem" }

    func tlsFiles() -> TLSFiles? {
        switch server.tls {
        case .off: nil
        case .selfSigned: TLSFiles(certificate: selfSignedCertificate, privateKey: selfSignedKey)
        case .files: TLSFiles(certificate: server.certificate, privateKey: server.key)
        }
    }
}
