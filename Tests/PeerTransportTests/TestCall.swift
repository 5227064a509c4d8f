// Two transports and a lossy link between them in virtual time, seeded.
import WireFormats

@testable import PeerTransport

/// A small seeded generator, so that a failing run can be had again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

let millisecond: UInt64 = 1_000_000
let second: UInt64 = 1_000_000_000

extension TransportAddress {
    static func test(_ path: PathID) -> TransportAddress {
        TransportAddress(ipv4: 0x0A00_0000 | path, port: 40_000)
    }
}

final class TestPeer {
    var transport: PeerTransport
    let local: ICECredentials
    var remote: ICECredentials
    var received: [Received] = []

    init(configuration: PeerTransportConfiguration) throws {
        transport = try PeerTransport(now: 0, configuration: configuration)
        local = configuration.local
        remote = configuration.remote
    }

    @discardableResult
    func receive(now: UInt64, _ bytes: [UInt8], path: PathID = 1) -> Received {
        var bytes = bytes
        let result = bytes.withUnsafeMutableBytes {
            transport.receive(now: now, datagram: $0, from: path, address: .test(path))
        }
        received.append(result)
        return result
    }

    func drain() -> [(path: PathID, bytes: [UInt8])] {
        var all: [(path: PathID, bytes: [UInt8])] = []
        while let next = transport.nextTransmit() { all.append(next) }
        return all
    }
}

/// A connectivity check as the controlling agent sends it to the owner of `to`.
func check(
    to: ICECredentials, from: ICECredentials, transaction: UInt64, useCandidate: Bool = true,
    priority: UInt32 = 0x6E00_01FF, password: String? = nil, controlled: Bool = false, extra: [UInt16] = []
) -> [UInt8] {
    var builder = STUNBuilder(.request, transactionID: .init(high: 7, low: transaction))
    builder.add(username: "\(to.ufrag):\(from.ufrag)")
    builder.add(priority: priority)
    if controlled {
        builder.add(iceControlled: 42)
    } else {
        builder.add(iceControlling: 42)
    }
    if useCandidate { builder.addUseCandidate() }
    for type in extra { builder.addAttribute(type, [1, 2, 3, 4]) }
    builder.addIntegrity(key: HMACSHA1(key: password ?? to.password))
    builder.addFingerprint()
    return builder.finish()
}

/// Server and client with checks every 200 ms in both directions (the client plays a full agent towards the server,
/// and is a lite one itself so that it can be the same code).
final class TestCall {
    let server: TestPeer
    let client: TestPeer
    var now: UInt64 = 0
    var random: SplitMix
    var loss = 0.0
    var jitter: UInt64 = 0
    var delay: UInt64 = 10 * millisecond
    /// Changes what the client sends, datagram by datagram; may answer with several.
    var mangle: (([UInt8], inout SplitMix) -> [[UInt8]])?
    private var flying: [(at: UInt64, number: UInt64, toServer: Bool, bytes: [UInt8])] = []
    private var number: UInt64 = 0
    private var nextCheck: UInt64 = 0
    private(set) var largestDatagram = 0
    private(set) var datagrams = 0

    static let serverCredentials = ICECredentials(ufrag: "srvr", password: "a password of the server")
    static let clientCredentials = ICECredentials(ufrag: "clnt", password: "a password of the client")
    static let ecdsa = certificate(.ecdsaP256)
    static let otherECDSA = certificate(.ecdsaP256)
    static let rsa = certificate(.rsa2048)
    static let p224 = certificate(.ecdsaP224)

    private static func certificate(_ key: DTLSCertificate.Key) -> DTLSCertificate {
        do { return try DTLSCertificate(key: key) } catch { fatalError("no certificate: \(error)") }
    }

