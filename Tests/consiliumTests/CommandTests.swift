// The command line's own small rules.
import ArgumentParser
import Foundation
import Gateway
import Testing

@testable import consilium

@Suite("The command line") struct CommandTests {
    @Test(
        "reads times to live",
        arguments: [
            ("45m", 2700), ("8h", 28800), ("7d", 604_800), ("10s", 10), ("0h", 0), ("8", nil), ("h", nil), ("-1h", nil),
            ("1.5h", nil), ("8w", nil), ("", nil), ("99999999999h", nil),
        ] as [(String, Int64?)])
    func timeToLive(text: String, seconds: Int64?) { #expect(Token.seconds(text) == seconds) }

    @Test("has help for every command")
    func help() {
        for name in ["serve", "token", "recordings", "doctor"] {
            #expect(Consilium.helpMessage().contains(name))
        }
        #expect(Serve.helpMessage().contains("--config"))
        #expect(Token.helpMessage().contains("--ttl"))
    }

    @Test("prints links that lead to the server from outside")
    func links() {
        var configuration = Configuration()
        #expect(configuration.baseURL(port: 8080) == "http://localhost:8080")
        configuration.server.tls = .selfSigned
        configuration.server.address = "2001:db8::7"
        #expect(configuration.baseURL(port: 443) == "https://[2001:db8::7]:443")
        configuration.server.publicURL = "https://consilium.example.org/"
        #expect(configuration.baseURL(port: 443) == "https://consilium.example.org")
    }

    @Test("keeps a second process out of a folder of recordings")
    func folderLock() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lock-\(UUID().uuidString)/a/b").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var first: FolderLock? = try FolderLock(folder: folder)
        #expect(throws: FolderLock.Fault.self) { try FolderLock(folder: folder) }
        withExtendedLifetime(first) {}
        first = nil
        #expect(throws: Never.self) { try FolderLock(folder: folder) }
    }
}
