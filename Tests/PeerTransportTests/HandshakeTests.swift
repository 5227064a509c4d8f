// DTLS handshakes between two transports: loss, reordering, roles, certificates, fragments and refusals.
import Foundation
import Testing
import WireFormats

@testable import PeerTransport

@Suite("DTLS handshake") struct HandshakeTests {
    @Test("two peers connect, in either role", arguments: [DTLSRole.passive, .active])
    func connects(role: DTLSRole) throws {
        let call = try TestCall(serverRole: role)
        #expect(call.run(until: 5 * second) { $0.isConnected })
        #expect(call.server.transport.profile == .aes128GCM)
        #expect(call.client.transport.profile == .aes128GCM)
        #expect(call.server.received.contains(.pathSelected(1)))
        #expect(call.now < 200 * millisecond, "took \(call.now / millisecond) ms over a 20 ms round trip")
    }

    @Test("RSA-2048 and P-224 peers are accepted as well as P-256", arguments: [0, 1, 2])
    func certificates(kind: Int) throws {
        let certificate = [TestCall.ecdsa, TestCall.rsa, TestCall.p224][kind]
        for role in [DTLSRole.passive, .active] {
            let call = try TestCall(serverRole: role, clientCertificate: certificate)
            #expect(call.run(until: 5 * second) { $0.isConnected }, "client certificate \(kind), server \(role)")
        }
    }

    @Test("the server's order of profiles decides", arguments: SRTPProfile.allCases)
    func profiles(profile: SRTPProfile) throws {
        let call = try TestCall(adjust: { $0.profiles = [profile] })
        #expect(call.run(until: 5 * second) { $0.isConnected })
        #expect(call.server.transport.profile == profile)
    }

    @Test("peers without a common profile do not connect")
    func noProfile() throws {
        let call = try TestCall(
            adjust: { $0.profiles = [.aes128GCM] }, adjustClient: { $0.profiles = [.aes128CMSHA1] })
        call.run(until: 2 * second) { $0.server.transport.state == .failed(.noSRTPProfile) }
        #expect(call.server.transport.state == .failed(.noSRTPProfile))
    }

    @Test(
        "handshakes survive loss and reordering",
        arguments: [0.0, 0.1, 0.2, 0.3], [DTLSRole.passive, .active])
    func loss(loss: Double, role: DTLSRole) throws {
        var slowest: UInt64 = 0
        for seed in UInt64(1)...25 {
            let call = try TestCall(seed: seed, serverRole: role)
            call.loss = loss
            call.jitter = 30 * millisecond
            #expect(call.run(until: 30 * second) { $0.isConnected }, "seed \(seed): \(call.server.transport.state)")
            slowest = max(slowest, call.now)
        }
        print("loss \(loss), server \(role): slowest of 25 handshakes \(slowest / millisecond) ms")
    }

    @Test("no datagram is larger than the MTU", arguments: [300, 600, 1200])
    func mtu(mtu: Int) throws {
        let call = try TestCall(serverCertificate: TestCall.rsa, adjust: { $0.mtu = mtu })
        #expect(call.run(until: 5 * second) { $0.isConnected })
        #expect(call.largestDatagram <= mtu)
    }

    @Test(
        "a certificate that was not promised is refused, by server and client", arguments: [DTLSRole.passive, .active])
    func wrongFingerprint(role: DTLSRole) throws {
        let call = try TestCall(
            serverRole: role,
            adjust: {
                if $0.local == TestCall.serverCredentials { $0.remoteFingerprint = TestCall.rsa.fingerprint }
            })
        call.run(until: 5 * second) { $0.server.transport.state == .failed(.fingerprintMismatch) }
        #expect(call.server.transport.state == .failed(.fingerprintMismatch))
        #expect(call.server.transport.profile == nil)
        let slot = call.server.addSendStream(ssrc: 1)
        let packet = rtp(ssrc: 1, sequence: 1, payload: [1, 2, 3])
        #expect(call.server.protect(slot: slot, packet, headerLength: 12) == nil)
        #expect(call.server.unprotect(packet + [UInt8](repeating: 0, count: 16)) == .failure(.notReady))
        // The peer hears of it by an alert.
        call.run(until: call.now + second)
        #expect(call.client.transport.state != .connected)
    }

