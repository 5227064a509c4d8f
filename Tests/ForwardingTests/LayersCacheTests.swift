// Joining: a receiver starts from the last key frame, and the publisher is not asked for another.
import Testing
import WireFormats

@testable import Forwarding

@Suite("Layers and the key frame cache")
struct LayersCacheTests {
    private struct Source {
        let world: ForwardingWorld
        var sequence: UInt16 = 65_000
        var picture: UInt16 = 100
        /// Packets in each picture.
        var size = 1

        mutating func send(key: Bool = false) {
            for index in 0..<size {
                let payload = Packets.vp8(picture: picture, key: key, starts: index == 0)
                world.send(
                    Packets.rtp(
                        marker: index == size - 1, sequence: sequence, timestamp: UInt32(picture) * 3000, ssrc: 1,
                        extensions: [(ForwardingWorld.mid, [0x30])], payload: payload))
                sequence &+= 1
            }
            picture &+= 1
        }
    }

    @Test("a joiner gets the last key frame and what followed at once, then goes on live, and nobody is asked")
    func join() throws {
        let world = ForwardingWorld()
        _ = world.addReceiver()
        var source = Source(world: world)
        source.send(key: true)
        for _ in 0..<60 {
            source.send()
            world.pass(33)
        }
        _ = world.keyFrameRequests()
        let joiner = world.addReceiver()
        world.drain()
        let cached = world.takePackets(joiner.peer)
        #expect(cached.count == 61)
        let first = try #require(cached.first), last = try #require(cached.last)
        #expect(first.payload.withUnsafeBytes { VideoFormat.vp8.startsKeyFrame($0) })
        for (before, after) in zip(cached, cached.dropFirst()) {
            #expect(after.header.sequence == before.header.sequence &+ 1)
            #expect(Int32(bitPattern: after.header.timestamp &- before.header.timestamp) > 0)
        }
        // Two seconds are shown within less than a tenth of one.
        #expect(last.header.timestamp &- first.header.timestamp < 9000)
        source.send()
        let live = try #require(world.takePackets(joiner.peer).first)
        #expect(live.header.sequence == last.header.sequence &+ 1)
        #expect(live.header.timestamp &- last.header.timestamp <= 3000)
        world.pass(500)
        #expect(world.keyFrameRequests().isEmpty)
        #expect(world.forwarder.counters.cacheStarts == 1)
    }

    @Test(
        "three hundred join within ten seconds: each has a picture at once, the publisher is asked once in ten seconds")
    func storm() {
        let world = ForwardingWorld()
        var source = Source(world: world, size: 8)
        _ = world.addReceiver()
        source.send(key: true)
        var asked = 0
        var late = 0
        for step in 0..<300 {
            world.pass(33)
            source.send()
            let joiner = world.addReceiver()
            world.drain()
            if world.packets(joiner.peer).isEmpty { late += 1 }
            let requests = world.keyFrameRequests().count
            asked += requests
            if requests > 0 { source.send(key: true) }
            if step % 50 == 49 { world.forwarder.removePeer(joiner.peer) }
        }
        #expect(late == 0)
        #expect(asked <= 1)
    }

    @Test("what a muted publisher sent before is not shown to those who come later")
    func muted() {
        let world = ForwardingWorld()
        _ = world.addReceiver()
        var source = Source(world: world)
        source.send(key: true)
        source.send()
        world.forwarder.setMuted(world.track, true, now: world.now)
        world.pass(100)
        let joiner = world.addReceiver()
        world.pass(200)
        #expect(world.packets(joiner.peer).isEmpty)
        world.forwarder.setMuted(world.track, false, now: world.now)
        world.pass(200)
        #expect(world.packets(joiner.peer).isEmpty)
        source.send(key: true)
        #expect(world.packets(joiner.peer).count == 1)
    }

    @Test("a paused stream gets nothing, asks for nothing, and goes on where it stopped")
    func pause() throws {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var source = Source(world: world)
        source.send(key: true)
        world.forwarder.setWantedLayer(
            receiver: receiver.peer, stream: receiver.stream, target: .none, now: world.now)
        let before = try #require(world.takePackets(receiver.peer).last)
        for _ in 0..<20 {
            world.pass(33)
            source.send()
        }
        #expect(world.packets(receiver.peer).isEmpty)
        #expect(world.keyFrameRequests().isEmpty)
        world.forwarder.setWantedLayer(
            receiver: receiver.peer, stream: receiver.stream, target: .highest, now: world.now)
        world.drain()
        let after = world.takePackets(receiver.peer)
        #expect(after.first?.header.sequence == before.header.sequence &+ 1)
        #expect(after.last.map { $0.header.timestamp &- before.header.timestamp } == UInt32(60_000))
    }
}
