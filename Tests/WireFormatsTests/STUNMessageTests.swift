// STUN messages against RFC 5769, damaged variants, round trips and random bytes.
import Foundation
import Testing

@testable import WireFormats

@Suite("STUN messages") struct STUNMessageTests {
    private static let vectors = STUNVectors.load()

    @Test("RFC 5769's messages parse, and their integrity and fingerprint are right")
    func rfc5769() throws {
        guard let vectors = Self.vectors else { return print("skipped: no crypto/stun.json in CONSILIUM_TEST_DATA") }
        for name in ["rfc5769-request", "rfc5769-response-ipv4", "rfc5769-response-ipv6", "rfc5769-long-term"] {
            let vector = try #require(vectors.messages[name])
            try vector.bytes.withUnsafeBytes { datagram in
                let message = try STUNMessage(parsing: datagram)
                #expect(message.transactionID == .init(datagram: datagram))
                if name == "rfc5769-long-term" {
                    // The long-term key is MD5 over "user:realm:password", computed with md5sum.
                    #expect(message.integrityOffset != nil)
                    #expect(message.fingerprintOffset == nil)
                } else {
                    #expect(message.hasValidIntegrity(in: datagram, key: HMACSHA1(key: vector.password)))
                    #expect(!message.hasValidIntegrity(in: datagram, key: HMACSHA1(key: vector.password + "x")))
                    #expect(message.hasValidFingerprint(in: datagram))
                }
            }
        }
    }

    @Test("RFC 5769's request says who checks whom, with which priority and role")
    func rfc5769Request() throws {
        guard let bytes = Self.vectors?.messages["rfc5769-request"]?.bytes else { return }
        try bytes.withUnsafeBytes { datagram in
            let message = try STUNMessage(parsing: datagram)
            #expect(message.messageClass == .request)
            #expect(message.method == STUN.bindingMethod)
            #expect(message.priority == 0x6E00_01FF)
            #expect(message.iceControlled == 0x932F_F9B1_5126_3B36)
            #expect(message.iceControlling == nil)
            #expect(!message.useCandidate)
            #expect(message.username.map { String(decoding: datagram[$0], as: UTF8.self) } == "evtj:h6vY")
            #expect(message.software.map { String(decoding: datagram[$0], as: UTF8.self) } == "STUN test client")
            #expect(STUN.localUfrag(of: datagram).map { String(decoding: $0, as: UTF8.self) } == "evtj")
        }
    }

    @Test(
        "RFC 5769's responses report the mapped address",
        arguments: [
            ("rfc5769-response-ipv4", TransportAddress(ipv4: 0xC000_0201, port: 32853)),
            (
                "rfc5769-response-ipv6",
                TransportAddress(ipv6High: 0x2001_0DB8_1234_5678, low: 0x0011_2233_4455_6677, port: 32853)
            ),
        ])
    func rfc5769Responses(name: String, address: TransportAddress) throws {
        guard let bytes = Self.vectors?.messages[name]?.bytes else { return }
        let message = try bytes.withUnsafeBytes { try STUNMessage(parsing: $0) }
        #expect(message.messageClass == .success)
        #expect(message.xorMappedAddress == address)
    }

    @Test("damaged messages are refused by the parser, by the integrity or by the fingerprint")
    func damaged() throws {
        guard let vectors = Self.vectors else { return }
        let password = try #require(vectors.messages["rfc5769-request"]?.password)
        for (name, bytes) in vectors.damaged {
            bytes.withUnsafeBytes { datagram in
                let message = try? STUNMessage(parsing: datagram)
                switch name {
                case "bad-integrity", "integrity-not-20":
                    #expect(message?.hasValidIntegrity(in: datagram, key: HMACSHA1(key: password)) != true)
                case "bad-fingerprint":
                    #expect(message?.hasValidFingerprint(in: datagram) == false)
                default:
                    #expect(message == nil, "\(name) was parsed")
                }
            }
        }
    }

