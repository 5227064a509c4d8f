// Hostile traffic: what strangers send to an open port, and what a participant could send who means harm.
import Forwarding
import Glibc
import MediaEngine
import PeerTransport
import WireFormats

/// Belongs to the loop's thread.
final class Attack: @unchecked Sendable {
    enum Kind: Int, CaseIterable {
        case noise, brokenHeaders, strangersMedia, strangersChecks, strangersHandshakes, strangersReplays
        case forgedMedia, replays, unknownSources, forgedReports, brokenReports

        /// Sent by a participant, from the address that the server knows.
        var isInside: Bool { rawValue >= Kind.forgedMedia.rawValue }
    }

    private let sockets: [DatagramSocketBox]
    private let insider: LoadPeer
    private let packetsPerSecond: Double
    private var last: UInt64?
    private var owed = 0.0
    private var random = SplitMix64(state: 4711)
    private var sources: [(ssrc: UInt32, slot: Int)] = []
    private var sequence: UInt16 = 0
    private(set) var sent = [UInt64](repeating: 0, count: Kind.allCases.count)
    private(set) var total: UInt64 = 0
    let limit: UInt64

    static let tick: UInt64 = 1_000_000
    private static let manySources = 1000

    final class DatagramSocketBox {
        let socket: DatagramSocket
        var queue: SendQueue
        init() throws {
            let socket = try DatagramSocket(binding: .loopback4(port: 0))
            queue = SendQueue(socket: socket, messages: 64, slabBytes: 128 << 10)
            self.socket = socket
        }
    }

    init(insider: LoadPeer, packetsPerSecond: Double, packets: UInt64) throws {
        self.insider = insider
        sockets = try (0..<4).map { _ in try DatagramSocketBox() }
        self.packetsPerSecond = packetsPerSecond
        limit = packets
        for _ in 0..<Attack.manySources {
            let ssrc = UInt32(truncatingIfNeeded: random.next())
            sources.append((ssrc, insider.transport.addSendStream(ssrc: ssrc)))
        }
    }

    var counts: [String: any Sendable] {
        Dictionary(uniqueKeysWithValues: Kind.allCases.map { ("\($0)", Int(sent[$0.rawValue]) as any Sendable) })
    }

    /// Sends what is due; answers whether there is more to come.
    func run(now: UInt64) -> Bool {
        // What the load was late by is sent as well, up to a fifth of a second.
        owed = min(owed + Double(now &- (last ?? now)) / 1e9 * packetsPerSecond, packetsPerSecond / 5)
        last = now
        while owed >= 1, total < limit {
            owed -= 1
            let kind = Kind.allCases[Int(random.next() % UInt64(Kind.allCases.count))]
            guard send(kind) else { continue }
            sent[kind.rawValue] &+= 1
            total &+= 1
        }
        for box in sockets { box.queue.flush() }
        insider.queue.flush()
        return total < limit
    }

    private func send(_ kind: Kind) -> Bool {
        let size = kind == .noise ? 1 + Int(random.next() % 1400) : 200 + Int(random.next() % 1000)
        if kind.isInside {
            guard let room = insider.queue.reserve(insider.server, 1500) else { return false }
            insider.queue.commit(fill(kind, room, size))
        } else {
            let box = sockets[Int(random.next() % UInt64(sockets.count))]
            guard let room = box.queue.reserve(insider.server, 1500) else { return false }
            box.queue.commit(fill(kind, room, size))
        }
        return true
    }

    private func fill(_ kind: Kind, _ room: UnsafeMutableRawBufferPointer, _ size: Int) -> Int {
        for index in stride(from: 0, to: size & ~7, by: 8) {
            room.storeBytes(of: random.next(), toByteOffset: index, as: UInt64.self)
        }
        switch kind {
        case .noise: return size
        case .brokenHeaders:
            // Contributing sources, extensions and padding beyond the end.
            room[0] = 0x80 | UInt8(truncatingIfNeeded: random.next() & 0x3F)
            room[1] = UInt8(truncatingIfNeeded: random.next())
            return 2 + Int(random.next() % 30)
        case .strangersMedia, .forgedMedia:
            writeHeader(room, ssrc: insider.videos[0].ssrc)
            return size
        case .strangersChecks:
            // The magic cookie of STUN with attributes of chance, for nobody.
            room[0] = 0
            room[1] = 1
            room.storeBytes(of: UInt16((size & ~3) - 20).bigEndian, toByteOffset: 2, as: UInt16.self)
            room.storeBytes(of: UInt32(0x2112_A442).bigEndian, toByteOffset: 4, as: UInt32.self)
            return size & ~3
        case .strangersHandshakes:
            room[0] = 22
            room[1] = 0xFE
            room[2] = 0xFD
            return size
        case .strangersReplays, .replays:
            guard let copy = insider.copies.randomElement(using: &generator) else { return 20 }
            room.copyBytes(from: copy)
            return copy.count
        case .unknownSources:
            let source = sources[Int(random.next() % UInt64(sources.count))]
            writeHeader(room, ssrc: source.ssrc)
            sequence &+= 1
            room.storeBytes(of: sequence.bigEndian, toByteOffset: 2, as: UInt16.self)
            return max(
                0,
                insider.transport.protectRTP(
                    slot: source.slot, destination: room, headerLength: 12,
                    payload: UnsafeRawBufferPointer(rebasing: room[700..<(700 + min(600, size / 2))])))
        case .forgedReports:
            room[0] = 0x80
            room[1] = 200 + UInt8(random.next() % 8)
            return size
        case .brokenReports:
            // Properly protected, and nonsense inside.
            let length = (size & ~3) / 2
            room[0] = 0x80 | UInt8(truncatingIfNeeded: random.next() & 0x1F)
            room[1] = 200 + UInt8(random.next() % 8)
            room.storeBytes(of: UInt16(truncatingIfNeeded: length / 4 - 1).bigEndian, toByteOffset: 2, as: UInt16.self)
            return max(0, insider.transport.protectRTCP(room, length: length))
        }
    }

    private func writeHeader(_ room: UnsafeMutableRawBufferPointer, ssrc: UInt32) {
        room[0] = 0x80
        room[1] = Wire.video
        room.storeBytes(of: ssrc.bigEndian, toByteOffset: 8, as: UInt32.self)
    }

    private var generator = SystemRandomNumberGenerator()
}
