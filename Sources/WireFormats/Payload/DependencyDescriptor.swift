// The dependency descriptor header extension (RTP Payload Format for AV1, appendix A): what each frame depends on.

/// The mandatory part: enough to know frames and key frames when the payload can't be read.
@frozen
package struct DependencyDescriptor: Sendable, Hashable {
    package var startsFrame: Bool
    package var endsFrame: Bool
    package var templateID: UInt8
    package var frameNumber: UInt16
    /// Sent with key frames: whoever begins to listen needs one.
    package var hasTemplateStructure: Bool
    package var hasActiveDecodeTargets: Bool

    @inlinable
    package init?(_ element: UnsafeRawBufferPointer) {
        guard element.count >= 3 else { return nil }
        startsFrame = element[0] & 0x80 != 0
        endsFrame = element[0] & 0x40 != 0
        templateID = element[0] & 0x3F
        frameNumber = UInt16(element[1]) << 8 | UInt16(element[2])
        hasTemplateStructure = element.count > 3 && element[3] & 0x80 != 0
        hasActiveDecodeTargets = element.count > 3 && element[3] & 0x40 != 0
    }
}

/// What a frame is to a decode target, in the numbers of the wire.
package enum DecodeTargetIndication: UInt8, Sendable {
    case notPresent, discardable, switchPoint, required
}

/// Indications of up to 32 decode targets, two bits each, the first lowest.
package struct DecodeTargetIndications: Sendable, Hashable {
    package var bits: UInt64 = 0

    package init() {}

    @inlinable
    package subscript(_ target: UInt8) -> DecodeTargetIndication {
        get {
            DecodeTargetIndication(rawValue: UInt8(truncatingIfNeeded: bits >> (UInt64(target & 31) &* 2) & 3))
                ?? .notPresent
        }
        set {
            let shift = UInt64(target & 31) &* 2
            bits = bits & ~(3 << shift) | UInt64(newValue.rawValue) << shift
        }
    }
}

/// The frames that one refers to, as differences of frame numbers, and those before it in each chain.
package struct FrameDependencies: Sendable {
    package static let mostReferences = 8
    package static let mostChains = 16

    package var spatial: UInt8 = 0
    package var temporal: UInt8 = 0
    package var indications = DecodeTargetIndications()
    package var referenceCount: UInt8 = 0
    package var references = InlineArray<8, UInt16>(repeating: 0)
    /// 0 where the chain has no frame before.
    package var chainDifferences = InlineArray<16, UInt8>(repeating: 0)

    package init() {}

    /// False when there are more than can be kept.
    mutating func addReference(_ difference: UInt16) -> Bool {
        guard Int(referenceCount) < FrameDependencies.mostReferences else { return false }
        references[Int(referenceCount)] = difference
        referenceCount &+= 1
        return true
    }
}