    @Test("fingerprints other than of sha-256, sha-384 and sha-512 with their lengths are not taken")
    func fingerprints() {
        #expect(CertificateFingerprint(algorithm: "sha-1", bytes: [UInt8](repeating: 0, count: 20)) == nil)
        #expect(CertificateFingerprint(algorithm: "sha-256", bytes: [UInt8](repeating: 0, count: 31)) == nil)
        #expect(CertificateFingerprint(algorithm: "SHA-256", bytes: [UInt8](repeating: 0, count: 32)) != nil)
    }

    @Test("a ClientHello split anywhere, reordered, duplicated and split anew on retry still connects")
    func splitClientHello() throws {
        for seed in UInt64(1)...60 {
            let call = try TestCall(seed: seed)
            call.loss = 0.15
            call.jitter = 40 * millisecond
            var record: UInt64 = 0
            call.mangle = { bytes, random in
                guard let hello = HandshakeMessage(clientHelloIn: bytes) else { return [bytes] }
                return hello.split(into: Int.random(in: 1...6, using: &random), record: &record, random: &random)
            }
            #expect(call.run(until: 30 * second) { $0.isConnected }, "seed \(seed): \(call.server.transport.state)")
        }
    }

    @Test("Chromium's first flight, in any order and split anew, is answered with a ServerHello")
    func chromium() throws {
        guard let flight = TestData.chromiumFlight() else {
            return print("skipped: no dtls/chromium156.json in CONSILIUM_TEST_DATA")
        }
        let message = try #require(HandshakeMessage(fragments: flight))
        #expect(message.body.count == 1413)
        for seed in UInt64(0)...40 {
            var random = SplitMix(seed: seed)
            let call = try TestCall()
            call.server.receive(
                now: 0, check(to: TestCall.serverCredentials, from: TestCall.clientCredentials, transaction: 1))
            _ = call.server.drain()
            var datagrams = flight
            switch seed {
            case 0: break
            case 1: datagrams.reverse()
            case 2: datagrams = [flight[1], flight[1], flight[0]]
            default:
                // The first try loses half of its parts, the second is cut elsewhere.
                var record: UInt64 = 0
                let first = message.split(into: 5, record: &record, random: &random).shuffled(using: &random)
                datagrams = first.prefix(3) + message.split(into: 4, record: &record, random: &random)
            }
            for datagram in datagrams { call.server.receive(now: 1, datagram) }
            let answer = call.server.drain().map(\.bytes)
            let first = try #require(answer.first, "seed \(seed): no answer")
            #expect(first[0] == 22 && first[13] == 2, "seed \(seed): not a ServerHello")
            #expect(call.server.transport.state == .connecting)
        }
    }

    @Test("the first retransmission comes after 50 to 100 ms and the next ones take twice as long each")
    func retransmission() throws {
        let call = try TestCall(serverRole: .active)
        call.server.receive(
            now: 0, check(to: TestCall.serverCredentials, from: TestCall.clientCredentials, transaction: 1))
        #expect(call.server.drain().count == 2)
        var times: [UInt64] = []
        for _ in 0..<5 {
            let deadline = call.server.transport.nextDeadline
            call.server.transport.handleTimeout(now: deadline)
            #expect(call.server.drain().map { $0.bytes[0] } == [22])
            times.append(deadline)
        }
        let gaps = zip([0] + times, times).map { ($1 - $0) / millisecond }
        #expect(gaps == [50, 100, 200, 400, 800])
    }

    @Test("a peer that never answers the handshake fails it in time")
    func handshakeTimeout() throws {
        let call = try TestCall(serverRole: .active, adjust: { $0.handshakeTimeout = 5 * second })
        call.server.receive(
            now: 0, check(to: TestCall.serverCredentials, from: TestCall.clientCredentials, transaction: 1))
        var now: UInt64 = 0
        while call.server.transport.nextDeadline != .max {
            now = call.server.transport.nextDeadline
            call.server.transport.handleTimeout(now: now)
        }
        #expect(call.server.transport.state == .failed(.handshakeTimeout))
        #expect(now == 5 * second)
    }

    @Test("closing says goodbye and the other side hears it")
    func closeNotify() throws {
        let call = try TestCall()
        #expect(call.run(until: 5 * second) { $0.isConnected })
        call.client.transport.close()
        #expect(call.client.transport.state == .closed)
        call.send()
        call.run(until: call.now + second) { $0.server.transport.state == .closed }
        #expect(call.server.transport.state == .closed)
        #expect(call.server.transport.nextDeadline == .max)
    }

