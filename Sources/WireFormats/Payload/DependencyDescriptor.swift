// The mandatory part of the dependency descriptor header extension (RTP Payload Format for AV1, appendix A).

/// Enough to know frames and key frames when the payload can't be read; the templates themselves are not parsed here.
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
