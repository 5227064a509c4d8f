// What the first bytes of an Opus packet say: duration, bandwidth, channels (RFC 6716 section 3.1).

@frozen
package struct OpusPacket: Sendable, Hashable {
    package enum Mode: Sendable { case silk, hybrid, celt }

    package var mode: Mode
    package var isStereo: Bool
    /// At 48 kHz.
    package var samplesPerFrame: UInt16
    package var frameCount: UInt8

    /// Nil for an empty packet, or one longer than the 120 ms that are allowed.
    @inlinable
    package init?(_ payload: UnsafeRawBufferPointer) {
        guard payload.count > 0 else { return nil }
        let toc = payload[0]
        let configuration = toc >> 3
        isStereo = toc & 0x04 != 0
        switch configuration {
        case 0..<12:
            mode = .silk
            // 10, 20, 40, 60 ms
            samplesPerFrame = configuration & 3 == 3 ? 2880 : 480 << UInt16(configuration & 3)
        case 12..<16:
            mode = .hybrid
            samplesPerFrame = configuration & 1 == 0 ? 480 : 960
        default:
            mode = .celt
            // 2.5, 5, 10, 20 ms
            samplesPerFrame = 120 << UInt16(configuration & 3)
        }
        switch toc & 0x03 {
        case 0: frameCount = 1
        case 1, 2: frameCount = 2
        default:
            guard payload.count > 1 else { return nil }
            frameCount = payload[1] & 0x3F
        }
        guard frameCount > 0, samples <= 5760 else { return nil }
    }

    /// At 48 kHz, all frames together.
    @inlinable
    package var samples: Int { Int(samplesPerFrame) &* Int(frameCount) }
}
