// From what a page shows to the layer it gets, and to what its publisher is told.
import Testing

@testable import Forwarding

@Suite("Demand")
struct DemandTests {
    private func sizes(_ known: [(Int, Int, Int)] = [(0, 320, 180), (1, 640, 360), (2, 1280, 720)]) -> LayerSizes {
        var sizes = LayerSizes(count: 3)
        for (index, width, height) in known { sizes.set(index, width: width, height: height) }
        return sizes
    }

    @Test(
        "the smallest picture that is stretched by a third at most is of use",
        arguments: [
            (160, 90, 0), (320, 180, 0), (424, 240, 0), (440, 248, 1), (848, 480, 1), (864, 486, 2), (3840, 2160, 2),
            // A tall tile that the picture fills is cut off at the sides.
            (200, 400, 1),
        ])
    func size(width: Int, height: Int, layer: Int) {
        let useful = UsefulLayer(.shown(width: width, height: height), sizes(), keepsResolution: false)
        if layer == 2 {
            #expect(useful == .everything)
        } else {
            #expect(useful == UsefulLayer(target: LayerTarget(spatial: UInt8(layer)), reason: .viewport))
        }
    }

    @Test("sizes that are not known yet follow from one that is, and without any everything is of use")
    func unknownSizes() {
        let small = ViewDemand.shown(width: 300, height: 170)
        #expect(UsefulLayer(small, sizes([(2, 1280, 720)]), keepsResolution: false).target.spatial == 0)
        #expect(UsefulLayer(small, sizes([(0, 160, 90)]), keepsResolution: false).target.spatial == 1)
        #expect(UsefulLayer(small, sizes([]), keepsResolution: false) == .everything)
    }

    @Test("a document is sent in full however small it is shown, and not at all when it is not")
    func documents() {
        #expect(UsefulLayer(.shown(width: 100, height: 60), sizes(), keepsResolution: true) == .everything)
        #expect(UsefulLayer(.hidden, sizes(), keepsResolution: true).target == .none)
        #expect(UsefulLayer(.unknown, sizes(), keepsResolution: false) == .everything)
    }

    @Test("rids from large to small are told apart by their sizes")
    func descending() {
        let descending = sizes([(0, 1280, 720), (1, 640, 360), (2, 320, 180)])
        let useful = UsefulLayer(.shown(width: 300, height: 170), descending, keepsResolution: false)
        #expect(useful.target.spatial == 2)
    }

    @Test("more is told to a publisher at once, less after five seconds in which nobody wanted more")
    func hysteresis() {
        var demand = PublisherDemand(layers: 3)
        func update(wanted: Int, seconds: UInt64) -> Bool {
            demand.update(wanted: wanted, now: seconds * 1_000_000_000)
        }
        #expect(!update(wanted: 3, seconds: 0))
        #expect(!update(wanted: 1, seconds: 10))
        #expect(!update(wanted: 3, seconds: 14))
        #expect(!update(wanted: 0, seconds: 15))
        #expect(!update(wanted: 1, seconds: 19))
        #expect(update(wanted: 1, seconds: 20))
        #expect(demand.told == 1)
        #expect(!update(wanted: 1, seconds: 40))
        #expect(update(wanted: 2, seconds: 41))
    }

    @Test("a stream that is hidden stops, asks for nothing, and comes back from a key frame")
    func hiding() {
        let world = ForwardingWorld()
        let receiver = world.addReceiver()
        var picture: UInt16 = 0
        func send(key: Bool = false) {
            world.send(
                Packets.rtp(
                    sequence: 100 + picture, timestamp: UInt32(picture) * 3000, ssrc: 1,
                    extensions: [(ForwardingWorld.mid, Array("0".utf8))],
                    payload: Packets.vp8(picture: picture, key: key)))
            picture += 1
        }
        send(key: true)
        send()
        #expect(world.takePackets(receiver.peer).count == 2)
        world.forwarder.setView(.hidden, of: receiver.stream, now: world.now)
        _ = world.keyFrameRequests()
        for _ in 0..<20 {
            send()
            world.pass(50)
        }
        send(key: true)
        #expect(world.takePackets(receiver.peer).isEmpty)
        #expect(world.keyFrameRequests().isEmpty)
        world.forwarder.setView(.shown(width: 640, height: 360), of: receiver.stream, now: world.now)
        world.pass(10)
        send()
        send(key: true)
        let back = world.takePackets(receiver.peer)
        #expect(!back.isEmpty)
        // Bit 0 of the frame's first byte is clear in key frames (RFC 6386 §9.1).
        #expect(back.first.map { $0.payload[6] & 1 } == 0)
    }

    @Test("a publisher that nobody watches is told so after five seconds, and that somebody does at once")
    func publisher() {
        let world = ForwardingWorld(rids: ["q", "h", "f"])
        func told() -> [Int] {
            world.forwarder.takeNotices().compactMap { notice in
                if case .wantedLayers(world.track, let count) = notice { count } else { nil }
            }
        }
        world.pass(4900)
        #expect(told().isEmpty)
        world.pass(300)
        #expect(told() == [0])
        let receiver = world.addReceiver()
        world.pass(110)
        #expect(told() == [3])
        world.forwarder.encodings.insert(
            SourceEncoding(
                track: world.track, index: 2, stamp: 99, rid: Array("f".utf8), clockRate: 90_000, usesNack: true,
                isVideo: true))
        world.forwarder.tracks[world.track].pointee.encodings.append(0)
        world.forwarder.encodings[0].pointee.width = 1280
        world.forwarder.encodings[0].pointee.height = 720
        world.forwarder.setView(.shown(width: 320, height: 180), of: receiver.stream, now: world.now)
        world.pass(5200)
        #expect(told() == [1])
        // A recording wants everything.
        world.forwarder.tracks[world.track].pointee.recorderTrack = 1
        world.pass(110)
        #expect(told() == [3])
    }
}
