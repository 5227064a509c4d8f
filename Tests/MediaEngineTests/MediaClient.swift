// A client without a browser: real sockets, the transport in its active role, and packets as the test wants them.
import CLinux
import Glibc
import PeerTransport
import Testing
import WireFormats

import struct PeerTransport.CertificateFingerprint

@testable import MediaEngine

extension MediaEngineConfiguration {
    /// The whole suite runs in one process: between two steps of a test others may keep every thread for longer than the
    /// 30 s after which a peer that says nothing is gone.
    static var patient: MediaEngineConfiguration {
        MediaEngineConfiguration(bindAddress: "127.0.0.1", consentTimeout: .seconds(3600))
    }
}

/// Belongs to one test and one thread. `MediaClient.run` moves several of them until something is so.
final class MediaClient {
    enum Way { case udp, tcp }

    struct Section {
        var mid: String
        var kind: String
        var direction: String
        var codec = "VP8"
        var rids: [String] = []
        var ssrc: UInt32?
        var repairSSRC: UInt32?
        var withRepairs = true
    }

    static let credentials = ICECredentials(ufrag: "clnt", password: "thePasswordOfATestClient")
    let certificate: DTLSCertificate
    let sessionID: UInt64
    private(set) var transport: PeerTransport?
    private(set) var answer = ""
    private var server = ICECredentials(ufrag: "", password: "")
    private var descriptor: Int32 = -1
    private var way = Way.udp
    private var stream: [UInt8] = []
    private var slots: [UInt32: Int] = [:]
    private var nextCheck: UInt64 = 0
    private var transaction: UInt64 = 0
    var packets: [[UInt8]] = []
    var reports: [[UInt8]] = []
    /// Packets for which this says true are lost on their way here.
    var loses: ((RTPHeader) -> Bool)?

