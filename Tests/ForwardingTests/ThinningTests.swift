// Faces in their smallest layer when a worker is at its limit, and everything else as it was.
import Testing

@testable import Forwarding

@Suite("Thinning")
struct ThinningTests {
    /// A publisher with three layers and a receiver that has said nothing of what it shows.
    private func world(role: StreamRole) -> (world: ForwardingWorld, stream: Int32, send: (_ key: Bool) -> Void) {
        let world = ForwardingWorld(rids: ["q", "h", "f"])
        world.forwarder.tracks[world.track].pointee.role = role
        let receiver = world.addReceiver()
        var picture: UInt16 = 0
        let send = { (key: Bool) in
            for (index, rid) in ["q", "h", "f"].enumerated() {
                // A layer has twice the sides and twice the bytes of the one below.
                world.send(
                    Packets.rtp(
                        sequence: 100 + picture, timestamp: UInt32(picture) * 3000, ssrc: 1 + UInt32(index),
                        extensions: [
                            (ForwardingWorld.mid, Array("0".utf8)), (ForwardingWorld.rid, Array(rid.utf8)),
                        ],
                        payload: Packets.vp8(
                            picture: picture, key: key, width: UInt16(160) << index, height: UInt16(90) << index)
                            + [UInt8](repeating: 7, count: 100 << index)))
            }
            picture += 1
        }
        return (world, receiver.stream, send)
    }

    /// The layer that the stream carries after two seconds of pictures.
    private func layer(_ world: ForwardingWorld, _ stream: Int32, _ send: (Bool) -> Void) -> Int? {
        for number in 0..<60 {
            send(number % 15 == 0)
            world.pass(33)
        }
        let current = world.forwarder.streams[stream].pointee.current
        return world.forwarder.encodings.find(current).map { Int($0.pointee.index) }
    }

    @Test("a face falls to its smallest layer, is explained by policy, and comes back")
    func face() {
        let (world, stream, send) = world(role: .camera)
        #expect(layer(world, stream, send) == 2)
        world.forwarder.setThinsFaces(true, now: world.now)
        #expect(layer(world, stream, send) == 0)
        #expect(world.forwarder.streams[stream].pointee.useful.reason == .policy)
        #expect(world.forwarder.streams[stream].pointee.reason == .policy)
        world.forwarder.setThinsFaces(false, now: world.now)
        #expect(layer(world, stream, send) == 2)
        #expect(world.forwarder.streams[stream].pointee.useful.reason == .best)
    }

    @Test(
        "nothing but faces is thinned",
        arguments: [StreamRole.surgicalField, .imaging, .document, .vitals, .panorama])
    func others(role: StreamRole) {
        let (world, stream, send) = world(role: role)
        #expect(layer(world, stream, send) == 2)
        world.forwarder.setThinsFaces(true, now: world.now)
        #expect(layer(world, stream, send) == 2)
        #expect(world.forwarder.streams[stream].pointee.useful.reason != .policy)
    }

    @Test("the larger layers are not asked of the sender while nobody is sent them")
    func publisher() {
        let (world, stream, send) = world(role: .camera)
        _ = layer(world, stream, send)
        _ = world.forwarder.takeNotices()
        world.forwarder.setThinsFaces(true, now: world.now)
        for _ in 0..<4 { _ = layer(world, stream, send) }
        let told = world.forwarder.takeNotices().compactMap { notice in
            if case .wantedLayers(world.track, let count) = notice { count } else { nil }
        }
        #expect(told == [1])
    }

    @Test("a face that joins meanwhile is thin from its beginning, and one that is hidden stays so")
    func later() {
        let (world, stream, send) = world(role: .camera)
        world.forwarder.setThinsFaces(true, now: world.now)
        world.forwarder.setView(.shown(width: 1920, height: 1080), of: stream, now: world.now)
        #expect(layer(world, stream, send) == 0)
        world.forwarder.setView(.hidden, of: stream, now: world.now)
        #expect(layer(world, stream, send) == nil)
    }
}
