// Which frames of a layered source one receiver gets.
import WireFormats

/// Levels change at borders of frames only, a frame is decided once for all of its packets, and no frame is forwarded
/// whose reference was left out. What a late packet gets is what was in force when its frame was due.
package struct LayerSelector: Sendable {
    package struct Verdict: Sendable, Equatable {
        package var isForwarded: Bool
        /// The last packet of the picture as this receiver gets it: it needs the marker.
        package var endsPicture = false
        /// This packet is the first of its frame to be left out.
        package var leavesFrameOut = false
        /// For the dependency descriptor, 0 for the publisher's own.
        package var decodeTargets: UInt32 = 0
    }

    struct Level: Sendable, Equatable {
        var spatial: UInt8
        var temporal: UInt8
    }

    /// Frames that go by while a better layer is waited for, before a key frame is asked for.
    static let patience: UInt16 = 8

    // By whoever decides.
    package var wantedSpatial: UInt8 = 0xFE
    package var wantedTemporal: UInt8 = 0xFE

    // Written by frames.
    private var window = FrameWindow()
    private var level = Level(spatial: 0xFE, temporal: 0xFE)
    private var levelBefore = Level(spatial: 0xFE, temporal: 0xFE)
    private var border: UInt32 = 0
    private var borderBefore: UInt32 = 0
    private var hasStarted = false
    /// VP9: from the picture after this one on, more temporal layers may be forwarded.
    private var switchingPoint: UInt32?
    /// VP9: spatial layers seen lately.
    private var highestSpatial: UInt8 = 0
    /// Described streams: the decode target, and what it was chosen from.
    private var target: UInt8 = 0
    private var targetBefore: UInt8 = 0
    private var generation: UInt8 = 0
    /// Once a receiver got fewer decode targets than there are, it is told so until the next structure.
    private var isLimited = false
    private var waiting: UInt16 = 0
    private var isBroken = false

    package init() {}

    package var isActive: Bool { hasStarted }
    package var spatial: UInt8 { level.spatial }
    package var temporal: UInt8 { level.temporal }
    /// Only a key frame brings what is wanted.
    package var awaitsKeyFrame: Bool { isBroken || waiting > LayerSelector.patience }

    /// Another source follows, from a key frame on.
    package mutating func restart() {
        let (spatial, temporal) = (wantedSpatial, wantedTemporal)
        self = LayerSelector()
        wantedSpatial = spatial
        wantedTemporal = temporal
    }

    @inline(__always)
    package mutating func decide(_ layers: PacketLayers, _ described: UnsafePointer<DescribedFrames>?) -> Verdict {
        switch layers.scheme {
        case .none: return Verdict(isForwarded: true)
        case .vp8: return decideVP8(layers)
        case .vp9: return decideVP9(layers)
        case .described: return decideDescribed(layers, described)
        }
    }

    private func isAtOrAfter(_ frame: UInt32, _ other: UInt32) -> Bool { Int32(bitPattern: frame &- other) >= 0 }

    /// The level that was in force for a frame.
    private func level(at frame: UInt32) -> Level {
        if isAtOrAfter(frame, border) { return level }
        if isAtOrAfter(frame, borderBefore) { return levelBefore }
        return Level(spatial: 0, temporal: 0)
    }

    private mutating func change(to new: Level, from frame: UInt32) {
        guard new != level || !hasStarted else { return }
        if hasStarted {
            if border != frame {
                levelBefore = level
                borderBefore = border
            }
        } else {
            borderBefore = frame
        }
        level = new
        border = frame
        hasStarted = true
    }

    // MARK: - VP8

    private mutating func decideVP8(_ layers: PacketLayers) -> Verdict {
        let frame = layers.frame
        switch window[frame] {
        case .forwarded: return Verdict(isForwarded: true)
        case .leftOut: return Verdict(isForwarded: false)
        case .unknown: break
        }
        if window.isNewer(frame) {
            if layers.flags.contains(.isKeyPicture) || !hasStarted {
                change(to: Level(spatial: 0, temporal: wantedTemporal), from: frame)
            } else if wantedTemporal < level.temporal {
                change(to: Level(spatial: 0, temporal: wantedTemporal), from: frame)
            } else if layers.temporal <= wantedTemporal, layers.temporal == level.temporal &+ 1,
                layers.flags.contains(.isSwitchingPoint)
            {
                change(to: Level(spatial: 0, temporal: layers.temporal), from: frame)
            }
        }
        let isForwarded = layers.temporal <= level(at: frame).temporal
        window.set(frame, isForwarded: isForwarded)
        return Verdict(isForwarded: isForwarded, leavesFrameOut: !isForwarded)
    }

    // MARK: - VP9

    /// Eight numbers for each picture, one for each of its spatial layers.
    @inline(__always)
    private func place(_ picture: UInt32, _ spatial: UInt8) -> UInt32 { picture << 3 | UInt32(spatial & 7) }

    private mutating func decideVP9(_ layers: PacketLayers) -> Verdict {
        let picture = layers.frame
        let frame = place(picture, layers.spatial)
        let isForwarded: Bool
        switch window[frame] {
        case .forwarded: isForwarded = true
        case .leftOut: return Verdict(isForwarded: false)
        case .unknown:
            isForwarded = decideNewVP9(layers, picture: picture)
            window.set(frame, isForwarded: isForwarded)
        }
        let ends =
            isForwarded && layers.flags.contains(.endsFrame) && layers.spatial == level(at: picture).spatial
        return Verdict(isForwarded: isForwarded, endsPicture: ends)
    }

    private mutating func decideNewVP9(_ layers: PacketLayers, picture: UInt32) -> Bool {
        let isKey = layers.flags.contains(.isKeyPicture)
        let newest = window.newest.map { $0 >> 3 }
        let isNewPicture = newest.map { Int32(bitPattern: (picture &- $0) << 3) > 0 } ?? true
        if isNewPicture {
            beginVP9Picture(layers, picture, isKey: isKey)
        } else if isKey, layers.spatial == 0, newest == picture, picture != border || level.spatial < wantedSpatial {
            // The lowest layer of a key picture was overtaken by a higher one, which may have been left out.
            var reachable = wantedSpatial
            for spatial in stride(from: 7, through: 1, by: -1) where window[place(picture, UInt8(spatial))] == .leftOut
            {
                reachable = min(reachable, UInt8(spatial) &- 1)
            }
            change(to: Level(spatial: reachable, temporal: wantedTemporal), from: picture)
        }
        if layers.spatial > highestSpatial { highestSpatial = layers.spatial }
        let level = level(at: picture)
        guard layers.spatial <= level.spatial, layers.temporal <= level.temporal else { return false }
        return !hasLostReference(layers, picture)
    }

    private mutating func beginVP9Picture(_ layers: PacketLayers, _ picture: UInt32, isKey: Bool) {
        var next = level
        if isKey && layers.spatial == 0 || !hasStarted {
            next = Level(spatial: wantedSpatial, temporal: wantedTemporal)
            highestSpatial = layers.spatial
            waiting = 0
        } else if isKey, layers.spatial == level.spatial &+ 1, layers.spatial <= wantedSpatial {
            next.spatial = layers.spatial
        } else {
            next.spatial = min(level.spatial, wantedSpatial)
        }
        var start = picture
        if wantedTemporal < next.temporal {
            next.temporal = wantedTemporal
        } else if wantedTemporal > next.temporal {
            if let point = switchingPoint {
                next.temporal = wantedTemporal
                // What lies between and comes late may be referred to as well.
                if next.spatial == level.spatial { start = point &+ 1 }
            } else if layers.temporal == next.temporal &+ 1, hasEveryReference(layers, picture) {
                next.temporal = layers.temporal
            }
        }
        change(to: next, from: start)
        switchingPoint = nil
        if layers.flags.contains(.isSwitchingPoint), layers.temporal <= level.temporal { switchingPoint = picture }
        let isHigherWanted = min(wantedSpatial, highestSpatial) > level.spatial
        waiting = isHigherWanted ? min(waiting &+ 1, 1000) : 0
    }

    private func hasLostReference(_ layers: PacketLayers, _ picture: UInt32) -> Bool {
        guard layers.flags.contains(.isFlexible) else { return false }
        if layers.flags.contains(.isInterLayer), layers.spatial > 0,
            window[place(picture, layers.spatial &- 1)] == .leftOut
        {
            return true
        }
        var rest = layers.references
        while rest != 0 {
            if window[place(picture &- (rest & 0x7F), layers.spatial)] == .leftOut { return true }
            rest >>= 8
        }
        return false
    }

    /// Only flexible mode names its references.
    private func hasEveryReference(_ layers: PacketLayers, _ picture: UInt32) -> Bool {
        guard layers.flags.contains(.isFlexible), layers.references != 0 else { return false }
        var rest = layers.references
        while rest != 0 {
            guard window[place(picture &- (rest & 0x7F), layers.spatial)] == .forwarded else { return false }
            rest >>= 8
        }
        return true
    }

    // MARK: - Described by the dependency descriptor

    private mutating func decideDescribed(
        _ layers: PacketLayers, _ described: UnsafePointer<DescribedFrames>?
    ) -> Verdict {
        guard let described, let found = described.pointee.find(layers.frame) else {
            // Its frame is out of memory: nobody waits for that any more.
            return Verdict(isForwarded: !hasStarted)
        }
        let frame = layers.frame
        let isForwarded: Bool
        switch window[frame] {
        case .forwarded: isForwarded = true
        case .leftOut: return Verdict(isForwarded: false)
        case .unknown:
            isForwarded = decideFrame(frame, found, described)
            window.set(frame, isForwarded: isForwarded)
        }
        let inForce = isAtOrAfter(frame, border) ? target : targetBefore
        let structure = described.pointee.structure
        let ends =
            isForwarded && layers.flags.contains(.endsFrame)
            && layers.spatial == structure.pointee.spatial(ofTarget: inForce)
        return Verdict(
            isForwarded: isForwarded, endsPicture: ends,
            decodeTargets: isLimited ? allowed(structure, described.pointee.activeDecodeTargets) : 0)
    }

    /// The decode targets that can still be had from what is forwarded.
    private func allowed(_ structure: UnsafePointer<FrameDependencyStructure>, _ active: UInt32) -> UInt32 {
        var mask: UInt32 = 0
        for index in 0..<UInt8(truncatingIfNeeded: structure.pointee.decodeTargetCount)
        where structure.pointee.spatial(ofTarget: index) <= level.spatial
            && structure.pointee.temporal(ofTarget: index) <= level.temporal
        {
            mask |= 1 << UInt32(index)
        }
        return mask & active == 0 ? 1 << UInt32(target & 31) : mask & active
    }

    private mutating func decideFrame(
        _ frame: UInt32, _ found: UnsafePointer<DescribedFrames.Frame>, _ described: UnsafePointer<DescribedFrames>
    ) -> Bool {
        let structure = described.pointee.structure
        if window.isNewer(frame) || !hasStarted {
            let wanted = wantedTarget(structure, described.pointee.activeDecodeTargets)
            let isNewStructure = generation != described.pointee.generation
            if isNewStructure || !hasStarted {
                generation = described.pointee.generation
                isLimited = false
                // Its key frame may have come late, when some of its layers had already been left out.
                let reachable =
                    found.pointee.dependencies.referenceCount == 0 || !hasStarted
                    ? wanted : intactTarget(upTo: wanted, at: frame, found, structure)
                take(reachable ?? wanted, structure, from: frame)
                if reachable == nil { isBroken = true }
            } else if wanted != target, canSwitch(to: wanted, at: frame, found, structure) {
                take(wanted, structure, from: frame)
            }
            let isHigher =
                wanted != target && structure.pointee.spatial(ofTarget: wanted) != level.spatial
            waiting = isHigher ? min(waiting &+ 1, 1000) : 0
            if structure.pointee.allDecodeTargets != allowed(structure, structure.pointee.allDecodeTargets) {
                isLimited = true
            }
        }
        let inForce = isAtOrAfter(frame, border) ? target : targetBefore
        let indication = found.pointee.dependencies.indications[inForce]
        guard indication != .notPresent else { return false }
        for index in 0..<Int(found.pointee.dependencies.referenceCount)
        where window[frame &- UInt32(found.pointee.dependencies.references[index])] == .leftOut {
            if indication != .discardable { isBroken = true }
            return false
        }
        return true
    }

    private mutating func take(
        _ new: UInt8, _ structure: UnsafePointer<FrameDependencyStructure>, from frame: UInt32
    ) {
        targetBefore = hasStarted ? target : new
        target = new
        isBroken = false
        levelBefore = level
        borderBefore = border
        level = Level(
            spatial: structure.pointee.spatial(ofTarget: new), temporal: structure.pointee.temporal(ofTarget: new))
        border = frame
        hasStarted = true
    }

    /// The largest decode target that is wanted and active: resolution before frame rate.
    private func wantedTarget(_ structure: UnsafePointer<FrameDependencyStructure>, _ active: UInt32) -> UInt8 {
        var best: UInt8?
        var bestRank = -1
        var lowest: UInt8 = 0
        var lowestRank = Int.max
        for index in 0..<UInt8(truncatingIfNeeded: structure.pointee.decodeTargetCount)
        where active & (1 << UInt32(index)) != 0 {
            let spatial = structure.pointee.spatial(ofTarget: index)
            let temporal = structure.pointee.temporal(ofTarget: index)
            let rank = Int(spatial) << 8 | Int(temporal)
            if rank < lowestRank { (lowestRank, lowest) = (rank, index) }
            guard spatial <= wantedSpatial, temporal <= wantedTemporal, rank > bestRank else { continue }
            (bestRank, best) = (rank, index)
        }
        return best ?? lowest
    }

    /// The largest target up to one that has lost nothing so far; nil when all have.
    private func intactTarget(
        upTo wanted: UInt8, at frame: UInt32, _ found: UnsafePointer<DescribedFrames.Frame>,
        _ structure: UnsafePointer<FrameDependencyStructure>
    ) -> UInt8? {
        var best: UInt8?
        var bestRank = -1
        let limit = (structure.pointee.spatial(ofTarget: wanted), structure.pointee.temporal(ofTarget: wanted))
        for index in 0..<UInt8(truncatingIfNeeded: structure.pointee.decodeTargetCount) {
            let spatial = structure.pointee.spatial(ofTarget: index)
            let temporal = structure.pointee.temporal(ofTarget: index)
            let rank = Int(spatial) << 8 | Int(temporal)
            guard spatial <= limit.0, temporal <= limit.1, rank > bestRank else { continue }
            if let chain = structure.pointee.chain(ofTarget: index) {
                let difference = UInt32(found.pointee.dependencies.chainDifferences[chain])
                guard difference == 0 || window[frame &- difference] != .leftOut else { continue }
            }
            (bestRank, best) = (rank, index)
        }
        return best
    }

    /// At a switch indication, or where the receiver has had all that the smaller target needs.
    private func canSwitch(
        to new: UInt8, at frame: UInt32, _ found: UnsafePointer<DescribedFrames.Frame>,
        _ structure: UnsafePointer<FrameDependencyStructure>
    ) -> Bool {
        let indication = found.pointee.dependencies.indications[new]
        guard indication != .notPresent else { return false }
        for index in 0..<Int(found.pointee.dependencies.referenceCount)
        where window[frame &- UInt32(found.pointee.dependencies.references[index])] != .forwarded {
            return false
        }
        if let chain = structure.pointee.chain(ofTarget: new) {
            let difference = UInt32(found.pointee.dependencies.chainDifferences[chain])
            guard difference == 0 || window[frame &- difference] == .forwarded else { return false }
        }
        if indication == .switchPoint { return true }
        // Continuing with less: everything of the smaller target has been forwarded so far.
        return structure.pointee.spatial(ofTarget: new) <= level.spatial
            && structure.pointee.temporal(ofTarget: new) <= level.temporal
    }
}