    init(sessionID: UInt64 = .random(in: 1...UInt64(Int64.max))) throws {
        certificate = try DTLSCertificate()
        self.sessionID = sessionID
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var isConnected: Bool { transport?.state == .connected }

    // MARK: - Descriptions

    func offer(_ sections: [Section], version: Int = 1, ufrag: String = credentials.ufrag) -> String {
        let hash = certificate.fingerprint.bytes.map { byte in
            let text = String(byte, radix: 16, uppercase: true)
            return text.count == 1 ? "0" + text : text
        }
        var lines = [
            "v=0", "o=- \(sessionID) \(version) IN IP4 127.0.0.1", "s=-", "t=0 0",
            "a=group:BUNDLE " + sections.map(\.mid).joined(separator: " "), "a=extmap-allow-mixed",
        ]
        for section in sections {
            let isVideo = section.kind == "video"
            lines += [
                isVideo ? "m=video 9 UDP/TLS/RTP/SAVPF 96 97" : "m=audio 9 UDP/TLS/RTP/SAVPF 111",
                "c=IN IP4 0.0.0.0", "a=ice-ufrag:\(ufrag)", "a=ice-pwd:\(MediaClient.credentials.password)",
                "a=fingerprint:sha-256 \(hash.joined(separator: ":"))", "a=setup:actpass", "a=mid:\(section.mid)",
                "a=\(section.direction)", "a=rtcp-mux", "a=rtcp-rsize", "a=extmap:4 \(HeaderExtensionURI.mid.rawValue)",
                "a=extmap:3 \(HeaderExtensionURI.transportWideCongestionControl.rawValue)",
            ]
            if isVideo {
                lines += [
                    "a=extmap:10 \(HeaderExtensionURI.streamIdentifier.rawValue)",
                    "a=extmap:11 \(HeaderExtensionURI.repairedStreamIdentifier.rawValue)",
                    "a=rtpmap:96 \(section.codec)/90000", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli",
                    "a=rtcp-fb:96 ccm fir", "a=rtcp-fb:96 transport-cc",
                ]
                if section.withRepairs { lines += ["a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"] }
            } else {
                lines += [
                    "a=extmap:1 \(HeaderExtensionURI.audioLevel.rawValue)", "a=rtpmap:111 opus/48000/2",
                    "a=rtcp-fb:111 transport-cc",
                ]
            }
            for rid in section.rids { lines.append("a=rid:\(rid) send") }
            if !section.rids.isEmpty { lines.append("a=simulcast:send " + section.rids.joined(separator: ";")) }
            if let ssrc = section.ssrc {
                if let repair = section.repairSSRC { lines.append("a=ssrc-group:FID \(ssrc) \(repair)") }
                lines.append("a=ssrc:\(ssrc) cname:test")
                if let repair = section.repairSSRC { lines.append("a=ssrc:\(repair) cname:test") }
            }
        }
        return lines.joined(separator: "\r\n") + "\r\n"
    }

    private func value(_ name: String) -> String? {
        for line in answer.split(whereSeparator: \.isNewline) where line.hasPrefix("a=\(name):") {
            return String(line.dropFirst(name.count + 3))
        }
        return nil
    }

    /// The SSRCs that the answer announces for a section: its own, and that of its repairs.
    func announcedSSRCs(mid: String) -> [UInt32] {
        var isInside = false
        var found: [UInt32] = []
        for line in answer.split(whereSeparator: \.isNewline) {
            if line.hasPrefix("m=") { isInside = false }
            if line == "a=mid:\(mid)" { isInside = true }
            guard isInside, line.hasPrefix("a=ssrc:"), let ssrc = UInt32(line.dropFirst(7).prefix { $0 != " " }),
                !found.contains(ssrc)
            else { continue }
            found.append(ssrc)
        }
        return found
    }

    // MARK: - Connecting

    func connect(_ answer: String, way: Way = .udp, port: UInt16) throws {
        self.answer = answer
        self.way = way
        server = ICECredentials(ufrag: value("ice-ufrag") ?? "", password: value("ice-pwd") ?? "")
        let parts = (value("fingerprint") ?? "").split(separator: " ")
        let bytes = (parts.last ?? "").split(separator: ":").compactMap { UInt8($0, radix: 16) }
        let fingerprint = try #require(
            CertificateFingerprint(algorithm: String(parts.first ?? ""), bytes: bytes))
        if transport == nil {
            transport = try PeerTransport(
                now: MonotonicClock.now(),
                configuration: PeerTransportConfiguration(
                    local: MediaClient.credentials, remote: server, remoteFingerprint: fingerprint, role: .active,
                    certificate: certificate))
        }
        try openSocket(port: port)
        // As a full agent it would begin with DTLS once a check was answered; the lite one wants to be asked.
        hand(check(to: MediaClient.credentials, from: server))
    }

    /// Another local port, as after a change of network.
    func openSocket(port: UInt16) throws {
        if descriptor >= 0 { close(descriptor) }
        descriptor = socket(AF_INET, way == .udp ? Int32(SOCK_DGRAM.rawValue) : Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw SystemCallError(call: "connect", code: errno) }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        nextCheck = 0
        stream = []
    }

    func check(to: ICECredentials, from: ICECredentials) -> [UInt8] {
        transaction += 1
        var builder = STUNBuilder(.request, transactionID: .init(high: 7, low: transaction))
        builder.add(username: "\(to.ufrag):\(from.ufrag)")
        builder.add(priority: 0x6E00_01FF)
        builder.add(iceControlling: 42)
        builder.addUseCandidate()
        builder.addIntegrity(key: HMACSHA1(key: to.password))
        builder.addFingerprint()
        return builder.finish()
    }

    func useCredentials(ufrag: String, password: String) {
        server = ICECredentials(ufrag: ufrag, password: password)
        nextCheck = 0
    }

    // MARK: - Packets

