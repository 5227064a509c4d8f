// What a packet says of the layers of its frame, and what is remembered of the frames of one encoding.
package import WireFormats

/// Kept with each packet in the history. Frames are numbered on a line that does not wrap.
package struct PacketLayers: Sendable {
    package enum Scheme: UInt8, Sendable {
        /// Nothing is known of layers: every packet belongs to the only one.
        case none
        /// VP8: temporal layers (RFC 7741).
        case vp8
        /// VP9: temporal and spatial layers (RFC 9628).
        case vp9
        /// Frames are described by the dependency descriptor, whatever the codec.
        case described
    }

    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Depends on no earlier picture.
        package static let isKeyPicture = Flags(rawValue: 1)
        package static let endsFrame = Flags(rawValue: 2)
        /// VP8 Y and VP9 U: whoever gets fewer temporal layers may get more from here on.
        package static let isSwitchingPoint = Flags(rawValue: 4)
        package static let isInterLayer = Flags(rawValue: 8)
        package static let isFlexible = Flags(rawValue: 16)
        /// The packet carries a dependency descriptor, which is to be renumbered.
        package static let hasDescriptor = Flags(rawValue: 32)
    }

    package var scheme: Scheme = .none
    package var spatial: UInt8 = 0
    package var temporal: UInt8 = 0
    package var flags: Flags = []
    /// VP8 and VP9: the picture. Described: the frame.
    package var frame: UInt32 = 0
    /// VP9 in flexible mode: differences to the pictures referred to, a byte each.
    package var references: UInt32 = 0
    /// Of the dependency descriptor, wherever there is one.
    package var frameNumber: UInt16 = 0
    package var maskPosition: UInt16 = 0
    package var maskLength: UInt8 = 0
    package var decodeTargets: UInt8 = 0

    package init() {}
}

/// The structure of one encoding and its last frames, as descriptors told them.
package struct DescribedFrames: ~Copyable {
    package static let span = 1024

    package struct Frame: Sendable {
        var number: UInt32 = 0
        var isKnown = false
        /// Which structure it was read with.
        var generation: UInt8 = 0
        package var dependencies = FrameDependencies()
    }

    private let structurePlace: UnsafeMutablePointer<FrameDependencyStructure>
    private let frames: UnsafeMutablePointer<Frame>
    private var unwrapper = FrameUnwrapper()
    /// Counts structures, so that a choice made with an older one is made anew.
    package private(set) var generation: UInt8 = 0
    private var structureFrame: UInt32 = 0
    package private(set) var activeDecodeTargets: UInt32 = 0
    private var activeFrame: UInt32 = 0

    package init() {
        structurePlace = .allocate(capacity: 1)
        structurePlace.initialize(to: FrameDependencyStructure())
        frames = .allocate(capacity: DescribedFrames.span)
        frames.initialize(repeating: Frame(), count: DescribedFrames.span)
    }

    deinit {
        structurePlace.deallocate()
        frames.deallocate()
    }

    package var structure: UnsafePointer<FrameDependencyStructure> { UnsafePointer(structurePlace) }

    package func find(_ frame: UInt32) -> UnsafePointer<Frame>? {
        let place = frames + Int(frame) & (DescribedFrames.span - 1)
        guard place.pointee.isKnown, place.pointee.number == frame else { return nil }
        return UnsafePointer(place)
    }

    /// Reads a packet's descriptor; `layers` says afterwards which frame it belongs to.
    ///
    /// - Parameter sequence: the packet's, on its line
    package mutating func note(
        _ element: UnsafeRawBufferPointer, sequence: UInt32, into layers: inout PacketLayers
    ) {
        guard let head = DependencyDescriptor(element) else { return }
        layers.flags.insert(.hasDescriptor)
        layers.frameNumber = head.frameNumber
        layers.maskPosition = 24
        guard structurePlace.pointee.isKnown || head.hasTemplateStructure else { return }
        let position = unwrapper.position(of: head.frameNumber, bits: 16, sequence: sequence)
        layers.frameNumber = UInt16(truncatingIfNeeded: position)
        // A structure that was sent again, or that came late, is not a new one.
        let isRepeated = head.hasTemplateStructure && find(position)?.pointee.generation == generation
        guard let read = read(element, head, at: position, isRepeated: isRepeated) else { return }
        layers.maskPosition = read.maskPosition
        layers.maskLength = read.maskLength
        layers.decodeTargets = UInt8(truncatingIfNeeded: structurePlace.pointee.decodeTargetCount)
        // What a repaired packet says may have been said otherwise since.
        if let active = read.activeDecodeTargets, Int32(bitPattern: position &- activeFrame) >= 0 {
            activeDecodeTargets = active
            activeFrame = position
        }
        layers.frame = position
        layers.spatial = read.frame.spatial
        layers.temporal = read.frame.temporal
        layers.scheme = .described
        if head.endsFrame { layers.flags.insert(.endsFrame) }
        if read.frame.referenceCount == 0 { layers.flags.insert(.isKeyPicture) }
        let place = frames + Int(position) & (DescribedFrames.span - 1)
        if place.pointee.isKnown, place.pointee.number == position, place.pointee.generation == generation { return }
        place.pointee = Frame(number: position, isKnown: true, generation: generation, dependencies: read.frame)
    }

    private mutating func read(
        _ element: UnsafeRawBufferPointer, _ head: DependencyDescriptor, at position: UInt32, isRepeated: Bool
    ) -> ReadDependencies? {
        guard head.hasTemplateStructure, !isRepeated else {
            return ReadDependencies(element, structure: &structurePlace.pointee)
        }
        var structure = structurePlace.pointee
        guard let read = ReadDependencies(element, structure: &structure),
            // An older key frame's structure that was overtaken does not replace the newer one.
            generation == 0 || Int32(bitPattern: position &- structureFrame) > 0
        else { return nil }
        generation &+= 1
        structureFrame = position
        structurePlace.pointee = structure
        return read
    }
}
