// Writes STUN messages attribute by attribute, with integrity and fingerprint at the end.

package struct STUNBuilder {
    private var bytes: [UInt8] = []
    private let transactionID: STUN.TransactionID

    package init(
        _ messageClass: STUN.MessageClass, method: UInt16 = STUN.bindingMethod, transactionID: STUN.TransactionID
    ) {
        self.transactionID = transactionID
        bytes.reserveCapacity(160)
        let classBits = (messageClass.rawValue & 0b10) << 7 | (messageClass.rawValue & 0b01) << 4
        append(method & 0x000F | (method & 0x0070) << 1 | (method & 0x0F80) << 2 | classBits)
        append(UInt16(0))
        append(STUN.magicCookie)
        append(transactionID.high)
        append(transactionID.low)
    }

    package mutating func add(username: String) {
        addAttribute(STUN.Attribute.username, Array(username.utf8))
    }

    package mutating func add(software: String) {
        addAttribute(STUN.Attribute.software, Array(software.utf8))
    }

    package mutating func add(priority: UInt32) {
        beginAttribute(STUN.Attribute.priority, length: 4)
        append(priority)
    }

    package mutating func addUseCandidate() {
        beginAttribute(STUN.Attribute.useCandidate, length: 0)
    }

    package mutating func add(iceControlling tieBreaker: UInt64) {
        beginAttribute(STUN.Attribute.iceControlling, length: 8)
        append(tieBreaker)
    }

    package mutating func add(iceControlled tieBreaker: UInt64) {
        beginAttribute(STUN.Attribute.iceControlled, length: 8)
        append(tieBreaker)
    }

    package mutating func add(xorMappedAddress address: TransportAddress) {
        let port = address.port ^ UInt16(STUN.magicCookie >> 16)
        beginAttribute(STUN.Attribute.xorMappedAddress, length: address.family == .ipv4 ? 8 : 20)
        append(UInt16(address.family.rawValue))
        append(port)
        switch address.family {
        case .ipv4:
            append(UInt32(truncatingIfNeeded: address.low) ^ STUN.magicCookie)
        case .ipv6:
            append(address.high ^ transactionID.highMask)
            append(address.low ^ transactionID.low)
        }
    }

    package mutating func add(errorCode: STUN.ErrorCode) {
        let code = UInt32(errorCode.number / 100) << 8 | UInt32(errorCode.number % 100)
        let reason = Array(errorCode.reason.utf8.prefix(763))
        addAttribute(
            STUN.Attribute.errorCode,
            (0..<4).map { UInt8(truncatingIfNeeded: code >> UInt32(24 - 8 * $0)) } + reason)
    }

    package mutating func add(unknownAttributes: [UInt16]) {
        addAttribute(
            STUN.Attribute.unknownAttributes,
            unknownAttributes.flatMap { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] })
    }

    /// Any other attribute.
    package mutating func addAttribute(_ type: UInt16, _ value: [UInt8]) {
        beginAttribute(type, length: value.count)
        bytes.append(contentsOf: value)
        while bytes.count & 3 != 0 { bytes.append(0) }
    }

    package mutating func addIntegrity(key: HMACSHA1) {
        setLength(bytes.count + 4 + STUN.integrityLength)
        let code = bytes.withUnsafeBytes { key.code($0) }
        addAttribute(STUN.Attribute.messageIntegrity, code)
    }

    /// Ends the message.
    package mutating func addFingerprint() {
        setLength(bytes.count + 8)
        let crc = bytes.withUnsafeBytes { CRC32.checksum($0) }
        beginAttribute(STUN.Attribute.fingerprint, length: 4)
        append(crc ^ STUN.fingerprintMask)
    }

    package consuming func finish() -> [UInt8] {
        setLength(bytes.count)
        return bytes
    }

    private mutating func setLength(_ total: Int) {
        let length = UInt16(truncatingIfNeeded: total - STUN.headerLength)
        bytes[2] = UInt8(length >> 8)
        bytes[3] = UInt8(truncatingIfNeeded: length)
    }

    private mutating func beginAttribute(_ type: UInt16, length: Int) {
        append(type)
        append(UInt16(truncatingIfNeeded: length))
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }
}
