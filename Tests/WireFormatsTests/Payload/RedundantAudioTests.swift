// RFC 2198, both ways, and whatever does not follow it.
import Testing
import WireFormats

@Suite("Redundant audio")
struct RedundantAudioTests {
    private func read(_ bytes: [UInt8]) -> RedundantAudio? { bytes.withUnsafeBytes { RedundantAudio($0) } }

    /// Two blocks of 3 and 2 bytes, 1920 and 960 samples before, and a payload of 4.
    private let packet: [UInt8] = [
        0x80 | 111, 0x1E, 0x00, 0x03, 0x80 | 111, 0x0F, 0x00, 0x02, 111,
        1, 2, 3,
        4, 5,
        6, 7, 8, 9,
    ]

    @Test("blocks are found with their payload types, times and bytes")
    func blocks() throws {
        let audio = try #require(read(packet))
        #expect(audio.count == 2)
        #expect(audio[0].payloadType == 111)
        #expect(audio[0].timestampOffset == 1920)
        #expect(audio[1].timestampOffset == 960)
        #expect(Array(packet[Int(audio[0].offset)...].prefix(Int(audio[0].length))) == [1, 2, 3])
        #expect(Array(packet[Int(audio[1].offset)...].prefix(Int(audio[1].length))) == [4, 5])
        #expect(Array(packet[Int(audio.primary.offset)...].prefix(Int(audio.primary.length))) == [6, 7, 8, 9])
        #expect(audio.primary.payloadType == 111)
    }

    @Test("a payload alone has one byte before it")
    func alone() throws {
        let audio = try #require(read([111, 42]))
        #expect(audio.count == 0)
        #expect(audio.primary.offset == 1)
        #expect(audio.primary.length == 1)
    }

    @Test("what is written is read again", arguments: [(960, 1), (0x3FFF, 1023), (0, 0)])
    func written(offset: Int, length: Int) throws {
        var bytes = [UInt8](repeating: 7, count: 4 + 1 + length + 1)
        bytes[4] = 109
        bytes.withUnsafeMutableBytes {
            RedundantAudio.writeHeader(
                payloadType: 109, timestampOffset: UInt32(offset), length: length, to: $0.baseAddress!)
        }
        let audio = try #require(read(bytes))
        #expect(audio[0].payloadType == 109)
        #expect(Int(audio[0].timestampOffset) == offset)
        #expect(Int(audio[0].length) == length)
        #expect(audio.primary.length == 1)
    }

    @Test("a packet that ends before its payload is refused, wherever it is cut off")
    func cutOff() {
        for length in 0..<(packet.count - 3) { #expect(read(Array(packet.prefix(length))) == nil, "\(length) bytes") }
        #expect(read(Array(packet.prefix(packet.count - 3))) != nil)
    }

    @Test("more blocks than anybody sends are refused")
    func many() {
        func packet(_ count: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            for _ in 0..<count { bytes += [0xEF, 0, 0, 0] }
            return bytes + [111, 1]
        }
        #expect(read(packet(RedundantAudio.mostBlocks)) != nil)
        #expect(read(packet(RedundantAudio.mostBlocks + 1)) == nil)
        #expect(read([UInt8](repeating: 0xFF, count: 1400)) == nil)
    }
}
