// Where the recorded vectors lie, and readers for them; tests say what they skipped when there are none.

import Foundation
import WireFormats

enum TestData {
    /// The folder `vectors` of the shared test data; nil when it isn't there.
    static let vectors: URL? = {
        let given = ProcessInfo.processInfo.environment["CONSILIUM_TEST_DATA"].map { URL(filePath: $0) }
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder = (given ?? root.deletingLastPathComponent().appending(path: "shared")).appending(path: "vectors")
        return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
    }()

    static func files(in name: String, suffix: String) -> [URL] {
        guard let vectors else {
            print("skipped: no recorded vectors (\(name)); set CONSILIUM_TEST_DATA")
            return []
        }
        let folder = vectors.appending(path: name)
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        return files.filter { $0.lastPathComponent.hasSuffix(suffix) }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
    }

    static func text(_ url: URL) throws -> String { try String(contentsOf: url, encoding: .utf8) }

    /// Session descriptions by name: those recorded alone and those beside RTP recordings.
    static func offers() throws -> [(name: String, text: String)] {
        var offers = try files(in: "sdp", suffix: ".sdp").filter { $0.lastPathComponent.contains("offer") }
            .map { ($0.lastPathComponent, try text($0)) }
        for url in files(in: "rtp", suffix: ".json") {
            if let offer = try object(url)["offer"] as? String { offers.append((url.lastPathComponent, offer)) }
        }
        return offers
    }

    static func object(_ url: URL) throws -> [String: Any] {
        try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any] ?? [:]
    }
}

/// The UDP payloads of a raw-IP capture.
struct Capture {
    struct Datagram {
        var port: UInt16
        var bytes: [UInt8]
    }

    var datagrams: [Datagram] = []

    init(_ url: URL) throws {
        let file = try [UInt8](Data(contentsOf: url))
        func little32(_ offset: Int) -> Int {
            Int(file[offset]) | Int(file[offset + 1]) << 8 | Int(file[offset + 2]) << 16 | Int(file[offset + 3]) << 24
        }
        var position = 24
        while position + 16 <= file.count {
            let length = little32(position + 8)
            let packet = Array(file[(position + 16)..<(position + 16 + length)])
            position += 16 + length
            let header = packet[0] >> 4 == 4 ? Int(packet[0] & 0x0F) * 4 : 40
            let port = UInt16(packet[header + 2]) << 8 | UInt16(packet[header + 3])
            datagrams.append(Datagram(port: port, bytes: Array(packet[(header + 8)...])))
        }
    }

    var rtcp: [[UInt8]] { datagrams.filter { $0.port == 5005 }.map(\.bytes) }
    var rtp: [[UInt8]] { datagrams.filter { $0.port == 5004 }.map(\.bytes) }
}

/// As little of RTP as a test of payloads needs.
struct TestPacket {
    var payloadType: UInt8
    var ssrc: UInt32
    var sequence: UInt16
    var timestamp: UInt32
    var marker: Bool
    var payload: [UInt8]

    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 12, bytes[0] >> 6 == 2 else { return nil }
        var start = 12 + Int(bytes[0] & 0x0F) * 4
        if bytes[0] & 0x10 != 0 {
            guard bytes.count >= start + 4 else { return nil }
            start += 4 + (Int(bytes[start + 2]) << 8 | Int(bytes[start + 3])) * 4
        }
        let padding = bytes[0] & 0x20 != 0 ? Int(bytes[bytes.count - 1]) : 0
        guard start + padding <= bytes.count else { return nil }
        payloadType = bytes[1] & 0x7F
        marker = bytes[1] & 0x80 != 0
        sequence = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        timestamp = bytes[4..<8].reduce(0) { $0 << 8 | UInt32($1) }
        ssrc = bytes[8..<12].reduce(0) { $0 << 8 | UInt32($1) }
        payload = Array(bytes[start..<(bytes.count - padding)])
    }
}

/// A small generator with a seed that tests print.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        // SplitMix64.
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

/// `"80 c9 00 01"` to bytes.
func hexadecimal(_ text: String) -> [UInt8] {
    let digits = text.filter(\.isHexDigit)
    return stride(from: 0, to: digits.count, by: 2).map { offset in
        let start = digits.index(digits.startIndex, offsetBy: offset)
        return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16) ?? 0
    }
}
