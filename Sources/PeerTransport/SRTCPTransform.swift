// Encrypts and decrypts control packets of one direction (RFC 3711 section 3.4, RFC 7714 section 9).

/// A compound packet leaves with its first eight bytes in the clear, and behind it the tag and a word of an E flag and
/// the index: tag first with AEAD, word first otherwise.
struct SRTCPTransform: ~Copyable {
    private let transform: SRTPTransform
    /// What protection adds to a packet.
    let trailerLength: Int

    static let headerLength = 8
    static let largestIndex: UInt32 = 0x7FFF_FFFF
    private static let wordLength = 4
    private static let isEncrypted: UInt32 = 0x8000_0000

    init?(profile: SRTPProfile, keys: SRTPSessionKeys, direction: SRTPTransform.Direction) {
        guard let transform = SRTPTransform(profile: profile, keys: keys, direction: direction) else { return nil }
        self.transform = transform
        trailerLength = profile.tagLength + Self.wordLength
    }

    /// In place. There is room for `length + trailerLength` bytes, and `length` is at least that of the header.
    func encrypt(_ packet: UnsafeMutableRawPointer, length: Int, index: UInt32) -> Bool {
        let ssrc = UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let word = (Self.isEncrypted | index).bigEndian
        let isAEAD = transform.isAEAD
        packet.storeBytes(
            of: word, toByteOffset: isAEAD ? length + transform.tagLength : length, as: UInt32.self)
        guard isAEAD else {
            return transform.encryptCounted(
                packet + Self.headerLength, count: length - Self.headerLength, ssrc: ssrc, index: UInt64(index))
                && transform.tag(packet, count: length + Self.wordLength, into: packet + length + Self.wordLength)
        }
        return transform.seal(
            packet + Self.headerLength, count: length - Self.headerLength, ssrc: ssrc, index: UInt64(index),
            header: packet, headerLength: Self.headerLength, trailer: packet + length + transform.tagLength,
            trailerLength: Self.wordLength)
    }

    /// The index a packet claims to have, before anything is known of its authenticity; `nil` for packets that are too
    /// short or not encrypted, which nobody has negotiated.
    func index(of packet: UnsafeRawPointer, length: Int) -> UInt32? {
        guard length >= Self.headerLength + trailerLength else { return nil }
        let place = transform.isAEAD ? length - Self.wordLength : length - trailerLength
        let word = UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: place, as: UInt32.self))
        return word & Self.isEncrypted != 0 ? word & Self.largestIndex : nil
    }

    /// In place, for a packet and an index that `index` gave.
    func decrypt(_ packet: UnsafeMutableRawPointer, length: Int, ssrc: UInt32, index: UInt32) -> Bool {
        let end = length - trailerLength
        guard transform.isAEAD else {
            return transform.verify(
                packet, count: length - transform.tagLength, tag: packet + length - transform.tagLength)
                && transform.encryptCounted(
                    packet + Self.headerLength, count: end - Self.headerLength, ssrc: ssrc, index: UInt64(index))
        }
        return transform.open(
            packet + Self.headerLength, count: end - Self.headerLength, ssrc: ssrc, index: UInt64(index),
            header: packet, headerLength: Self.headerLength, trailer: packet + length - Self.wordLength,
            trailerLength: Self.wordLength)
    }
}
