// What is remembered of each packet sent to one receiver, so that it can be sent again: never its bytes.

package struct SentPacket: Sendable {
    /// Where its bytes are: an encoding's stamp, its id and the packet's place on its line.
    package var stamp: UInt32 = 0
    package var encoding: Int32 = -1
    package var source: UInt32 = 0
    package var timestamp: UInt32 = 0
    package var sequence: UInt16 = 0
    package var pictureID: UInt16 = 0
    package var temporalIndex: UInt8 = 0
    package var keyIndex: UInt8 = 0
    package var frameNumber: UInt16 = 0
    /// What the dependency descriptor says of decode targets, 0 for what the publisher said.
    package var decodeTargets: UInt32 = 0
    package var repetitions: UInt8 = 0
    package var flags: Flags = []
    /// What the header said when it was first sent: a repetition without RTX must be the same, bit for bit, because
    /// its SRTP nonce is the same (RFC 7714 §9.1).
    package var transportSequence: UInt16 = 0
    package var absoluteSendTime: UInt32 = 0
    /// Milliseconds of the clock, for pacing repetitions.
    package var sentAt: UInt32 = 0

    func marker(of entry: HistoryEntry) -> Bool {
        if flags.contains(.isEmpty) { return false }
        return flags.contains(.endsPicture) || entry.flags.contains(.marker)
    }

    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let isValid = Flags(rawValue: 1)
        package static let carriesMid = Flags(rawValue: 2)
        package static let isEmpty = Flags(rawValue: 4)
        package static let wasSent = Flags(rawValue: 8)
        /// Gets the marker, whatever the source's packet had.
        package static let endsPicture = Flags(rawValue: 16)
    }
}

/// A ring by outgoing sequence number. Its memory comes with the first packet: a page may have a hundred sections of which it
/// shows three.
package struct SentPackets: ~Copyable {
    private var packets: UnsafeMutablePointer<SentPacket>?
    private let mask: Int

    package init(capacity: Int) {
        var size = 16
        while size < capacity { size *= 2 }
        mask = size - 1
    }

    deinit { packets?.deallocate() }

    private mutating func allocate() -> UnsafeMutablePointer<SentPacket> {
        let new = UnsafeMutablePointer<SentPacket>.allocate(capacity: mask + 1)
        new.initialize(repeating: SentPacket(), count: mask + 1)
        packets = new
        return new
    }

    package mutating func insert(_ packet: SentPacket) {
        let place = (packets ?? allocate()) + (Int(packet.sequence) & mask)
        place.pointee = packet
        place.pointee.flags.insert(.isValid)
    }

    package func find(_ sequence: UInt16) -> UnsafeMutablePointer<SentPacket>? {
        guard let packets else { return nil }
        let place = packets + (Int(sequence) & mask)
        guard place.pointee.flags.contains(.isValid), place.pointee.sequence == sequence else { return nil }
        return place
    }

    package mutating func removeAll() {
        guard let packets else { return }
        for index in 0...mask { packets[index].flags = [] }
    }
}
