// Redundant audio (RFC 2198), both ways: lost packets out of the ones that follow, and packets that hold those before.
import WireFormats

/// Memory for packets that are put together here, used again and again.
struct RedundancyBuffers: ~Copyable {
    static let largestPacket = 1500
    static let mostRecovered = RedundantAudio.mostBlocks

    private let bytes: UnsafeMutableRawBufferPointer
    private var lengths = InlineArray<8, UInt16>(repeating: 0)
    /// Packets that the last one received brought back, in their order.
    var recoveredCount = 0

    init() {
        bytes = .allocate(
            byteCount: (RedundancyBuffers.mostRecovered + 1) * RedundancyBuffers.largestPacket, alignment: 16)
    }

    deinit { bytes.deallocate() }

    var outgoing: UnsafeMutableRawBufferPointer { place(RedundancyBuffers.mostRecovered) }

    func place(_ index: Int) -> UnsafeMutableRawBufferPointer {
        let start = index * RedundancyBuffers.largestPacket
        return UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + RedundancyBuffers.largestPacket])
    }

    mutating func add(length: Int) {
        lengths[recoveredCount] = UInt16(truncatingIfNeeded: length)
        recoveredCount += 1
    }

    func recovered(_ index: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: place(index)[..<Int(lengths[index])])
    }
}

extension Forwarder {
    /// A path that carries less is better used for pictures; sound has its own in-band correction there.
    static let leastForRedundancy = 200_000.0
    /// Of 256: above a tenth of loss every packet goes out three times.
    static let heavyLoss: UInt8 = 26
    private static let largestRedundantPayload = 1000

    // MARK: - In

    /// Makes the packet what it would have been without redundancy, by moving its header to its own payload, after those of
    /// lost packets have gone their way. Answers where it begins, nil when it is not what its payload type promises.
    mutating func openRedundant(
        _ packet: UnsafeMutableRawBufferPointer, _ header: inout RTPHeader, held: UInt8, _ found: FoundExtensions,
        _ encodingID: Int32, peer peerID: Int32, now: UInt64, arrival: UInt64
    ) -> Int? {
        let end = header.headerLength + header.payloadLength
        guard end <= packet.count, let base = packet.baseAddress else { return nil }
        guard header.payloadLength > 0 else {
            // Padding alone.
            header.payloadType = held
            return 0
        }
        let payload = UnsafeRawBufferPointer(rebasing: packet[header.headerLength..<end])
        guard let audio = RedundantAudio(payload), audio.primary.payloadType == held else { return nil }
        for index in 0..<audio.count {
            recover(
                audio[index], before: audio.count - index, in: payload, header, held: held, found, encodingID,
                peer: peerID, now: now, arrival: arrival)
        }
        let offset = Int(audio.primary.offset)
        (base + offset).copyMemory(from: base, byteCount: header.headerLength)
        header.payloadType = held
        header.payloadLength = Int(audio.primary.length)
        RTPHeader.setPayloadType(held, in: base + offset)
        return offset
    }

