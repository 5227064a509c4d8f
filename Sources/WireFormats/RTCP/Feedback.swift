// Feedback messages that ask for something: NACK, PLI (RFC 4585), FIR (RFC 5104), REMB (draft-alvestrand-rmcat-remb).

/// Generic NACK: the sequence numbers somebody misses.
package struct NegativeAcknowledgement {
    package var sender: UInt32
    package var media: UInt32
    package var sequences: MissingSequences

    init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let sender = reader.read32(), let media = reader.read32(), reader.remaining >= 4 else { return nil }
        self.sender = sender
        self.media = media
        sequences = MissingSequences(reader.rest)
    }
}

/// Each entry names one packet and, by a mask, any of the sixteen after it.
package struct MissingSequences: Sequence, IteratorProtocol {
    private var reader: ByteReader
    private var base: UInt16 = 0
    private var mask: UInt16 = 0

    init(_ bytes: UnsafeRawBufferPointer) { reader = ByteReader(bytes) }

    package mutating func next() -> UInt16? {
        if mask != 0 {
            let bit = mask.trailingZeroBitCount
            mask &= mask &- 1
            return base &+ UInt16(truncatingIfNeeded: bit) &+ 1
        }
        guard reader.remaining >= 4, let base = reader.read16(), let mask = reader.read16() else { return nil }
        self.base = base
        self.mask = mask
        return base
    }
}

package struct PictureLoss: Sendable, Hashable {
    package var sender: UInt32
    package var media: UInt32

    init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let sender = reader.read32(), let media = reader.read32() else { return nil }
        self.sender = sender
        self.media = media
    }
}

package struct FullIntraRequest {
    package struct Entry: Sendable, Hashable {
        package var ssrc: UInt32
        /// Counts requests: the same number again is the same request again.
        package var sequence: UInt8

        package init(ssrc: UInt32, sequence: UInt8) {
            self.ssrc = ssrc
            self.sequence = sequence
        }
    }

    package struct Entries: Sequence, IteratorProtocol {
        private var reader: ByteReader

        init(_ bytes: UnsafeRawBufferPointer) { reader = ByteReader(bytes) }

        package mutating func next() -> Entry? {
            guard reader.remaining >= 8, let ssrc = reader.read32(), let sequence = reader.read8(), reader.skip(3)
            else {
                return nil
            }
            return Entry(ssrc: ssrc, sequence: sequence)
        }
    }

    package var sender: UInt32
    package var entries: Entries

    init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        // The media source of the header is unused here; the entries name the sources.
        guard let sender = reader.read32(), reader.skip(4), reader.remaining >= 8 else { return nil }
        self.sender = sender
        entries = Entries(reader.rest)
    }
}

/// Receiver Estimated Maximum Bitrate.
package struct MaximumBitrate {
    static let name: UInt32 = 0x5245_4D42

    package var sender: UInt32
    package var bitsPerSecond: UInt64
    package var sources: SourceNumbers

    static func isNamed(in body: UnsafeRawBufferPointer) -> Bool {
        var reader = ByteReader(body)
        return reader.skip(8) && reader.read32() == name
    }

    init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let sender = reader.read32(), reader.skip(4), reader.read32() == Self.name,
            let count = reader.read8(), let rate = reader.read24(), let numbers = reader.read(Int(count) &* 4)
        else { return nil }
        self.sender = sender
        let exponent = rate >> 18
        let mantissa = UInt64(rate & 0x3FFFF)
        // A shift that loses bits means "as much as can be said".
        bitsPerSecond = exponent <= 46 ? mantissa << UInt64(exponent) : mantissa == 0 ? 0 : .max
        sources = SourceNumbers(numbers)
    }
}