    init(
        seed: UInt64 = 1, serverRole: DTLSRole = .passive, serverCertificate: DTLSCertificate = ecdsa,
        clientCertificate: DTLSCertificate = otherECDSA, adjust: (inout PeerTransportConfiguration) -> Void = { _ in },
        adjustClient: (inout PeerTransportConfiguration) -> Void = { _ in }
    ) throws {
        random = SplitMix(seed: seed)
        var ours = PeerTransportConfiguration(
            local: Self.serverCredentials, remote: Self.clientCredentials,
            remoteFingerprint: clientCertificate.fingerprint, role: serverRole, certificate: serverCertificate)
        adjust(&ours)
        var theirs = PeerTransportConfiguration(
            local: Self.clientCredentials, remote: Self.serverCredentials,
            remoteFingerprint: serverCertificate.fingerprint, role: serverRole == .passive ? .active : .passive,
            certificate: clientCertificate)
        adjust(&theirs)
        theirs.profiles =
            PeerTransportConfiguration(
                local: theirs.local, remote: theirs.remote, remoteFingerprint: theirs.remoteFingerprint, role: .active,
                certificate: clientCertificate
            ).profiles
        adjustClient(&theirs)
        server = try TestPeer(configuration: ours)
        client = try TestPeer(configuration: theirs)
    }

    var isConnected: Bool { server.transport.state == .connected && client.transport.state == .connected }

    /// Lets virtual time pass until `done`, or until `limit`.
    @discardableResult
    func run(until limit: UInt64, checks: Bool = true, done: (TestCall) -> Bool = { _ in false }) -> Bool {
        while !done(self) {
            let deadlines = [server.transport.nextDeadline, client.transport.nextDeadline]
            let arrival = flying.map(\.at).min() ?? .max
            let next = min(deadlines.min() ?? .max, arrival, checks ? nextCheck : .max)
            guard next <= limit else {
                now = limit
                return done(self)
            }
            now = max(now, next)
            if checks, nextCheck <= now {
                number += 1
                client.transportCheck(to: server, number: number) { launch($0, toServer: true) }
                number += 1
                server.transportCheck(to: client, number: number) { launch($0, toServer: false) }
                nextCheck = now + 200 * millisecond
            }
            let due = flying.filter { $0.at <= now }.sorted { ($0.at, $0.number) < ($1.at, $1.number) }
            flying.removeAll { $0.at <= now }
            for datagram in due {
                (datagram.toServer ? server : client).receive(now: now, datagram.bytes)
                send()
            }
            for peer in [server, client] where peer.transport.nextDeadline <= now {
                peer.transport.handleTimeout(now: now)
            }
            send()
        }
        return true
    }

    func send() {
        for (_, bytes) in server.drain() { launch(bytes, toServer: false) }
        for (_, bytes) in client.drain() {
            if let mangle {
                for part in mangle(bytes, &random) { launch(part, toServer: true) }
            } else {
                launch(bytes, toServer: true)
            }
        }
    }

    private func launch(_ bytes: [UInt8], toServer: Bool) {
        largestDatagram = max(largestDatagram, bytes.count)
        datagrams += 1
        guard Double.random(in: 0..<1, using: &random) >= loss else { return }
        number += 1
        let late = jitter > 0 ? UInt64.random(in: 0...jitter, using: &random) : 0
        flying.append((now + delay + late, number, toServer, bytes))
    }
}

extension TestPeer {
    fileprivate func transportCheck(to peer: TestPeer, number: UInt64, send: ([UInt8]) -> Void) {
        send(check(to: peer.local, from: local, transaction: number))
    }
}

// MARK: Packets

func rtp(ssrc: UInt32, sequence: UInt16, payload: [UInt8], extended: Bool = false) -> [UInt8] {
    var packet: [UInt8] = [extended ? 0x91 : 0x80, 96, UInt8(sequence >> 8), UInt8(truncatingIfNeeded: sequence)]
    packet += [0, 0, 0x10, 0]
    packet += (0..<4).map { UInt8(truncatingIfNeeded: ssrc >> UInt32(24 - 8 * $0)) }
    if extended { packet += [9, 9, 9, 9, 0xBE, 0xDE, 0, 2, 0x10, 0x31, 0x22, 1, 2, 3, 0, 0] }
    return packet + payload
}

func rtcp(ssrc: UInt32) -> [UInt8] {
    [0x80, 201, 0, 1] + (0..<4).map { UInt8(truncatingIfNeeded: ssrc >> UInt32(24 - 8 * $0)) }
}

