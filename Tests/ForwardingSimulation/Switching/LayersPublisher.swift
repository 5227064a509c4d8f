// A publisher of layered video of every kind that is forwarded, with the truth about each frame inside its packets.
import Forwarding
import WireFormats

/// What is true of a frame, whatever its packets say of it.
struct TrueFrame {
    var id: Int
    var encoding: Int
    var spatial: Int
    var temporal: Int
    var isKey: Bool
    var references: [Int]
    /// Milliseconds.
    var capture: Int
    var packets: Int

    var layer: String { "layer \(encoding)/\(spatial)/\(temporal)\(isKey ? " (key)" : "")" }
}

struct SentByPublisher {
    var bytes: [UInt8]
    var encoding: Int
    var sequence: UInt16
    var frame: Int
}

struct BitString {
    private(set) var bits: [Bool] = []
    mutating func add(_ value: Int, _ count: Int) {
        for bit in stride(from: count - 1, through: 0, by: -1) { bits.append(value >> bit & 1 == 1) }
    }
    /// AV1's ns(n).
    mutating func add(_ value: Int, below count: Int) {
        guard count > 1 else { return }
        let width = Int.bitWidth - count.leadingZeroBitCount
        let short = (1 << width) - count
        if value < short {
            add(value, width - 1)
        } else {
            add((value + short) >> 1, width - 1); add((value + short) & 1, 1)
        }
    }
    var bytes: [UInt8] {
        stride(from: 0, to: bits.count, by: 8).map { start in
            (0..<8).reduce(UInt8(0)) { $0 << 1 | (start + $1 < bits.count && bits[start + $1] ? 1 : 0) }
        }
    }
}

struct LayersPublisher {
    static let descriptorID: UInt8 = 12
    static let trailer = 7

    private struct Place { var id: Int, picture: Int, frame: Int }

    private struct Encoding {
        var sequence: UInt16
        var timestamp: UInt32
        var picture: Int
        var frame: Int
        var baseIndex: UInt8
        var keyIndex: UInt8
        var position = 0
        var hasBegun = false
        var wantsKey = true
        var isActive = true
        var spatial: Int
        var tellsActive = false
        var lastBase: [Place?]
        var lastLower: [Place?]
        var chains: [Int?]
        var lastPosition = 0
    }

    let scheme: LayeredScheme
    private var encodings: [Encoding] = []
    private(set) var frames: [TrueFrame] = []
    private var random: SplitMix64

    init(_ scheme: LayeredScheme, seed: UInt64) {
        self.scheme = scheme
        random = SplitMix64(state: seed)
        for _ in 0..<scheme.encodings {
            let number = random.next()
            encodings.append(
                Encoding(
                    sequence: UInt16(truncatingIfNeeded: number), timestamp: UInt32(truncatingIfNeeded: number >> 16),
                    picture: Int(number >> 40) & 0x7FFF, frame: Int(number >> 20) & 0xFFFF,
                    baseIndex: UInt8(truncatingIfNeeded: number >> 8), keyIndex: UInt8(number & 31),
                    spatial: scheme.spatial, lastBase: Array(repeating: nil, count: scheme.spatial),
                    lastLower: Array(repeating: nil, count: scheme.spatial),
                    chains: Array(repeating: nil, count: scheme.spatial)))
        }
    }

    static func ssrc(_ encoding: Int) -> UInt32 { 100 + UInt32(encoding) }
    func timestamp(_ encoding: Int, at capture: Int) -> UInt32 {
        encodings[encoding].timestamp &+ UInt32(truncatingIfNeeded: capture * 90)
    }

    mutating func requestKey(_ encoding: Int) { encodings[encoding].wantsKey = true }
    func isActive(_ encoding: Int) -> Bool { encodings[encoding].isActive }

    mutating func setActive(_ encoding: Int, _ isActive: Bool) {
        guard encodings[encoding].isActive != isActive else { return }
        encodings[encoding].isActive = isActive
        if isActive { encodings[encoding].wantsKey = true }
    }

