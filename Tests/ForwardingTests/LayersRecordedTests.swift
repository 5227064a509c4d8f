// Layers chosen from what Chromium really sent: every frame that a receiver gets has its references.
import ForwardingSimulation
import Testing

@testable import Forwarding
@testable import WireFormats

@Suite("Layers of recorded streams")
struct LayersRecordedTests {
    private static let targets: [(UInt8, UInt8)] = (0..<3).flatMap { spatial in (0..<3).map { (spatial, $0) } }

    @Test("from AV1 L3T3_KEY every pair of layers is cut out so that it decodes, and says so", arguments: targets)
    func av1(spatial: UInt8, temporal: UInt8) throws {
        guard let capture = try Capture("chromium-svc-av1-L3T3_KEY") else { return }
        let call = RecordedCall(
            capture, codec: .av1, target: LayerTarget(spatial: spatial, temporal: temporal))
        try #require(call.received.count > 10)
        var structure = FrameDependencyStructure()
        var seen: Set<Int> = []
        var layers: Set<[UInt8]> = []
        var unwrapper = PlainUnwrapper()
        var open: Int?
        var unmarked = 0
        for packet in call.received {
            try packet.withUnsafeBytes { bytes in
                let header = try #require(RTPHeader(bytes))
                guard header.payloadLength > 0 else { return }
                let element = try #require(ReceivedPacket(bytes: packet, slot: 0).element(12))
                let head = try #require(element.withUnsafeBytes { DependencyDescriptor($0) })
                let read = try #require(element.withUnsafeBytes { ReadDependencies($0, structure: &structure) })
                let frame = Int(unwrapper.position(of: head.frameNumber, bits: 16))
                #expect(read.frame.spatial <= spatial && read.frame.temporal <= temporal)
                layers.insert([read.frame.spatial, read.frame.temporal])
                for index in 0..<Int(read.frame.referenceCount) {
                    #expect(seen.contains(frame - Int(read.frame.references[index])), "frame \(frame)")
                }
                if head.startsFrame { open = frame }
                #expect(open == frame)
                if head.endsFrame { seen.insert(frame) }
                if head.endsFrame, read.frame.spatial == spatial, !header.marker { unmarked += 1 }
                if spatial < 2 || temporal < 2 {
                    let mask = try #require(read.activeDecodeTargets)
                    #expect(mask != structure.allDecodeTargets && mask != 0)
                }
            }
        }
        #expect(layers.contains([spatial, temporal]))
        #expect(unmarked == 0)
    }

    @Test("each encoding of a recorded VP8 simulcast is aimed at when it is wanted", arguments: [0, 1, 2] as [UInt8])
    func vp8(index: UInt8) throws {
        guard let capture = try Capture("chromium-simulcast-vp8") else { return }
        let call = RecordedCall(capture, codec: .vp8, target: LayerTarget(spatial: index))
        // The capture is too short to hold a second key frame of each.
        let target = call.forwarder.streams[call.stream].pointee.target
        #expect(call.forwarder.encodings[target].pointee.index == index)
        #expect(call.received.count > 20)
    }

    @Test("a recorded VP9 stream goes through with its pictures numbered one after the other")
    func vp9() throws {
        guard let capture = try Capture("chromium-vp9") else { return }
        let call = RecordedCall(capture, codec: .vp9)
        var last: UInt16?
        for packet in call.received {
            let header = try #require(packet.withUnsafeBytes { RTPHeader($0) })
            let payload = Array(packet[header.headerLength...])
            guard let head = payload.withUnsafeBytes({ VP9Descriptor($0) }), let picture = head.pictureID else {
                continue
            }
            #expect(head.pictureIDIsLong)
            if let last { #expect(picture == last || picture == (last &+ 1) & 0x7FFF) }
            last = picture
        }
        #expect(last != nil)
    }
}
