// Packets that tests send: VP8 pictures and Opus frames with just enough inside to be forwarded.
import WireFormats

enum MediaPackets {
    /// `extensions` are one-byte elements.
    static func rtp(
        payloadType: UInt8, marker: Bool = true, sequence: UInt16, timestamp: UInt32, ssrc: UInt32,
        extensions: [(id: UInt8, bytes: [UInt8])] = [], payload: [UInt8]
    ) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1500)
        let length = buffer.withUnsafeMutableBytes { raw in
            var writer = RTPHeaderWriter(
                into: raw, payloadType: payloadType, marker: marker, sequence: sequence, timestamp: timestamp,
                ssrc: ssrc)
            writer.beginExtensions(twoByte: false)
            for (id, bytes) in extensions { bytes.withUnsafeBytes { writer.append(id: id, bytes: $0) } }
            return writer.finish()
        }
        return Array(buffer.prefix(length)) + payload
    }

    /// RFC 7741: descriptor with a 15-bit picture number, TL0PICIDX and KEYIDX, then the first bytes of a picture.
    static func vp8(
        picture: UInt16, temporal: UInt8 = 1, keyIndex: UInt8 = 0, isKey: Bool, width: UInt16 = 640,
        height: UInt16 = 360, fill: Int = 200
    ) -> [UInt8] {
        var payload: [UInt8] = [
            0x90, 0xE0 | 0x10, 0x80 | UInt8(picture >> 8 & 0x7F), UInt8(picture & 0xFF), temporal, keyIndex & 0x1F,
        ]
        payload += [isKey ? 0x10 : 0x11, 0, 0]
        if isKey {
            payload += [
                0x9D, 0x01, 0x2A, UInt8(width & 0xFF), UInt8(width >> 8), UInt8(height & 0xFF), UInt8(height >> 8),
            ]
        }
        return payload + [UInt8](repeating: UInt8(picture & 0xFF), count: fill)
    }
}

extension [UInt8] {
    var rtpHeader: RTPHeader? { withUnsafeBytes { RTPHeader($0) } }

    var rtpPayload: [UInt8] {
        guard let header = rtpHeader else { return [] }
        return Array(self[header.headerLength..<(header.headerLength + header.payloadLength)])
    }
}
