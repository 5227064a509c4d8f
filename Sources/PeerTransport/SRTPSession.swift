// The media side of one peer: streams of both directions, their indices and windows, over either backend.
internal import COpenSSL

/// Keyed once the handshake has ended; until then everything answers "not ready", but send streams may be declared.
struct SRTPSession: ~Copyable {
    private struct SendStream {
        let ssrc: UInt32
        /// Highest index sent, `UInt64.max` before the first packet.
        var highest: UInt64 = .max
    }

    /// Everything keys bring. ~Copyable because contexts are owned.
    private struct Keyed: ~Copyable {
        let tagLength: Int
        let encryptor: SRTPTransform
        let decryptor: SRTPTransform
        let controlEncryptor: SRTCPTransform
        let controlDecryptor: SRTCPTransform
        /// Of the control packet sent last, whatever its source: a vector holds the source as well.
        var controlIndex: UInt32 = 0
    }

    /// Both directions of libsrtp2, where the configuration asks for it.
    private struct Reference: ~Copyable {
        var outbound: LibSRTP
        var inbound: LibSRTP
    }

    private var keyed: UnsafeMutablePointer<Keyed>?
    private var reference: UnsafeMutablePointer<Reference>?
    private var received = ReplayWindows()
    private var receivedControl = ReplayWindows()
    private var senders: UnsafeMutablePointer<SendStream>
    private var senderCapacity = 16
    private var senderCount = 0

    /// More outgoing streams than any layout shows; each is 16 bytes.
    static let mostSendStreams = 4096
    private static let rtpHeaderLength = 12
    private static let longestPacket = 0xFFFF

    init() { senders = .allocate(capacity: senderCapacity) }

    deinit {
        keyed?.deinitialize(count: 1).deallocate()
        reference?.deinitialize(count: 1).deallocate()
        senders.deallocate()
    }

    /// `false` when a library refuses the keys.
    mutating func setKeys(_ material: SRTPKeyingMaterial, backend: SRTPBackend) -> Bool {
        let profile = material.profile
        func keys(_ master: [UInt8], _ use: SRTPSessionKeys.Use) -> SRTPSessionKeys? {
            SRTPSessionKeys(profile: profile, masterKeyAndSalt: master, for: use)
        }
        guard let localMedia = keys(material.local, .media), let localControl = keys(material.local, .control),
            let remoteMedia = keys(material.remote, .media), let remoteControl = keys(material.remote, .control),
            let encryptor = SRTPTransform(profile: profile, keys: localMedia, direction: .encrypt),
            let decryptor = SRTPTransform(profile: profile, keys: remoteMedia, direction: .decrypt),
            let controlEncryptor = SRTCPTransform(profile: profile, keys: localControl, direction: .encrypt),
            let controlDecryptor = SRTCPTransform(profile: profile, keys: remoteControl, direction: .decrypt)
        else { return false }
        forgetKeys()
        if backend == .libsrtp2 {
            guard let outbound = LibSRTP(profile: profile, masterKeyAndSalt: material.local, direction: .outbound),
                let inbound = LibSRTP(profile: profile, masterKeyAndSalt: material.remote, direction: .inbound)
            else { return false }
            let reference = UnsafeMutablePointer<Reference>.allocate(capacity: 1)
            reference.initialize(to: Reference(outbound: outbound, inbound: inbound))
            self.reference = reference
        }
        let keyed = UnsafeMutablePointer<Keyed>.allocate(capacity: 1)
        keyed.initialize(
            to: Keyed(
                tagLength: profile.tagLength, encryptor: encryptor, decryptor: decryptor,
                controlEncryptor: controlEncryptor, controlDecryptor: controlDecryptor))
        self.keyed = keyed
        return true
    }

    /// Media ends with the transport.
    mutating func forgetKeys() {
        keyed?.deinitialize(count: 1).deallocate()
        keyed = nil
        reference?.deinitialize(count: 1).deallocate()
        reference = nil
    }

    // MARK: Receiving