    @Test("what the builder writes, the parser reads")
    func roundTrip() throws {
        let key = HMACSHA1(key: "a password")
        let transaction = STUN.TransactionID(high: 0x0102_0304, low: 0x0506_0708_090A_0B0C)
        var builder = STUNBuilder(.request, transactionID: transaction)
        builder.add(username: "serverfrag:client")
        builder.add(software: "consilium")
        builder.add(priority: 0x7F00_00FF)
        builder.add(iceControlling: 0xFEDC_BA98_7654_3210)
        builder.addUseCandidate()
        builder.addAttribute(0x7FFF, [1, 2, 3])
        builder.addIntegrity(key: key)
        builder.addFingerprint()
        let bytes = builder.finish()
        try bytes.withUnsafeBytes { datagram in
            let message = try STUNMessage(parsing: datagram)
            #expect(message.transactionID == transaction)
            #expect(message.priority == 0x7F00_00FF)
            #expect(message.iceControlling == 0xFEDC_BA98_7654_3210)
            #expect(message.useCandidate)
            #expect(message.unknownRequired == [0x7FFF])
            #expect(message.hasValidIntegrity(in: datagram, key: key))
            #expect(message.hasValidFingerprint(in: datagram))
            #expect(STUN.localUfrag(of: datagram).map { String(decoding: $0, as: UTF8.self) } == "serverfrag")
            #expect(DatagramKind.classify(datagram) == .stun)
        }
    }

    @Test(
        "errors carry their number, their words and what was not understood",
        arguments: [STUN.ErrorCode.badRequest, .unauthenticated, .unknownAttribute, .roleConflict])
    func errors(code: STUN.ErrorCode) throws {
        var builder = STUNBuilder(.failure, transactionID: .init(high: 1, low: 2))
        builder.add(errorCode: code)
        builder.add(unknownAttributes: [0x7001, 0x7002, 0x7003])
        let message = try builder.finish().withUnsafeBytes { try STUNMessage(parsing: $0) }
        #expect(message.messageClass == .failure)
        #expect(message.errorCode == code)
        #expect(message.unknownAttributes == [0x7001, 0x7002, 0x7003])
    }

    @Test("every class and method survives the interleaving of their bits")
    func types() throws {
        for messageClass in [STUN.MessageClass.request, .indication, .success, .failure] {
            for method in [UInt16(1), 0x00F, 0x010, 0x080, 0xFFF] {
                let bytes = STUNBuilder(messageClass, method: method, transactionID: .init(high: 0, low: 0)).finish()
                let message = try bytes.withUnsafeBytes { try STUNMessage(parsing: $0) }
                #expect(message.messageClass == messageClass)
                #expect(message.method == method)
            }
        }
    }

    @Test("an attribute behind the integrity does not count")
    func behindIntegrity() throws {
        var builder = STUNBuilder(.request, transactionID: .init(high: 0, low: 0))
        builder.add(username: "a:b")
        builder.addIntegrity(key: HMACSHA1(key: "p"))
        builder.addUseCandidate()
        builder.addFingerprint()
        let message = try builder.finish().withUnsafeBytes { try STUNMessage(parsing: $0) }
        #expect(!message.useCandidate)
    }

    @Test("first bytes tell STUN, DTLS, RTP and RTCP apart")
    func classification() {
        func kind(_ bytes: [UInt8]) -> DatagramKind { bytes.withUnsafeBytes { DatagramKind.classify($0) } }
        #expect(kind([]) == .unknown)
        #expect(kind([0x80]) == .unknown)
        #expect(kind([0, 1]) == .stun)
        #expect(kind([22, 254]) == .dtls)
        #expect(kind([63, 254]) == .dtls)
        #expect(kind([64, 0]) == .unknown)
        #expect(kind([0x80, 96]) == .rtp)
        #expect(kind([0x80, 96 | 0x80]) == .rtp)
        #expect(kind([0x80, 200]) == .rtcp)
        #expect(kind([0x81, 206]) == .rtcp)
        #expect(kind([0xBF, 223]) == .rtcp)
        #expect(kind([0xC0, 0]) == .unknown)
    }