    @Test("DTLS from an address without a valid check is not looked at")
    func unknownPath() throws {
        let call = try TestCall()
        let hello: [UInt8] = [22, 254, 255] + [UInt8](repeating: 0, count: 60)
        #expect(call.server.receive(now: 0, hello, path: 9) == .dropped(.unknownPath))
        #expect(call.server.drain().isEmpty)
    }

    @Test("random and mutated datagrams never trap and never connect")
    func fuzz() throws {
        var random = SplitMix(seed: 0x5EED_0002)
        let request = check(to: TestCall.serverCredentials, from: TestCall.clientCredentials, transaction: 1)
        let flight = TestData.chromiumFlight() ?? [[22, 254, 255] + [UInt8](repeating: 0, count: 100)]
        var call = try TestCall()
        for round in 0..<100_000 {
            if round % 500 == 0 {
                call = try TestCall()
                call.server.receive(now: 0, request)
            }
            var bytes: [UInt8]
            switch random.next() % 4 {
            case 0: bytes = (0..<Int(random.next() % 120)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            case 1: bytes = request
            default: bytes = flight[Int(random.next() % UInt64(flight.count))]
            }
            if random.next() % 3 == 0 { bytes = Array(bytes.prefix(Int(random.next() % UInt64(bytes.count + 1)))) }
            if !bytes.isEmpty {
                for _ in 0..<random.next() % 4 {
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                }
            }
            call.server.receive(now: UInt64(round), bytes, path: PathID(random.next() % 3))
            bytes.withUnsafeMutableBytes {
                _ = call.server.transport.unprotectRTP($0)
                _ = call.server.transport.unprotectRTCP($0)
            }
            call.server.received.removeAll()
            _ = call.server.drain()
            #expect(call.server.transport.state != .connected)
        }
    }
}

/// A DTLS handshake message, put together from fragments and cut up again.
struct HandshakeMessage {
    let body: [UInt8]

    /// The ClientHello when `datagram` is one record with one whole ClientHello and nothing else.
    init?(clientHelloIn datagram: [UInt8]) {
        guard datagram.count > 25, datagram[0] == 22, datagram[3] == 0, datagram[4] == 0, datagram[13] == 1 else {
            return nil
        }
        self.init(fragments: [datagram])
    }

    init?(fragments: [[UInt8]]) {
        guard let first = fragments.first, first.count > 25 else { return nil }
        func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
        var body = [UInt8](repeating: 0, count: number(first[14..<17]))
        for datagram in fragments {
            let offset = number(datagram[19..<22])
            let length = number(datagram[22..<25])
            guard datagram.count == 25 + length, offset + length <= body.count else { return nil }
            body.replaceSubrange(offset..<offset + length, with: datagram[25...])
        }
        self.body = body
    }

    /// Records of one fragment each, at random cuts, in random order, one of them twice.
    func split(into parts: Int, record: inout UInt64, random: inout SplitMix) -> [[UInt8]] {
        let cuts = [0] + (1..<parts).map { _ in Int.random(in: 1..<body.count, using: &random) }.sorted() + [body.count]
        var datagrams: [[UInt8]] = []
        for (start, end) in zip(cuts, cuts.dropFirst()) where start < end {
            func bytes(_ value: Int, _ count: Int) -> [UInt8] {
                (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * (count - 1 - $0))) }
            }
            let header = [UInt8(1)] + bytes(body.count, 3) + [0, 0] + bytes(start, 3) + bytes(end - start, 3)
            let content = header + body[start..<end]
            datagrams.append([22, 254, 255, 0, 0] + bytes(Int(record), 6) + bytes(content.count, 2) + content)
            record += 1
        }
        datagrams.shuffle(using: &random)
        return datagrams + datagrams.prefix(1)
    }
}

enum TestData {
    static func json(_ name: String) -> [String: Any]? {
        let folder = ProcessInfo.processInfo.environment["CONSILIUM_TEST_DATA"] ?? "../shared"
        let url = URL(fileURLWithPath: folder).appendingPathComponent("vectors/\(name)")
        guard let data = try? Data(contentsOf: url) else { return nil }
        return try? JSONSerialization.jsonObject(with: data) as? [String: Any]
    }

    /// The two datagrams of Chromium's ClientHello.
    static func chromiumFlight() -> [[UInt8]]? {
        guard let datagrams = json("dtls/chromium156.json")?["datagrams"] as? [[Any]], datagrams.count >= 2 else {
            return nil
        }
        return datagrams.prefix(2).compactMap { ($0.last as? String).map { Array(hex: $0) } }
    }
}