    mutating func unprotectRTP(_ packet: UnsafeMutableRawBufferPointer) -> Int {
        guard let keyed else { return PacketFailure.notReady }
        let headerLength = Self.headerLength(of: UnsafeRawBufferPointer(packet))
        guard headerLength > 0, packet.count <= Self.longestPacket,
            headerLength + keyed.pointee.tagLength <= packet.count, let base = packet.baseAddress
        else { return PacketFailure.malformed }
        let sequence = UInt16(bigEndian: base.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        let ssrc = UInt32(bigEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        if let reference {
            return reference.pointee.inbound.unprotectRTP(base, length: packet.count, ssrc: ssrc)
        }

        let window = received.find(ssrc)
        var index = UInt64(sequence)
        if let window {
            guard let estimate = SRTPIndex.estimate(sequence: sequence, highest: window.pointee.highest),
                !window.pointee.refuses(estimate)
            else { return PacketFailure.replayed }
            index = estimate
        }
        guard
            keyed.pointee.decryptor.decrypt(
                base, headerLength: headerLength, length: packet.count, ssrc: ssrc, index: index)
        else { return PacketFailure.authenticationFailed }
        if let window {
            window.pointee.accept(index)
        } else {
            received.add(ssrc, first: index)
        }
        return packet.count - keyed.pointee.tagLength
    }

    mutating func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer) -> Int {
        guard let keyed else { return PacketFailure.notReady }
        if let reference { return reference.pointee.inbound.unprotectRTCP(packet) }
        guard let base = packet.baseAddress, packet.count <= Self.longestPacket,
            let claimed = keyed.pointee.controlDecryptor.index(of: base, length: packet.count)
        else { return PacketFailure.malformed }
        let ssrc = UInt32(bigEndian: base.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let index = UInt64(claimed)
        let window = receivedControl.find(ssrc)
        if let window, window.pointee.refuses(index) { return PacketFailure.replayed }
        guard keyed.pointee.controlDecryptor.decrypt(base, length: packet.count, ssrc: ssrc, index: claimed) else {
            return PacketFailure.authenticationFailed
        }
        if let window {
            window.pointee.accept(index)
        } else {
            receivedControl.add(ssrc, first: index)
        }
        return packet.count - keyed.pointee.controlDecryptor.trailerLength
    }

    // MARK: Sending

    /// The slot of an outgoing stream. A source that was added before keeps its slot and its place in the key stream:
    /// starting it anew would use the same vectors twice.
    mutating func addSendStream(ssrc: UInt32) -> Int {
        for slot in 0..<senderCount where senders[slot].ssrc == ssrc { return slot }
        guard senderCount < Self.mostSendStreams else { return PacketFailure.tooManyStreams }
        if senderCount == senderCapacity {
            let larger = UnsafeMutablePointer<SendStream>.allocate(capacity: senderCapacity * 2)
            larger.moveInitialize(from: senders, count: senderCount)
            senders.deallocate()
            senders = larger
            senderCapacity *= 2
        }
        (senders + senderCount).initialize(to: SendStream(ssrc: ssrc))
        senderCount += 1
        return senderCount - 1
    }

    mutating func protectRTP(
        slot: Int, destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int {
        guard let keyed else { return PacketFailure.notReady }
        guard slot >= 0, slot < senderCount else { return PacketFailure.unknownSlot }
        guard headerLength >= Self.rtpHeaderLength, headerLength <= destination.count,
            let base = destination.baseAddress
        else { return PacketFailure.malformed }
        let length = headerLength + payload.count
        guard length + keyed.pointee.tagLength <= min(destination.count, Self.longestPacket) else {
            return PacketFailure.noRoom
        }
        let sequence = UInt16(bigEndian: base.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        let ssrc = UInt32(bigEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        guard ssrc == senders[slot].ssrc else { return PacketFailure.unknownSlot }
        let source = payload.baseAddress ?? UnsafeRawPointer(base)
        if let reference {
            if payload.count > 0 { (base + headerLength).copyMemory(from: source, byteCount: payload.count) }
            return reference.pointee.outbound.protectRTP(base, length: length)
        }

        let highest = senders[slot].highest
        var index = UInt64(sequence)
        if highest != .max {
            guard let estimate = SRTPIndex.estimate(sequence: sequence, highest: highest) else {
                return PacketFailure.replayed
            }
            index = estimate
        }
        guard
            keyed.pointee.encryptor.encrypt(
                base, headerLength: headerLength, payload: source, payloadLength: payload.count, ssrc: ssrc,
                index: index)
        else { return PacketFailure.malformed }
        if highest == .max || index > highest { senders[slot].highest = index }
        return length + keyed.pointee.tagLength
    }

    mutating func protectRTCP(_ packet: UnsafeMutableRawBufferPointer, length: Int) -> Int {
        guard let keyed else { return PacketFailure.notReady }
        if let reference { return reference.pointee.outbound.protectRTCP(packet, length: length) }
        guard length >= SRTCPTransform.headerLength, let base = packet.baseAddress else {
            return PacketFailure.malformed
        }
        guard length <= packet.count - keyed.pointee.controlEncryptor.trailerLength else { return PacketFailure.noRoom }
        // 2³¹ control packets are the end of the keys (RFC 3711 section 9.2); at a thousand a second that is 24 days.
        guard keyed.pointee.controlIndex < SRTCPTransform.largestIndex else { return PacketFailure.notReady }
        keyed.pointee.controlIndex += 1
        guard
            keyed.pointee.controlEncryptor.encrypt(base, length: length, index: keyed.pointee.controlIndex)
        else { return PacketFailure.malformed }
        return length + keyed.pointee.controlEncryptor.trailerLength
    }

    /// Fixed header, contributing sources and extension; negative when they do not fit or this is not RTP version 2.
    private static func headerLength(of packet: UnsafeRawBufferPointer) -> Int {
        guard packet.count >= rtpHeaderLength, packet[0] & 0xC0 == 0x80 else { return PacketFailure.malformed }
        var length = rtpHeaderLength + 4 * Int(packet[0] & 0x0F)
        if packet[0] & 0x10 != 0 {
            guard length + 4 <= packet.count else { return PacketFailure.malformed }
            length += 4 + 4 * Int(UInt16(bigEndian: packet.loadUnaligned(fromByteOffset: length + 2, as: UInt16.self)))
        }
        return length <= packet.count ? length : PacketFailure.malformed
    }
}