    @Test("random and mutated bytes never trap")
    func fuzz() {
        let seed: UInt64 = 0x5EED_0001
        var random = SplitMix(state: seed)
        let base = Self.vectors?.messages["rfc5769-request"]?.bytes ?? [UInt8](repeating: 0, count: 40)
        for _ in 0..<100_000 {
            var bytes = base
            switch random.next() % 3 {
            case 0:
                bytes = (0..<Int(random.next() % 80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            case 1:
                for _ in 0...random.next() % 4 {
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                }
            default:
                bytes = Array(bytes.prefix(Int(random.next() % UInt64(bytes.count + 1))))
            }
            bytes.withUnsafeBytes { datagram in
                _ = STUN.localUfrag(of: datagram)
                if let message = try? STUNMessage(parsing: datagram) {
                    _ = message.hasValidFingerprint(in: datagram)
                }
            }
        }
    }
}

@Suite("HMAC-SHA1 and CRC-32") struct STUNHashTests {
    @Test(
        "RFC 2202's cases",
        arguments: [
            ([UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8), "b617318655057264e28bc0b6fb378c8ef146be00"),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
            ),
            (
                [UInt8](repeating: 0xAA, count: 20), [UInt8](repeating: 0xDD, count: 50),
                "125d7342b9ac11cd91a39af48aa17b4f63f175d3"
            ),
            (
                (1...25).map { UInt8($0) }, [UInt8](repeating: 0xCD, count: 50),
                "4c9007f4026250c6bc8414f9bf50c86c2d7235da"
            ),
            (
                [UInt8](repeating: 0x0C, count: 20), Array("Test With Truncation".utf8),
                "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"
            ),
            (
                [UInt8](repeating: 0xAA, count: 80),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "aa4ae5e15272d00e95705637ce8a3b55ed402112"
            ),
            (
                [UInt8](repeating: 0xAA, count: 80),
                Array("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data".utf8),
                "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"
            ),
        ])
    func rfc2202(key: [UInt8], data: [UInt8], expected: String) {
        let hmac = key.withUnsafeBytes { HMACSHA1(key: $0) }
        let code = data.withUnsafeBytes { hmac.code($0) }
        #expect(code == Array(hex: expected))
        // The same in two parts, as STUN needs it.
        data.withUnsafeBytes { bytes in
            let first = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)])
            let second = UnsafeRawBufferPointer(rebasing: bytes[(bytes.count / 2)...])
            #expect(code.withUnsafeBytes { hmac.isValid($0, for: first, second) })
        }
    }

    @Test("the check value of CRC-32")
    func crc() {
        #expect(Array("123456789".utf8).withUnsafeBytes { CRC32.checksum($0) } == 0xCBF4_3926)
    }
}

// MARK: Fixtures

private struct STUNVectors {
    let messages: [String: (bytes: [UInt8], password: String)]
    let damaged: [String: [UInt8]]

    static func load() -> STUNVectors? {
        let folder = ProcessInfo.processInfo.environment["CONSILIUM_TEST_DATA"] ?? "../shared"
        let url = URL(fileURLWithPath: folder).appendingPathComponent("vectors/crypto/stun.json")
        guard let data = try? Data(contentsOf: url),
            let json = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { return nil }
        var messages: [String: (bytes: [UInt8], password: String)] = [:]
        for (name, value) in json where name != "damaged" {
            guard let value = value as? [String: Any], let hex = value["hex"] as? String else { continue }
            messages[name] = (Array(hex: hex), value["password"] as? String ?? "")
        }
        let damaged = (json["damaged"] as? [String: String] ?? [:]).mapValues { Array<UInt8>(hex: $0) }
        return STUNVectors(messages: messages, damaged: damaged)
    }
}

extension STUN.TransactionID {
    fileprivate init(datagram: UnsafeRawBufferPointer) {
        self.init(high: datagram.bigEndianUInt32(at: 8), low: datagram.bigEndianUInt64(at: 12))
    }
}

extension [UInt8] {
    fileprivate init(hex: String) {
        let digits = hex.compactMap { $0.hexDigitValue }
        self = stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}

/// A small seeded generator, so that a failing case can be had again.
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
