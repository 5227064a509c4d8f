// When overload is declared and when it is over, in virtual time.
import Testing

@testable import MediaEngine

@Suite("Stress")
struct StressLevelTests {
    private struct Run {
        var stress = StressLevel(StressLimits())
        var now: UInt64 = 1_000_000_000
        var changes: [(state: StressState, at: Double)] = []

        /// Four readings a second.
        mutating func hold(_ load: Double, seconds: Double) {
            for _ in 0..<Int(seconds * 4) {
                if stress.note(load: load, now: now) {
                    changes.append((stress.state, Double(now - 1_000_000_000) / 1e9))
                }
                now += 250_000_000
            }
        }

        var states: [StressState] { changes.map(\.state) }
    }

    @Test("nothing happens below the first limit")
    func relaxed() {
        var run = Run()
        run.hold(0.84, seconds: 60)
        #expect(run.states.isEmpty)
    }

    @Test("first new faces are refused, and only higher up, and later, are faces thinned")
    func order() {
        var run = Run()
        run.hold(0.88, seconds: 30)
        #expect(run.states == [.refusesFaces])
        run.hold(0.95, seconds: 10)
        #expect(run.states == [.refusesFaces, .thinsFaces])
        var steep = Run()
        steep.hold(1, seconds: 10)
        #expect(steep.states == [.refusesFaces, .thinsFaces])
        #expect(steep.changes[0].at < steep.changes[1].at)
        #expect(steep.changes[1].at <= 2)
    }

    @Test("half a second of everything at once is no overload")
    func burst() {
        var run = Run()
        for _ in 0..<20 {
            run.hold(1, seconds: 0.5)
            run.hold(0.4, seconds: 2)
        }
        #expect(run.states.isEmpty)
    }

    @Test("a load that swings around a limit changes the state once")
    func hysteresis() {
        var run = Run()
        for _ in 0..<60 {
            run.hold(0.87, seconds: 1)
            run.hold(0.80, seconds: 1)
        }
        #expect(run.states == [.refusesFaces])
        run.hold(0.6, seconds: 10)
        #expect(run.states == [.refusesFaces, .relaxed])
    }

    @Test("recovery goes back step by step, faces first")
    func recovery() {
        var run = Run()
        run.hold(1, seconds: 5)
        run.hold(0.3, seconds: 30)
        #expect(run.states == [.refusesFaces, .thinsFaces, .refusesFaces, .relaxed])
        #expect(run.changes[2].at >= 15)
        #expect(run.changes[3].at >= run.changes[2].at + 5)
    }

    @Test("faces that were whole again too early stay thin longer each time")
    func backsOff() {
        var run = Run()
        var spells: [Double] = []
        for _ in 0..<6 {
            // Thin faces halve the load, whole ones are too much.
            while run.stress.state != .thinsFaces { run.hold(0.97, seconds: 0.25) }
            let since = run.now
            while run.stress.state == .thinsFaces { run.hold(0.5, seconds: 0.25) }
            spells.append(Double(run.now - since) / 1e9)
        }
        #expect(spells[0] < 11)
        for (earlier, later) in zip(spells, spells.dropFirst()).prefix(4) { #expect(later > 1.9 * earlier) }
        #expect(spells.max() ?? 0 < 165)
        // After a good while it is taken for new trouble.
        run.hold(0.5, seconds: 70)
        while run.stress.state != .thinsFaces { run.hold(0.97, seconds: 0.25) }
        let since = run.now
        while run.stress.state == .thinsFaces { run.hold(0.5, seconds: 0.25) }
        #expect(Double(run.now - since) / 1e9 < 11)
    }

    @Test("a limit above every load is never reached")
    func switchedOff() {
        var run = Run()
        run.stress = StressLevel(StressLimits(refuseVideo: .infinity, thinFaces: 0.9))
        run.hold(1, seconds: 5)
        #expect(run.states == [.thinsFaces])
    }

    @Test("the meter follows the thread's own time within a second or two")
    func meter() {
        var meter = LoadMeter()
        var (thread, now) = (UInt64(0), UInt64(5_000_000_000))
        func run(_ share: Double, seconds: Int) {
            for _ in 0..<(seconds * 4) {
                now += LoadMeter.interval
                thread += UInt64(Double(LoadMeter.interval) * share)
                meter.sample(thread: thread, now: now, streams: 40)
            }
        }
        run(0.9, seconds: 1)
        #expect(meter.busy > 0.4 && meter.busy < 0.9)
        run(0.9, seconds: 4)
        #expect(abs(meter.busy - 0.9) < 0.02)
        #expect(abs(meter.settledStreams - 40) < 1)
        run(0, seconds: 4)
        #expect(meter.busy < 0.03)
        meter.note(delay: 30_000_000)
        run(0, seconds: 1)
        #expect(meter.loopDelay > 0 && meter.loopDelay < 30_000_000)
    }
}
