// A viewer that puts frames together, decodes each when the one before it was decoded, and says what it misses.
import Forwarding
import WireFormats

struct CoreViewer: ~Copyable {
    static let transportSequence: UInt8 = 2
    static let video: UInt32 = 5000
    static let repair: UInt32 = 5001
    static let sound: UInt32 = 5002

    private struct Frame {
        var arrived: Set<UInt8> = []
        var isKey = false
        var count: UInt8 = 0
    }

    private(set) var lastDecoded: UInt64
    private(set) var longestGap: UInt64 = 0
    /// Layer and number.
    private(set) var lastFrame = (layer: -1, number: -1)
    private var isWatching = false
    private var frames: [Int: Frame] = [:]
    private var arrivals = ArrivalLog()
    private var report = ArrivalLog.Report()
    private var highest: UInt16?
    /// When each missing packet was last asked for.
    private var missing: [UInt16: (since: UInt64, askedAt: UInt64)] = [:]
    private var nextRequest: UInt64 = 0
    private var nextLossReport: UInt64 = 0

    init(now: UInt64) { lastDecoded = now }

    mutating func beginWatching(now: UInt64) {
        isWatching = true
        longestGap = 0
    }

    mutating func take(_ bytes: [UInt8], arrival: UInt64) {
        let found: (header: RTPHeader, number: UInt16?)? = bytes.withUnsafeBytes { raw in
            guard let header = RTPHeader(raw) else { return nil }
            var elements = HeaderExtensionElements(header, in: raw)
            while let element = elements.next() {
                guard element.id == CoreViewer.transportSequence else { continue }
                return (header, UInt16(raw[element.offset]) << 8 | UInt16(raw[element.offset + 1]))
            }
            return (header, nil)
        }
        guard let (header, number) = found else { return }
        if let number { arrivals.record(number, arrival: arrival) }
        guard header.ssrc != CoreViewer.sound, header.payloadLength > 14 else {
            if header.ssrc == CoreViewer.video { note(header.sequence, arrival) }
            return
        }
        if header.ssrc == CoreViewer.video {
            note(header.sequence, arrival)
        } else {
            let original = UInt16(bytes[header.headerLength]) << 8 | UInt16(bytes[header.headerLength + 1])
            missing[original] = nil
        }
        let tail = bytes.suffix(12).map(Int.init)
        guard tail[0] == 0xAB, tail[11] == 0xAB else { return }
        let key = tail[1] << 24 | tail[3] << 16 | tail[4] << 8 | tail[5]
        var frame = frames[key] ?? Frame(isKey: tail[2] == 1, count: UInt8(tail[7]))
        frame.arrived.insert(UInt8(tail[6]))
        frames[key] = frame
        decode(arrival)
    }

    private mutating func note(_ sequence: UInt16, _ arrival: UInt64) {
        missing[sequence] = nil
        guard let last = highest else {
            highest = sequence
            return
        }
        guard Int16(bitPattern: sequence &- last) > 0 else { return }
        var lost = last &+ 1
        while lost != sequence {
            if missing.count < 200 { missing[lost] = (arrival, 0) }
            lost &+= 1
        }
        highest = sequence
    }

    /// The next of the layer, or the first whole key frame of another one.
    private mutating func decode(_ arrival: UInt64) {
        var again = true
        while again {
            again = false
            for (key, frame) in frames where Int(frame.count) == frame.arrived.count {
                let (layer, number) = (key >> 24, key & 0xFF_FFFF)
                let isNext = layer == lastFrame.layer && number == lastFrame.number + 1
                let isOlder = layer == lastFrame.layer && number <= lastFrame.number
                guard isNext || (frame.isKey && !isOlder) else { continue }
                if isWatching { longestGap = max(longestGap, arrival - lastDecoded) }
                lastDecoded = arrival
                lastFrame = (layer, number)
                frames = frames.filter { $0.key >> 24 != layer || $0.key & 0xFF_FFFF > number }
                again = true
                break
            }
        }
        if frames.count > 200 { frames = frames.filter { $0.key >> 24 == lastFrame.layer } }
    }

    /// Feedback, requests for what is missing, and for a key frame after a third of a second without a picture.
    mutating func nextMessage(now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> [UInt8]? {
        if now >= arrivals.nextDeadline, arrivals.collect(into: &report) {
            var writer = RTCPWriter(buffer)
            writer.receiverReport(ssrc: 1)
            let told = writer.transportFeedback(
                sender: 1, media: CoreViewer.video, baseSequence: report.baseSequence,
                feedbackCount: report.feedbackCount, arrivals: report.arrivals.span)
            arrivals.confirm(report, told: told)
            if told > 0 { return Array(writer.bytes) }
        }
        if now >= nextRequest {
            nextRequest = now + 10_000_000
            missing = missing.filter { now - $0.value.since < 1_000_000_000 }
            let due = missing.filter { now - $0.value.askedAt > 100_000_000 }.keys.sorted()
            if !due.isEmpty {
                for sequence in due { missing[sequence]?.askedAt = now }
                var writer = RTCPWriter(buffer)
                writer.receiverReport(ssrc: 1)
                writer.negativeAcknowledgement(sender: 1, media: CoreViewer.video, sequences: due.prefix(60))
                return Array(writer.bytes)
            }
        }
        if now > lastDecoded + 300_000_000, now >= nextLossReport {
            nextLossReport = now + 300_000_000
            var writer = RTCPWriter(buffer)
            writer.receiverReport(ssrc: 1)
            writer.pictureLoss(sender: 1, media: CoreViewer.video)
            return Array(writer.bytes)
        }
        return nil
    }
}
