// Which packets of one incoming stream are missing, and when to ask the publisher for them (RFC 4585 §6.2.1).

/// Asks soon after a gap is seen, again after each round trip, and gives up; a gap too wide to fill is answered by
/// giving up at once, so that a key frame is asked for.
package struct NackGenerator: ~Copyable {
    package static let largestGap: UInt32 = 512
    package static let attempts: UInt8 = 10
    package static let longestAge: UInt64 = 1_500_000_000
    /// Neighbours in the network overtake each other; most do so within this time.
    package static let reorderingDelay: UInt64 = 4_000_000
    package static let shortestInterval: UInt64 = 20_000_000

    private struct Missing {
        var sequence: UInt32
        var attempts: UInt8
        var since: UInt64
        var askedAt: UInt64
    }

    package enum Outcome: Equatable, Sendable {
        case inOrder
        /// It came late, but it had been missing.
        case filledGap
        /// It came late and was not waited for (any more).
        case late
        /// Too much is missing to ask for: only a key frame helps.
        case lostTooMuch
    }

    private var missing: UnsafeMutablePointer<Missing>
    private let capacity = Int(NackGenerator.largestGap)
    private var count = 0
    private var highest: UInt32?
    /// Measured between a request and its answer, smoothed.
    package private(set) var roundTrip: UInt64 = 100_000_000
    package private(set) var requested: UInt64 = 0
    package private(set) var givenUp: UInt64 = 0

    package init() { missing = .allocate(capacity: Int(NackGenerator.largestGap)) }

    deinit { missing.deallocate() }

    package var missingCount: Int { count }

    package mutating func receive(_ sequence: UInt32, now: UInt64) -> Outcome {
        guard let highest else {
            self.highest = sequence
            return .inOrder
        }
        let difference = Int32(bitPattern: sequence &- highest)
        if difference == 1 {
            self.highest = sequence
            return .inOrder
        }
        if difference <= 0 { return fill(sequence, now: now) }
        self.highest = sequence
        let gap = UInt32(difference) - 1
        guard gap + UInt32(count) <= NackGenerator.largestGap else {
            givenUp &+= UInt64(count)
            count = 0
            return .lostTooMuch
        }
        for step in 1...gap {
            (missing + count).initialize(
                to: Missing(sequence: highest &+ step, attempts: 0, since: now, askedAt: 0))
            count += 1
        }
        return .inOrder
    }

    private mutating func fill(_ sequence: UInt32, now: UInt64) -> Outcome {
        for index in 0..<count where missing[index].sequence == sequence {
            let entry = missing[index]
            if entry.attempts == 1, now > entry.askedAt {
                let sample = min(now - entry.askedAt, 1_000_000_000)
                roundTrip = (roundTrip * 7 + sample) / 8
            }
            count -= 1
            // Order matters to the requests only, and they are sorted by nature: keep it.
            for later in index..<count { missing[later] = missing[later + 1] }
            return .filledGap
        }
        return .late
    }

    /// When `collect` has something to say; nil while nothing is missing.
    package var nextDeadline: UInt64? {
        guard count > 0 else { return nil }
        var earliest = UInt64.max
        for index in 0..<count { earliest = min(earliest, due(missing[index])) }
        return earliest
    }

    private func due(_ entry: Missing) -> UInt64 {
        entry.attempts == 0
            ? entry.since &+ NackGenerator.reorderingDelay
            : entry.askedAt &+ max(roundTrip, NackGenerator.shortestInterval)
    }

    /// The sequence numbers to ask for now, in order. Those given up count as lost; true says that there were some.
    package mutating func collect(now: UInt64, into sequences: inout [UInt16]) -> Bool {
        var kept = 0
        var gaveUp = false
        for index in 0..<count {
            var entry = missing[index]
            if now >= due(entry) {
                if entry.attempts >= NackGenerator.attempts || now &- entry.since > NackGenerator.longestAge {
                    givenUp &+= 1
                    gaveUp = true
                    continue
                }
                entry.attempts += 1
                entry.askedAt = now
                sequences.append(UInt16(truncatingIfNeeded: entry.sequence))
                requested &+= 1
            }
            missing[kept] = entry
            kept += 1
        }
        count = kept
        return gaveUp
    }

    /// Nothing before a key frame is needed any more.
    package mutating func forget(before sequence: UInt32) {
        var kept = 0
        for index in 0..<count where Int32(bitPattern: missing[index].sequence &- sequence) >= 0 {
            missing[kept] = missing[index]
            kept += 1
        }
        count = kept
    }
}
