// Reads settings from a YAML file and the command line, and says with file and line what is wrong with them.
import Foundation
import Gateway
import Yams

/// Everything that is wrong, so that one look at the file mends it.
struct ConfigurationError: Error, CustomStringConvertible {
    struct Finding: Equatable {
        /// `file:line`, or where else it was given.
        var place: String
        var message: String
    }

    var findings: [Finding]
    var description: String { findings.map { "\($0.place): \($0.message)" }.joined(separator: "\n") }
}

struct ConfigurationReader {
    private(set) var configuration = Configuration()
    /// Where each setting was given, for findings about combinations.
    private var places: [String: String] = [:]
    private var findings: [ConfigurationError.Finding] = []
    private let file: String

    /// - Parameters:
    ///   - text: the file's text; nil starts with the defaults alone.
    ///   - file: its name as the person knows it.
    ///   - overrides: `key=value` of the command line, which win.
    static func read(text: String?, file: String, overrides: [String] = []) throws -> Configuration {
        var reader = ConfigurationReader(file: file)
        if let text { reader.read(text) }
        for override in overrides { reader.readOverride(override) }
        if reader.findings.isEmpty { reader.checkCombinations() }
        guard reader.findings.isEmpty else { throw ConfigurationError(findings: reader.findings) }
        return reader.configuration
    }

    private init(file: String) { self.file = file }

    private mutating func report(_ place: String, _ message: String) {
        findings.append(ConfigurationError.Finding(place: place, message: message))
    }

    private func place(_ node: Node) -> String { node.mark.map { "\(file):\($0.line)" } ?? file }

