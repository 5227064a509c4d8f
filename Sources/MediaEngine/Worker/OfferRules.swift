// What an offer must keep to before anything of it is put into effect: names, counts, something in common.
import WireFormats

struct OfferRules {
    let limits: MediaEngineConfiguration.Limits

    func check(_ evaluated: EvaluatedOffer, _ offer: PeerOffer) throws(NegotiationError) {
        try checkNames(offer)
        let usable = evaluated.sections.filter { !$0.isRejected && $0.kind != .application }
        let offeredMedia = evaluated.sections.contains { $0.kind != .application }
        guard !usable.isEmpty || !offeredMedia else {
            throw NegotiationError(
                status: .notAcceptable, code: "no_common_codec",
                message: "no section has a codec that this server forwards: Opus, VP8, VP9, H.264 or AV1")
        }
        let sending = usable.filter { $0.direction.sends && offer.maySend }
        try checkCount(sending.count { $0.kind == .video }, limits.videoStreamsPerPeer, "video streams")
        try checkCount(sending.count { $0.kind == .audio }, limits.audioStreamsPerPeer, "audio streams")
        try checkCount(usable.count { $0.direction.receives }, limits.receiveSectionsPerPeer, "receive sections")
    }

    private func checkCount(_ seen: Int, _ limit: Int, _ what: String) throws(NegotiationError) {
        guard seen <= limit else {
            throw NegotiationError(
                status: .unsupported, code: "too_many_sections",
                message: "the offer has \(seen) \(what), at most \(limit) are taken")
        }
    }

    private func checkNames(_ offer: PeerOffer) throws(NegotiationError) {
        var seen = Set<String>()
        for declaration in offer.streams {
            let characters = declaration.stream.utf8
            guard (1...64).contains(characters.count), characters.allSatisfy(OfferRules.isNameCharacter) else {
                throw NegotiationError(
                    status: .malformed, code: "stream_name",
                    message: "a stream's name has 1 to 64 letters, digits, dots, underscores or hyphens")
            }
            guard seen.insert(declaration.stream).inserted else {
                throw NegotiationError(
                    status: .malformed, code: "duplicate_stream",
                    message: "two sections are declared as the stream \(declaration.stream)")
            }
        }
    }

    private static func isNameCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
