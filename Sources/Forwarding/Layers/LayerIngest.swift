// Video payloads on their way into the history: what is read of their layers and key frames, once for all receivers.
import WireFormats

package struct LayerIngest: ~Copyable {
    /// One byte more than the payload may be needed.
    static let growth = PictureNumbers.growth

    private var frames: UnsafeMutablePointer<DescribedFrames>?
    private var pictures = FrameUnwrapper()
    /// H.264: parameter sets come in band, so that an IDR slice alone is no beginning.
    private var sendsParameterSets = false
    /// Key frames that came without them, and when the last did.
    private var bareKeyFrames = 0
    private var bareTimestamp: UInt32?
    /// The packet with a descriptor that was sent last, of those that came.
    private var newestDescribed: UInt32?
    /// A structure came after packets that are to be read by it.
    private(set) var hasLateStructure = false

    package init() {}

    deinit {
        frames?.deinitialize(count: 1)
        frames?.deallocate()
    }

    /// What the stream's dependency descriptors told, nil before the first one.
    package var described: UnsafePointer<DescribedFrames>? { frames.map { UnsafePointer($0) } }

    /// Copies the payload and notes in `entry` what it says; answers with the length written, nil when the payload's
    /// descriptor reaches beyond its end.
    mutating func copy(
        _ payload: UnsafeRawBufferPointer, descriptor: UnsafeRawBufferPointer,
        to target: UnsafeMutableRawBufferPointer, entry: inout HistoryEntry
    ) -> Int? {
        guard payload.count > 0, let source = payload.baseAddress, let destination = target.baseAddress else {
            return 0
        }
        var length = payload.count
        switch entry.codec {
        case .vp8:
            guard let head = VP8Descriptor(payload),
                let written = PictureNumbers.copy(payload, head, to: target, entry: &entry)
            else { return nil }
            length = written
            note(head, &entry)
        case .vp9:
            guard let head = VP9Descriptor(payload),
                let written = PictureNumbers.copy(payload, head, to: target, entry: &entry)
            else { return nil }
            length = written
            note(head, &entry)
        case .h264, .av1, .unknown, .opus, .otherAudio, .otherVideo:
            guard target.count >= length else { return nil }
            destination.copyMemory(from: source, byteCount: length)
            if startsKeyFrame(payload, entry.codec, timestamp: entry.timestamp) { entry.flags.insert(.startsKeyFrame) }
        }
        if descriptor.count >= 3, entry.codec.isVideo { note(descriptor, &entry) }
        return length
    }

    private mutating func startsKeyFrame(
        _ payload: UnsafeRawBufferPointer, _ codec: CodecKind, timestamp: UInt32
    ) -> Bool {
        switch codec {
        case .h264:
            guard let unit = H264Payload(payload) else { return false }
            if unit.hasSequenceParameterSet { sendsParameterSets = true }
            guard unit.isKeyFrameStart else { return false }
            if unit.hasSequenceParameterSet { return true }
            if !sendsParameterSets, bareTimestamp != timestamp {
                bareTimestamp = timestamp
                bareKeyFrames &+= 1
            }
            // The first parameter sets may only be late or lost; who never sends them has told them by signalling.
            return !sendsParameterSets && bareKeyFrames > 3
        case .av1: return AV1Payload(payload)?.isKeyFrameStart ?? false
        case .vp8, .vp9, .unknown, .opus, .otherAudio, .otherVideo: return false
        }
    }

    private mutating func note(_ head: VP8Descriptor, _ entry: inout HistoryEntry) {
        if head.isKeyFrameStart {
            entry.flags.insert(.startsKeyFrame)
            entry.layers.flags.insert(.isKeyPicture)
        }
        guard let picture = head.pictureID else { return }
        place(picture, isLong: head.pictureIDIsLong, &entry)
        guard let temporal = head.temporalLayer else { return }
        entry.layers.scheme = .vp8
        entry.layers.temporal = temporal
        if head.isLayerSync { entry.layers.flags.insert(.isSwitchingPoint) }
    }

    private mutating func note(_ head: VP9Descriptor, _ entry: inout HistoryEntry) {
        if head.isKeyFrameStart { entry.flags.insert(.startsKeyFrame) }
        guard let picture = head.pictureID else { return }
        place(picture, isLong: head.pictureIDIsLong, &entry)
        guard head.hasLayerIndices else { return }
        entry.layers.scheme = .vp9
        entry.layers.spatial = head.spatialLayer
        entry.layers.temporal = head.temporalLayer
        entry.layers.references = head.references
        if !head.isInterPicture { entry.layers.flags.insert(.isKeyPicture) }
        if head.endsFrame { entry.layers.flags.insert(.endsFrame) }
        if head.isSwitchingUpPoint { entry.layers.flags.insert(.isSwitchingPoint) }
        if head.isInterLayer { entry.layers.flags.insert(.isInterLayer) }
        if head.isFlexible { entry.layers.flags.insert(.isFlexible) }
    }

    private mutating func place(_ picture: UInt16, isLong: Bool, _ entry: inout HistoryEntry) {
        entry.layers.frame = pictures.position(of: picture, bits: isLong ? 15 : 7, sequence: entry.sequence)
        entry.pictureID = UInt16(truncatingIfNeeded: entry.layers.frame & 0x7FFF)
    }

    private mutating func note(_ descriptor: UnsafeRawBufferPointer, _ entry: inout HistoryEntry) {
        let place: UnsafeMutablePointer<DescribedFrames>
        if let frames {
            place = frames
        } else {
            // Once in the life of a stream.
            place = .allocate(capacity: 1)
            place.initialize(to: DescribedFrames())
            frames = place
        }
        var layers = entry.layers
        let generation = place.pointee.generation
        place.pointee.note(descriptor, sequence: entry.sequence, into: &layers)
        if let newestDescribed, Int32(bitPattern: entry.sequence &- newestDescribed) < 0 {
            if generation != place.pointee.generation { hasLateStructure = true }
        } else {
            newestDescribed = entry.sequence
        }
        guard entry.layers.scheme == .none, !entry.flags.contains(.hasPictureID) else {
            // The payload says it itself; the descriptor is only renumbered.
            entry.layers.flags.formUnion(layers.flags.intersection(.hasDescriptor))
            entry.layers.frameNumber = layers.frameNumber
            return
        }
        entry.layers = layers
    }

    /// Reads the descriptors of later packets once more, after the structure that they were sent with has come.
    mutating func readAgain(after sequence: UInt32, to highest: UInt32, in history: borrowing PacketHistory) {
        hasLateStructure = false
        var next = sequence &+ 1
        while Int32(bitPattern: highest &- next) >= 0 {
            if let entry = history.find(next), entry.pointee.layers.flags.contains(.hasDescriptor),
                let descriptor = LayerIngest.descriptor(in: history.extensions(of: entry))
            {
                let place = UnsafeMutablePointer(mutating: entry)
                if place.pointee.layers.scheme == .described { place.pointee.layers = PacketLayers() }
                note(descriptor, &place.pointee)
            }
            next &+= 1
        }
        hasLateStructure = false
    }

    private static func descriptor(in stored: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var position = 0
        while position + 2 <= stored.count {
            let end = position + 2 + Int(stored[position + 1])
            guard end <= stored.count else { return nil }
            if stored[position] == HeaderExtensionKind.dependencyDescriptor.rawValue {
                return UnsafeRawBufferPointer(rebasing: stored[(position + 2)..<end])
            }
            position = end
        }
        return nil
    }
}
