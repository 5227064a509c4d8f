// What a container must know of Opus besides its packets: its head (RFC 7845), silence, and the encoder's look-ahead.

enum OpusContainer {
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
