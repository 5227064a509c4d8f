// A STUN message taken apart: every length checked, nothing authenticated yet.

package enum STUNError: Error, Equatable {
    case tooShort(seen: Int)
    /// The two first bits are not zero.
    case notSTUN(firstByte: UInt8)
    case wrongCookie(seen: UInt32)
    /// The header's length is no multiple of four, or is not that of the datagram.
    case wrongLength(seen: Int, expected: Int)
    case attributeOverEnd(type: UInt16, length: Int)
    case attributeLength(type: UInt16, seen: Int, expected: Int)
    case addressFamily(seen: UInt8)
    case errorCode(seen: Int)
    /// More comprehension-required attributes that nobody knows than are worth listing.
    case tooManyUnknownAttributes
}

/// A parsed STUN message. Ranges point into the datagram it was parsed from, which the caller keeps.
package struct STUNMessage: Sendable {
    package let messageClass: STUN.MessageClass
    package let method: UInt16
    package let transactionID: STUN.TransactionID
    package private(set) var username: Range<Int>?
    package private(set) var software: Range<Int>?
    package private(set) var priority: UInt32?
    package private(set) var useCandidate = false
    /// The tie-breaker of an agent that thinks it controls.
    package private(set) var iceControlling: UInt64?
    /// The tie-breaker of an agent that thinks it is controlled.
    package private(set) var iceControlled: UInt64?
    package private(set) var xorMappedAddress: TransportAddress?
    package private(set) var errorCode: STUN.ErrorCode?
    package private(set) var unknownAttributes: [UInt16] = []
    /// Comprehension-required attributes (below 0x8000) that this parser does not know.
    package private(set) var unknownRequired: [UInt16] = []
    /// Where the MESSAGE-INTEGRITY and FINGERPRINT attributes begin.
    package private(set) var integrityOffset: Int?
    package private(set) var fingerprintOffset: Int?

    private static let mostUnknownAttributes = 16

    package init(parsing datagram: UnsafeRawBufferPointer) throws(STUNError) {
        guard datagram.count >= STUN.headerLength else { throw .tooShort(seen: datagram.count) }
        guard datagram[0] & 0xC0 == 0 else { throw .notSTUN(firstByte: datagram[0]) }
        let cookie = datagram.bigEndianUInt32(at: 4)
        guard cookie == STUN.magicCookie else { throw .wrongCookie(seen: cookie) }
        let length = Int(datagram.bigEndianUInt16(at: 2))
        guard length & 3 == 0, STUN.headerLength + length == datagram.count else {
            throw .wrongLength(seen: length, expected: datagram.count - STUN.headerLength)
        }
        // The class's two bits sit between the method's: 0b00MMMMMCMMMCMMMM.
        let type = datagram.bigEndianUInt16(at: 0)
        messageClass =
            switch (type & 0x0100 != 0, type & 0x0010 != 0) {
            case (false, false): .request
            case (false, true): .indication
            case (true, false): .success
            case (true, true): .failure
            }
        method = type & 0x000F | (type & 0x00E0) >> 1 | (type & 0x3E00) >> 2
        transactionID = STUN.TransactionID(high: datagram.bigEndianUInt32(at: 8), low: datagram.bigEndianUInt64(at: 12))
        try parseAttributes(datagram)
    }

    private mutating func parseAttributes(_ datagram: UnsafeRawBufferPointer) throws(STUNError) {
        var offset = STUN.headerLength
        while offset < datagram.count {
            // The message is a multiple of four long, so an attribute's header is always whole.
            let type = datagram.bigEndianUInt16(at: offset)
            let length = Int(datagram.bigEndianUInt16(at: offset + 2))
            let body = offset + 4
            let padded = (length + 3) & ~3
            guard body + padded <= datagram.count else { throw .attributeOverEnd(type: type, length: length) }
            // What follows the integrity is not covered by it and must not count, except the fingerprint;
            // nothing counts after that.
            let counts = fingerprintOffset == nil && (integrityOffset == nil || type == STUN.Attribute.fingerprint)
            if counts {
                try parseAttribute(
                    type, at: offset, value: UnsafeRawBufferPointer(rebasing: datagram[body..<body + length]))
            }
            offset = body + padded
        }
    }

    /// The first of several equal attributes counts.
    private mutating func parseAttribute(
        _ type: UInt16, at offset: Int, value: UnsafeRawBufferPointer
    ) throws(STUNError) {
        func require(_ expected: Int) throws(STUNError) {
            guard value.count == expected else {
                throw .attributeLength(type: type, seen: value.count, expected: expected)
            }
        }
        switch type {
        case STUN.Attribute.username:
            guard value.count <= 513 else { throw .attributeLength(type: type, seen: value.count, expected: 513) }
            if username == nil { username = offset + 4..<offset + 4 + value.count }
        case STUN.Attribute.software:
            if software == nil { software = offset + 4..<offset + 4 + value.count }
        case STUN.Attribute.priority:
            try require(4)
            if priority == nil { priority = value.bigEndianUInt32(at: 0) }
        case STUN.Attribute.useCandidate:
            try require(0)
            useCandidate = true
        case STUN.Attribute.iceControlling:
            try require(8)
            if iceControlling == nil { iceControlling = value.bigEndianUInt64(at: 0) }
        case STUN.Attribute.iceControlled:
            try require(8)
            if iceControlled == nil { iceControlled = value.bigEndianUInt64(at: 0) }
        case STUN.Attribute.xorMappedAddress:
            let address = try parseXorMappedAddress(value)
            if xorMappedAddress == nil { xorMappedAddress = address }
        case STUN.Attribute.errorCode:
            let code = try parseErrorCode(value)
            if errorCode == nil { errorCode = code }
        case STUN.Attribute.unknownAttributes:
            guard value.count & 1 == 0, value.count <= 2 * Self.mostUnknownAttributes else {
                throw .attributeLength(type: type, seen: value.count, expected: 2 * Self.mostUnknownAttributes)
            }
            unknownAttributes = stride(from: 0, to: value.count, by: 2).map { value.bigEndianUInt16(at: $0) }
        case STUN.Attribute.messageIntegrity:
            try require(STUN.integrityLength)
            integrityOffset = offset
        case STUN.Attribute.fingerprint:
            try require(4)
            fingerprintOffset = offset
        case STUN.Attribute.mappedAddress, STUN.Attribute.realm, STUN.Attribute.nonce,
            STUN.Attribute.messageIntegritySHA256:
            break
        case 0..<0x8000:
            guard unknownRequired.count < Self.mostUnknownAttributes else { throw .tooManyUnknownAttributes }
            unknownRequired.append(type)
        default:
            break
        }
    }

    private func parseXorMappedAddress(_ value: UnsafeRawBufferPointer) throws(STUNError) -> TransportAddress {
        let type = STUN.Attribute.xorMappedAddress
        guard value.count >= 4 else { throw .attributeLength(type: type, seen: value.count, expected: 8) }
        let port = value.bigEndianUInt16(at: 2) ^ UInt16(STUN.magicCookie >> 16)
        switch TransportAddress.Family(rawValue: value[1]) {
        case .ipv4:
            guard value.count == 8 else { throw .attributeLength(type: type, seen: value.count, expected: 8) }
            return TransportAddress(ipv4: value.bigEndianUInt32(at: 4) ^ STUN.magicCookie, port: port)
        case .ipv6:
            guard value.count == 20 else { throw .attributeLength(type: type, seen: value.count, expected: 20) }
            return TransportAddress(
                ipv6High: value.bigEndianUInt64(at: 4) ^ transactionID.highMask,
                low: value.bigEndianUInt64(at: 12) ^ transactionID.low, port: port)
        case nil:
            throw .addressFamily(seen: value[1])
        }
    }

    private func parseErrorCode(_ value: UnsafeRawBufferPointer) throws(STUNError) -> STUN.ErrorCode {
        guard (4...767).contains(value.count) else {
            throw .attributeLength(type: STUN.Attribute.errorCode, seen: value.count, expected: 4)
        }
        let number = Int(value[2] & 7) * 100 + Int(value[3])
        guard (3...6).contains(value[2] & 7), value[3] < 100 else { throw .errorCode(seen: number) }
        return STUN.ErrorCode(number: number, reason: String(decoding: value[4...], as: UTF8.self))
    }

    // MARK: Checks over the original bytes

    /// Whether MESSAGE-INTEGRITY is there and right; `datagram` is what this was parsed from.
    package func hasValidIntegrity(in datagram: UnsafeRawBufferPointer, key: HMACSHA1) -> Bool {
        guard let integrityOffset, integrityOffset + 4 + STUN.integrityLength <= datagram.count else { return false }
        // The code is computed as if the message ended with this attribute, so the header's length is replaced.
        let length = UInt16(truncatingIfNeeded: integrityOffset + 4 + STUN.integrityLength - STUN.headerLength)
        let start: InlineArray<4, UInt8> = [
            datagram[0], datagram[1], UInt8(length >> 8), UInt8(truncatingIfNeeded: length),
        ]
        let code = UnsafeRawBufferPointer(
            rebasing: datagram[integrityOffset + 4..<integrityOffset + 4 + STUN.integrityLength])
        let rest = UnsafeRawBufferPointer(rebasing: datagram[4..<integrityOffset])
        return start.span.withUnsafeBytes { key.isValid(code, for: $0, rest) }
    }

    /// Whether FINGERPRINT is there, ends the message, and is right.
    package func hasValidFingerprint(in datagram: UnsafeRawBufferPointer) -> Bool {
        guard let fingerprintOffset, fingerprintOffset + 8 == datagram.count else { return false }
        let crc = CRC32.checksum(UnsafeRawBufferPointer(rebasing: datagram[..<fingerprintOffset]))
        return datagram.bigEndianUInt32(at: fingerprintOffset + 4) == crc ^ STUN.fingerprintMask
    }
}

extension STUN.TransactionID {
    /// What the first eight bytes of an IPv6 address are exclusive-ored with: the cookie, then these bits.
    var highMask: UInt64 { UInt64(STUN.magicCookie) << 32 | UInt64(high) }
}
