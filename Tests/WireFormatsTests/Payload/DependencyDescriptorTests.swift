// The dependency descriptor, read in full and written again.
import Testing

@testable import WireFormats

@Suite("Dependency descriptor")
struct DependencyDescriptorTests {
    /// The first packet of Chromium's AV1 L3T3_KEY streams has a structure of this form; this one is L1T2, made by hand.
    private let structured: [UInt8] = Self.bytes(
        "1 1 000000 0000000000000101",  // first and last packet, template 0, frame 5
        "1 0 0 0 0",  // a structure, nothing of the frame's own
        "000000 00001",  // template ids from 0, two decode targets
        "00 01 11",  // templates: T0, T0 again, T1
        "10 10  10 11  00 01",  // indications of each for both targets
        "0  1 0001 0  1 0000 0",  // references: none, 2 back, 1 back
        "10  ",  // one chain
        "0000 0010 0001",  // distance to the chain's frame before
        "0"  // no resolutions
    )

    private static func bytes(_ bits: String...) -> [UInt8] {
        let digits = bits.joined().filter { $0 == "0" || $0 == "1" }.map { $0 == "1" }
        return stride(from: 0, to: digits.count, by: 8).map { start in
            (0..<8).reduce(UInt8(0)) { $0 << 1 | (start + $1 < digits.count && digits[start + $1] ? 1 : 0) }
        }
    }

    private static func read(_ bytes: [UInt8], _ structure: inout FrameDependencyStructure) -> ReadDependencies? {
        bytes.withUnsafeBytes { ReadDependencies($0, structure: &structure) }
    }

    @Test("a structure tells templates, decode targets and chains, and later packets need only name a template")
    func structure() throws {
        var structure = FrameDependencyStructure()
        let first = try #require(Self.read(structured, &structure))
        #expect(structure.templateCount == 3)
        #expect(structure.decodeTargetCount == 2)
        #expect(structure.chainCount == 1)
        #expect(structure.temporal(ofTarget: 0) == 0)
        #expect(structure.temporal(ofTarget: 1) == 1)
        #expect(structure.chain(ofTarget: 1) == 0)
        #expect(first.activeDecodeTargets == 3)
        #expect(first.frame.referenceCount == 0)
        #expect(first.frame.indications[0] == .switchPoint)
        let second = try #require(Self.read([0xC2, 0, 6], &structure))
        #expect(second.frame.temporal == 1)
        #expect(second.frame.references[0] == 1)
        #expect(second.frame.indications[0] == .notPresent)
        #expect(second.frame.indications[1] == .discardable)
        #expect(second.frame.chainDifferences[0] == 1)
        #expect(Self.read([0xC3, 0, 7], &structure) == nil, "a template that was never told")
    }

    @Test("nothing that is cut off is taken for whole, and no bytes make the parser trap")
    func hostile() {
        var random = SystemRandomNumberGenerator()
        for length in 0..<structured.count - 1 {
            var structure = FrameDependencyStructure()
            #expect(Self.read(Array(structured.prefix(length)), &structure) == nil)
        }
        for _ in 0..<20_000 {
            var structure = FrameDependencyStructure()
            var bytes = (0..<Int.random(in: 0...80, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if bytes.count > 3 { bytes[3] |= 0x80 }
            _ = Self.read(bytes, &structure)
            #expect(structure.templateCount <= 64 && structure.decodeTargetCount <= 32)
            _ = Self.read(bytes.shuffled(using: &random), &structure)
        }
    }

    @Test("written again it has the other frame number and the other decode targets, and says the same for the rest")
    func rewriting() throws {
        var structure = FrameDependencyStructure()
        for source in [structured, [0xC2, 0, 6], Self.bytes("0 1 000001 0000000000001001 0 1 0 1 0 01 01 0011 00")] {
            let before = try #require(Self.read(source, &structure))
            let rewriter = DependencyDescriptorRewriter(
                frameNumber: 0xABCD, mask: 1, maskPosition: before.maskPosition, maskLength: before.maskLength,
                decodeTargets: 2)
            let written = source.withUnsafeBytes { raw in
                var target = [UInt8](repeating: 0xFF, count: rewriter.length(of: raw))
                target.withUnsafeMutableBytes { rewriter.write(raw, to: $0) }
                return target
            }
            var other = structure
            let after = try #require(Self.read(written, &other))
            #expect(written.withUnsafeBytes { DependencyDescriptor($0) }?.frameNumber == 0xABCD)
            #expect(written[0] == source[0])
            #expect(after.activeDecodeTargets == 1)
            #expect(after.frame.indications == before.frame.indications)
            #expect(after.frame.referenceCount == before.frame.referenceCount)
            #expect(after.frame.references[0] == before.frame.references[0])
            #expect(after.frame.chainDifferences[0] == before.frame.chainDifferences[0])
            #expect(written.count <= source.count + DependencyDescriptorRewriter.growth)
        }
    }
}
