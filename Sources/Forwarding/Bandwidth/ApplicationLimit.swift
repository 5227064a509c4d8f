// Whether the sender has less to send than it may: then the path is not filled, and what arrives says nothing of it.

/// A budget of a share of the estimate that is used up by what is sent (libwebrtc's application limited region; 65 %
/// and both levels are its values).
package struct ApplicationLimit: Sendable {
    static let share = 0.65
    static let window = 0.5
    static let begins = 0.8
    static let ends = 0.5

    package private(set) var isLimited = false
    /// Of the window's budget, what is left: -1 … 1.
    private var level = 0.0
    private var updatedAt: UInt64?
    /// Since the last update; added to on every packet.
    package var sentBytes = 0

    package init() {}

    package mutating func update(estimate: Double, now: UInt64) {
        let last = updatedAt ?? now
        updatedAt = now
        guard now > last, estimate > 0 else { return }
        let full = estimate * ApplicationLimit.share * ApplicationLimit.window / 8
        level += (Double(now - last) / 1e9) / ApplicationLimit.window - Double(sentBytes) / full
        level = min(max(level, -1), 1)
        sentBytes = 0
        if level > ApplicationLimit.begins { isLimited = true }
        if level < ApplicationLimit.ends { isLimited = false }
    }
}
