// The small vocabulary of forwarding: codecs and header extensions as integers.
package import WireFormats

/// What the forwarding core has to know of a codec; its parameters matter to signalling only.
package enum CodecKind: UInt8, Sendable, CaseIterable {
    case unknown, opus, otherAudio, vp8, vp9, h264, av1, otherVideo

    package var isVideo: Bool {
        switch self {
        case .vp8, .vp9, .h264, .av1, .otherVideo: true
        case .unknown, .opus, .otherAudio: false
        }
    }

    package var isAudio: Bool { self == .opus || self == .otherAudio }

    /// By the name that SDP has for it, in any case.
    package init(name: String, isVideo: Bool) {
        self =
            switch (name.lowercased(), isVideo) {
            case ("opus", false): .opus
            case ("vp8", true): .vp8
            case ("vp9", true): .vp9
            case ("h264", true): .h264
            case ("av1", true): .av1
            case (_, false): .otherAudio
            case (_, true): .otherVideo
            }
    }
}

package enum HeaderExtensionKind: UInt8, Sendable, CaseIterable {
    case mid, streamID, repairedStreamID, transportSequence, absoluteSendTime
    case audioLevel, videoOrientation, dependencyDescriptor, absoluteCaptureTime

    package init(_ uri: HeaderExtensionURI) {
        self =
            switch uri {
            case .mid: .mid
            case .streamIdentifier: .streamID
            case .repairedStreamIdentifier: .repairedStreamID
            case .transportWideCongestionControl: .transportSequence
            case .absoluteSendTime: .absoluteSendTime
            case .audioLevel: .audioLevel
            case .videoOrientation: .videoOrientation
            case .dependencyDescriptor: .dependencyDescriptor
            case .absoluteCaptureTime: .absoluteCaptureTime
            }
    }

    /// Goes from the publisher to every receiver as it is, under the receiver's own number.
    package var isPassedThrough: Bool {
        switch self {
        case .audioLevel, .videoOrientation, .dependencyDescriptor, .absoluteCaptureTime: true
        case .mid, .streamID, .repairedStreamID, .transportSequence, .absoluteSendTime: false
        }
    }
}

/// Which extension has which number in one direction of one section.
package struct ExtensionNumbers: Sendable, Equatable {
    /// Indexed by `HeaderExtensionKind`, 0 when not negotiated.
    private var numbers = InlineArray<16, UInt8>(repeating: 0)

    package init() {}

    package init(_ pairs: [(HeaderExtensionKind, UInt8)]) {
        for (kind, id) in pairs { self[kind] = id }
    }

    package subscript(_ kind: HeaderExtensionKind) -> UInt8 {
        get { numbers[Int(kind.rawValue)] }
        set { numbers[Int(kind.rawValue)] = newValue }
    }

    /// By raw value, 0 for what is unknown.
    func number(ofRaw raw: UInt8) -> UInt8 { raw < 16 ? numbers[Int(raw)] : 0 }

    package static func == (left: ExtensionNumbers, right: ExtensionNumbers) -> Bool {
        HeaderExtensionKind.allCases.allSatisfy { left[$0] == right[$0] }
    }
}

/// What a payload type of one peer means.
package struct PayloadFormat: Sendable, Equatable {
    package var codec: CodecKind = .unknown
    /// RFC 4588: the payload type whose packets this one repeats; 0xFF for a format of its own.
    package var repairs: UInt8 = 0xFF
    /// RFC 2198: the payload type whose packets this one holds, with some of those before; 0xFF for any other format.
    package var holds: UInt8 = 0xFF
    package var clockRate: UInt32 = 0

    package init(codec: CodecKind = .unknown, repairs: UInt8 = 0xFF, holds: UInt8 = 0xFF, clockRate: UInt32 = 0) {
        self.codec = codec
        self.repairs = repairs
        self.holds = holds
        self.clockRate = clockRate
    }

    package var isRetransmission: Bool { repairs != 0xFF }
}

/// Sequence numbers of 16 bits as positions on a line that does not wrap (RFC 3550 appendix A.1).
package struct SequenceUnwrapper: Sendable {
    package private(set) var highest: UInt32?

    package init() {}

    /// Starts two cycles in, so that packets from before the first one have a place as well.
    package func position(of sequence: UInt16) -> UInt32 {
        guard let highest else { return 0x20000 &+ UInt32(sequence) }
        let difference = Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: highest))
        return highest &+ UInt32(bitPattern: Int32(difference))
    }

    package mutating func advance(to position: UInt32) {
        guard let highest else {
            self.highest = position
            return
        }
        if Int32(bitPattern: position &- highest) > 0 { self.highest = position }
    }
}
