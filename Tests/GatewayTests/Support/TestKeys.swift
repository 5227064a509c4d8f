// Keys and signatures for tests, made by the openssl command so that the verifier is held to another implementation.
import Foundation
import Gateway

enum TestCryptography {
    /// HMAC-SHA-256 by RFC 2104 over `openssl dgst`.
    static func hmacSHA256(_ key: [UInt8], _ message: [UInt8]) -> [UInt8]? {
        let hex = key.map { String(format: "%02x", $0) }.joined()
        return try? TestKeys.openssl(
            ["dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:\(hex)", "-binary"], message)
    }
}

enum TestKeys {
    private struct Files {
        var p256: String
        var rsa: String
        var p256Point: [UInt8]
        var rsaModulus: [UInt8]
    }

    private static let files: Files = {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("keys-\(UUID().uuidString)").path
        try! FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let (p256, rsa) = (directory + "/p256.pem", directory + "/rsa.pem")
        _ = try! openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", p256], [])
        _ = try! openssl(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", rsa], [])
        let p256DER = try! openssl(["pkey", "-in", p256, "-pubout", "-outform", "DER"], [])
        let modulus = String(decoding: try! openssl(["rsa", "-in", rsa, "-modulus", "-noout"], []), as: UTF8.self)
        let digits = Array(modulus.split(separator: "=")[1].utf8.filter { $0 > 0x20 })
        let bytes = stride(from: 0, to: digits.count, by: 2).map {
            UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)!
        }
        return Files(p256: p256, rsa: rsa, p256Point: Array(p256DER.suffix(64)), rsaModulus: bytes)
    }()

    static func openssl(_ arguments: [String], _ input: [UInt8]) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        let (stdin, stdout) = (Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        process.standardError = FileHandle.nullDevice
        try process.run()
        stdin.fileHandleForWriting.write(Data(input))
        try stdin.fileHandleForWriting.close()
        let output = stdout.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Array(output)
    }

    static func jwks(p256Only: Bool = false) -> String {
        let point = files.p256Point
        let ec = """
            {"kty":"EC","crv":"P-256","kid":"ec-1","use":"sig","alg":"ES256",\
            "x":"\(Base64URL.encode(point[..<32]))","y":"\(Base64URL.encode(point[32...]))"}
            """
        let rsa = #"{"kty":"RSA","kid":"rsa-1","n":"\#(Base64URL.encode(files.rsaModulus))","e":"AQAB"}"#
        return #"{"keys":[\#(p256Only ? ec : ec + "," + rsa)]}"#
    }

    static func token(algorithm: String, payload: String, identifier: String? = nil) throws -> String {
        let isElliptic = algorithm == "ES256"
        let kid = identifier ?? (isElliptic ? "ec-1" : "rsa-1")
        let header = #"{"alg":"\#(algorithm)","kid":"\#(kid)"}"#
        let message = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(payload.utf8))
        let key = isElliptic ? files.p256 : files.rsa
        var signature = try openssl(["dgst", "-sha256", "-sign", key], Array(message.utf8))
        if isElliptic { signature = rawSignature(fromDER: signature) }
        return message + "." + Base64URL.encode(signature)
    }

    private static func rawSignature(fromDER der: [UInt8]) -> [UInt8] {
        var position = 2
        func integer() -> [UInt8] {
            let length = Int(der[position + 1])
            let digits = der[(position + 2)..<(position + 2 + length)].drop { $0 == 0 }
            position += 2 + length
            return [UInt8](repeating: 0, count: 32 - digits.count) + digits
        }
        return integer() + integer()
    }
}
