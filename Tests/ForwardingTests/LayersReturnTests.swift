// A publisher that paused because nobody watched, and somebody who watches again.
import Testing
import WireFormats

@testable import Forwarding

@Suite("Layers that a publisher pauses by demand")
struct LayersReturnTests {
    private final class Scene {
        let world: ForwardingWorld
        let receiver: (peer: Int32, stream: Int32)
        var picture: UInt16 = 10
        var sequence: UInt16 = 100

        init() {
            world = ForwardingWorld()
            receiver = world.addReceiver()
            world.forwarder.setView(.shown(width: 640, height: 360), of: receiver.stream, now: world.now)
        }

        func send(key: Bool = false, packets: Int = 1) {
            for index in 0..<packets {
                world.send(
                    Packets.rtp(
                        marker: index == packets - 1, sequence: sequence,
                        timestamp: UInt32(truncatingIfNeeded: world.now / 1_000_000 * 90), ssrc: 1,
                        extensions: [(ForwardingWorld.mid, Array("0".utf8))],
                        payload: Packets.vp8(picture: picture, key: key, starts: index == 0)))
                sequence &+= 1
            }
            picture &+= 1
        }

        /// Hidden until the publisher has been told; it then sends nothing.
        func pause(for milliseconds: UInt64, packets: Int = 1) {
            world.forwarder.setView(.hidden, of: receiver.stream, now: world.now)
            for _ in 0..<160 {
                send(packets: packets)
                world.pass(33)
            }
            world.pass(milliseconds)
            _ = world.forwarder.takeNotices()
            _ = world.keyFrameRequests()
            _ = world.takePackets(receiver.peer)
        }

        func show() {
            world.forwarder.setView(.shown(width: 640, height: 360), of: receiver.stream, now: world.now)
            world.forwarder.handleTimeout(now: world.now)
            world.drain()
        }

        /// Pictures that begin with a key frame, of those that came since the last look.
        var keyFrames: [ReceivedPacket] {
            world.packets(receiver.peer).filter { packet in
                packet.payload.withUnsafeBytes { VideoFormat.vp8.startsKeyFrame($0) }
            }
        }
    }

    /// Of the pause: the cache still holds a key frame with all that followed, too much of it, or nothing.
    @Test(
        "whoever shows a paused stream again has a key frame asked for at once, and gets it with its first packet",
        arguments: [(500, 1), (1500, 1), (3000, 1), (3000, 8), (20_000, 1)] as [(UInt64, Int)])
    func returning(milliseconds: UInt64, packets: Int) throws {
        let scene = Scene()
        scene.send(key: true, packets: packets)
        scene.world.pass(33)
        scene.pause(for: milliseconds, packets: packets)
        scene.show()
        if milliseconds > 1200 { #expect(scene.world.keyFrameRequests() == [1]) }
        // The publisher is told, and its encoder begins.
        scene.world.pass(50)
        _ = scene.world.takePackets(scene.receiver.peer)
        scene.send(key: true)
        #expect(scene.keyFrames.count == 1)
        scene.world.pass(2000)
        #expect(scene.world.keyFrameRequests().isEmpty)
    }

    @Test("an encoder that goes on in the middle of its pictures is asked with the first of them")
    func withoutKeyFrame() {
        let scene = Scene()
        scene.send(key: true)
        scene.pause(for: 20_000)
        scene.show()
        #expect(scene.world.keyFrameRequests() == [1])
        // It did not hear of it while it slept.
        scene.world.pass(330)
        _ = scene.world.keyFrameRequests()
        scene.send()
        scene.world.pass(10)
        #expect(scene.world.keyFrameRequests() == [1])
        scene.world.pass(40)
        scene.send(key: true)
        #expect(scene.keyFrames.count == 1)
    }

    @Test("what was asked in vain while the publisher slept does not make the request wait that comes after")
    func afterVainRequests() {
        let scene = Scene()
        scene.send(key: true)
        scene.pause(for: 15_000)
        // Somebody's decoder lost its way before, and asked.
        scene.show()
        scene.world.pass(9000)
        scene.world.forwarder.setView(.hidden, of: scene.receiver.stream, now: scene.world.now)
        scene.world.pass(6000)
        _ = scene.world.keyFrameRequests()
        scene.show()
        #expect(scene.world.keyFrameRequests() == [1])
        scene.world.pass(20)
        scene.send(key: true)
        #expect(scene.keyFrames.count == 1)
    }

    @Test("of a simulcast that begins with another layer than the one before the pause, that one is shown at once")
    func otherLayer() {
        let world = ForwardingWorld(rids: ["q", "h", "f"])
        let receiver = world.addReceiver()
        var sequences: [UInt16] = [100, 200, 300]
        func send(_ layer: Int, key: Bool = false) {
            world.send(
                Packets.rtp(
                    sequence: sequences[layer], timestamp: UInt32(truncatingIfNeeded: world.now / 1_000_000 * 90),
                    ssrc: 10 + UInt32(layer),
                    extensions: [
                        (ForwardingWorld.mid, Array("0".utf8)),
                        (ForwardingWorld.rid, Array(["q", "h", "f"][layer].utf8)),
                    ],
                    payload: Packets.vp8(
                        picture: sequences[layer], key: key, width: 160 << UInt16(layer), height: 90 << UInt16(layer))))
            sequences[layer] &+= 1
        }
        world.forwarder.setView(.shown(width: 640, height: 360), of: receiver.stream, now: world.now)
        for layer in 0..<3 { send(layer, key: true) }
        for _ in 0..<60 {
            world.pass(33)
            for layer in 0..<3 { send(layer, key: world.keyFrameRequests().contains(10 + UInt32(layer))) }
        }
        world.forwarder.setView(.hidden, of: receiver.stream, now: world.now)
        world.pass(20_000)
        world.forwarder.setView(.shown(width: 640, height: 360), of: receiver.stream, now: world.now)
        world.pass(60)
        _ = world.takePackets(receiver.peer)
        send(0, key: true)
        #expect(world.takePackets(receiver.peer).count == 1)
        world.pass(33)
        send(0)
        #expect(world.takePackets(receiver.peer).count == 1)
    }
}
