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
    /// How far the present source's timestamps run ahead of the sender's clock, because a picture had to be later than
    /// the one before it: made up for at the next switch, so that these small errors do not add up.
    private var lead: UInt32 = 0

    /// Starts anywhere: a seed from the caller keeps tests repeatable and the wire unpredictable (RFC 3550 §5.1).
    package init(seed: UInt64) {
        // Away from the wrap, so that an early reordering does not meet it (RFC 3711 §3.3.1 guesses the rollover counter).
        highestOut = 0x10000 &+ UInt32(truncatingIfNeeded: seed & 0x3FFF)
        lastTimestamp = UInt32(truncatingIfNeeded: seed >> 16)
        lastPictureID = UInt16(truncatingIfNeeded: seed >> 48) & 0x7FFF
        lastTemporalIndex = UInt8(truncatingIfNeeded: seed >> 40)
        lastFrameNumber = UInt16(truncatingIfNeeded: seed >> 32)
    }

    package var lastSequence: UInt16 { UInt16(truncatingIfNeeded: highestOut) }
    package var lastSentTimestamp: UInt32 { lastTimestamp }
    package var lastSentTime: UInt64 { lastTime }

    /// From `entry` on, packets come from another source. `preferred` is the receiver's timestamp for this packet by the
    /// sender's own clock, where both sources' sender reports are known; it is taken when it is believable.
    package mutating func switchSource(at entry: HistoryEntry, now: UInt64, clockRate: UInt32, preferred: UInt32?) {
        // A number left free says that the picture before was not finished, so that nobody takes it for whole.
        let step: UInt32 = hasStarted && !lastMarker && !entry.codec.isAudio ? 2 : 1
        sequences.start(at: entry.sequence, as: highestOut &+ step)
        if hasStarted {
            // A hundredth of a second: two pictures never share a time, and one never goes back. A packet of sound lasts.
            let shortest = clockRate / (entry.codec.isAudio ? 50 : 100)
            let next = continued(now: now, clockRate: clockRate, shortest: shortest, preferred: preferred)
            timestampOffset = next &- entry.timestamp
        } else {
            timestampOffset = lastTimestamp &- entry.timestamp
        }
        pictures.start(at: entry.layers.frame, as: UInt32(lastPictureID) &+ 1)
        temporalOffset = (lastTemporalIndex &+ 1) &- entry.temporalIndex
        keyOffset = (lastKeyIndex &+ 1) &- entry.keyIndex
        frameOffset = (lastFrameNumber &+ 1) &- entry.layers.frameNumber
    }

    /// From `entry` on, packets of another source are sent later than they were due, up to the one with timestamp
    /// `newest`, which is due now. They are shown as fast as they can be decoded: `pictures` of them lie a hundredth of a
    /// second apart, or closer where time is short. nil when there is no time at all between the last packet and this one.
    ///
    /// - Returns: the timestamp of the first picture, and the distance to the next.
    package mutating func replaySource(
        at entry: HistoryEntry, newest: UInt32, pictures count: UInt32, now: UInt64, clockRate: UInt32
    ) -> (first: UInt32, step: UInt32)? {
        let last = lastTimestamp
        let before = self
        switchSource(at: entry, now: now, clockRate: clockRate, preferred: nil)
        let live = entry.timestamp &+ timestampOffset
        var step = clockRate / 100
        if hasStarted {
            step = min(step, (live &- last &- 1) / max(count, 1))
            guard step > 0 else {
                self = before
                return nil
            }
        }
        timestampOffset = live &- newest
        return (live &- step &* (count &- 1), step)
    }

    private mutating func continued(
        now: UInt64, clockRate: UInt32, shortest: UInt32, preferred: UInt32?
    ) -> UInt32 {
        let elapsed = now > lastTime ? now - lastTime : 0
        let ticks = UInt32(truncatingIfNeeded: elapsed / 1000 &* UInt64(clockRate) / 1_000_000)
        let expected = lastTimestamp &+ max(ticks, 1)
        let smallest = lastTimestamp &+ shortest
        let mapped = preferred.map { $0 &- lead }
        lead = 0
        guard let mapped else { return later(expected, smallest) }
        let deviation = Int64(Int32(bitPattern: mapped &- expected))
        guard deviation > -Int64(clockRate) / 2, deviation < Int64(clockRate) * 2 else {
            return later(expected, smallest)
        }
        let chosen = later(mapped, smallest)
        lead = chosen &- mapped
        return chosen
    }

    private func later(_ first: UInt32, _ second: UInt32) -> UInt32 {
        Int32(bitPattern: first &- second) > 0 ? first : second
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
    ///   - timestamp: what a packet that is sent later than it was due says instead of its own
    ///   - endsPicture: the packet gets the marker that its source put on a later one
    package mutating func rewrite(
        _ entry: UnsafePointer<HistoryEntry>, now: UInt64, timestamp given: UInt32? = nil, endsPicture: Bool = false
    ) -> RewrittenPacket? {
        let source = entry.pointee.sequence
        guard let out = sequences.map(source) else { return nil }
        let isNewest = sequences.isNewest(source)
        let timestamp = given ?? (entry.pointee.timestamp &+ timestampOffset)
        let hasPicture = entry.pointee.flags.contains(.hasPictureID)
        var picture: UInt32 = 0
        if hasPicture {
            guard let mapped = pictures.map(entry.pointee.layers.frame) else { return nil }
            picture = mapped
        }
        let packet = RewrittenPacket(
            sequence: UInt16(truncatingIfNeeded: out), timestamp: timestamp,
            pictureID: UInt16(truncatingIfNeeded: picture) & 0x7FFF,
            temporalIndex: entry.pointee.temporalIndex &+ temporalOffset,
            keyIndex: (entry.pointee.keyIndex &+ keyOffset) & 0x1F,
            frameNumber: entry.pointee.layers.frameNumber &+ frameOffset)
        if isNewest {
            sequences.advance(to: source)
            highestOut = out
            lastMarker = endsPicture || entry.pointee.flags.contains(.marker)
            lastTimestamp = timestamp
            lastTime = now
            if hasPicture {
                if pictures.isNewest(entry.pointee.layers.frame) { pictures.advance(to: entry.pointee.layers.frame) }
                lastPictureID = packet.pictureID
            }
            if entry.pointee.flags.contains(.hasTemporalIndex) { lastTemporalIndex = packet.temporalIndex }
            if entry.pointee.flags.contains(.hasKeyIndex) { lastKeyIndex = packet.keyIndex }
            if entry.pointee.layers.flags.contains(.hasDescriptor) { lastFrameNumber = packet.frameNumber }
        }
        hasStarted = true
        return packet
    }
}
