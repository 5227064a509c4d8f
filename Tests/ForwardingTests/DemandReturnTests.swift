// Pictures that are hidden and shown again, on a path whose bandwidth is known, in virtual time.
import NetworkSimulator
import Testing
import WireFormats

@testable import Forwarding

@Suite("The return of hidden pictures")
struct DemandReturnTests {
    private let shown = ViewDemand.shown(width: 1280, height: 720)

    private func hide(_ path: NarrowPath, seconds: Double) {
        path.world.forwarder.setView(.hidden, of: path.receiver.stream, now: path.world.now)
        path.run(seconds: seconds)
        _ = path.world.takePackets(path.receiver.peer)
        path.delivered.removeAll()
    }

    /// Milliseconds until the first packet arrived; nil when none did within two seconds.
    private func returnTime(_ path: NarrowPath) -> Int? {
        path.world.forwarder.setView(shown, of: path.receiver.stream, now: path.world.now)
        for milliseconds in 1...2000 {
            path.run(seconds: 0.001)
            if !path.delivered.isEmpty { return milliseconds }
        }
        return nil
    }

    private func settled() -> NarrowPath {
        let path = NarrowPath(LinkConditions(delay: .milliseconds(10), rate: .megabits(20)))
        path.world.forwarder.setView(shown, of: path.receiver.stream, now: path.world.now)
        path.run(seconds: 6)
        #expect(path.lastWidth == 1280)
        return path
    }

    @Test("however often a page looks away, its picture is back within 100 ms while the publisher sends")
    func again() throws {
        let path = settled()
        for round in 0..<6 {
            hide(path, seconds: 0.5 + 0.4 * Double(round))
            #expect(path.delivered.isEmpty)
            let milliseconds = try #require(returnTime(path), "round \(round)")
            #expect(milliseconds <= 100, "round \(round)")
            path.run(seconds: 0.3)
        }
    }

    @Test(
        "a publisher that had paused is forwarded with its first key frame, also when the page has looked away just before",
        arguments: [5.2, 6.5, 20])
    func afterPause(away: Double) throws {
        let path = settled()
        hide(path, seconds: 1.6)
        _ = returnTime(path)
        path.run(seconds: 0.2)
        hide(path, seconds: 5.1)
        // It has been told by now, and stops.
        path.isSending = false
        path.run(seconds: away - 5.1)
        path.delivered.removeAll()
        path.world.forwarder.setView(shown, of: path.receiver.stream, now: path.world.now)
        // What the way to the publisher and the start of its encoders take.
        path.run(seconds: 0.1)
        path.delivered.removeAll()
        for index in path.layers.indices { path.layers[index].wantsKey = true }
        path.isSending = true
        path.run(seconds: 0.1)
        #expect(!path.delivered.isEmpty)
        path.run(seconds: 2)
        #expect(path.lastWidth == 1280)
    }

    /// Receivers take the difference between a packet's way in time and in timestamps for jitter, and wait for it.
    @Test("what comes from the key frame cache does not look late", arguments: [0.4, 1.6, 4.0])
    func timing(away: Double) throws {
        let path = settled()
        path.run(seconds: 0.2)
        let before = try #require(path.delivered.last)
        let beforeAt = path.world.now
        // A key frame that comes while the page looks away is where it goes on from.
        path.world.forwarder.setView(.hidden, of: path.receiver.stream, now: path.world.now)
        path.run(seconds: away - 0.3)
        for index in path.layers.indices { path.layers[index].wantsKey = true }
        path.run(seconds: 0.3)
        path.delivered.removeAll()
        _ = try #require(returnTime(path))
        path.run(seconds: 0.5)
        let first = try #require(path.delivered.first)
        #expect(path.world.forwarder.counters.cacheStarts > 0)
        let elapsed = Int((path.world.now - beforeAt) / millisecond) - 500
        let told = Int(first.header.timestamp &- before.header.timestamp) / 90
        #expect(abs(told - elapsed) < 100, "\(told) ms by timestamps, \(elapsed) ms by the clock")
        for (one, next) in zip(path.delivered, path.delivered.dropFirst()) {
            #expect(Int32(bitPattern: next.header.timestamp &- one.header.timestamp) >= 0)
        }
    }

    @Test("a picture that is drawn larger gets its larger layer at once, though it has been changed just before")
    func larger() {
        let path = settled()
        for _ in 0..<3 {
            path.world.forwarder.setView(
                .shown(width: 160, height: 90), of: path.receiver.stream, now: path.world.now)
            path.run(seconds: 1)
            #expect(path.lastWidth == 320)
            path.world.forwarder.setView(shown, of: path.receiver.stream, now: path.world.now)
            path.run(seconds: 1)
            #expect(path.lastWidth == 1280)
        }
    }
}