/// The templates of a stream, as its last key frame told them.
package struct FrameDependencyStructure: Sendable {
    package static let mostTemplates = 64
    package static let mostDecodeTargets = 32

    package private(set) var templateIDOffset: UInt8 = 0
    package private(set) var templateCount = 0
    package private(set) var decodeTargetCount = 0
    package private(set) var chainCount = 0
    private var templates = InlineArray<64, FrameDependencies>(repeating: FrameDependencies())
    /// By decode target.
    private var chains = InlineArray<32, UInt8>(repeating: 0)
    private var spatials = InlineArray<32, UInt8>(repeating: 0)
    private var temporals = InlineArray<32, UInt8>(repeating: 0)
    package private(set) var highestSpatial: UInt8 = 0
    /// Of each spatial layer, 0 where the structure says nothing of sizes.
    package private(set) var sizes = InlineArray<4, UInt32>(repeating: 0)

    package init() {}

    package var isKnown: Bool { templateCount > 0 }
    package var allDecodeTargets: UInt32 {
        decodeTargetCount >= 32 ? .max : (1 << UInt32(decodeTargetCount)) &- 1
    }

    package func spatial(ofTarget target: UInt8) -> UInt8 { spatials[Int(target & 31)] }
    package func temporal(ofTarget target: UInt8) -> UInt8 { temporals[Int(target & 31)] }
    /// nil for targets that no chain protects.
    package func chain(ofTarget target: UInt8) -> Int? {
        chainCount > 0 ? Int(chains[Int(target & 31)]) : nil
    }

    func template(withID id: UInt8) -> FrameDependencies? {
        let index = Int(id &+ 64 &- templateIDOffset) % 64
        return index < templateCount ? templates[index] : nil
    }

    /// nil when it is cut off, or larger than can be kept.
    init?(_ reader: inout BitReader) {
        templateIDOffset = UInt8(truncatingIfNeeded: reader.bits(6))
        decodeTargetCount = Int(reader.bits(5)) + 1
        guard readLayers(&reader) else { return nil }
        for index in 0..<templateCount {
            for target in 0..<decodeTargetCount {
                templates[index].indications[UInt8(truncatingIfNeeded: target)] =
                    DecodeTargetIndication(rawValue: UInt8(truncatingIfNeeded: reader.bits(2))) ?? .notPresent
            }
        }
        for index in 0..<templateCount {
            while reader.bit() {
                guard templates[index].addReference(UInt16(truncatingIfNeeded: reader.bits(4)) &+ 1) else { return nil }
            }
        }
        guard readChains(&reader) else { return nil }
        if reader.bit() {
            for layer in 0...Int(highestSpatial) {
                let width = reader.bits(16) &+ 1
                let height = reader.bits(16) &+ 1
                if layer < 4 { sizes[layer] = width &* height }
            }
        }
        guard !reader.isExhausted else { return nil }
        findTargetLayers()
    }

    private mutating func readLayers(_ reader: inout BitReader) -> Bool {
        var spatial: UInt8 = 0
        var temporal: UInt8 = 0
        while true {
            guard templateCount < FrameDependencyStructure.mostTemplates, !reader.isExhausted else { return false }
            templates[templateCount].spatial = spatial
            templates[templateCount].temporal = temporal
            templateCount += 1
            switch reader.bits(2) {
            case 0: break
            case 1: temporal &+= 1
            case 2:
                temporal = 0
                spatial &+= 1
            default:
                highestSpatial = spatial
                // Ids have two and three bits everywhere else.
                return spatial < 4 && temporal < 8
            }
        }
    }

    private mutating func readChains(_ reader: inout BitReader) -> Bool {
        chainCount = Int(reader.nonSymmetric(UInt32(decodeTargetCount) + 1))
        guard chainCount <= FrameDependencies.mostChains else { return false }
        guard chainCount > 0 else { return true }
        for target in 0..<decodeTargetCount {
            let chain = reader.nonSymmetric(UInt32(chainCount))
            guard chain < chainCount else { return false }
            chains[target] = UInt8(truncatingIfNeeded: chain)
        }
        for index in 0..<templateCount {
            for chain in 0..<chainCount {
                templates[index].chainDifferences[chain] = UInt8(truncatingIfNeeded: reader.bits(4))
            }
        }
        return true
    }

    private mutating func findTargetLayers() {
        for target in 0..<decodeTargetCount {
            for index in 0..<templateCount
            where templates[index].indications[UInt8(truncatingIfNeeded: target)] != .notPresent {
                spatials[target] = max(spatials[target], templates[index].spatial)
                temporals[target] = max(temporals[target], templates[index].temporal)
            }
        }
    }
}

