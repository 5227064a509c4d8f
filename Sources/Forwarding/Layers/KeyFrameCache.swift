// The last key frame of each encoding, kept in its history: whoever joins starts from it instead of asking for another.

/// Where the last key frame is.
package struct CachedKeyFrame: Sendable {
    package static let longestAge: UInt64 = 12_000_000_000

    private(set) var sequence: UInt32?
    private var timestamp: UInt32 = 0
    private(set) var arrivedAt: UInt64 = 0

    // Since when receivers have come in quick succession, and how many.
    private var joinsSince: UInt64 = 0
    private var joins = 0

    package init() {}

    mutating func note(_ entry: HistoryEntry, now: UInt64) {
        if let known = sequence {
            let step = Int32(bitPattern: entry.sequence &- known)
            // Of one key frame the first packet counts, of several the newest.
            if entry.timestamp == timestamp ? step > 0 : step < 0 { return }
            if entry.timestamp != timestamp { arrivedAt = now }
        } else {
            arrivedAt = now
        }
        sequence = entry.sequence
        timestamp = entry.timestamp
    }

    mutating func forget() { sequence = nil }

    /// True when so many join that the key frame is worth being kept for long.
    mutating func noteJoin(now: UInt64) -> Bool {
        if now &- joinsSince > KeyFrameRequester.joinInterval {
            joinsSince = now
            joins = 0
        }
        joins += 1
        return joins >= 3
    }
}

/// How far the cache brought somebody who waits for a key frame.
enum CacheStart: Equatable {
    /// Up to the present: nothing is waited for any more.
    case live
    /// To a first picture. What follows it is too much to catch up with, so that the next key frame is waited for.
    case picture
    case nothing
}

extension Forwarder {
    /// More packets than this are not sent at once; it is less than is remembered of sent packets.
    static let longestReplay: UInt32 = 800
    /// For all encodings together that many join at.
    static let cacheBudget = 96 << 20
    private static let largestCache = 24 << 20
    private static let mostCachedPackets = 16_384

    /// Keeps ten seconds of an encoding that many join at.
    mutating func noteJoin(_ track: UnsafeMutablePointer<MediaTrack>, now: UInt64) {
        guard track.pointee.isVideo, let encoding = encodings.find(track.pointee.best),
            encoding.pointee.cached.noteJoin(now: now)
        else { return }
        encoding.pointee.statistics.measureRate(now: now)
        let bytes = min(encoding.pointee.statistics.bitsPerSecond / 8 * 11, Forwarder.largestCache)
        // Packets of video are seldom smaller than half a kilobyte where they are many.
        let entries = max(bytes / 512, Forwarder.mostCachedPackets / 2)
        let more =
            max(0, bytes - encoding.pointee.history.byteCapacity)
            + max(0, entries - encoding.pointee.history.entryCapacity) * MemoryLayout<HistoryEntry>.stride
        guard more > 0, cacheBytes + more <= Forwarder.cacheBudget else { return }
        cacheBytes += more
        encoding.pointee.history.grow(entries: min(entries, Forwarder.mostCachedPackets), bytes: bytes)
    }

    /// For a stream that carries nothing at this moment: begins with the encoding's last key frame and what followed it.
    mutating func startFromCache(_ streamID: Int32, encoding encodingID: Int32, now: UInt64) -> CacheStart {
        let stream = streams[streamID]
        let encoding = encodings[encodingID]
        guard stream.pointee.isVideo, stream.pointee.current < 0, let first = encoding.pointee.cached.sequence,
            let highest = encoding.pointee.unwrapper.highest,
            now &- encoding.pointee.cached.arrivedAt <= CachedKeyFrame.longestAge,
            highest &- first < UInt32(truncatingIfNeeded: encoding.pointee.history.entryCapacity),
            highest &- first <= peers[stream.pointee.peer].pointee.bandwidth.largestReplay,
            let start = encoding.pointee.history.find(first), start.pointee.codec == stream.pointee.codec,
            !isOutdated(encodingID, for: stream)
        else { return .nothing }
        // A key frame that is still coming in will do: in a storm of joins somebody always comes meanwhile, and would ask
        // for another one.
        if highest &- first < Forwarder.longestReplay, isWhole(encodingID, from: first, to: highest) {
            return replay(streamID, encodingID, from: first, to: highest, now: now) ? .live : .nothing
        }
        if let shown = stream.pointee.shown, shown.stamp == encoding.pointee.stamp, shown.sequence == first {
            return .picture
        }
        guard let end = endOfPicture(encodingID, from: first, to: highest), end &- first < Forwarder.longestReplay,
            replay(streamID, encodingID, from: first, to: end, now: now)
        else { return .nothing }
        stream.pointee.current = -1
        stream.pointee.shown = (encoding.pointee.stamp, first)
        return .picture
    }

    /// Another layer of the same source has shown later pictures than this one has.
    private func isOutdated(_ encodingID: Int32, for stream: UnsafeMutablePointer<ReceiverStream>) -> Bool {
        guard stream.pointee.previous != encodingID, let old = encodings.find(stream.pointee.previous),
            old.pointee.stamp == stream.pointee.currentStamp, old.pointee.track == encodings[encodingID].pointee.track
        else { return false }
        return encodings[encodingID].pointee.newestAt < stream.pointee.rewriter.lastSentTime
    }

    /// The last packet of the picture that begins at `first`; nil while packets of it are missing.
    private func endOfPicture(_ encodingID: Int32, from first: UInt32, to highest: UInt32) -> UInt32? {
        var sequence = first
        while Int32(bitPattern: highest &- sequence) >= 0 {
            guard let entry = encodings[encodingID].pointee.history.find(sequence) else { return nil }
            if entry.pointee.flags.contains(.marker) { return sequence }
            sequence &+= 1
        }
        return nil
    }

    /// Nothing is missing but what the publisher has been asked for.
    private func isWhole(_ encodingID: Int32, from first: UInt32, to highest: UInt32) -> Bool {
        let encoding = encodings[encodingID]
        var missing = 0
        var sequence = first
        while Int32(bitPattern: highest &- sequence) >= 0 {
            if !encoding.pointee.history.contains(sequence) { missing += 1 }
            sequence &+= 1
        }
        return missing <= encoding.pointee.nack.missingCount
    }

    private mutating func replay(
        _ streamID: Int32, _ encodingID: Int32, from first: UInt32, to last: UInt32, now: UInt64
    ) -> Bool {
        let stream = streams[streamID]
        let encoding = encodings[encodingID]
        guard let start = encoding.pointee.history.find(first) else { return false }
        stream.pointee.rewriter.switchSource(
            at: start.pointee, newest: encoding.pointee.newestTimestamp, arrival: encoding.pointee.newestAt,
            clockRate: encoding.pointee.clockRate,
            preferred: timestamp(of: start.pointee, encodingID, for: stream), catchingUpAt: now)
        stream.pointee.current = encodingID
        stream.pointee.previous = encodingID
        stream.pointee.currentStamp = encoding.pointee.stamp
        stream.pointee.layers.restart()
        stream.pointee.switches &+= 1
        stream.pointee.senderReportDue = now
        counters.cacheStarts &+= 1
        var sequence = first
        while Int32(bitPattern: last &- sequence) >= 0 {
            if let entry = encoding.pointee.history.find(sequence) {
                // For the clock of the stream they come when the newest of them came.
                emit(entry, encodingID, stream, streamID, now: encoding.pointee.newestAt)
            }
            sequence &+= 1
        }
        return true
    }
}
