// What an Opus packet says about itself in its first bytes (RFC 6716 section 3.1), and the OpusHead of a container.

enum OpusPacket {
    /// Duration in 48 kHz samples; nil for a packet that cannot be one.
    static func samples(_ packet: UnsafeRawBufferPointer) -> Int? {
        guard let first = packet.first else { return nil }
        let configuration = Int(first >> 3)
        let frame: Int
        switch configuration {
        case 0..<12: frame = [480, 960, 1920, 2880][configuration & 3]
        case 12..<16: frame = [480, 960][configuration & 1]
        default: frame = [120, 240, 480, 960][configuration & 3]
        }
        let count: Int
        switch first & 3 {
        case 0: count = 1
        case 1, 2: count = 2
        default:
            guard packet.count > 1 else { return nil }
            count = Int(packet[1] & 0x3F)
        }
        let total = frame * count
        return count > 0 && total <= 5760 ? total : nil
    }

    /// 20 ms of silence that every decoder takes, mono or stereo.
    static func silence(channels: Int) -> [UInt8] { [channels > 1 ? 0xFC : 0xF8, 0xFF, 0xFE] }
    static let silenceNanoseconds: Int64 = 20_000_000

    /// libopus's look-ahead in WebRTC's mode, in 48 kHz samples.
    static let lookAhead = 312

    /// RFC 7845 section 5.1.
    static func head(channels: Int) -> [UInt8] {
        Array("OpusHead".utf8)
            + [
                1, UInt8(clamping: max(1, channels)), UInt8(lookAhead & 0xFF), UInt8(lookAhead >> 8), 0x80, 0xBB, 0, 0,
                0,
                0, 0,
            ]
    }
}
