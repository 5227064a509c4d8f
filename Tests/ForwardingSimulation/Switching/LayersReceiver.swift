// A receiver that believes what packets say: it puts frames together and decodes each when its references are there. The
// truth inside the packets tells whether it was deceived.
import Forwarding
import WireFormats

final class LayersReceiver {
    struct Frame {
        var truth: TrueFrame
        var firstSequence: Int
        var lastSequence: Int
        var timestamp: UInt32
        var arrived: Set<Int> = []
        /// When the last of its packets came.
        var takenAt = 0
        var age: Int { takenAt - truth.capture }
        // What its descriptors claim.
        var number = 0
        var temporal = 0
        var spatial = 0
        var baseIndex = 0
        var isSync = false
        var isKey = false
        var isInterLayer = false
        var references: [Int] = []
    }

    let scheme: LayeredScheme
    let ssrc: UInt32
    private(set) var problems: [String] = []
    private(set) var decoded = 0
    private(set) var lastDecodedAt = 0
    private(set) var lastTopAt = 0
    /// True frames of which everything has arrived.
    private(set) var complete: Set<Int> = []
    private(set) var received: Set<Int> = []
    private(set) var markers: [UInt32: (last: Int, isMarked: Bool, frames: Set<Int>)] = [:]
    private(set) var startedAt: Int?
    /// The last packet, in words.
    private(set) var newest = ""

    private(set) var frames: [Int: Frame] = [:]
    private var waiting: [Int] = []
    private var decodedTruth: Set<Int> = []
    private var lastSequence: Int?
    private(set) var sequences: [Int: Int] = [:]
    private var empties: Set<Int> = []
    private var decodedEnds: Set<Int> = []
    private var numbers: [Int: Int] = [:]
    private var decodedNumbers: Set<Int> = []
    private var layerInfo: [UInt8: [Int?]] = [:]
    private var structure = FrameDependencyStructure()
    private var keyNumber = 0

    init(_ scheme: LayeredScheme, ssrc: UInt32, now: Int) {
        self.scheme = scheme
        self.ssrc = ssrc
        lastDecodedAt = now
    }

    func take(_ bytes: [UInt8], now: Int, truths: [TrueFrame]) {
        guard let header = bytes.withUnsafeBytes({ RTPHeader($0) }) else { return fail("no RTP") }
        let sequence = unwrapped(header.sequence)
        if startedAt == nil { startedAt = now }
        guard sequences[sequence] == nil else { return fail("sequence number \(sequence) was used twice") }
        let payload = Array(bytes[header.headerLength...])
        guard payload.count > LayersPublisher.trailer else {
            sequences[sequence] = -1
            newest = "\(sequence), time \(header.timestamp), empty"
            empties.insert(sequence)
            return decodeWhatIsReady(now)
        }
        let tail = payload.suffix(LayersPublisher.trailer).map(Int.init)
        guard tail[0] == 0xAB else { return fail("a payload was damaged") }
        let id = tail[1] << 24 | tail[2] << 16 | tail[3] << 8 | tail[4]
        let index = tail[5]
        sequences[sequence] = id
        received.insert(id)
        newest = "\(sequence), time \(header.timestamp), frame \(id) of \(truths[id].layer) \(index + 1)/\(tail[6])"
        var frame =
            frames[sequence - index]
            ?? Frame(
                truth: truths[id], firstSequence: sequence - index, lastSequence: sequence - index + tail[6] - 1,
                timestamp: header.timestamp)
        if frame.truth.id != id { fail("frame \(id) lies over frame \(frame.truth.id)") }
        if frame.timestamp != header.timestamp { fail("frame \(id) has two timestamps") }
        let isFirstPacket = frame.arrived.isEmpty
        frame.arrived.insert(index)
        frame.takenAt = now
        var picture = markers[header.timestamp] ?? (last: sequence, isMarked: header.marker, frames: [])
        if sequence >= picture.last { (picture.last, picture.isMarked) = (sequence, header.marker) }
        picture.frames.insert(id)
        markers[header.timestamp] = picture
        read(payload, bytes, &frame, isFirstPacket: isFirstPacket, isFirst: index == 0)
        frames[frame.firstSequence] = frame
        if frame.arrived.count == tail[6] {
            complete.insert(id)
            waiting.append(frame.firstSequence)
            decodeWhatIsReady(now)
        }
    }

