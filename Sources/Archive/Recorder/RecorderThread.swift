// The thread that empties one packet ring into one recording's files.

import Foundation
import PacketRing

/// Runs a `RecorderCore` from its first record to `.end`, or until it is told to stop.
final class RecorderThread: @unchecked Sendable {
    private static let batch = 512

    private let ring: PacketRing
    private let context: RecordingContext
    private let changed: @Sendable ([Manifest.Track], Bool) -> Void
    private let condition = NSCondition()
    // Guarded by `condition`.
    private var isStopping = false
    private var hasEnded = false

    /// `changed` gets the tracks as the manifest shows them, every second and at once when there is a new file or gap.
    init(
        ring: PacketRing, context: RecordingContext,
        changed: @escaping @Sendable (_ tracks: [Manifest.Track], _ isUrgent: Bool) -> Void
    ) {
        self.ring = ring
        self.context = context
        self.changed = changed
        let thread = Thread { [self] in run() }
        thread.name = "archive-recorder"
        thread.start()
    }

    /// Waits for the ring's `.end` so long, then ends with what is there. Returns when all files are finished.
    func finish(patience: TimeInterval) {
        condition.lock()
        defer { condition.unlock() }
        let limit = Date(timeIntervalSinceNow: patience)
        while !hasEnded, condition.wait(until: limit) {}
        isStopping = true
        while !hasEnded { condition.wait() }
    }

    private var mustStop: Bool {
        condition.lock()
        defer { condition.unlock() }
        return isStopping
    }

    private func run() {
        let core = RecorderCore(context: context) { [ring] track in ring.requestKeyFrame(track: track) }
        var lastReport: UInt64 = 0
        while !core.hasEnded {
            let count = ring.drain(limit: Self.batch) { core.receive($0) }
            let now = monotonicNanoseconds()
            core.advance(now: now)
            if core.takeChange() {
                changed(core.manifest, true)
            } else if now &- lastReport > 1_000_000_000 {
                changed(core.manifest, false)
                lastReport = now
            }
            if count == Self.batch { continue }
            if mustStop, ring.pendingBytes == 0 { core.end(now: now) }
            if !core.hasEnded { ring.wait(milliseconds: 50) }
        }
        changed(core.manifest, true)
        condition.lock()
        hasEnded = true
        condition.broadcast()
        condition.unlock()
    }
}

/// CLOCK_MONOTONIC.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