    /// Upper spatial layers go at once and come back with a key picture.
    mutating func setSpatial(_ encoding: Int, _ count: Int) {
        guard count != encodings[encoding].spatial else { return }
        if count > encodings[encoding].spatial { encodings[encoding].wantsKey = true }
        encodings[encoding].spatial = count
        encodings[encoding].tellsActive = true
    }

    mutating func padding(_ encoding: Int, capture: Int) -> SentByPublisher {
        defer { encodings[encoding].sequence &+= 1 }
        var packet = packet(
            encoding, capture: encodings[encoding].lastPosition, marker: false, descriptor: nil, payload: [])
        packet[0] |= 0x20
        packet += [UInt8](repeating: 0, count: 19) + [20]
        return SentByPublisher(
            bytes: packet, encoding: encoding, sequence: encodings[encoding].sequence, frame: -1)
    }

    mutating func picture(_ encoding: Int, capture: Int) -> [SentByPublisher] {
        guard encodings[encoding].isActive else { return [] }
        let isKey = encodings[encoding].wantsKey
        encodings[encoding].wantsKey = false
        encodings[encoding].lastPosition = capture
        if isKey {
            encodings[encoding].position = 0
            // Some encoders begin to count anew with a key frame.
            if scheme.restartsNumbers, random.next() % 3 == 0 {
                encodings[encoding].picture = Int(random.next() & 0x7FFF)
                encodings[encoding].frame = Int(random.next() & 0xFFFF)
            }
            encodings[encoding].keyIndex = (encodings[encoding].keyIndex + 1) & 31
        }
        let temporal = scheme.temporalLayer(encodings[encoding].position)
        encodings[encoding].position += 1
        encodings[encoding].picture += 1
        if temporal == 0 { encodings[encoding].baseIndex &+= 1 }
        var sent: [SentByPublisher] = []
        let count = encodings[encoding].spatial
        var lower: Place?
        for spatial in 0..<count {
            encodings[encoding].frame += 1
            var temporalReference: Place?
            if !isKey {
                temporalReference =
                    temporal < 2 ? encodings[encoding].lastBase[spatial] : encodings[encoding].lastLower[spatial]
            }
            let interLayer = spatial > 0 && (isKey || !scheme.isKeyMode)
            let references = [temporalReference, interLayer ? lower : nil].compactMap { $0 }
            let packets =
                isKey ? 2 + Int(random.next() % 3) : 1 + Int(random.next() % 4) / 3
            let frame = TrueFrame(
                id: frames.count, encoding: encoding, spatial: spatial, temporal: temporal,
                isKey: isKey && spatial == 0, references: references.map(\.id), capture: capture, packets: packets)
            frames.append(frame)
            let here = Place(id: frame.id, picture: encodings[encoding].picture, frame: encodings[encoding].frame)
            for index in 0..<packets {
                let isFirst = index == 0
                let isLast = index == packets - 1
                var payload = head(
                    frame, isKeyPicture: isKey, isFirst: isFirst, isLast: isLast, interLayer: interLayer,
                    difference: temporalReference.map { here.picture - $0.picture })
                // Larger layers take more bytes.
                payload += [UInt8](repeating: 7, count: encoding * 120 + spatial * 40)
                payload += [
                    0xAB, UInt8(frame.id >> 24 & 255), UInt8(frame.id >> 16 & 255), UInt8(frame.id >> 8 & 255),
                    UInt8(frame.id & 255), UInt8(index), UInt8(packets),
                ]
                let descriptor =
                    scheme.hasDescriptor
                    ? self.descriptor(frame, isKeyPicture: isKey, here, references, isFirst: isFirst, isLast: isLast)
                    : nil
                let bytes = packet(
                    encoding, capture: capture, marker: isLast && spatial == count - 1, descriptor: descriptor,
                    payload: payload)
                sent.append(
                    SentByPublisher(
                        bytes: bytes, encoding: encoding, sequence: encodings[encoding].sequence, frame: frame.id))
                encodings[encoding].sequence &+= 1
            }
            for chain in 0..<scheme.spatial where isInChain(chain, spatial, temporal, isKeyPicture: isKey) {
                encodings[encoding].chains[chain] = here.frame
            }
            if temporal == 0 { encodings[encoding].lastBase[spatial] = here }
            if temporal < 2 { encodings[encoding].lastLower[spatial] = here }
            lower = here
        }
        encodings[encoding].tellsActive = false
        return sent
    }

