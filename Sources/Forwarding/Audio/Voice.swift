// What forwarding keeps of one microphone: its activity, how loud it is among the others, and whether it is on the air.

package struct Voice: Sendable {
    /// Below this a microphone counts as silent: −75 dBov.
    package static let softest: UInt8 = 52
    /// Silence goes on being sent for this long, so that a pause between words is not an edge in the sound.
    package static let hangOver: UInt64 = 500_000_000
    /// For packets that do not tell their level: louder than a noisy room, softer than somebody who speaks.
    package static let untoldLevel: UInt8 = 76
    /// Opus without anything to say (RFC 7587 §3.1.3) comes in packets of a byte or two.
    static let longestSilentPayload = 3

    package var activity = SpeechActivity()
    /// Sixteenths of a level: rises within two packets, falls within half a second.
    package private(set) var loudness: Int32 = 0
    package private(set) var audibleAt: UInt64 = 0
    /// Its packets go to the sections that share sources.
    package var isOnAir = false
    /// The room whose microphones it competes with.
    package var room: Int32 = -1

    package init() {}

    package mutating func hear(_ level: UInt8, now: UInt64) {
        activity.hear(level, now: now)
        let target = Int32(level) * 16
        loudness += target > loudness ? (target - loudness) / 2 : (target - loudness) / 16
        if level >= Voice.softest { audibleAt = now }
    }

    package func isAudible(now: UInt64) -> Bool {
        audibleAt > 0 && (audibleAt >= now || now - audibleAt <= Voice.hangOver)
    }

    /// Sorted out long ago: what is left of former loudness counts for nothing.
    mutating func forgetLoudness() { loudness = 0 }
}
