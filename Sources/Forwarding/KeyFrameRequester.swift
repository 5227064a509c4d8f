// When to ask a publisher for a key frame, so that many receivers together ask no more often than one.

/// Two requests to one source are at least half a second apart. A request that no key frame answers is repeated: five
/// times at that distance, since requests and key frames get lost, then ever more slowly, and after two repetitions as
/// FIR, since some encoders only know that (RFC 5104 §4.3.1).
package struct KeyFrameRequester: Sendable {
    package static let shortestInterval: UInt64 = 500_000_000
    package static let firstRetry: UInt64 = 500_000_000
    package static let quickRetries = 5
    package static let longestRetry: UInt64 = 4_000_000_000
    /// Joiners who have a picture already ask together, this seldom.
    package static let joinInterval: UInt64 = 10_000_000_000

    package enum Form: Sendable, Equatable { case pictureLoss, fullIntra }

    private var isPending = false
    private var due: UInt64 = 0
    private var sentAt: UInt64?
    private var attempts = 0
    package private(set) var requests: UInt64 = 0
    package private(set) var sent: UInt64 = 0
    /// RFC 5104: repeats of one request keep their number, new requests count on.
    package private(set) var fullIntraSequence: UInt8 = 0

    package init() {}

    package mutating func request(now: UInt64) {
        requests &+= 1
        guard !isPending else { return }
        isPending = true
        due = sentAt.map { max(now, $0 &+ KeyFrameRequester.shortestInterval) } ?? now
    }

    /// For somebody who sees the last key frame and waits for the next.
    package mutating func requestForJoiner(now: UInt64) {
        let earliest = sentAt.map { $0 &+ KeyFrameRequester.joinInterval } ?? now
        if now >= earliest { request(now: now) }
    }

    package var nextDeadline: UInt64? { isPending ? due : nil }

    /// What to send now, if anything.
    package mutating func poll(now: UInt64, pictureLoss: Bool, fullIntra: Bool) -> Form? {
        guard isPending, now >= due else { return nil }
        guard pictureLoss || fullIntra else {
            isPending = false
            return nil
        }
        let useFullIntra = fullIntra && (!pictureLoss || attempts >= 2)
        if attempts == 0 { fullIntraSequence &+= 1 }
        attempts += 1
        let retry = KeyFrameRequester.firstRetry << UInt64(min(max(attempts - KeyFrameRequester.quickRetries, 0), 4))
        sentAt = now
        sent &+= 1
        due = now &+ min(retry, KeyFrameRequester.longestRetry)
        return useFullIntra ? .fullIntra : .pictureLoss
    }

    package mutating func keyFrameArrived() {
        isPending = false
        attempts = 0
    }

    /// The source was silent, which is why nothing answered: whoever still waits asks at once, whatever was asked before.
    package mutating func sourceReturned() {
        isPending = false
        attempts = 0
        sentAt = nil
    }

    /// Nobody waits any more.
    package mutating func cancel() { isPending = false }
}
