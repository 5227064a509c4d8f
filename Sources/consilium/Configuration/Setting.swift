// The table of settings: name, kind and bounds of each. What is not in this table is no setting.
import Gateway

struct Setting {
    /// Why a value is refused, and what to do.
    struct Fault: Error {
        var message: String
    }

    let name: String
    let read: (Configuration) -> SettingValue
    let write: (SettingValue, inout Configuration) throws -> Void

    /// Made anew for each use, since key paths do not cross threads; only starting reads it.
    static var all: [Setting] {
        [
            text("server.address", \.server.address, numericAddress),
            whole("server.port", \.server.port, 0...65535),
            choice("server.tls", \.server.tls),
            text("server.certificate", \.server.certificate),
            text("server.key", \.server.key),
            text("server.publicURL", \.server.publicURL, webAddress),
            list("server.allowedOrigins", \.server.allowedOrigins, origin),
            whole("server.maximumConnections", \.server.maximumConnections, 16...65536),
            whole("server.maximumConnectionsPerAddress", \.server.maximumConnectionsPerAddress, 4...65536),
            flag("server.compression", \.server.compression),
            text("access.secretFile", \.access.secretFile, notEmpty),
            text("access.keySetFile", \.access.keySetFile),
            text("state.directory", \.stateDirectory, notEmpty),
            text("media.address", \.media.address, numericAddress),
            whole("media.udpPort", \.media.udpPort, 1...65535),
            whole("media.tcpPort", \.media.tcpPort, 0...65535),
            workerCount("media.workers", \.media.workers),
            whole("media.participantsPerWorker", \.media.participantsPerWorker, 1...10000),
            whole("media.refuseCamerasAtPercent", \.media.refuseCamerasAtPercent, 0...100),
            whole("media.thinCamerasAtPercent", \.media.thinCamerasAtPercent, 0...100),
            list("media.announcedAddresses", \.media.announcedAddresses, numericAddress),
            choice("media.srtp", \.media.srtp),
            whole("media.consentTimeoutSeconds", \.media.consentTimeoutSeconds, 5...120),
            whole("rooms.maximum", \.rooms.maximum, 1...10000),
            whole("rooms.emptyGraceSeconds", \.rooms.emptyGraceSeconds, 0...86400),
            text("imaging.folder", \.imagingFolder),
            text("recordings.folder", \.recordingsFolder, notEmpty),
            choice("log.level", \.logLevel),
        ]
    }

    static func find(_ name: String) -> Setting? { all.first { $0.name == name } }
    static var sections: Set<String> { Set(all.map { String($0.name.prefix { $0 != "." }) }) }

    /// The known name that looks most like a mistyped one.
    static func nearest(to name: String) -> String? {
        let candidates = all.map { ($0.name, distance($0.name, name)) }
        guard let best = candidates.min(by: { $0.1 < $1.1 }), best.1 <= 4 else { return nil }
        return best.0
    }

    // MARK: kinds

    private static func text(
        _ name: String, _ path: WritableKeyPath<Configuration, String>,
        _ check: @escaping (String) throws -> Void = { _ in }
    ) -> Setting {
        Setting(name: name, read: { .text($0[keyPath: path]) }) { value, configuration in
            guard case .text(let text) = value else { throw Self.wrongKind(value, "a text") }
            try check(text)
            configuration[keyPath: path] = text
        }
    }

    private static func whole(
        _ name: String, _ path: WritableKeyPath<Configuration, Int>, _ range: ClosedRange<Int>
    ) -> Setting {
        Setting(name: name, read: { .whole($0[keyPath: path]) }) { value, configuration in
            guard case .whole(let number) = value else { throw Self.wrongKind(value, "a whole number") }
            guard range.contains(number) else {
                throw Fault(
                    message: "\(number) is out of range; give a number from \(range.lowerBound) to \(range.upperBound)")
            }
            configuration[keyPath: path] = number
        }
    }

