// The configuration file is the documentation: every setting is in it, with its default and a comment. Faults have lines.
import Foundation
import Testing

@testable import consilium

@Suite("The shipped configuration file") struct ShippedConfigurationTests {
    static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Config/consilium.yaml").path
    let text: String

    init() throws { text = try String(contentsOfFile: Self.path, encoding: .utf8) }

    @Test("has exactly the defaults")
    func defaults() throws {
        #expect(try ConfigurationReader.read(text: text, file: "consilium.yaml") == Configuration())
    }

    @Test("names every setting that exists, each with a comment above it")
    func documented() {
        var section = ""
        var isCommented = false
        var found: [String] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let trimmed = line.trimmingCharacters(in: .whitespaces)
            if trimmed.hasPrefix("#") {
                isCommented = true
                continue
            }
            guard let colon = trimmed.firstIndex(of: ":"), !trimmed.isEmpty else {
                isCommented = false
                continue
            }
            let name = String(trimmed[..<colon])
            #expect(isCommented, "\(section).\(name) has no comment")
            isCommented = false
            if line.hasPrefix(" ") { found.append("\(section).\(name)") } else { section = name }
        }
        #expect(found.sorted() == Setting.all.map(\.name).sorted())
    }

    @Test("may lose every line: each value in it is the default")
    func empty() throws {
        #expect(try ConfigurationReader.read(text: "", file: "f") == Configuration())
        #expect(try ConfigurationReader.read(text: "server:\n", file: "f") == Configuration())
    }
}

@Suite("A configuration with a fault") struct ConfigurationFaultTests {
    private func findings(_ text: String, _ overrides: [String] = []) -> [String] {
        do {
            _ = try ConfigurationReader.read(text: text, file: "c.yaml", overrides: overrides)
            return []
        } catch {
            return "\(error)".split(separator: "\n").map(String.init)
        }
    }

    @Test(
        "is refused with file, line and what to do",
        arguments: [
            ("server:\n  prot: 8080\n", "c.yaml:2: there is no setting server.prot; did you mean server.port?"),
            ("srever:\n  port: 8080\n", "c.yaml:1: there is no section \"srever\""),
            ("server:\n  port: \"8080\"\n", "c.yaml:2: server.port: \"8080\" is a text; give a whole number"),
            ("server:\n  port: 80.5\n", "c.yaml:2: server.port: \"80.5\" is a text; give a whole number"),
            ("# one\n# two\nserver:\n\n  port: 70000\n", "c.yaml:5: server.port: 70000 is out of range"),
            (
                "server:\n  compression: maybe\n",
                "c.yaml:2: server.compression: \"maybe\" is a text; give true or false"
            ),
            ("server:\n  allowedOrigins: https://a.example\n", "c.yaml:2: server.allowedOrigins:"),
            ("server:\n  allowedOrigins: [\"*\"]\n", "c.yaml:2: server.allowedOrigins: \"*\" is not an origin"),
            ("server:\n  tls: maybe\n", "give one of \"off\", \"self-signed\", \"files\""),
            ("server:\n  port:\n    a: 1\n", "c.yaml:2: server.port has no value"),
            ("server:\n  port:\n", "c.yaml:2: server.port has no value"),
            ("server: 5\n", "c.yaml:1: \"server\" is a section"),
            ("- a\n", "c.yaml:1: the file is a list of sections"),
            ("server:\n  port: 1\n  port: 2\n", "given twice"),
            ("server:\n  port: [\n", "this is not YAML"),
            ("server:\n  address: localhost\n", "c.yaml:2: server.address: \"localhost\" is not a numeric address"),
            ("server:\n  address: 0.0.0.0\n", "c.yaml:2: plain HTTP on 0.0.0.0 would send tokens"),
            ("server:\n  address: \"::\"\n  tls: off\n", "plain HTTP on ::"),
            ("server:\n  tls: files\n", "c.yaml:2: tls: files needs server.certificate"),
            ("server:\n  certificate: a.pem\n", "c.yaml:2: is only used with server.tls: files"),
            ("server:\n  port: 7882\n", "port 7882 is server.port already"),
            (
                "media:\n  srtp: fast\n",
                "c.yaml:2: media.srtp: \"fast\" is not known; give one of \"native\", \"libsrtp2\""
            ),
            ("media:\n  workers: 0\n", "c.yaml:2: media.workers: 0 is no number of workers; give auto or a number"),
            ("media:\n  workers: many\n", "c.yaml:2: media.workers: \"many\" is no number of workers"),
            ("media:\n  workers: 4\n  tcpPort: 8078\n", "(4 workers take 8078 to 8081)"),
            ("media:\n  workers: 4\n  udpPort: 65534\n", "4 workers take as many ports from 65534 on"),
            ("media:\n  thinCamerasAtPercent: 50\n", "is less than media.refuseCamerasAtPercent (85)"),
            ("imaging:\n  folder: /nonexistent/folder\n", "c.yaml:2: /nonexistent/folder is not a folder"),
            ("access:\n  keySetFile: /nonexistent/keys\n", "c.yaml:2: /nonexistent/keys cannot be read"),
            ("log:\n  level: loud\n", "c.yaml:2: log.level: \"loud\" is not known"),
        ])
    func located(text: String, expected: String) {
        #expect(findings(text).contains { $0.contains(expected) }, "\(findings(text))")
    }

    @Test("counts workers by the cores, or as it is told")
    func workers() throws {
        #expect(Configuration.WorkerCount.automatic.count(cores: 1) == 1)
        #expect(Configuration.WorkerCount.automatic.count(cores: 8) == 7)
        let three = try ConfigurationReader.read(text: "media:\n  workers: 3\n", file: "f")
        #expect(three.media.workers == .exactly(3))
        #expect(three.media.udpPorts == 7882...7884)
        #expect(try ConfigurationReader.read(text: nil, file: "f", overrides: ["media.workers=3"]) == three)
    }

    @Test("tells all its faults at once, in the order of the file")
    func all() {
        let found = findings("server:\n  prot: 1\n  port: x\nlog:\n  level: loud\n", ["media.udpPort=0"])
        #expect(found.count == 4)
        #expect(found.map { String($0.prefix(8)) } == ["c.yaml:2", "c.yaml:3", "c.yaml:5", "--set me"])
    }

    @Test("on the command line is told as such")
    func overrides() throws {
        #expect(findings("", ["server.port"]).first?.contains("give key=value") == true)
        #expect(findings("", ["a.b=1"]).first?.contains("there is no setting a.b") == true)
        #expect(findings("", ["server.port=x"]).first?.contains("give a whole number") == true)
        let read = try ConfigurationReader.read(
            text: "server:\n  port: 1000\n", file: "f",
            overrides: [
                "server.port=2000", "server.compression=true", "server.allowedOrigins=https://a.b, https://c.d",
            ])
        #expect(read.server.port == 2000)
        #expect(read.server.compression)
        #expect(read.server.allowedOrigins == ["https://a.b", "https://c.d"])
    }

    @Test("with a secret or key that others can read does not start")
    func worldReadable() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("secret-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(
            FileManager.default.createFile(
                atPath: path, contents: Data("x".utf8), attributes: [.posixPermissions: 0o644]))
        let found = findings("access:\n  secretFile: \(path)\n")
        #expect(found.first == "c.yaml:2: \(path) can be read by others; run: chmod 600 \(path)")
    }

    @Test("addresses that stay on this machine may go without TLS", arguments: ["127.0.0.1", "127.8.8.8", "::1"])
    func loopback(address: String) {
        #expect(findings("server:\n  address: \"\(address)\"\n").isEmpty)
    }
}
