// The payload formats of one section: `a=rtpmap`, `a=fmtp`, `a=rtcp-fb`, and how they match what the server can do.

struct PayloadFormats {
    private struct Format {
        var payloadType: UInt8
        var name: String
        var clockRate: UInt32
        var channels: Int
        var parameters: FormatParameters
        var feedback: [String]
    }

    private var formats: [Format] = []

    /// `firstLine` is the number of the first line after `m=`.
    init(media: MediaDescription, firstLine: Int) throws(SDPError) {
        var order: [UInt8] = []
        for text in media.formats {
            guard let number = text.decimal(UInt16.self), number <= 127 else {
                throw .malformed(
                    line: firstLine - 1, reason: "payload type \(text.excerpt), expected a number from 0 to 127")
            }
            let payloadType = UInt8(truncatingIfNeeded: number)
            if !order.contains(payloadType) { order.append(payloadType) }
        }
        var maps: [UInt8: Format] = [:]
        var parameters: [UInt8: FormatParameters] = [:]
        var feedback: [UInt8: [String]] = [:]
        var feedbackForAll: [String] = []
        for (offset, line) in media.lines.enumerated() {
            if let value = line.value(ofAttribute: "rtpmap") {
                let format = try Self.parseMap(value, line: firstLine + offset)
                if maps[format.payloadType] == nil { maps[format.payloadType] = format }
            } else if let value = line.value(ofAttribute: "fmtp") {
                let (payloadType, rest) = try Self.splitPayloadType(value, line: firstLine + offset)
                if parameters[payloadType] == nil { parameters[payloadType] = FormatParameters(parsing: rest) }
            } else if let value = line.value(ofAttribute: "rtcp-fb") {
                if value.hasPrefix("* ") {
                    feedbackForAll.append(value.dropFirst(2).words.joined(separator: " "))
                } else {
                    let (payloadType, rest) = try Self.splitPayloadType(value, line: firstLine + offset)
                    feedback[payloadType, default: []].append(rest.words.joined(separator: " "))
                }
            }
        }
        formats = order.compactMap { payloadType in
            guard var format = maps[payloadType] else { return nil }
            format.parameters = parameters[payloadType] ?? FormatParameters()
            format.feedback = (feedback[payloadType] ?? []) + feedbackForAll
            return format
        }
    }

    /// The formats that a capability covers, in the offer's order, with their retransmission payload types.
    func matched(with capabilities: [CodecCapability]) -> [NegotiatedCodec] {
        var codecs: [NegotiatedCodec] = []
        for format in formats {
            // RFC 5761: 64 to 95 would look like RTCP on a multiplexed transport.
            guard !(64...95).contains(format.payloadType) else { continue }
            let codec = NegotiatedCodec(
                payloadType: format.payloadType, name: format.name, clockRate: format.clockRate,
                channels: format.channels, parameters: format.parameters, feedback: format.feedback,
                retransmissionPayloadType: nil)
            guard let capability = capabilities.first(where: { $0.covers(codec) }) else { continue }
            var match = codec
            match.feedback = capability.feedback.filter { format.feedback.contains($0) }
            if capability.retransmits { match.retransmissionPayloadType = retransmission(of: format) }
            if capability.isMadeRedundant { match.redundancyPayloadType = redundancy(of: format) }
            codecs.append(match)
        }
        return codecs
    }

    /// RFC 4588: the payload type whose `apt` is the format's.
    private func retransmission(of format: Format) -> UInt8? {
        formats.first { candidate in
            candidate.name.equalsIgnoringCase("rtx") && candidate.clockRate == format.clockRate
                && !(64...95).contains(candidate.payloadType)
                && candidate.parameters["apt"]?.decimal(UInt8.self) == format.payloadType
        }?.payloadType
    }