    /// A number or the word auto.
    private static func workerCount(
        _ name: String, _ path: WritableKeyPath<Configuration, Configuration.WorkerCount>
    ) -> Setting {
        let range = 1...Configuration.WorkerCount.limit
        let read = { (configuration: Configuration) -> SettingValue in
            switch configuration[keyPath: path] {
            case .automatic: .text("auto")
            case .exactly(let count): .whole(count)
            }
        }
        return Setting(name: name, read: read) { value, configuration in
            switch value {
            case .text("auto"): configuration[keyPath: path] = .automatic
            case .whole(let number) where range.contains(number): configuration[keyPath: path] = .exactly(number)
            case .text(let text):
                // On the command line every value of this setting is a text.
                guard let number = Int(text), range.contains(number) else { fallthrough }
                configuration[keyPath: path] = .exactly(number)
            default:
                let range = "a number from 1 to \(range.upperBound)"
                throw Fault(message: "\(value) is no number of workers; give auto or \(range)")
            }
        }
    }

    private static func flag(_ name: String, _ path: WritableKeyPath<Configuration, Bool>) -> Setting {
        Setting(name: name, read: { .flag($0[keyPath: path]) }) { value, configuration in
            guard case .flag(let flag) = value else { throw Self.wrongKind(value, "true or false") }
            configuration[keyPath: path] = flag
        }
    }

    private static func list(
        _ name: String, _ path: WritableKeyPath<Configuration, [String]>, _ check: @escaping (String) throws -> Void
    ) -> Setting {
        Setting(name: name, read: { .list($0[keyPath: path]) }) { value, configuration in
            guard case .list(let texts) = value else { throw Self.wrongKind(value, "a list such as [a, b]") }
            guard texts.count <= 64 else { throw Fault(message: "a list has at most 64 entries") }
            for text in texts { try check(text) }
            configuration[keyPath: path] = texts
        }
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ path: WritableKeyPath<Configuration, Choice>
    ) -> Setting where Choice.RawValue == String {
        Setting(name: name, read: { .text($0[keyPath: path].rawValue) }) { value, configuration in
            let choices = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            // YAML reads a bare off as false; the person meant the word.
            let word: String
            switch value {
            case .text(let text): word = text
            case .flag(false): word = "off"
            case .flag(true), .whole, .list: throw Self.wrongKind(value, "one of \(choices)")
            }
            guard let choice = Choice(rawValue: word) else {
                throw Fault(message: "\"\(word)\" is not known; give one of \(choices)")
            }
            configuration[keyPath: path] = choice
        }
    }

    private static func wrongKind(_ value: SettingValue, _ expected: String) -> Fault {
        Fault(message: "\(value) is \(value.kind); give \(expected)")
    }

    // MARK: checks

    private static func notEmpty(_ text: String) throws {
        guard !text.isEmpty else { throw Fault(message: "is empty; give a path") }
    }

    private static func numericAddress(_ text: String) throws {
        guard NumericAddress.isValid(text) else {
            throw Fault(message: "\"\(text)\" is not a numeric address; give one like 192.0.2.7 or 2001:db8::7")
        }
    }

    private static func origin(_ text: String) throws {
        let isWeb = text.hasPrefix("https://") || text.hasPrefix("http://")
        let rest = text.drop { $0 != "/" }.dropFirst(2)
        guard isWeb, !rest.isEmpty, !rest.contains("/"), !text.contains("*"), !text.contains(" ") else {
            throw Fault(message: "\"\(text)\" is not an origin; give one like https://portal.example.org")
        }
    }

    private static func webAddress(_ text: String) throws {
        guard text.isEmpty || text.hasPrefix("https://") || text.hasPrefix("http://") else {
            throw Fault(message: "\"\(text)\" is not a web address; give one like https://consilium.example.org")
        }
    }

    /// Edits between two words (Levenshtein).
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.lowercased()), Array(right.lowercased()))
        guard right.count <= 128 else { return .max }
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let above = row[j + 1]
                row[j + 1] = a == b ? diagonal : 1 + min(diagonal, above, row[j])
                diagonal = above
            }
        }
        return row[right.count]
    }
}
