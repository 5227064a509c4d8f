// Packets that wait to be sent to one peer, as references: the bytes stay in the publisher's history.

package struct OutgoingPacket: Sendable {
    package enum Kind: UInt8, Sendable {
        case media
        case sound
        /// On the stream's RTX SSRC (RFC 4588).
        case retransmission
        /// The same packet again, bit for bit, for receivers that did not negotiate RTX.
        case repetition
        /// Nothing, to find out how fast it arrives; on the RTX SSRC, where receivers discard it.
        case padding
    }

    package var stream: Int32
    package var sequence: UInt16
    package var kind: Kind
    /// Of its payload.
    package var bytes: UInt16 = 0
}

/// A ring that doubles up to a limit; what comes beyond it is not taken.
package struct OutgoingQueue: ~Copyable {
    package static let limit = 16_384
    private var packets: UnsafeMutablePointer<OutgoingPacket>
    private var mask: Int
    private var head = 0
    private var tail = 0
    /// Payload that waits.
    package private(set) var bytes = 0

    package init(capacity: Int = 64) {
        var size = 16
        while size < capacity { size *= 2 }
        packets = .allocate(capacity: size)
        mask = size - 1
    }

    deinit { packets.deallocate() }

    package var isEmpty: Bool { head == tail }
    package var count: Int { tail - head }

    /// false when the queue is full.
    package mutating func append(_ packet: OutgoingPacket) -> Bool {
        if tail - head > mask {
            guard mask + 1 < OutgoingQueue.limit else { return false }
            grow()
        }
        (packets + (tail & mask)).initialize(to: packet)
        bytes &+= Int(packet.bytes)
        tail += 1
        return true
    }

    package mutating func popFirst() -> OutgoingPacket? {
        guard head < tail else { return nil }
        let packet = packets[head & mask]
        head += 1
        bytes &-= Int(packet.bytes)
        if head == tail {
            head = 0
            tail = 0
        }
        return packet
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<OutgoingPacket>.allocate(capacity: (mask + 1) * 2)
        let count = tail - head
        for index in 0..<count { (larger + index).initialize(to: packets[(head + index) & mask]) }
        packets.deallocate()
        packets = larger
        mask = mask * 2 + 1
        head = 0
        tail = count
    }
}