    private func hand(_ bytes: [UInt8]) {
        var bytes = bytes
        _ = bytes.withUnsafeMutableBytes { datagram in
            transport?.receive(
                now: MonotonicClock.now(), datagram: datagram, from: 1,
                address: TransportAddress(ipv4: 0x7F00_0001, port: 9))
        }
        drain()
    }

    private func drain() {
        while let (_, bytes) = transport?.nextTransmit() {
            // Answers to the check that it asked itself are nobody's business.
            if bytes.first ?? 0 > 3 { transmit(bytes) }
        }
    }

    func transmit(_ bytes: [UInt8]) {
        var framed = bytes
        if way == .tcp { framed = [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes }
        _ = framed.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    func protect(rtp packet: [UInt8]) -> [UInt8] {
        guard let header = packet.withUnsafeBytes({ RTPHeader($0) }) else { return [] }
        let slot = slots[header.ssrc] ?? transport?.addSendStream(ssrc: header.ssrc) ?? 0
        slots[header.ssrc] = slot
        var out = [UInt8](packet[..<header.headerLength])
        out += [UInt8](repeating: 0, count: packet.count - header.headerLength + 32)
        let length = out.withUnsafeMutableBytes { destination in
            packet.withUnsafeBytes { source in
                transport?.protectRTP(
                    slot: slot, destination: destination, headerLength: header.headerLength,
                    payload: UnsafeRawBufferPointer(rebasing: source[header.headerLength...])) ?? -1
            }
        }
        return Array(out.prefix(max(length, 0)))
    }

    func send(rtp packet: [UInt8]) { transmit(protect(rtp: packet)) }

    func send(rtcp packet: [UInt8]) {
        var out = packet + [UInt8](repeating: 0, count: 64)
        let length = out.withUnsafeMutableBytes { transport?.protectRTCP($0, length: packet.count) ?? -1 }
        transmit(Array(out.prefix(max(length, 0))))
    }

    private func receiveAll() {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let length = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard length > 0 else { return }
            if way == .udp {
                receive(Array(buffer.prefix(length)))
                continue
            }
            stream += buffer.prefix(length)
            while stream.count >= 2 {
                let frame = Int(stream[0]) << 8 | Int(stream[1])
                guard stream.count >= 2 + frame else { break }
                receive(Array(stream[2..<(2 + frame)]))
                stream.removeFirst(2 + frame)
            }
        }
    }

    private func receive(_ bytes: [UInt8]) {
        var bytes = bytes
        switch bytes.withUnsafeBytes({ DatagramKind.classify($0) }) {
        case .rtp:
            let length = bytes.withUnsafeMutableBytes { transport?.unprotectRTP($0) ?? -1 }
            guard length > 0 else { return }
            bytes.removeLast(bytes.count - length)
            if let header = bytes.withUnsafeBytes({ RTPHeader($0) }), loses?(header) != true { packets.append(bytes) }
        case .rtcp:
            let length = bytes.withUnsafeMutableBytes { transport?.unprotectRTCP($0) ?? -1 }
            if length > 0 { reports.append(Array(bytes.prefix(length))) }
        case .dtls: hand(bytes)
        case .stun, .unknown: break
        }
    }

    private func work(now: UInt64) {
        if now >= nextCheck {
            nextCheck = now + 500_000_000
            transmit(check(to: server, from: MediaClient.credentials))
        }
        if let deadline = transport?.nextDeadline, now >= deadline {
            transport?.handleTimeout(now: now)
            drain()
        }
        receiveAll()
    }

    /// Lets the clients work until the condition holds; false when it did not within the time.
    static func run(_ clients: [MediaClient], seconds: Double = 10, until condition: () -> Bool) -> Bool {
        let end = MonotonicClock.now() + UInt64(seconds * 1e9)
        while true {
            let now = MonotonicClock.now()
            for client in clients { client.work(now: now) }
            if condition() { return true }
            if now > end { return false }
            var polls = clients.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            _ = poll(&polls, nfds_t(polls.count), 5)
        }
    }
}
