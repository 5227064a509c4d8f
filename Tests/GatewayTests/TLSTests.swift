// HTTPS with the certificate of the first start, over HTTP/1.1 and HTTP/2, as curl sees it.
import Foundation
import Gateway
import Testing

private let curl = "/usr/bin/curl"

@Suite("HTTPS", .enabled(if: FileManager.default.isExecutableFile(atPath: curl), "curl is not installed"))
struct TLSTests {
    private func run(_ arguments: [String]) async throws -> (text: String, status: Int32) {
        try await blocking {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: curl)
            process.arguments = ["--silent", "--show-error", "--max-time", "10"] + arguments
            let output = Pipe()
            process.standardOutput = output
            process.standardError = output
            try process.run()
            let data = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return (String(decoding: data, as: UTF8.self), process.terminationStatus)
        }
    }

    @Test("works with the self-signed certificate, which is private and made once")
    func selfSigned() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("tls-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let certificate = directory + "/certificate.pem"
        let key = directory + "/key.pem"
        #expect(
            try ServerCertificate.makeIfMissing(
                certificate: certificate, privateKey: key, addresses: ["127.0.0.1", "::1"]))
        #expect(
            try !ServerCertificate.makeIfMissing(certificate: certificate, privateKey: key, addresses: ["127.0.0.1"]))
        let attributes = try FileManager.default.attributesOfItem(atPath: key)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let summary = try ServerCertificate.inspect(certificate: certificate, privateKey: key)
        #expect(summary.fitsKey)
        #expect(summary.daysLeft > 390)

        let big = [UInt8](repeating: UInt8(ascii: "b"), count: 1_000_000)
        try await HTTPServerTests.withServer({ $0.tls = TLSFiles(certificate: certificate, privateKey: key) }) {
            router in
            router.on(.get, "/big") { _ in HTTPResponse(status: 200, body: .bytes(big)) }
        } _: { port, _ in
            for version in ["--http1.1", "--http2"] {
                let base = ["--cacert", certificate, version]
                for host in ["localhost", "127.0.0.1"] {
                    let answer = try await run(
                        base + ["--write-out", " %{http_version} %{http_code}", "https://\(host):\(port)/hello/tls"])
                    #expect(answer.text == "Hello tls - \(version == "--http2" ? "2" : "1.1") 200")
                }
                let large = try await run(base + ["https://localhost:\(port)/big"])
                #expect(large.text.utf8.count == big.count)
                let posted = try await run(
                    base + [
                        "--data-binary", String(repeating: "p", count: 150_000).prefix(100_000).description,
                        "https://localhost:\(port)/echo",
                    ])
                #expect(posted.text.utf8.count == 100_000)
                let head = try await run(base + ["--head", "https://localhost:\(port)/big"])
                #expect(head.text.contains("content-length: 1000000"))
                let many = try await run(
                    base + ["--parallel"] + (0..<20).flatMap { ["https://localhost:\(port)/hello/\($0)"] })
                #expect((0..<20).allSatisfy { many.text.contains("Hello \($0) -") })
                let tooLarge = try await run(
                    base + [
                        "--write-out", "%{http_code}", "--header", "Content-Length: 300000", "--data-binary", "x",
                        "https://localhost:\(port)/echo",
                    ])
                #expect(tooLarge.text.contains("413"))
            }
            let old = try await run(["--cacert", certificate, "--tls-max", "1.1", "https://localhost:\(port)/hello/x"])
            #expect(old.status != 0)
        }
    }
}