    func fail(_ text: String) { if problems.count < 5 { problems.append(text) } }

    private func unwrapped(_ sequence: UInt16) -> Int {
        guard let last = lastSequence else {
            lastSequence = 1 << 20 | Int(sequence)
            return 1 << 20 | Int(sequence)
        }
        let position = last + Int(Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: last)))
        lastSequence = max(last, position)
        return position
    }

    // MARK: - What packets claim

    private var numbering = PlainUnwrapper()

    private func read(_ payload: [UInt8], _ packet: [UInt8], _ frame: inout Frame, isFirstPacket: Bool, isFirst: Bool) {
        var number: Int?
        payload.withUnsafeBytes { bytes in
            switch scheme.codec {
            case .vp8:
                guard let head = VP8Descriptor(bytes) else { return fail("no VP8 descriptor") }
                if isFirst { frame.isKey = head.isKeyFrameStart }
                guard let picture = head.pictureID else { return }
                number = Int(numbering.position(of: picture, bits: 15))
                frame.temporal = Int(head.temporalLayer ?? 0)
                frame.baseIndex = Int(head.temporalBaseIndex ?? 0)
                frame.isSync = head.isLayerSync
            case .vp9:
                guard let head = VP9Descriptor(bytes), let picture = head.pictureID else {
                    return fail("no VP9 descriptor")
                }
                let position = Int(numbering.position(of: picture, bits: 15))
                number = position * 8 + Int(head.spatialLayer)
                frame.temporal = Int(head.temporalLayer)
                frame.spatial = Int(head.spatialLayer)
                frame.isKey = !head.isInterPicture
                frame.isInterLayer = head.isInterLayer
                var rest = head.references
                frame.references = []
                while rest != 0 {
                    frame.references.append((position - Int(rest & 0x7F)) * 8 + frame.spatial)
                    rest >>= 8
                }
            case .h264, .av1: break
            }
        }
        if scheme.hasDescriptor, scheme.codec == .h264 || scheme.codec == .av1 {
            number = readDescriptor(packet, &frame)
        }
        guard let number else { return }
        if !isFirstPacket, frame.number != number {
            fail("frame \(frame.truth.id) has the numbers \(frame.number), \(number)")
        }
        frame.number = number
        if let other = numbers[number], other != frame.truth.id {
            fail("number \(number) is that of the frames \(other) and \(frame.truth.id)")
        }
        numbers[number] = frame.truth.id
    }

    private func readDescriptor(_ packet: [UInt8], _ frame: inout Frame) -> Int? {
        packet.withUnsafeBytes { bytes in
            guard let header = RTPHeader(bytes) else { return nil }
            var elements = HeaderExtensionElements(header, in: bytes)
            while let element = elements.next() {
                guard element.id == LayersPublisher.descriptorID else { continue }
                let raw = UnsafeRawBufferPointer(rebasing: bytes[element.offset..<(element.offset + element.length)])
                guard let head = DependencyDescriptor(raw), let read = ReadDependencies(raw, structure: &structure)
                else {
                    fail("a descriptor can't be read")
                    return nil
                }
                let number = Int(numbering.position(of: head.frameNumber, bits: 16))
                frame.temporal = Int(read.frame.temporal)
                frame.spatial = Int(read.frame.spatial)
                if frame.temporal != frame.truth.temporal || frame.spatial != frame.truth.spatial {
                    fail("the descriptor of frame \(frame.truth.id) is another's")
                }
                frame.references = (0..<Int(read.frame.referenceCount)).map { number - Int(read.frame.references[$0]) }
                frame.isKey = frame.references.isEmpty
                return number
            }
            fail("no descriptor")
            return nil
        }
    }

    // MARK: - Decoding by claims

    private func decodeWhatIsReady(_ now: Int) {
        var again = true
        while again {
            again = false
            waiting.sort()
            for (place, first) in waiting.enumerated() where isReady(frames[first]!) {
                waiting.remove(at: place)
                decode(frames[first]!, now)
                again = true
                break
            }
        }
        if waiting.count > 60 { waiting.removeFirst(20) }
    }

    private func isReady(_ frame: Frame) -> Bool {
        if scheme.codec == .vp8, scheme.hasLayerNumbers { return isReadyVP8(frame) }
        if scheme.codec == .vp9 { return isReadyVP9(frame) }
        if scheme.hasDescriptor { return frame.references.allSatisfy { decodedNumbers.contains($0) } }
        if frame.isKey || (scheme.codec == .h264 && frame.truth.isKey) { return true }
        // Nothing but sequence numbers: each picture depends on the one before.
        var before = frame.firstSequence - 1
        while empties.contains(before) { before -= 1 }
        return decodedEnds.contains(before)
    }

    /// As receivers do that know base index, temporal layer and picture number only.
    private func isReadyVP8(_ frame: Frame) -> Bool {
        if frame.isKey { return true }
        let base = UInt8(truncatingIfNeeded: frame.baseIndex)
        guard let info = layerInfo[frame.temporal == 0 ? base &- 1 : base] else { return false }
        if frame.temporal == 0 { return info[0] != nil }
        guard let lowest = info[0], lowest < frame.number else { return false }
        if frame.isSync { return true }
        for layer in 0...frame.temporal {
            guard let last = info[layer], last < frame.number else { return false }
            for number in (last + 1)..<frame.number where numbers[number] == nil || !complete.contains(numbers[number]!)
            {
                return false
            }
        }
        return true
    }

    private func isReadyVP9(_ frame: Frame) -> Bool {
        if frame.isInterLayer, !decodedNumbers.contains(frame.number - 1) { return false }
        if frame.isKey { return true }
        if scheme.isFlexible { return frame.references.allSatisfy { decodedNumbers.contains($0) } }
        let cycle = [1, 2, 4][scheme.temporal - 1]
        let distance = frame.temporal == 0 ? cycle : frame.temporal == 1 ? cycle / 2 : 1
        return decodedNumbers.contains(frame.number - distance * 8)
    }

    private func decode(_ frame: Frame, _ now: Int) {
        let truth = frame.truth
        if !truth.references.allSatisfy({ decodedTruth.contains($0) }) {
            let missing = truth.references.filter { !decodedTruth.contains($0) }
            fail("frame \(truth.id) of \(truth.layer) was taken for decodable without \(missing)")
        }
        decodedTruth.insert(truth.id)
        decodedNumbers.insert(frame.number)
        decodedEnds.insert(frame.lastSequence)
        if scheme.codec == .vp8, scheme.hasLayerNumbers { noteVP8(frame) }
        decoded += 1
        lastDecodedAt = now
        if max(truth.spatial, truth.encoding) == max(scheme.spatial, scheme.encodings) - 1 { lastTopAt = now }
    }

    private func noteVP8(_ frame: Frame) {
        let base = UInt8(truncatingIfNeeded: frame.baseIndex)
        if frame.isKey {
            layerInfo = [base: [frame.number, nil, nil, nil]]
        } else if frame.temporal == 0 {
            var info = layerInfo[base &- 1] ?? [nil, nil, nil, nil]
            info[0] = frame.number
            layerInfo[base] = info
            layerInfo[base &- 20] = nil
        } else {
            var info = layerInfo[base] ?? [nil, nil, nil, nil]
            if info[frame.temporal].map({ $0 < frame.number }) ?? true { info[frame.temporal] = frame.number }
            layerInfo[base] = info
        }
    }
}
