// Extended reports (RFC 3611) as far as receivers without sender reports need them: RRTR and DLRR.

package struct ExtendedReport: Sequence, IteratorProtocol {
    package enum Block {
        /// RRTR: the receiver's clock; answered with a DLRR that names its middle 32 bits.
        case receiverReferenceTime(ntp: UInt64)
        case delaysSinceLastReport(DelayBlocks)
        case other(type: UInt8)
    }

    package struct Delay: Sendable, Hashable {
        package var ssrc: UInt32
        /// The middle 32 bits of the reference time that is answered.
        package var lastReport: UInt32
        /// In 1/65536 s.
        package var delay: UInt32
    }

    package struct DelayBlocks: Sequence, IteratorProtocol {
        fileprivate var reader: ByteReader

        package mutating func next() -> Delay? {
            guard reader.remaining >= 12, let ssrc = reader.read32(), let last = reader.read32(),
                let delay = reader.read32()
            else { return nil }
            return Delay(ssrc: ssrc, lastReport: last, delay: delay)
        }
    }

    static let receiverReferenceTime: UInt8 = 4
    static let delaysSinceLastReport: UInt8 = 5

    package let sender: UInt32
    private var reader: ByteReader

    init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let sender = reader.read32() else { return nil }
        self.sender = sender
        self.reader = reader
    }

    package mutating func next() -> Block? {
        guard let type = reader.read8(), reader.skip(1), let words = reader.read16(),
            let content = reader.read(Int(words) &* 4)
        else { return nil }
        var block = ByteReader(content)
        switch type {
        case Self.receiverReferenceTime:
            guard let ntp = block.read64() else { return .other(type: type) }
            return .receiverReferenceTime(ntp: ntp)
        case Self.delaysSinceLastReport: return .delaysSinceLastReport(DelayBlocks(reader: block))
        default: return .other(type: type)
        }
    }
}
