// Makes one continuous stream of packets that come from changing sources: sequence numbers, timestamps, VP8 numbers.

/// What a packet is called on its way to one receiver.
package struct RewrittenPacket: Sendable, Equatable {
    package var sequence: UInt16
    package var timestamp: UInt32
    package var pictureID: UInt16
    package var temporalIndex: UInt8
    package var keyIndex: UInt8
    /// Of the dependency descriptor.
    package var frameNumber: UInt16
}

/// Offsets from the source's numbers to the receiver's. A switch of source chooses new offsets such that the receiver's
/// numbers go on; packets of the new source from before the switch have no number and are not forwarded.
package struct StreamRewriter: Sendable {
    // What the receiver has seen.
    package private(set) var hasStarted = false
    private var highestOut: UInt32
    /// Of packets that were not empty.
    private var highestFilled: UInt32
    private var lastTimestamp: UInt32
    private var lastTime: UInt64 = 0
    private var lastMarker = true
    private var lastPictureID: UInt16
    private var lastTemporalIndex: UInt8
    private var lastKeyIndex: UInt8 = 0
    private var lastFrameNumber: UInt16

    // How the present source is mapped.
    private var sequences = NumberLine()
    /// VP8 and VP9. VP8's receivers wait for a picture whose number is missing, so left-out pictures leave no gap; VP9's
    /// count by distances, so that its numbers are only moved.
    private var pictures = NumberLine()
    package private(set) var timestampOffset: UInt32 = 0
    private var temporalOffset: UInt8 = 0
    private var keyOffset: UInt8 = 0
    private var frameOffset: UInt16 = 0
    /// Pictures of the present source that come late are shown one shortly after the other, from `compressedTo` on:
    /// timestamps from `compressedFrom` up to `compressedUntil` are drawn together, what comes later keeps its own.
    private var compressedTo: UInt32 = 0
    private var compressedFrom: UInt32 = 0
    private var compressedUntil: UInt32?
    private static let compression: UInt32 = 100
    /// A source whose newest packet is younger goes on at this moment.
    private static let freshness: Int64 = 100_000_000

    /// Starts anywhere: a seed from the caller keeps tests repeatable and the wire unpredictable (RFC 3550 §5.1).
    package init(seed: UInt64) {
        // Away from the wrap, so that an early reordering does not meet it (RFC 3711 §3.3.1 guesses the rollover counter).
        highestOut = 0x10000 &+ UInt32(truncatingIfNeeded: seed & 0x3FFF)
        highestFilled = highestOut
        lastTimestamp = UInt32(truncatingIfNeeded: seed >> 16)
        lastPictureID = UInt16(truncatingIfNeeded: seed >> 48) & 0x7FFF
        lastTemporalIndex = UInt8(truncatingIfNeeded: seed >> 40)
        lastFrameNumber = UInt16(truncatingIfNeeded: seed >> 32)
    }

    /// Packets from `sequence` on have a number, but nobody has seen them and nobody will: what comes next has theirs. To be
    /// followed by a switch of source.
    package mutating func takeBack(from sequence: UInt16, lastMarker marker: Bool) {
        let count = UInt32(lastSequence &- sequence &+ 1)
        guard count < 0x8000 else { return }
        highestOut &-= count
        if Int32(bitPattern: highestFilled &- highestOut) > 0 { highestFilled = highestOut }
        lastMarker = marker
    }

    package var lastSequence: UInt16 { UInt16(truncatingIfNeeded: highestOut) }
    package var lastSentTimestamp: UInt32 { lastTimestamp }
    package var lastSentTime: UInt64 { lastTime }

    /// From `entry` on, packets come from another source.
    ///
    /// - Parameters:
    ///   - newest: the timestamp of the packet of that source that came last; `entry` is late when it differs
    ///   - arrival: when that one came
    ///   - preferred: the receiver's timestamp for this packet by the clock of the sender, or of both sources' arrival;
    ///     it is taken when it is believable
    ///   - catchingUpAt: everything up to the newest leaves at this moment
    package mutating func switchSource(
        at entry: HistoryEntry, newest: UInt32? = nil, arrival: UInt64, clockRate: UInt32, preferred: UInt32?,
        catchingUpAt now: UInt64? = nil
    ) {
        // A number left free says that the picture before was not finished, so that nobody takes it for whole.
        let step: UInt32 = hasStarted && !lastMarker && !entry.codec.isAudio ? 2 : 1
        sequences.start(at: entry.sequence, as: highestOut &+ step)
        let late = newest.map { Int32(bitPattern: $0 &- entry.timestamp) > 0 ? $0 &- entry.timestamp : 0 } ?? 0
        // A hundredth of a second: two pictures never share a time, and one never goes back.
        let earliest = hasStarted ? lastTimestamp &+ clockRate / (entry.codec.isAudio ? 50 : 100) : lastTimestamp
        var due = earliest &- late
        if hasStarted {
            due = continued(late: late, arrival: arrival, clockRate: clockRate, preferred: preferred)
        }
        // Sound cannot be played faster: it is played later.
        if entry.codec.isAudio, hasStarted, Int32(bitPattern: earliest &- due) > 0 { due = earliest }
        timestampOffset = due &- entry.timestamp
        compressedFrom = due
        let newestDue = due &+ late
        let present = now.map { now in
            let age = max(0, Int64(bitPattern: now &- arrival) - StreamRewriter.freshness)
            return newestDue &+ UInt32(truncatingIfNeeded: age / 1000 &* Int64(clockRate) / 1_000_000)
        }
        compress(until: newestDue, shownAt: present, earliest: earliest)
        pictures.start(at: entry.layers.frame, as: UInt32(lastPictureID) &+ 1)
        temporalOffset = (lastTemporalIndex &+ 1) &- entry.temporalIndex
        keyOffset = (lastKeyIndex &+ 1) &- entry.keyIndex
        frameOffset = (lastFrameNumber &+ 1) &- entry.layers.frameNumber
    }

    /// What is sent in one go must not look as if it had been under way for as long as it is old: receivers would take
    /// that for jitter, and show everything later from then on.
    private mutating func compress(until newest: UInt32, shownAt present: UInt32?, earliest: UInt32) {
        if let present {
            let start = present &- (newest &- compressedFrom) / StreamRewriter.compression
            if !hasStarted || Int32(bitPattern: start &- earliest) >= 0 {
                compressedTo = start
                compressedUntil = newest
                return
            }
        }
        compressedTo = earliest
        let behind = Int32(bitPattern: earliest &- compressedFrom)
        compressedUntil =
            behind > 0 ? earliest &+ UInt32(bitPattern: behind) / (StreamRewriter.compression - 1) &+ 1 : nil
    }

    /// When the entry was due, by the receiver's timestamps.
    private func continued(late: UInt32, arrival: UInt64, clockRate: UInt32, preferred: UInt32?) -> UInt32 {
        let elapsed = Int64(bitPattern: arrival &- lastTime)
        let ticks = UInt32(truncatingIfNeeded: elapsed / 1000 &* Int64(clockRate) / 1_000_000)
        let expected = lastTimestamp &+ ticks &- late
        guard let preferred else { return expected }
        let deviation = Int64(Int32(bitPattern: preferred &- expected))
        let isBelievable = deviation > -Int64(clockRate) / 2 && deviation < Int64(clockRate) * 2
        return isBelievable ? preferred : expected
    }

    private func timestamp(of entry: UnsafePointer<HistoryEntry>) -> UInt32 {
        let due = entry.pointee.timestamp &+ timestampOffset
        guard let compressedUntil, Int32(bitPattern: compressedUntil &- due) >= 0 else { return due }
        let distance = Int32(bitPattern: due &- compressedFrom)
        return distance <= 0 ? compressedTo : compressedTo &+ UInt32(bitPattern: distance) / StreamRewriter.compression
    }

    /// Leaves out a packet of the present source without a gap. false when it comes too late for that: then its number
    /// is already free, and something has to be sent in its place.
    package mutating func skip(_ sequence: UInt32) -> Bool {
        hasStarted && sequences.skip(sequence)
    }

    /// Leaves out a VP8 picture. Where later ones have gone before it, its number stays free.
    package mutating func skipPicture(_ picture: UInt32) {
        if hasStarted { _ = pictures.skip(picture) }
    }

    /// nil for packets from before the switch, left out, or too old to know their number.
    ///
    /// - Parameters:
    ///   - endsPicture: the packet gets the marker that its source put on a later one
    ///   - isEmpty: only its sequence number goes out, nothing of its picture
    package mutating func rewrite(
        _ entry: UnsafePointer<HistoryEntry>, now: UInt64, endsPicture: Bool = false, isEmpty: Bool = false
    ) -> RewrittenPacket? {
        let source = entry.pointee.sequence
        guard let out = sequences.map(source) else { return nil }
        // A packet may come late and yet be the newest that the receiver gets, when those after it were left out.
        let isFirst = !hasStarted
        if isFirst || Int32(bitPattern: out &- highestOut) > 0 { highestOut = out }
        let timestamp = timestamp(of: entry)
        let hasPicture = entry.pointee.flags.contains(.hasPictureID)
        var picture: UInt32 = 0
        if hasPicture, !isEmpty {
            guard let mapped = pictures.map(entry.pointee.layers.frame) else { return nil }
            picture = mapped
        }
        let packet = RewrittenPacket(
            sequence: UInt16(truncatingIfNeeded: out), timestamp: timestamp,
            pictureID: UInt16(truncatingIfNeeded: picture) & 0x7FFF,
            temporalIndex: entry.pointee.temporalIndex &+ temporalOffset,
            keyIndex: (entry.pointee.keyIndex &+ keyOffset) & 0x1F,
            frameNumber: entry.pointee.layers.frameNumber &+ frameOffset)
        if sequences.isNewest(source) { sequences.advance(to: source) }
        hasStarted = true
        guard !isEmpty else { return packet }
        if hasPicture, pictures.isNewest(entry.pointee.layers.frame) {
            pictures.advance(to: entry.pointee.layers.frame)
        }
        if isFirst || Int32(bitPattern: out &- highestFilled) > 0 {
            highestFilled = out
            lastMarker = endsPicture || entry.pointee.flags.contains(.marker)
            // The rest of a picture may come late and says nothing of when the picture was due.
            if timestamp != lastTimestamp || isFirst { lastTime = max(lastTime, now) }
            lastTimestamp = timestamp
            if hasPicture { lastPictureID = packet.pictureID }
            if entry.pointee.flags.contains(.hasTemporalIndex) { lastTemporalIndex = packet.temporalIndex }
            if entry.pointee.flags.contains(.hasKeyIndex) { lastKeyIndex = packet.keyIndex }
            if entry.pointee.layers.flags.contains(.hasDescriptor) { lastFrameNumber = packet.frameNumber }
        }
        return packet
    }
}
