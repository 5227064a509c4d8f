// The numbers of STUN (RFC 8489) and of its use by ICE (RFC 8445), and the look at a datagram that needs no parsing.

package enum STUN {
    package static let headerLength = 20
    package static let magicCookie: UInt32 = 0x2112_A442
    /// FINGERPRINT is the CRC-32 of the message, exclusive-or this ("STUN").
    package static let fingerprintMask: UInt32 = 0x5354_554E
    package static let integrityLength = 20
    package static let bindingMethod: UInt16 = 0x001

    package enum Attribute {
        package static let mappedAddress: UInt16 = 0x0001
        package static let username: UInt16 = 0x0006
        package static let messageIntegrity: UInt16 = 0x0008
        package static let errorCode: UInt16 = 0x0009
        package static let unknownAttributes: UInt16 = 0x000A
        package static let realm: UInt16 = 0x0014
        package static let nonce: UInt16 = 0x0015
        package static let messageIntegritySHA256: UInt16 = 0x001C
        package static let xorMappedAddress: UInt16 = 0x0020
        package static let priority: UInt16 = 0x0024
        package static let useCandidate: UInt16 = 0x0025
        package static let software: UInt16 = 0x8022
        package static let fingerprint: UInt16 = 0x8028
        package static let iceControlled: UInt16 = 0x8029
        package static let iceControlling: UInt16 = 0x802A
    }

    package enum MessageClass: UInt16, Sendable {
        case request = 0b00
        case indication = 0b01
        case success = 0b10
        case failure = 0b11
    }

    /// The 96 bits that pair a response with its request.
    package struct TransactionID: Hashable, Sendable {
        package let high: UInt32
        package let low: UInt64

        package init(high: UInt32, low: UInt64) {
            self.high = high
            self.low = low
        }
    }

    package struct ErrorCode: Hashable, Sendable {
        package let number: Int
        package let reason: String

        package init(number: Int, reason: String) {
            self.number = number
            self.reason = reason
        }

        package static let badRequest = ErrorCode(number: 400, reason: "Bad Request")
        package static let unauthenticated = ErrorCode(number: 401, reason: "Unauthenticated")
        package static let unknownAttribute = ErrorCode(number: 420, reason: "Unknown Attribute")
        package static let roleConflict = ErrorCode(number: 487, reason: "Role Conflict")
    }

    /// The user fragment before the colon of USERNAME, which names the agent the datagram is for.
    ///
    /// Looks at a Binding request without parsing the rest, allocates nothing, and points into `datagram`.
    /// What it returns is not authenticated.
    package static func localUfrag(of datagram: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard datagram.count >= headerLength, datagram.bigEndianUInt16(at: 0) == bindingMethod,
            datagram.bigEndianUInt32(at: 4) == magicCookie
        else { return nil }
        let end = headerLength + Int(datagram.bigEndianUInt16(at: 2))
        guard end <= datagram.count else { return nil }
        var offset = headerLength
        while offset + 4 <= end {
            let type = datagram.bigEndianUInt16(at: offset)
            let length = Int(datagram.bigEndianUInt16(at: offset + 2))
            let body = offset + 4
            guard body + length <= end else { return nil }
            if type == Attribute.username {
                let value = UnsafeRawBufferPointer(rebasing: datagram[body..<body + length])
                guard let colon = value.firstIndex(of: UInt8(ascii: ":")), colon > 0 else { return nil }
                return UnsafeRawBufferPointer(rebasing: value[..<colon])
            }
            offset = body + ((length + 3) & ~3)
        }
        return nil
    }
}

extension UnsafeRawBufferPointer {
    /// The caller has checked that `offset + 2 <= count`; a debug build checks again.
    @inlinable
    func bigEndianUInt16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// The caller has checked that `offset + 4 <= count`.
    @inlinable
    func bigEndianUInt32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The caller has checked that `offset + 8 <= count`.
    @inlinable
    func bigEndianUInt64(at offset: Int) -> UInt64 {
        UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}
