// The levels of one microphone in the last second, and how much they look like speech on three time scales.
import Glibc

/// How active a microphone is at this moment, over a syllable's length, and over a second; larger is more speech.
package struct SpeechScores: Sendable, Equatable {
    package var immediate: Double
    package var medium: Double
    package var long: Double

    package static let silence = SpeechScores(
        immediate: SpeechActivity.leastScore, medium: SpeechActivity.leastScore, long: SpeechActivity.leastScore)

    /// How far this speaker surpasses another on the middle scale; nil when it does not do so on all three.
    package func surpasses(_ other: SpeechScores) -> Double? {
        let margin = log(medium / other.medium)
        guard log(immediate / other.immediate) > SpeechActivity.immediateMargin, margin > SpeechActivity.mediumMargin,
            log(long / other.long) > SpeechActivity.longMargin
        else { return nil }
        return margin
    }
}

/// Volfin and Cohen, "Dominant speaker identification for multipoint videoconferencing" (Computer Speech & Language 27,
/// 2013); README.md beside this file says how it works and where the numbers come from.
package struct SpeechActivity: Sendable {
    /// As long as a packet of Opus usually is.
    package static let slotLength: UInt64 = 20_000_000

    // The paper's C1, C2, C3: logarithms of ratios.
    static let immediateMargin = 3.0
    static let mediumMargin = 2.0
    static let longMargin = 0.0
    // Its N1, N2, N3: steps of loudness in a slot, slots in a block, blocks in the whole.
    static let steps = 13
    static let slotsInBlock = 5
    static let blocks = 10
    private static let slots = 50
    /// A slot counts in its block above this many steps, a block in the whole above this many slots.
    private static let activeSteps = 7
    private static let activeSlots = 4
    static let leastScore = 1e-10

    /// Loudness (127 − dBov) at which the steps begin and end: −75 to −15 dBov.
    private static let softest = 52
    private static let loudest = 112
    /// What a microphone always hears is not speech: it has to rise this far above its floor.
    private static let aboveFloor = 8
    /// A floor above −55 dBov is believed to be sound that somebody wants to be heard.
    private static let highestFloor = 72
    private static let floorWindow: UInt64 = 750

    /// Steps by slot number, a ring.
    private var history = InlineArray<50, UInt8>(repeating: 0)
    private var newest: UInt64 = 0
    private var floor = 0
    private var quietest = 127
    private var windowEnds: UInt64 = 0

    package init() {}

    package mutating func hear(_ level: UInt8, now: UInt64) {
        let slot = now / SpeechActivity.slotLength
        noteFloor(Int(level), slot: slot)
        let steps = SpeechActivity.stepCount(Int(level), floor: floor)
        guard slot > newest else {
            // Packets that came in a bunch: the louder one is what was heard.
            let place = Int(newest % UInt64(SpeechActivity.slots))
            if slot == newest { history[place] = max(history[place], steps) }
            return
        }
        // A packet holds up to 60 ms of sound: the two slots before it are its own when nothing else filled them.
        advance(to: slot > 3 ? slot - 3 : 0)
        while newest < slot {
            newest += 1
            history[Int(newest % UInt64(SpeechActivity.slots))] = steps
        }
    }

    private static func stepCount(_ level: Int, floor: Int) -> UInt8 {
        guard level >= floor + aboveFloor, level > softest else { return 0 }
        let steps = (level - softest) * Self.steps / (loudest - softest)
        return UInt8(min(steps, Self.steps))
    }

    /// The quietest of fifteen seconds is the floor of the next fifteen.
    private mutating func noteFloor(_ level: Int, slot: UInt64) {
        if windowEnds == 0 { windowEnds = slot + SpeechActivity.floorWindow }
        if slot >= windowEnds {
            floor = min(quietest, SpeechActivity.highestFloor)
            quietest = 127
            windowEnds = slot + SpeechActivity.floorWindow
        }
        quietest = min(quietest, level)
    }

    /// Slots in which nothing came are silent.
    private mutating func advance(to slot: UInt64) {
        guard slot > newest else { return }
        if slot - newest >= UInt64(SpeechActivity.slots) {
            history = InlineArray(repeating: 0)
            newest = slot
            return
        }
        while newest < slot {
            newest += 1
            history[Int(newest % UInt64(SpeechActivity.slots))] = 0
        }
    }

    package mutating func scores(now: UInt64) -> SpeechScores {
        // What is on its way for two slots is late, not silent.
        let slot = now / SpeechActivity.slotLength
        advance(to: slot > 2 ? slot - 2 : 0)
        var wholeBlocks = 0
        var newestBlock = 0
        for block in 0..<SpeechActivity.blocks {
            var active = 0
            for index in 0..<SpeechActivity.slotsInBlock {
                let back = UInt64(block * SpeechActivity.slotsInBlock + index)
                guard back <= newest else { break }
                if history[Int((newest - back) % UInt64(SpeechActivity.slots))] > SpeechActivity.activeSteps {
                    active += 1
                }
            }
            if block == 0 { newestBlock = active }
            if active > SpeechActivity.activeSlots { wholeBlocks += 1 }
        }
        let latest = Int(history[Int(newest % UInt64(SpeechActivity.slots))])
        return SpeechScores(
            immediate: SpeechActivity.score(latest, of: SpeechActivity.steps, lambda: 0.78),
            medium: SpeechActivity.score(newestBlock, of: SpeechActivity.slotsInBlock, lambda: 24),
            long: SpeechActivity.score(wholeBlocks, of: SpeechActivity.blocks, lambda: 47))
    }

    /// The logarithm of how much likelier `active` of `count` is under speech (exponentially distributed) than under
    /// chance (a coin for each).
    private static func score(_ active: Int, of count: Int, lambda: Double) -> Double {
        let choices = lgamma(Double(count + 1)) - lgamma(Double(active + 1)) - lgamma(Double(count - active + 1))
        let value = choices + Double(count) * log(0.5) - log(lambda) + lambda * Double(active)
        return max(value, leastScore)
    }
}