    /// The block is the packet `distance` before this one, unless that has come, or its time does not fit there.
    private mutating func recover(
        _ block: RedundantAudio.Block, before distance: Int, in payload: UnsafeRawBufferPointer, _ header: RTPHeader,
        held: UInt8, _ found: FoundExtensions, _ encodingID: Int32, peer: Int32, now: UInt64, arrival: UInt64
    ) {
        let encoding = encodings[encodingID]
        let sequence = header.sequence &- UInt16(truncatingIfNeeded: distance)
        let position = encoding.pointee.unwrapper.position(of: sequence)
        let timestamp = header.timestamp &- UInt32(block.timestampOffset)
        guard block.payloadType == held, block.length > 0, block.timestampOffset > 0,
            redundancy.recoveredCount < RedundancyBuffers.mostRecovered,
            let highest = encoding.pointee.unwrapper.highest,
            Int32(bitPattern: highest &- position) < Int32(encoding.pointee.history.entryCapacity / 2),
            !encoding.pointee.history.contains(position)
        else { return }
        // A sender may have left a packet out of its redundancy: then the number is another's.
        if let former = encoding.pointee.history.find(position &- 1),
            Int32(bitPattern: timestamp &- former.pointee.timestamp) <= 0
        {
            return
        }
        let room = redundancy.place(redundancy.recoveredCount)
        var writer = RTPHeaderWriter(
            into: room, payloadType: held, marker: false, sequence: sequence, timestamp: timestamp, ssrc: header.ssrc)
        writer.beginExtensions(twoByte: false)
        let headerLength = writer.finish()
        let length = headerLength + Int(block.length)
        guard length <= room.count, let target = room.baseAddress, let source = payload.baseAddress else { return }
        (target + headerLength).copyMemory(from: source + Int(block.offset), byteCount: Int(block.length))
        let recovered = UnsafeMutableRawBufferPointer(rebasing: room[..<length])
        guard let recoveredHeader = RTPHeader(UnsafeRawBufferPointer(recovered)) else { return }
        // It was as loud as its neighbour, more or less.
        var level = FoundExtensions()
        level.hasLevel = found.hasLevel
        level.loudness = found.loudness
        let result = ingest(
            recovered, recoveredHeader, level, encodingID, peer: peer, start: 0, from: .redundancy, now: now,
            arrival: arrival)
        guard result.outcome == .media else { return }
        counters.packetsFromRedundancy &+= 1
        redundancy.add(length: length)
    }

    /// What the last packet received brought back of those that were lost before it, for a recorder.
    package var recoveredCount: Int { redundancy.recoveredCount }
    package func recovered(_ index: Int) -> UnsafeRawBufferPointer { redundancy.recovered(index) }

    // MARK: - Out

    /// The payload with those that went to this receiver just before it, whatever microphone they were of.
    mutating func makeRedundant(
        _ payload: UnsafeMutableRawBufferPointer, _ sent: SentPacket, _ stream: UnsafeMutablePointer<ReceiverStream>
    ) -> UnsafeRawBufferPointer? {
        let room = redundancy.outgoing
        guard let base = room.baseAddress, let source = payload.baseAddress else { return nil }
        var depth: UInt16 = 0
        if payload.count <= Forwarder.largestRedundantPayload,
            peers[stream.pointee.peer].pointee.bandwidth.budget >= Forwarder.leastForRedundancy
        {
            depth = stream.pointee.fractionLost >= Forwarder.heavyLoss ? 2 : 1
        }
        var headers = 0
        var total = payload.count
        var places = InlineArray<2, (address: UnsafeRawPointer?, length: Int)>(repeating: (nil, 0))
        while depth > 0 {
            defer { depth -= 1 }
            guard let former = stream.pointee.sent.find(sent.sequence &- depth),
                former.pointee.flags.contains(.wasSent), !former.pointee.flags.contains(.isEmpty),
                let encoding = encodings.find(former.pointee.encoding),
                encoding.pointee.stamp == former.pointee.stamp,
                let entry = encoding.pointee.history.find(former.pointee.source), entry.pointee.codec == .opus
            else { continue }
            let earlier = sent.timestamp &- former.pointee.timestamp
            let bytes = encoding.pointee.history.payload(of: entry)
            guard earlier > 0, earlier <= RedundantAudio.largestTimestampOffset, bytes.count > 0,
                bytes.count <= RedundantAudio.longestBlock, total + bytes.count <= Forwarder.largestRedundantPayload
            else { continue }
            RedundantAudio.writeHeader(
                payloadType: stream.pointee.payloadType, timestampOffset: earlier, length: bytes.count,
                to: base + headers * RedundantAudio.headerLength)
            places[headers] = (UnsafeRawPointer(bytes.baseAddress), bytes.count)
            headers += 1
            total += bytes.count
        }
        var position = headers * RedundantAudio.headerLength
        base.storeBytes(of: stream.pointee.payloadType & 0x7F, toByteOffset: position, as: UInt8.self)
        position += RedundantAudio.lastHeaderLength
        guard position + total <= room.count else { return nil }
        for index in 0..<headers {
            guard let address = places[index].address else { continue }
            (base + position).copyMemory(from: address, byteCount: places[index].length)
            position += places[index].length
        }
        (base + position).copyMemory(from: source, byteCount: payload.count)
        return UnsafeRawBufferPointer(start: base, count: position + payload.count)
    }
}