    private mutating func read(_ text: String) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            return reportSyntax(error)
        } catch {
            return report(file, "cannot be read: \(error)")
        }
        guard let root else { return }
        guard let sections = root.mapping else {
            return report(place(root), "the file is a list of sections such as \"server:\"")
        }
        for (key, value) in sections {
            let section = key.string ?? ""
            guard Setting.sections.contains(section) else {
                report(
                    place(key),
                    "there is no section \"\(section)\"; the sections are \(Setting.sections.sorted().joined(separator: ", "))"
                )
                continue
            }
            guard let entries = value.mapping else {
                if value.null == nil {
                    report(place(value), "\"\(section)\" is a section; indent its settings below it")
                }
                continue
            }
            for (name, entry) in entries { readEntry("\(section).\(name.string ?? "")", at: place(name), entry) }
        }
    }

    private mutating func readEntry(_ name: String, at place: String, _ node: Node) {
        guard let value = Self.value(of: node) else {
            return report(place, "\(name) has no value that a setting can have; see the comment in the shipped file")
        }
        apply(name, value, place)
    }

    private mutating func apply(_ name: String, _ value: SettingValue, _ place: String) {
        guard let setting = Setting.find(name) else {
            let hint = Setting.nearest(to: name).map { "did you mean \($0)?" } ?? "delete the line"
            return report(place, "there is no setting \(name); \(hint)")
        }
        do {
            try setting.write(value, &configuration)
            places[name] = place
        } catch {
            report(place, "\(name): \((error as? Setting.Fault)?.message ?? "\(error)")")
        }
    }

    private static func value(of node: Node) -> SettingValue? {
        switch node {
        case .scalar(let scalar):
            guard scalar.style == .plain else { return .text(scalar.string) }
            if let flag = node.bool { return .flag(flag) }
            if let number = Int(scalar.string) { return .whole(number) }
            return node.null == nil ? .text(scalar.string) : nil
        case .sequence(let sequence):
            var texts: [String] = []
            for entry in sequence {
                guard case .scalar(let scalar) = entry else { return nil }
                texts.append(scalar.string)
            }
            return .list(texts)
        case .mapping, .alias:
            return nil
        }
    }

    /// `key=value`; the value is read as in the file, a list with commas.
    private mutating func readOverride(_ override: String) {
        let place = "--set \(override)"
        guard let equals = override.firstIndex(of: "=") else {
            return report(place, "give key=value, such as --set server.port=8081")
        }
        let name = String(override[..<equals])
        let text = String(override[override.index(after: equals)...])
        guard let setting = Setting.find(name) else { return apply(name, .text(text), place) }
        let value: SettingValue =
            switch setting.read(Configuration()) {
            case .text: .text(text)
            case .whole: Int(text).map { .whole($0) } ?? .text(text)
            case .flag: ["true": .flag(true), "false": .flag(false)][text] ?? .text(text)
            case .list: .list(text.split(separator: ",").map { String($0).trimmingCharacters(in: .whitespaces) })
            }
        apply(name, value, place)
    }

    private mutating func reportSyntax(_ error: YamlError) {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            report("\(file):\(mark.line)", "this is not YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            report("\(file):\(context.mark.line)", "given twice: \(duplicates.joined(separator: ", "))")
        default:
            report(file, "this is not YAML: \(error)")
        }
    }

    // MARK: combinations

    private func place(of name: String) -> String { places[name] ?? "\(file) (default of \(name))" }

    private mutating func checkCombinations() {
        let server = configuration.server
        if server.tls == .off, !NumericAddress.isLoopback(server.address) {
            report(
                place(of: "server.address"),
                "plain HTTP on \(server.address) would send tokens and images in the clear; set server.tls to self-signed "
                    + "or files, or server.address to 127.0.0.1")
        }
        if server.tls == .files {
            for (name, path) in [("server.certificate", server.certificate), ("server.key", server.key)]
            where path.isEmpty {
                report(place(of: "server.tls"), "tls: files needs \(name); name the PEM file")
            }
            if !server.key.isEmpty { checkPrivate(server.key, "server.key") }
        } else {
            for (name, path) in [("server.certificate", server.certificate), ("server.key", server.key)]
            where !path.isEmpty {
                report(place(of: name), "is only used with server.tls: files; set that, or empty this")
            }
        }
        checkMediaPorts()
        if server.maximumConnectionsPerAddress > server.maximumConnections {
            report(
                place(of: "server.maximumConnectionsPerAddress"),
                "is more than server.maximumConnections (\(server.maximumConnections)); lower it")
        }
        if server.tls != .off, server.publicURL.hasPrefix("http://") {
            report(place(of: "server.publicURL"), "starts with http:// although TLS is on; give https://")
        }
        checkPrivate(configuration.access.secretFile, "access.secretFile")
        if !configuration.access.keySetFile.isEmpty { checkKeySet(configuration.access.keySetFile) }
        if !configuration.imagingFolder.isEmpty { checkFolder(configuration.imagingFolder) }
    }

    /// Each worker has ports of its own, from the one that is set upwards.
    private mutating func checkMediaPorts() {
        let (server, media) = (configuration.server, configuration.media)
        let workers = media.workerCount
        if server.port != 0, media.tcpPort != 0, media.tcpPorts.contains(server.port) {
            let (first, last) = (media.tcpPort, media.tcpPorts.upperBound)
            let others = workers == 1 ? "" : " (\(workers) workers take \(first) to \(last))"
            report(
                place(of: "media.tcpPort"),
                "port \(server.port) is server.port already\(others); give media.tcpPort another one, or 0 to switch "
                    + "ICE-TCP off"
            )
        }
        for (name, port) in [("media.udpPort", media.udpPort), ("media.tcpPort", media.tcpPort)]
        where port != 0 && port + workers - 1 > 65535 {
            report(
                place(of: name),
                "\(workers) workers take as many ports from \(port) on, and 65535 is the last; lower it")
        }
        let (refuse, thin) = (media.refuseCamerasAtPercent, media.thinCamerasAtPercent)
        if refuse != 0, thin != 0, thin < refuse {
            report(
                place(of: "media.thinCamerasAtPercent"),
                "is less than media.refuseCamerasAtPercent (\(refuse)): what is new gives way first; raise it")
        }
    }

    private mutating func checkPrivate(_ path: String, _ name: String) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            // The token secret is made at the first start; a key is not.
            if name == "server.key" { report(place(of: name), "\(path) is not there; give the key's path") }
            return
        }
        if status.st_mode & 0o077 != 0 {
            report(place(of: name), "\(path) can be read by others; run: chmod 600 \(path)")
        }
    }

    private mutating func checkKeySet(_ path: String) {
        guard let data = FileManager.default.contents(atPath: path) else {
            return report(place(of: "access.keySetFile"), "\(path) cannot be read; give the key set's path")
        }
        do {
            _ = try KeySet(json: Array(data))
        } catch {
            report(place(of: "access.keySetFile"), "\(path): \(error)")
        }
    }

    private mutating func checkFolder(_ path: String) {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
            return report(
                place(of: "imaging.folder"),
                "\(path) is not a folder; make it, or empty the setting to go without images")
        }
    }
}
