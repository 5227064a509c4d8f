// A participant in virtual time: publishes synthetic tracks as RTP through a lossy, jittery way into a packet ring.

import Foundation
package import PacketRing

/// One RTP stream of a sender with its own clock.
package struct StreamSpecification: Sendable {
    package var track: UInt32
    package var encoding: UInt8 = 0
    package var ssrc: UInt32
    package var firstSequence: UInt16 = 65_500
    package var firstTimestamp: UInt32 = 0xFFFF_0000
    package var clockRate: UInt32
    package var payloadType: UInt8

    package init(track: UInt32, encoding: UInt8 = 0, ssrc: UInt32, clockRate: UInt32, payloadType: UInt8) {
        self.track = track
        self.encoding = encoding
        self.ssrc = ssrc
        self.clockRate = clockRate
        self.payloadType = payloadType
    }
}

/// What is on its way to the recorder.
package struct Delivery {
    package enum Content {
        case packet([UInt8])
        case report(SenderReportClock)
        case declare(TrackDeclaration)
        case ended
    }
    package var arrival: UInt64
    package var order: Int
    package var track: UInt32
    package var encoding: UInt8
    package var content: Content
}

/// Turns frames into deliveries. All times are nanoseconds since the room opened.
package final class Sender {
    package let participant: String
    /// The sender's clock runs faster than ours by this.
    package var drift: Double = 0
    /// The sender's wall clock at session time 0.
    package var wallClock: UInt64 = 0xE8_0000_0000_0000_00
    package var delay: Int64 = 20_000_000
    package var jitter: Int64 = 10_000_000
    package var loss: Double = 0
    package private(set) var deliveries: [Delivery] = []
    package private(set) var lost = 0

    private var chance: Chance
    private var sequences: [UInt32: UInt16] = [:]
    private var pictureIDs: [UInt32: Int] = [:]
    private var order = 0

    package init(participant: String, seed: UInt64) {
        self.participant = participant
        chance = Chance(seed: seed)
    }

    package func declare(
        _ track: UInt32, stream: String, kind: String, role: String, codec: String, clockRate: UInt32,
        payloadType: UInt8,
        at time: Int64
    ) {
        let declaration = TrackDeclaration(
            track: track, participant: participant, stream: stream, kind: kind, role: role, codec: codec,
            clockRate: clockRate, channels: kind == "audio" ? 2 : 0, payloadType: payloadType)
        add(time, track, 0, .declare(declaration))
    }

    package func end(_ track: UInt32, at time: Int64) { add(time, track, 0, .ended) }

    /// The sender's own clock at a moment of ours.
    private func senderTime(_ time: Int64) -> Double { Double(time) * (1 + drift) }

    private func timestamp(_ stream: StreamSpecification, _ time: Int64) -> UInt32 {
        stream.firstTimestamp &+ UInt32(truncatingIfNeeded: Int64(senderTime(time) * Double(stream.clockRate) / 1e9))
    }

    package func report(_ stream: StreamSpecification, at time: Int64) {
        let nanoseconds = senderTime(time)
        let seconds = UInt64(nanoseconds / 1e9)
        let fraction = (nanoseconds / 1e9 - Double(seconds)) * 4_294_967_296
        let ntp = wallClock &+ seconds << 32 &+ UInt64(fraction)
        let clock = SenderReportClock(ssrc: stream.ssrc, ntp: ntp, rtp: timestamp(stream, time))
        add(arrival(time), stream.track, stream.encoding, .report(clock))
    }

    package func sendOpus(_ packet: [UInt8], _ stream: StreamSpecification, at time: Int64) {
        send([packet], stream, at: time)
    }

    /// RFC 7741 with a 15-bit picture id, at most 1000 bytes a packet.
    package func sendVP8(_ frame: [UInt8], _ stream: StreamSpecification, at time: Int64) {
        let picture = (pictureIDs[stream.ssrc] ?? 32_760) & 0x7FFF
        pictureIDs[stream.ssrc] = picture + 1
        var payloads: [[UInt8]] = []
        for start in stride(from: 0, to: frame.count, by: 1000) {
            let descriptor: [UInt8] = [
                start == 0 ? 0x90 : 0x80, 0x80, 0x80 | UInt8(picture >> 8), UInt8(picture & 0xFF),
            ]
            payloads.append(descriptor + frame[start..<min(frame.count, start + 1000)])
        }
        send(payloads, stream, at: time)
    }

    /// One frame in packets with one timestamp; the last carries the marker.
    package func send(_ payloads: [[UInt8]], _ stream: StreamSpecification, at time: Int64) {
        for (index, payload) in payloads.enumerated() {
            let sequence = sequences[stream.ssrc] ?? stream.firstSequence
            sequences[stream.ssrc] = sequence &+ 1
            let stamp = timestamp(stream, time)
            let marker: UInt8 = index == payloads.count - 1 && stream.clockRate == 90_000 ? 0x80 : 0
            var packet: [UInt8] = [0x80, marker | stream.payloadType]
            for shift in [8, 0] { packet.append(UInt8(truncatingIfNeeded: sequence >> UInt16(shift))) }
            for shift in [24, 16, 8, 0] { packet.append(UInt8(truncatingIfNeeded: stamp >> UInt32(shift))) }
            for shift in [24, 16, 8, 0] { packet.append(UInt8(truncatingIfNeeded: stream.ssrc >> UInt32(shift))) }
            if chance.happens(loss) {
                lost += 1
                continue
            }
            // Packets of a frame leave 0.2 ms apart.
            add(arrival(time + Int64(index) * 200_000), stream.track, stream.encoding, .packet(packet + payload))
        }
    }

    private func arrival(_ time: Int64) -> Int64 {
        time + delay + (jitter > 0 ? Int64.random(in: 0...jitter, using: &chance) : 0)
    }

    private func add(_ time: Int64, _ track: UInt32, _ encoding: UInt8, _ content: Delivery.Content) {
        deliveries.append(
            Delivery(arrival: UInt64(max(0, time)), order: order, track: track, encoding: encoding, content: content))
        order += 1
    }
}

extension PacketRing {
    package func write(_ delivery: Delivery, opened: UInt64) {
        let arrival = opened + delivery.arrival
        switch delivery.content {
        case .packet(let bytes):
            _ = bytes.withUnsafeBytes {
                write(packet: $0, track: delivery.track, encoding: delivery.encoding, arrival: arrival)
            }
        case .report(let clock):
            senderReport(track: delivery.track, encoding: delivery.encoding, arrival: arrival, clock: clock)
        case .declare(let declaration): declare(declaration, arrival: arrival)
        case .ended: end(track: delivery.track, arrival: arrival)
        }
    }
}
