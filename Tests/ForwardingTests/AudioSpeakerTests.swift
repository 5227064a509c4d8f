// Who speaks, found from generated levels in virtual time.
import Testing

@testable import Forwarding

private let packet: UInt64 = 20_000_000

/// A voice as levels of 20 ms: syllables with gaps between them, over a room's noise.
private struct GeneratedVoice {
    var random: SplitMix64
    var noise: UInt8 = 45
    var loudness: UInt8 = 96
    private var syllable = 0
    private var isSounding = false

    init(seed: UInt64) { random = SplitMix64(state: seed) }

    mutating func quiet() -> UInt8 { noise + UInt8(random.next() % 5) }

    mutating func speak() -> UInt8 {
        if syllable == 0 {
            isSounding.toggle()
            syllable = isSounding ? 6 + Int(random.next() % 12) : 1 + Int(random.next() % 4)
        }
        syllable -= 1
        return isSounding ? loudness - UInt8(random.next() % 8) : quiet()
    }
}

@Suite("Speech activity")
struct SpeechActivityTests {
    @Test("silence scores nothing, and a second of speech surpasses it on all scales")
    func silence() {
        var activity = SpeechActivity()
        var now: UInt64 = 5_000_000_000
        for _ in 0..<100 {
            activity.hear(40, now: now)
            now += packet
        }
        #expect(activity.scores(now: now) == .silence)
        for _ in 0..<50 {
            activity.hear(100, now: now)
            now += packet
        }
        #expect(activity.scores(now: now).surpasses(.silence) != nil)
    }

    @Test("a cough of 60 ms is not speech on the middle scale")
    func cough() {
        var activity = SpeechActivity()
        var now: UInt64 = 5_000_000_000
        for index in 0..<60 {
            activity.hear(index < 57 ? 40 : 115, now: now)
            now += packet
        }
        #expect(activity.scores(now: now).surpasses(.silence) == nil)
    }

    @Test("a microphone that stops sending is silent 100 ms later, without another packet")
    func stopped() {
        var activity = SpeechActivity()
        var now: UInt64 = 5_000_000_000
        for _ in 0..<50 {
            activity.hear(100, now: now)
            now += packet
        }
        #expect(activity.scores(now: now + 100_000_000).immediate == SpeechActivity.leastScore)
        #expect(activity.scores(now: now + 3_600_000_000_000) == .silence)
    }

    @Test("packets of 60 ms are heard as sound without holes")
    func longPackets() {
        var activity = SpeechActivity()
        var now: UInt64 = 5_000_000_000
        for _ in 0..<20 {
            activity.hear(100, now: now)
            now += 3 * packet
        }
        var other = SpeechActivity()
        for back in (0..<60).reversed() { other.hear(100, now: now - 3 * packet - UInt64(back) * packet) }
        #expect(activity.scores(now: now - 3 * packet) == other.scores(now: now - 3 * packet))
    }

    @Test("a hum that never ends becomes the floor, and a voice above it is still heard")
    func hum() {
        var activity = SpeechActivity()
        var now: UInt64 = 5_000_000_000
        for _ in 0..<1600 {
            activity.hear(72, now: now)
            now += packet
        }
        #expect(activity.scores(now: now) == .silence)
        for _ in 0..<50 {
            activity.hear(100, now: now)
            now += packet
        }
        #expect(activity.scores(now: now).surpasses(.silence) != nil)
    }

    @Test("levels and times out of any order do no harm")
    func hostile() {
        var activity = SpeechActivity()
        var random = SplitMix64(state: 7)
        for _ in 0..<20_000 {
            activity.hear(UInt8(truncatingIfNeeded: random.next()) & 0x7F, now: random.next() >> (random.next() % 64))
            _ = activity.scores(now: random.next() >> (random.next() % 64))
        }
    }
}

@Suite("Dominant speaker")
struct DominantSpeakerTests {
    /// Runs a conversation and returns who dominated, with the moments in milliseconds.
    private func run(
        _ room: AudioTestRoom, seed: UInt64, milliseconds: Int, speaking: (Int, Int) -> Bool
    ) -> [(at: Int, who: Int)] {
        var voices = room.microphones.indices.map { GeneratedVoice(seed: seed &+ UInt64($0) &* 77) }
        var changes: [(Int, Int)] = []
        for time in stride(from: 0, to: milliseconds, by: 20) {
            for index in voices.indices {
                room.send(index, level: speaking(index, time) ? voices[index].speak() : voices[index].quiet())
            }
            room.pass()
            changes += room.takeSpeakers().map { (time, $0) }
        }
        return changes
    }

    @Test("who speaks alone dominates within half a second, and nobody else does in a minute", arguments: 1...20)
    func alone(seed: Int) {
        let room = AudioTestRoom(microphones: 5)
        let changes = run(room, seed: UInt64(seed), milliseconds: 60_000) { who, _ in who == 3 }
        #expect(changes.map(\.who) == [3], "seed \(seed): \(changes)")
        #expect((changes.first?.at ?? .max) <= 900, "seed \(seed)")
    }

    @Test("turns of three seconds are followed one by one, each within 1.8 s", arguments: 1...20)
    func turns(seed: Int) {
        let room = AudioTestRoom(microphones: 3)
        let changes = run(room, seed: UInt64(seed), milliseconds: 30_000) { who, time in who == time / 3000 % 3 }
        #expect(changes.map(\.who) == (0..<10).map { $0 % 3 }, "seed \(seed): \(changes)")
        for (turn, change) in changes.enumerated() {
            #expect((0...1800).contains(change.at - turn * 3000), "seed \(seed): \(changes)")
        }
    }

    @Test("short words of assent do not take the place of who speaks", arguments: 1...20)
    func assent(seed: Int) {
        let room = AudioTestRoom(microphones: 4)
        let changes = run(room, seed: UInt64(seed), milliseconds: 60_000) { who, time in
            who == 0 || (who == 1 && time > 3000 && time % 4000 < 240)
        }
        #expect(changes.map(\.who) == [0], "seed \(seed): \(changes)")
    }

    @Test("two who speak at once for half a minute do not flap", arguments: 1...20)
    func together(seed: Int) {
        let room = AudioTestRoom(microphones: 4)
        let changes = run(room, seed: UInt64(seed), milliseconds: 30_000) { who, _ in who < 2 }
        #expect(changes.count <= 6, "seed \(seed): \(changes)")
    }
}
