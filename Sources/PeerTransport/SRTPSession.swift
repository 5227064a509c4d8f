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
        let isNative: Bool
        let tagLength: Int
        let encryptor: SRTPTransform
        let decryptor: SRTPTransform
        var outbound: LibSRTP
        var inbound: LibSRTP
    }

    private var keyed: UnsafeMutablePointer<Keyed>?
    private var receivers = SSRCTable()
    private var windows: UnsafeMutablePointer<ReplayWindow>
    private var windowCapacity = 16
    private var senders: UnsafeMutablePointer<SendStream>
    private var senderCapacity = 16
    private var senderCount = 0

    /// More outgoing streams than any layout shows; each is 16 bytes.
    static let mostSendStreams = 4096
    private static let rtpHeaderLength = 12
    private static let longestPacket = 0xFFFF

    init() {
        windows = .allocate(capacity: windowCapacity)
        senders = .allocate(capacity: senderCapacity)
    }

    deinit {
        keyed?.deinitialize(count: 1).deallocate()
        windows.deallocate()
        senders.deallocate()
    }

    /// `false` when a library refuses the keys.
    mutating func setKeys(_ material: SRTPKeyingMaterial, backend: SRTPBackend) -> Bool {
        let profile = material.profile
        guard let localKeys = SRTPSessionKeys(profile: profile, masterKeyAndSalt: material.local),
            let remoteKeys = SRTPSessionKeys(profile: profile, masterKeyAndSalt: material.remote),
            let encryptor = SRTPTransform(profile: profile, keys: localKeys, direction: .encrypt),
            let decryptor = SRTPTransform(profile: profile, keys: remoteKeys, direction: .decrypt),
            let outbound = LibSRTP(profile: profile, masterKeyAndSalt: material.local, direction: .outbound),
            let inbound = LibSRTP(profile: profile, masterKeyAndSalt: material.remote, direction: .inbound)
        else { return false }
        forgetKeys()
        let keyed = UnsafeMutablePointer<Keyed>.allocate(capacity: 1)
        keyed.initialize(
            to: Keyed(
                isNative: backend == .native, tagLength: profile.tagLength, encryptor: encryptor,
                decryptor: decryptor, outbound: outbound, inbound: inbound))
        self.keyed = keyed
        return true
    }

    /// Media ends with the transport.
    mutating func forgetKeys() {
        keyed?.deinitialize(count: 1).deallocate()
        keyed = nil
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
        guard keyed.pointee.isNative else {
            return keyed.pointee.inbound.unprotectRTP(base, length: packet.count, ssrc: ssrc)
        }

        let known = receivers.find(ssrc)
        var index = UInt64(sequence)
        if known >= 0 {
            guard let estimate = SRTPIndex.estimate(sequence: sequence, highest: windows[known].highest),
                !windows[known].refuses(estimate)
            else { return PacketFailure.replayed }
            index = estimate
        }
        guard
            keyed.pointee.decryptor.decrypt(
                base, headerLength: headerLength, length: packet.count, ssrc: ssrc, index: index)
        else { return PacketFailure.authenticationFailed }
        if known >= 0 {
            windows[known].accept(index)
        } else {
            addReceiver(ssrc, first: index)
        }
        return packet.count - keyed.pointee.tagLength
    }

    mutating func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer) -> Int {
        guard let keyed else { return PacketFailure.notReady }
        return keyed.pointee.inbound.unprotectRTCP(packet)
    }

    private mutating func addReceiver(_ ssrc: UInt32, first index: UInt64) {
        let slot = receivers.insert(ssrc).slot
        if slot >= windowCapacity {
            let larger = UnsafeMutablePointer<ReplayWindow>.allocate(capacity: windowCapacity * 2)
            larger.moveInitialize(from: windows, count: windowCapacity)
            windows.deallocate()
            windows = larger
            windowCapacity *= 2
        }
        windows[slot] = ReplayWindow(first: index)
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
        guard keyed.pointee.isNative else {
            if payload.count > 0 { (base + headerLength).copyMemory(from: source, byteCount: payload.count) }
            return keyed.pointee.outbound.protectRTP(base, length: length)
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
        return keyed.pointee.outbound.protectRTCP(packet, length: length)
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
