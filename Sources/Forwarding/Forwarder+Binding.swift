// Which encoding of which track an SSRC belongs to: by description, or by what its first packets say of themselves.
import WireFormats

extension Forwarder {
    enum Binding {
        /// Encoding id times two, plus one for retransmissions.
        case bound(Int32)
        case refused(PacketRefusal)
    }

    /// RFC 8843 §9.2 and RFC 8852: mid says the section, rid or repaired-rid the encoding. Senders that send neither are
    /// recognised when only one section can have sent this payload type. The binding is remembered, since browsers stop
    /// sending these extensions once they have had feedback.
    mutating func bind(
        _ header: RTPHeader, _ found: FoundExtensions, in packet: UnsafeRawBufferPointer, peer peerID: Int32,
        now: UInt64
    ) -> Binding {
        let peer = peers[peerID]
        let format = peer.pointee.formats[Int(header.payloadType)]
        guard format.codec != .unknown || format.isRetransmission else { return .refused(.unknownPayloadType) }
        guard let index = section(header, found, in: packet, peer: peerID) else { return .refused(.unknownSource) }
        let encodingID: Int32?
        if peer.pointee.sections[index].rids.isEmpty {
            encodingID = encoding(ofSection: index, rid: [], peer: peerID, format: format, now: now)
        } else {
            let element = format.isRetransmission ? found.repairedStreamID : found.streamID
            guard let rid = rid(element, in: packet, section: index, peer: peerID) else {
                return .refused(.unknownSource)
            }
            encodingID = encoding(ofSection: index, rid: rid, peer: peerID, format: format, now: now)
        }
        guard let encodingID else { return .refused(.tooManySources) }
        guard set(header.ssrc, isRepair: format.isRetransmission, of: encodingID, peer: peerID, now: now) else {
            return .refused(.tooManySources)
        }
        return .bound(encodingID << 1 | (format.isRetransmission ? 1 : 0))
    }

    private func section(
        _ header: RTPHeader, _ found: FoundExtensions, in packet: UnsafeRawBufferPointer, peer peerID: Int32
    ) -> Int? {
        let peer = peers[peerID]
        if found.mid.length > 0 {
            let mid = packet[found.mid.offset..<(found.mid.offset + found.mid.length)]
            return peer.pointee.sections.firstIndex { $0.mid.elementsEqual(mid) }
        }
        var only: Int?
        for (index, section) in peer.pointee.sections.enumerated()
        where section.payloadTypes.contains(header.payloadType) {
            if only != nil { return nil }
            only = index
        }
        return only
    }

    private func rid(
        _ element: HeaderExtensionElement, in packet: UnsafeRawBufferPointer, section: Int, peer peerID: Int32
    ) -> [UInt8]? {
        let rids = peers[peerID].pointee.sections[section].rids
        if element.length > 0 {
            let seen = packet[element.offset..<(element.offset + element.length)]
            return rids.first { $0.elementsEqual(seen) }
        }
        return rids.count == 1 ? rids[0] : nil
    }

    /// The encoding with this rid, made when it is seen for the first time.
    mutating func encoding(
        ofSection index: Int, rid: [UInt8], peer peerID: Int32, format: PayloadFormat, now: UInt64
    ) -> Int32? {
        let trackID = peers[peerID].pointee.sections[index].track
        guard let track = tracks.find(trackID) else { return nil }
        for id in track.pointee.encodings where encodings[id].pointee.rid == rid { return id }
        guard track.pointee.encodings.count < MediaTrack.largestEncodingCount else { return nil }
        var clockRate = format.clockRate
        if format.isRetransmission { clockRate = peers[peerID].pointee.formats[Int(format.repairs)].clockRate }
        let place = peers[peerID].pointee.sections[index].rids.firstIndex(of: rid) ?? 0
        let id = encodings.insert(
            SourceEncoding(
                track: trackID, index: UInt8(truncatingIfNeeded: place), stamp: takeStamp(), rid: rid,
                clockRate: clockRate == 0 ? 90_000 : clockRate, usesNack: track.pointee.usesNack,
                isVideo: track.pointee.isVideo))
        tracks[trackID].pointee.encodings.append(id)
        return id
    }

    /// An encoding has one SSRC at a time: a new one replaces the old, and its numbers begin anew.
    @discardableResult
    mutating func set(_ ssrc: UInt32, isRepair: Bool, of encodingID: Int32, peer peerID: Int32, now: UInt64) -> Bool {
        let peer = peers[peerID]
        let encoding = encodings[encodingID]
        let old = isRepair ? encoding.pointee.retransmissionSSRC : encoding.pointee.ssrc
        if let old, old != ssrc, peer.pointee.sources.find(UInt64(old)) == (encodingID << 1 | (isRepair ? 1 : 0)) {
            peer.pointee.sources.remove(UInt64(old))
        }
        guard peer.pointee.sources.count < PeerMedia.largestSourceCount else { return false }
        peer.pointee.sources.set(UInt64(ssrc), to: encodingID << 1 | (isRepair ? 1 : 0))
        if isRepair {
            encoding.pointee.retransmissionSSRC = ssrc
        } else {
            if let old, old != ssrc, encoding.pointee.unwrapper.highest != nil {
                encoding.pointee.senderClock = nil
                restart(encodingID)
            }
            encoding.pointee.ssrc = ssrc
        }
        return true
    }

    /// Binds what the description already names.
    mutating func bindDescribedSources(peer peerID: Int32, now: UInt64) {
        for index in peers[peerID].pointee.sections.indices {
            let section = peers[peerID].pointee.sections[index]
            guard section.rids.isEmpty, let source = section.sources.first else { continue }
            let payloadType = tracks.find(section.track)?.pointee.payloadType ?? 0
            let format = peers[peerID].pointee.formats[Int(payloadType & 0x7F)]
            guard let id = encoding(ofSection: index, rid: [], peer: peerID, format: format, now: now) else { continue }
            set(source.ssrc, isRepair: false, of: id, peer: peerID, now: now)
            if let repair = source.retransmission { set(repair, isRepair: true, of: id, peer: peerID, now: now) }
        }
    }

    mutating func takeStamp() -> UInt32 {
        defer { nextStamp &+= 1 }
        return nextStamp
    }
}