/// One descriptor read in full, with the structure that was known before it.
package struct ReadDependencies: Sendable {
    package var frame = FrameDependencies()
    /// The publisher's own choice, when this packet tells one.
    package var activeDecodeTargets: UInt32?
    /// Where the mask of active decode targets is, or would be, and how long it is here.
    package var maskPosition: UInt16 = 24
    package var maskLength: UInt8 = 0

    /// A structure in this descriptor replaces `structure`. nil for what can't be read.
    package init?(_ element: UnsafeRawBufferPointer, structure: inout FrameDependencyStructure) {
        guard let head = DependencyDescriptor(element) else { return nil }
        var reader = BitReader(element)
        reader.skip(24)
        var customIndications = false
        var customReferences = false
        var customChains = false
        if element.count > 3 {
            let hasStructure = reader.bit()
            let hasMask = reader.bit()
            customIndications = reader.bit()
            customReferences = reader.bit()
            customChains = reader.bit()
            if hasStructure {
                guard let new = FrameDependencyStructure(&reader) else { return nil }
                structure = new
                activeDecodeTargets = new.allDecodeTargets
            }
            guard structure.isKnown else { return nil }
            maskPosition = UInt16(truncatingIfNeeded: reader.position)
            if hasMask {
                maskLength = UInt8(truncatingIfNeeded: structure.decodeTargetCount)
                activeDecodeTargets = reader.bits(structure.decodeTargetCount)
            }
        }
        guard let template = structure.template(withID: head.templateID) else { return nil }
        frame = template
        if customIndications {
            for target in 0..<structure.decodeTargetCount {
                frame.indications[UInt8(truncatingIfNeeded: target)] =
                    DecodeTargetIndication(rawValue: UInt8(truncatingIfNeeded: reader.bits(2))) ?? .notPresent
            }
        }
        if customReferences {
            frame.referenceCount = 0
            while case let size = reader.bits(2), size > 0 {
                let difference = reader.bits(4 * Int(size)) + 1
                guard frame.addReference(UInt16(truncatingIfNeeded: difference)) else { return nil }
            }
        }
        if customChains {
            for chain in 0..<structure.chainCount {
                frame.chainDifferences[chain] = UInt8(truncatingIfNeeded: reader.bits(8))
            }
        }
        guard !reader.isExhausted else { return nil }
    }
}

/// Writes a descriptor again under another frame number, and with a receiver's own mask of active decode targets.
package struct DependencyDescriptorRewriter: Sendable {
    /// Flags, and a mask of 32 bits.
    package static let growth = 5

    let frameNumber: UInt16
    let mask: UInt32?
    let maskPosition: UInt16
    let maskLength: UInt8
    let decodeTargets: UInt8

    /// - Parameters:
    ///   - mask: nil leaves the descriptor's own mask, or its lack of one, as it is
    ///   - maskPosition: as `ReadDependencies` found it, and so `maskLength`
    package init(frameNumber: UInt16, mask: UInt32?, maskPosition: UInt16, maskLength: UInt8, decodeTargets: UInt8) {
        self.frameNumber = frameNumber
        self.mask = decodeTargets == 0 ? nil : mask
        self.maskPosition = maskPosition
        self.maskLength = maskLength
        self.decodeTargets = decodeTargets
    }

    package func length(of source: UnsafeRawBufferPointer) -> Int {
        guard mask != nil else { return source.count }
        let flags = source.count == 3 ? 5 : 0
        return (source.count * 8 + flags - Int(maskLength) + Int(decodeTargets) + 7) / 8
    }

    /// `target` must have the length that was told for this source.
    package func write(_ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer) {
        guard source.count >= 3, target.count >= length(of: source), let place = target.baseAddress,
            let origin = source.baseAddress
        else { return }
        guard let mask else {
            place.copyMemory(from: origin, byteCount: source.count)
            place.setNetwork16(frameNumber, at: 1)
            return
        }
        var reader = BitReader(source)
        var writer = BitWriter(target)
        writer.write(reader.bits(8), 8)
        writer.write(UInt32(frameNumber), 16)
        reader.skip(16)
        if source.count == 3 {
            writer.write(0b01000, 5)
        } else {
            writer.write(reader.bits(5) | 0b01000, 5)
            while reader.position < Int(maskPosition), !reader.isExhausted { writer.write(reader.bits(1), 1) }
            reader.skip(Int(maskLength))
        }
        writer.write(mask, Int(decodeTargets))
        while reader.position < source.count * 8, !reader.isExhausted { writer.write(reader.bits(1), 1) }
        writer.fill()
    }
}

struct BitWriter {
    private let target: UnsafeMutableRawBufferPointer
    private var position = 0

    init(_ target: UnsafeMutableRawBufferPointer) { self.target = target }

    /// The lowest `count` bits of the value; what has no room is left out.
    mutating func write(_ value: UInt32, _ count: Int) {
        var left = min(max(count, 0), 32)
        while left > 0, position / 8 < target.count {
            left -= 1
            if position & 7 == 0 { target[position / 8] = 0 }
            let bit = UInt8(truncatingIfNeeded: value >> UInt32(left) & 1)
            target[position / 8] |= bit << UInt8(7 - position & 7)
            position += 1
        }
    }

    /// Zeros from here to the end.
    mutating func fill() {
        let start = (position + 7) / 8
        if start < target.count { for index in start..<target.count { target[index] = 0 } }
    }
}