/// What protects and unprotects, behind a reference so that expectations can call it.
protocol MediaUnderTest: AnyObject {
    func unprotectRTP(_ packet: UnsafeMutableRawBufferPointer) -> Int
    func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer) -> Int
    func addSendStream(ssrc: UInt32) -> Int
    func protectRTP(
        slot: Int, destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int
    func protectRTCP(_ packet: UnsafeMutableRawBufferPointer, length: Int) -> Int
}

extension MediaUnderTest {
    /// Protects a whole packet made of header and payload; `nil` when refused.
    func protect(slot: Int, _ packet: [UInt8], headerLength: Int) -> [UInt8]? {
        var output = Array(packet[..<headerLength]) + [UInt8](repeating: 0xEE, count: packet.count - headerLength + 32)
        let length = output.withUnsafeMutableBytes { destination in
            packet[headerLength...].withUnsafeBytes {
                protectRTP(slot: slot, destination: destination, headerLength: headerLength, payload: $0)
            }
        }
        return length < 0 ? nil : Array(output[..<length])
    }

    func unprotect(_ packet: [UInt8]) -> Result<[UInt8], Refusal> {
        var packet = packet
        let length = packet.withUnsafeMutableBytes { unprotectRTP($0) }
        return length < 0 ? .failure(Refusal(code: length)) : .success(Array(packet[..<length]))
    }

    func protectControl(_ packet: [UInt8]) -> [UInt8]? {
        var output = packet + [UInt8](repeating: 0, count: 20)
        let length = output.withUnsafeMutableBytes { protectRTCP($0, length: packet.count) }
        return length < 0 ? nil : Array(output[..<length])
    }

    func unprotectControl(_ packet: [UInt8]) -> Result<[UInt8], Refusal> {
        var packet = packet
        let length = packet.withUnsafeMutableBytes { unprotectRTCP($0) }
        return length < 0 ? .failure(Refusal(code: length)) : .success(Array(packet[..<length]))
    }
}

extension TestPeer: MediaUnderTest {
    func unprotectRTP(_ packet: UnsafeMutableRawBufferPointer) -> Int { transport.unprotectRTP(packet) }
    func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer) -> Int { transport.unprotectRTCP(packet) }
    func addSendStream(ssrc: UInt32) -> Int { transport.addSendStream(ssrc: ssrc) }
    func protectRTP(
        slot: Int, destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int {
        transport.protectRTP(slot: slot, destination: destination, headerLength: headerLength, payload: payload)
    }
    func protectRTCP(_ packet: UnsafeMutableRawBufferPointer, length: Int) -> Int {
        transport.protectRTCP(packet, length: length)
    }
}

final class TestSession: MediaUnderTest {
    private var session = SRTPSession()

    func setKeys(_ material: SRTPKeyingMaterial, backend: SRTPBackend) -> Bool {
        session.setKeys(material, backend: backend)
    }
    func unprotectRTP(_ packet: UnsafeMutableRawBufferPointer) -> Int { session.unprotectRTP(packet) }
    func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer) -> Int { session.unprotectRTCP(packet) }
    func addSendStream(ssrc: UInt32) -> Int { session.addSendStream(ssrc: ssrc) }
    func protectRTP(
        slot: Int, destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int {
        session.protectRTP(slot: slot, destination: destination, headerLength: headerLength, payload: payload)
    }
    func protectRTCP(_ packet: UnsafeMutableRawBufferPointer, length: Int) -> Int {
        session.protectRTCP(packet, length: length)
    }
}

struct Refusal: Error, Equatable {
    let code: Int

    static let replayed = Refusal(code: PacketFailure.replayed)
    static let forged = Refusal(code: PacketFailure.authenticationFailed)
    static let notReady = Refusal(code: PacketFailure.notReady)
    static let malformed = Refusal(code: PacketFailure.malformed)
}

extension [UInt8] {
    init(hex: String) {
        let digits = hex.compactMap { $0.hexDigitValue }
        self = stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
