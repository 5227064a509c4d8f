// A room of microphones and one listener with a handful of sections, in virtual time.
import WireFormats

@testable import Forwarding

final class AudioTestRoom {
    struct Microphone {
        let peer: Int32
        let track: Int32
        var sequence: UInt16
        var timestamp: UInt32
    }

    var forwarder: Forwarder
    var now: UInt64 = 5_000 * millisecond
    private(set) var microphones: [Microphone] = []
    private(set) var listener: Int32 = -1
    private(set) var sections: [Int32] = []
    /// Since the last look, with the moment they were sent.
    private(set) var heard: [(at: UInt64, packet: ReceivedPacket)] = []

    init(microphones count: Int, sections sectionCount: Int = 0, seed: UInt64 = 42) {
        forwarder = Forwarder(now: now, wallClockOffset: 1_700_000_000_000_000_000, seed: seed)
        for index in 0..<count { addMicrophone(index) }
        guard sectionCount > 0 else { return }
        listener = forwarder.addPeer(room: 1, cname: "listener")
        for index in 0..<sectionCount {
            let section = forwarder.addStream(
                peer: listener, isVideo: false, mid: "\(index)", ssrc: 9000 + UInt32(index),
                retransmissionSSRC: 9500 + UInt32(index), slot: index, retransmissionSlot: 0,
                extensions: ExtensionNumbers([(.audioLevel, 6)]), now: now)
            sections.append(section)
        }
        forwarder.setCanSend(listener, true, now: now)
        for section in sections {
            forwarder.share(section, codec: .opus, payloadType: 109, clockRate: 48_000, now: now)
        }
    }

    private func addMicrophone(_ index: Int) {
        let peer = forwarder.addPeer(room: 1, cname: "m\(index)")
        let track = forwarder.addTrack(
            MediaTrack(
                peer: peer, room: 1, isVideo: false, codec: .opus, payloadType: 111, isMuted: false, usesNack: false,
                usesPictureLoss: false, usesFullIntra: false))
        forwarder.publish(
            [
                PublishedSection(
                    mid: Array("0".utf8), track: track, isVideo: false, payloadTypes: [111], rids: [],
                    sources: [(100 + UInt32(index), nil)])
            ],
            formats: [(111, PayloadFormat(codec: .opus, clockRate: 48_000))], extensions: [(.audioLevel, 1)],
            usesTransportFeedback: false, usesMaximumBitrate: false, peer: peer, now: now)
        forwarder.setCanSend(peer, true, now: now)
        microphones.append(
            Microphone(
                peer: peer, track: track, sequence: UInt16(index * 1000), timestamp: UInt32(index) &* 77_777_777))
    }

    /// Twenty milliseconds of sound. The payload begins with the microphone's number.
    func send(_ index: Int, level: UInt8?, payload: [UInt8] = [1, 2, 3, 4, 5, 6]) {
        let microphone = microphones[index]
        var bytes = Packets.rtp(
            payloadType: 111, marker: false, sequence: microphone.sequence, timestamp: microphone.timestamp,
            ssrc: 100 + UInt32(index), extensions: level.map { [(1, [127 - $0])] } ?? [],
            payload: [UInt8(index)] + payload)
        microphones[index].sequence &+= 1
        microphones[index].timestamp &+= 960
        _ = bytes.withUnsafeMutableBytes {
            forwarder.receive(rtp: $0, from: microphone.peer, now: now, arrival: now)
        }
        drain()
    }

    /// Twenty milliseconds that the network lost.
    func lose(_ index: Int) {
        microphones[index].sequence &+= 1
        microphones[index].timestamp &+= 960
    }

    func pass(_ milliseconds: UInt64 = 20) {
        let end = now + milliseconds * millisecond
        while now < end {
            now = min(end, now + 10 * millisecond)
            forwarder.handleTimeout(now: now)
            drain()
        }
    }

    /// Who has come to dominate since the last look.
    func takeSpeakers() -> [Int] {
        forwarder.takeNotices().compactMap { notice in
            guard case .speaker(_, let track) = notice else { return nil }
            return microphones.firstIndex { $0.track == track }
        }
    }

    func takeHeard() -> [(at: UInt64, packet: ReceivedPacket)] {
        defer { heard = [] }
        return heard
    }

    private func drain() {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1500, alignment: 16)
        defer { buffer.deallocate() }
        while let peer = forwarder.popDirtyPeer() {
            while forwarder.writeNextControl(for: peer, into: buffer) > 0 {}
            while let packet = forwarder.writeNext(for: peer, now: now, into: buffer) {
                guard peer == listener else { continue }
                let bytes = Array(buffer[..<packet.headerLength]) + Array(packet.payload)
                heard.append((now, ReceivedPacket(bytes: bytes, slot: packet.slot)))
            }
        }
    }
}