    private func packet(
        _ encoding: Int, capture: Int, marker: Bool, descriptor: [UInt8]?, payload: [UInt8]
    ) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 400)
        let length = buffer.withUnsafeMutableBytes { raw in
            var writer = RTPHeaderWriter(
                into: raw, payloadType: 96, marker: marker, sequence: encodings[encoding].sequence,
                timestamp: timestamp(encoding, at: capture), ssrc: LayersPublisher.ssrc(encoding))
            writer.beginExtensions(twoByte: (descriptor?.count ?? 0) > 16)
            [UInt8](arrayLiteral: 0x30).withUnsafeBytes { writer.append(id: 4, bytes: $0) }
            if scheme.encodings > 1 {
                [UInt8](arrayLiteral: 0x61 + UInt8(encoding)).withUnsafeBytes { writer.append(id: 10, bytes: $0) }
            }
            descriptor?.withUnsafeBytes { writer.append(id: LayersPublisher.descriptorID, bytes: $0) }
            return writer.finish()
        }
        return Array(buffer.prefix(length)) + payload
    }

    // MARK: - Payload descriptors

    private func head(
        _ frame: TrueFrame, isKeyPicture: Bool, isFirst: Bool, isLast: Bool, interLayer: Bool, difference: Int?
    ) -> [UInt8] {
        let state = encodings[frame.encoding]
        switch scheme.codec {
        case .vp8:
            var bytes: [UInt8] = [(isFirst ? 0x10 : 0) | (scheme.hasLayerNumbers ? 0x80 : 0)]
            if scheme.hasLayerNumbers {
                bytes.append(0xF0)
                if scheme.longPictureID {
                    bytes += [0x80 | UInt8(state.picture >> 8 & 0x7F), UInt8(state.picture & 0xFF)]
                } else {
                    bytes.append(UInt8(state.picture & 0x7F))
                }
                // In the pattern 0 2 1 2 only the last depends on more than the base layer.
                let isSync = frame.temporal > 0 && !(frame.temporal == 2 && (state.position - 1) % 4 == 3)
                bytes += [state.baseIndex, UInt8(frame.temporal) << 6 | (isSync ? 0x20 : 0) | state.keyIndex]
            }
            if isFirst {
                bytes += [isKeyPicture ? 0x10 : 0x11, 0, 0]
                let width = 160 << frame.encoding
                if isKeyPicture { bytes += [0x9D, 0x01, 0x2A, UInt8(width & 255), UInt8(width >> 8), 90, 0] }
            }
            return bytes
        case .vp9:
            let hasDifference = scheme.isFlexible && !isKeyPicture
            var bytes: [UInt8] = [
                0xA0 | (isKeyPicture ? 0 : 0x40) | (scheme.isFlexible ? 0x10 : 0) | (isFirst ? 8 : 0)
                    | (isLast ? 4 : 0)
            ]
            if scheme.longPictureID {
                bytes += [0x80 | UInt8(state.picture >> 8 & 0x7F), UInt8(state.picture & 0xFF)]
            } else {
                bytes.append(UInt8(state.picture & 0x7F))
            }
            bytes.append(
                UInt8(frame.temporal) << 5 | (frame.temporal < 2 ? 0x10 : 0) | UInt8(frame.spatial) << 1
                    | (interLayer ? 1 : 0))
            if !scheme.isFlexible { bytes.append(state.baseIndex) }
            if hasDifference { bytes.append(UInt8((difference ?? 1) & 0x7F) << 1) }
            return bytes
        case .h264:
            if isKeyPicture { return [isFirst ? 0x67 : 0x65, 1, 2] }
            return [0x41, 1, 2]
        case .av1:
            let starts = isKeyPicture && frame.spatial == 0 && isFirst
            return [0x10 | (isFirst ? 0 : 0x80) | (isLast ? 0 : 0x40) | (starts ? 0x08 : 0), starts ? 0x08 : 0x30]
        }
    }

    // MARK: - Dependency descriptor

    private func isInChain(_ chain: Int, _ spatial: Int, _ temporal: Int, isKeyPicture: Bool) -> Bool {
        guard temporal == 0 else { return false }
        return scheme.isKeyMode && !isKeyPicture ? spatial == chain : spatial <= chain
    }

    /// Of targets in the order of spatial, then temporal layers.
    private func indications(_ spatial: Int, _ temporal: Int, isKeyPicture: Bool) -> [Int] {
        (0..<scheme.spatial).flatMap { targetSpatial in
            (0..<scheme.temporal).map { targetTemporal in
                let isPresent = scheme.isKeyMode && !isKeyPicture ? spatial == targetSpatial : spatial <= targetSpatial
                guard isPresent, temporal <= targetTemporal else { return 0 }
                if isKeyPicture { return 2 }
                if temporal == scheme.temporal - 1, temporal > 0, spatial == scheme.spatial - 1 || scheme.isKeyMode {
                    return 1
                }
                return spatial == targetSpatial ? 2 : 3
            }
        }
    }

    private func descriptor(
        _ frame: TrueFrame, isKeyPicture: Bool, _ here: Place, _ references: [Place], isFirst: Bool, isLast: Bool
    ) -> [UInt8] {
        var bits = BitString()
        bits.add(isFirst ? 1 : 0, 1)
        bits.add(isLast ? 1 : 0, 1)
        // Templates: for each layer one of key pictures and one of others; their numbers begin at 5.
        let layer = frame.spatial * scheme.temporal + frame.temporal
        bits.add((5 + 2 * layer + (isKeyPicture ? 0 : 1)) % 64, 6)
        bits.add(here.frame & 0xFFFF, 16)
        let carriesStructure = isKeyPicture && frame.spatial == 0 && isFirst
        let state = encodings[frame.encoding]
        let carriesMask = (carriesStructure && state.spatial < scheme.spatial) || state.tellsActive
        bits.add(carriesStructure ? 1 : 0, 1)
        bits.add(carriesMask ? 1 : 0, 1)
        bits.add(0b011, 3)
        if carriesStructure { addStructure(&bits) }
        if carriesMask {
            let active = state.spatial * scheme.temporal
            bits.add((1 << active) - 1, scheme.spatial * scheme.temporal)
        }
        for reference in references {
            let difference = here.frame - reference.frame - 1
            if difference < 16 {
                bits.add(1, 2)
                bits.add(difference, 4)
            } else {
                bits.add(2, 2)
                bits.add(difference, 8)
            }
        }
        bits.add(0, 2)
        for chain in 0..<scheme.spatial {
            let last = state.chains[chain]
            let isStart = isKeyPicture && frame.spatial == 0
            bits.add(isStart ? 0 : last.map { min(here.frame - $0, 255) } ?? 0, 8)
        }
        return bits.bytes
    }

    private func addStructure(_ bits: inout BitString) {
        let targets = scheme.spatial * scheme.temporal
        bits.add(5, 6)
        bits.add(targets - 1, 5)
        for spatial in 0..<scheme.spatial {
            for temporal in 0..<scheme.temporal {
                bits.add(0, 2)
                let isLastOfSpatial = temporal == scheme.temporal - 1
                bits.add(!isLastOfSpatial ? 1 : spatial == scheme.spatial - 1 ? 3 : 2, 2)
            }
        }
        for spatial in 0..<scheme.spatial {
            for temporal in 0..<scheme.temporal {
                for isKey in [true, false] {
                    for indication in indications(spatial, temporal, isKeyPicture: isKey) { bits.add(indication, 2) }
                }
            }
        }
        for _ in 0..<(2 * targets) { bits.add(0, 1) }
        bits.add(scheme.spatial, below: targets + 1)
        for target in 0..<targets { bits.add(target / scheme.temporal, below: scheme.spatial) }
        for _ in 0..<(2 * targets * scheme.spatial) { bits.add(0, 4) }
        bits.add(1, 1)
        for spatial in 0..<scheme.spatial {
            bits.add((320 << spatial) - 1, 16)
            bits.add((180 << spatial) - 1, 16)
        }
    }
}
