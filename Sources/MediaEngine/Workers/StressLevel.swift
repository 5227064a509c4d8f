// What a worker does without when its load is too high, and when it stops doing without.

/// Shares of a worker's thread, 0 to 1.
package struct StressLimits: Sendable, Equatable {
    /// From here on no new faces are taken, neither from senders nor for receivers. Above 1: never.
    package var refuseVideo: Double
    /// From here on faces are sent in their smallest layer. Above 1: never.
    package var thinFaces: Double
    /// Nanoseconds of less load after which new faces are taken again; thin ones are whole after twice that at first.
    package var rest: UInt64 = 5_000_000_000

    package init(refuseVideo: Double = 0.85, thinFaces: Double = 0.93) {
        self.refuseVideo = refuseVideo
        self.thinFaces = thinFaces
    }
}

/// Each includes those before it. Sound, documents, images, surgical fields, panoramas and vital signs are never touched.
package enum StressState: UInt8, Sendable, Codable, Comparable, CaseIterable {
    case relaxed, refusesFaces, thinsFaces

    package static func < (left: StressState, right: StressState) -> Bool { left.rawValue < right.rawValue }

    package var name: String {
        switch self {
        case .relaxed: "relaxed"
        case .refusesFaces: "refuses_faces"
        case .thinsFaces: "thins_faces"
        }
    }
}

/// A value that is told the load at any times. Up a limit has to be exceeded for a moment, so that thirty people who join
/// at once do not count as overload; down the load has to stay well below it for some seconds. Thinner faces are what
/// lowers the load: when it rises again as soon as they are whole, they stay thin twice as long the next time.
package struct StressLevel: Sendable {
    package static let margin = 0.12
    package static let patience: [UInt64] = [0, 750_000_000, 1_500_000_000]
    package static let mostRests: UInt64 = 32
    /// Thinning anew within this time is a return of the same trouble.
    package static let memory: UInt64 = 60_000_000_000

    package private(set) var state = StressState.relaxed
    private let limits: StressLimits
    private var aboveSince: [UInt64?] = [nil, nil, nil]
    private var belowSince: UInt64?
    private var thinRests: UInt64 = 2
    private var thinnedUntil: UInt64?

    package init(_ limits: StressLimits) { self.limits = limits }

    /// true when the state changed.
    package mutating func note(load: Double, now: UInt64) -> Bool {
        let before = state
        for level in [StressState.refusesFaces, .thinsFaces] {
            let index = Int(level.rawValue)
            guard load >= limit(of: level) else {
                aboveSince[index] = nil
                continue
            }
            let since = aboveSince[index] ?? now
            aboveSince[index] = since
            if state < level, now &- since >= StressLevel.patience[index] { rise(to: level, now: now) }
        }
        if state > before { return true }
        guard state > .relaxed, load < limit(of: state) - StressLevel.margin else {
            belowSince = nil
            return false
        }
        let since = belowSince ?? now
        belowSince = since
        guard now &- since >= limits.rest &* (state == .thinsFaces ? thinRests : 1) else { return false }
        belowSince = nil
        if state == .thinsFaces { thinnedUntil = now }
        state = state == .thinsFaces ? .refusesFaces : .relaxed
        return true
    }

    private func limit(of level: StressState) -> Double {
        switch level {
        case .relaxed: 0
        case .refusesFaces: limits.refuseVideo
        case .thinsFaces: limits.thinFaces
        }
    }

    private mutating func rise(to level: StressState, now: UInt64) {
        state = level
        belowSince = nil
        guard level == .thinsFaces else { return }
        if let thinnedUntil, now &- thinnedUntil < StressLevel.memory {
            thinRests = min(thinRests * 2, StressLevel.mostRests)
        } else {
            thinRests = 2
        }
    }
}