    /// RFC 2198 §5: the payload type whose parameters name the format's, and no other, for every block.
    private func redundancy(of format: Format) -> UInt8? {
        formats.first { candidate in
            guard candidate.name.equalsIgnoringCase("red"), candidate.clockRate == format.clockRate,
                candidate.channels == format.channels, !(64...95).contains(candidate.payloadType),
                candidate.parameters.parameters.count == 1, let blocks = candidate.parameters.parameters.first,
                blocks.value == nil
            else { return false }
            let named = blocks.name.split(separator: "/", omittingEmptySubsequences: false)
            return named.count >= 2 && named.allSatisfy { $0.decimal(UInt8.self) == format.payloadType }
        }?.payloadType
    }

    private static func splitPayloadType(_ value: Substring, line: Int) throws(SDPError) -> (UInt8, Substring) {
        guard let word = value.words.first, let number = word.decimal(UInt16.self), number <= 127 else {
            throw .malformed(line: line, reason: "\(value.excerpt) begins with no payload type from 0 to 127")
        }
        return (UInt8(truncatingIfNeeded: number), value[word.endIndex...].trimmed)
    }

    private static func parseMap(_ value: Substring, line: Int) throws(SDPError) -> Format {
        let (payloadType, encoding) = try splitPayloadType(value, line: line)
        let parts = encoding.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, parts[0].isToken, parts[0].utf8.count <= 64,
            let clockRate = parts[1].decimal(UInt32.self), clockRate > 0
        else {
            throw .malformed(line: line, reason: "\(value.excerpt), expected a name and a clock rate")
        }
        var channels = 1
        if parts.count == 3 {
            guard let count = parts[2].decimal(UInt8.self), count > 0 else {
                throw .malformed(line: line, reason: "\(value.excerpt) has an impossible number of channels")
            }
            channels = Int(count)
        }
        return Format(
            payloadType: payloadType, name: String(parts[0]), clockRate: clockRate, channels: channels,
            parameters: FormatParameters(), feedback: [])
    }
}

extension CodecCapability {
    func covers(_ codec: NegotiatedCodec) -> Bool {
        guard codec.name.equalsIgnoringCase(name), codec.clockRate == clockRate, codec.channels == channels else {
            return false
        }
        switch format {
        case .any: return true
        case .vp9(let profile): return codec.vp9Profile == profile
        case .av1(let profile): return codec.av1Profile == profile
        case .h264(let profile, let mode):
            return codec.h264Profile == profile && codec.h264PacketizationMode == mode
        }
    }
}

extension NegotiatedCodec {
    package var isOpus: Bool { name.equalsIgnoringCase("opus") }
    package var isH264: Bool { name.equalsIgnoringCase("H264") }
    package var isVP9: Bool { name.equalsIgnoringCase("VP9") }
    package var isAV1: Bool { name.equalsIgnoringCase("AV1") }

    /// RFC 6184: without `profile-level-id`, Baseline of level 1 is meant; nil when it can't be read.
    package var h264Profile: H264Profile? {
        guard let text = parameters["profile-level-id"] else { return .baseline }
        return H264Profile(profileLevelID: text)
    }

    package var h264PacketizationMode: UInt8? {
        guard let text = parameters["packetization-mode"] else { return 0 }
        return text.decimal(UInt8.self)
    }

    package var vp9Profile: UInt8? {
        guard let text = parameters["profile-id"] else { return 0 }
        return text.decimal(UInt8.self)
    }

    package var av1Profile: UInt8? {
        guard let text = parameters["profile"] else { return 0 }
        return text.decimal(UInt8.self)
    }

    /// True when packets sent as `other` may be forwarded as this format: the payload type changes, the bits do not.
    /// Levels are not compared: a receiver's is a wish about size, and layers answer it better than a refusal.
    package func carriesSameBits(as other: NegotiatedCodec) -> Bool {
        guard name.equalsIgnoringCase(other.name), clockRate == other.clockRate, channels == other.channels else {
            return false
        }
        if isH264 {
            return h264Profile == other.h264Profile && h264PacketizationMode == other.h264PacketizationMode
        }
        if isVP9 { return vp9Profile == other.vp9Profile }
        if isAV1 { return av1Profile == other.av1Profile }
        return true
    }
}
