// Makes one continuous stream of packets that come from changing sources: sequence numbers, timestamps, VP8 numbers.

/// What a packet is called on its way to one receiver.
package struct RewrittenPacket: Sendable, Equatable {
    package var sequence: UInt16
    package var timestamp: UInt32
    package var pictureID: UInt16
    package var temporalIndex: UInt8
    package var keyIndex: UInt8
}

/// Offsets from the source's numbers to the receiver's. A switch of source chooses new offsets such that the receiver's
/// numbers go on; packets of the new source from before the switch have no number and are not forwarded.
package struct StreamRewriter: Sendable {
    private static let remembered = 16

    // What the receiver has seen.
    package private(set) var hasStarted = false
    private var highestOut: UInt32
    private var lastTimestamp: UInt32
    private var lastTime: UInt64 = 0
    private var lastMarker = true
    private var lastPictureID: UInt16
    private var lastTemporalIndex: UInt8
    private var lastKeyIndex: UInt8 = 0

    // How the present source is mapped.
    private var offset: UInt32 = 0
    private var base: UInt32 = 0
    private var highestSource: UInt32 = 0
    package private(set) var timestampOffset: UInt32 = 0
    private var pictureOffset: UInt16 = 0
    private var temporalOffset: UInt8 = 0
    private var keyOffset: UInt8 = 0
    /// Sources' sequence numbers that were left out, newest last, and how many of them are still remembered.
    private var skipped = InlineArray<16, UInt32>(repeating: 0)
    private var skippedCount = 0

    /// Starts anywhere: a seed from the caller keeps tests repeatable and the wire unpredictable (RFC 3550 §5.1).
    package init(seed: UInt64) {
        // Away from the wrap, so that an early reordering does not meet it (RFC 3711 §3.3.1 guesses the rollover counter).
        highestOut = 0x10000 &+ UInt32(truncatingIfNeeded: seed & 0x3FFF)
        lastTimestamp = UInt32(truncatingIfNeeded: seed >> 16)
        lastPictureID = UInt16(truncatingIfNeeded: seed >> 48) & 0x7FFF
        lastTemporalIndex = UInt8(truncatingIfNeeded: seed >> 40)
    }

    package var lastSequence: UInt16 { UInt16(truncatingIfNeeded: highestOut) }
    package var lastSentTimestamp: UInt32 { lastTimestamp }
    package var lastSentTime: UInt64 { lastTime }

    /// From `entry` on, packets come from another source. `preferred` is the receiver's timestamp for this packet by the
    /// sender's own clock, where both sources' sender reports are known; it is taken when it is believable.
    package mutating func switchSource(at entry: HistoryEntry, now: UInt64, clockRate: UInt32, preferred: UInt32?) {
        // A number left free says that the picture before was not finished, so that nobody takes it for whole.
        let step: UInt32 = hasStarted && !lastMarker && !entry.codec.isAudio ? 2 : 1
        offset = highestOut &+ step &- entry.sequence
        base = entry.sequence
        highestSource = entry.sequence &- 1
        skippedCount = 0
        if hasStarted {
            // A hundredth of a second: two pictures never share a time, and one never goes back. A packet of sound lasts.
            let shortest = clockRate / (entry.codec.isAudio ? 50 : 100)
            let next = continued(now: now, clockRate: clockRate, shortest: shortest, preferred: preferred)
            timestampOffset = next &- entry.timestamp
        } else {
            timestampOffset = lastTimestamp &- entry.timestamp
        }
        pictureOffset = (lastPictureID &+ 1) &- entry.pictureID
        temporalOffset = (lastTemporalIndex &+ 1) &- entry.temporalIndex
        keyOffset = (lastKeyIndex &+ 1) &- entry.keyIndex
    }

    private func continued(now: UInt64, clockRate: UInt32, shortest: UInt32, preferred: UInt32?) -> UInt32 {
        let elapsed = now > lastTime ? now - lastTime : 0
        let ticks = UInt32(truncatingIfNeeded: elapsed / 1000 &* UInt64(clockRate) / 1_000_000)
        let expected = lastTimestamp &+ max(ticks, 1)
        let smallest = lastTimestamp &+ shortest
        guard let preferred else { return later(expected, smallest) }
        let deviation = Int64(Int32(bitPattern: preferred &- expected))
        let isBelievable = deviation > -Int64(clockRate) / 2 && deviation < Int64(clockRate) * 2
        return later(isBelievable ? preferred : expected, smallest)
    }

    private func later(_ first: UInt32, _ second: UInt32) -> UInt32 {
        Int32(bitPattern: first &- second) > 0 ? first : second
    }

    /// Leaves out a packet of the present source without a gap. false when it comes too late for that: then its number
    /// is already free, and something has to be sent in its place.
    package mutating func skip(_ sequence: UInt32) -> Bool {
        guard hasStarted, Int32(bitPattern: sequence &- highestSource) > 0 else { return false }
        highestSource = sequence
        offset &-= 1
        if skippedCount == StreamRewriter.remembered {
            for index in 1..<StreamRewriter.remembered { skipped[index - 1] = skipped[index] }
            skippedCount -= 1
        }
        skipped[skippedCount] = sequence
        skippedCount += 1
        return true
    }

    /// nil for packets from before the switch, left out, or too old to know their number.
    package mutating func rewrite(_ entry: UnsafePointer<HistoryEntry>, now: UInt64) -> RewrittenPacket? {
        let source = entry.pointee.sequence
        guard Int32(bitPattern: source &- base) >= 0 else { return nil }
        var out = source &+ offset
        let isNewest = Int32(bitPattern: source &- highestSource) > 0
        if !isNewest, skippedCount > 0 {
            guard let back = skippedAfter(source) else { return nil }
            out &+= back
        }
        let timestamp = entry.pointee.timestamp &+ timestampOffset
        let packet = RewrittenPacket(
            sequence: UInt16(truncatingIfNeeded: out), timestamp: timestamp,
            pictureID: (entry.pointee.pictureID &+ pictureOffset) & 0x7FFF,
            temporalIndex: entry.pointee.temporalIndex &+ temporalOffset,
            keyIndex: (entry.pointee.keyIndex &+ keyOffset) & 0x1F)
        if isNewest {
            highestSource = source
            highestOut = out
            lastMarker = entry.pointee.flags.contains(.marker)
            lastTimestamp = timestamp
            lastTime = now
            if entry.pointee.flags.contains(.hasPictureID) { lastPictureID = packet.pictureID }
            if entry.pointee.flags.contains(.hasTemporalIndex) { lastTemporalIndex = packet.temporalIndex }
            if entry.pointee.flags.contains(.hasKeyIndex) { lastKeyIndex = packet.keyIndex }
        }
        hasStarted = true
        return packet
    }

    /// How many left-out packets come after this one; nil when it is itself left out or older than what is remembered.
    private func skippedAfter(_ sequence: UInt32) -> UInt32? {
        var count: UInt32 = 0
        for index in 0..<skippedCount {
            let difference = Int32(bitPattern: skipped[index] &- sequence)
            if difference == 0 { return nil }
            if difference > 0 { count += 1 }
        }
        if count == skippedCount, skippedCount == StreamRewriter.remembered { return nil }
        return count
    }
}
