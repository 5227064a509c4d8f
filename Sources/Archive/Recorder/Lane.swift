// One encoding of one track on its way from packets to frames: order, timestamps, clock, assembly.

import PacketRing
import WireFormats

/// A frame with its place in time.
struct TimedFrame {
    var frame: AssembledFrame
    /// Session time, nanoseconds.
    var time: Int64
    var arrival: UInt64
    /// Frames were lost between the last one and this one.
    var followsLoss: Bool
    /// The sender began anew between the last one and this one.
    var followsRestart: Bool
}

/// The clock of one sender, shared by its tracks.
final class SenderClock {
    var delay = DelayFilter()
}

/// Frame assembly behind one type; one virtual call per packet.
class Assembler {
    var needsKey: Bool { false }
    func add(
        _ payload: UnsafeRawBufferPointer, timestamp: Int64, marker: Bool, arrival: UInt64,
        emit: (AssembledFrame) -> Void
    ) {}
    func lost() {}

    static func make(_ codec: MediaFormat.Codec) -> Assembler {
        switch codec {
        case .vp8: VideoAssembler(VP8Reader())
        case .vp9: VideoAssembler(VP9Reader())
        case .av1: VideoAssembler(AV1Reader())
        case .h264: VideoAssembler(H264Reader())
        case .opus: OpusAssembler()
        }
    }
}

private final class VideoAssembler<Reader: PayloadReader>: Assembler {
    private var assembler: FrameAssembler<Reader>

    init(_ reader: Reader) { assembler = FrameAssembler(reader) }

    override var needsKey: Bool { assembler.needsKey }

    override func add(
        _ payload: UnsafeRawBufferPointer, timestamp: Int64, marker: Bool, arrival: UInt64,
        emit: (AssembledFrame) -> Void
    ) {
        assembler.add(payload, timestamp: timestamp, marker: marker, arrival: arrival, emit: emit)
    }

    override func lost() { assembler.lost() }
}

/// One packet is one frame.
private final class OpusAssembler: Assembler {
    override func add(
        _ payload: UnsafeRawBufferPointer, timestamp: Int64, marker: Bool, arrival: UInt64,
        emit: (AssembledFrame) -> Void
    ) {
        guard OpusPacket(payload) != nil else { return }
        emit(
            AssembledFrame(
                timestamp: timestamp, arrival: arrival, isKey: true, bytes: [UInt8](payload), format: nil))
    }
}

/// Confined to the recorder's thread.
final class Lane {
    /// A frame's time may not be further than this from its arrival.
    private static let credible: Int64 = 10_000_000_000
    /// Tracks of one sender whose clocks differ by more than this do not share a clock.
    private static let sameClock: Int64 = 2_000_000_000

    let encoding: UInt8
    /// Pixels of the last key frame; 0 before the first.
    var area = 0
    private(set) var lastPacket: UInt64 = 0
    private(set) var lastFrame: UInt64?
    var quality: SyncQuality { clock.quality }
    var packetsLost: Int64 { lostBefore + window.lost }
    var needsKey: Bool { assembler.needsKey }
    var deadline: UInt64? { window.deadline }

    private let codec: MediaFormat.Codec
    private let clockRate: UInt32
    private let payloadType: UInt8
    private let patience: UInt64
    private let opened: UInt64
    private let sender: SenderClock

    private var ssrc: UInt32?
    private var window: ReorderWindow
    private var lostBefore: Int64 = 0
    private var timestamps = TimestampUnwrapper()
    private var clock: StreamClock
    private var assembler: Assembler
    private var arrivalDelay = DelayFilter()
    /// Set when this track's reports do not fit the sender's other tracks.
    private var ownDelay: DelayFilter?
    private var hasReport = false
    private var earlyReports: [(clock: SenderReportClock, arrival: UInt64)] = []
    private var sawLoss = false
    private var sawRestart = false
    /// Frames found while a window is being emptied; handed on afterwards.
    private var ready: [TimedFrame] = []

    init(
        encoding: UInt8, codec: MediaFormat.Codec, declaration: TrackDeclaration, patience: UInt64,
        opened: UInt64, sender: SenderClock
    ) {
        self.encoding = encoding
        self.codec = codec
        clockRate = declaration.clockRate
        payloadType = declaration.payloadType
        self.patience = patience
        self.opened = opened
        self.sender = sender
        window = ReorderWindow(patience: patience)
        clock = StreamClock(clockRate: declaration.clockRate)
        assembler = Assembler.make(codec)
    }

    func isFlowing(at now: UInt64) -> Bool {
        guard let lastFrame else { return false }
        return now < lastFrame || now &- lastFrame < 1_000_000_000
    }

    func receive(_ bytes: UnsafeRawBufferPointer, arrival: UInt64, emit: (TimedFrame) -> Void) {
        guard let packet = RTPHeader(bytes), packet.payloadType == payloadType || payloadType == 0 else { return }
        if let ssrc, ssrc != packet.ssrc {
            flush(emit: emit)
            restart()
        }
        if ssrc == nil {
            ssrc = packet.ssrc
            _ = timestamps.unwrap(packet.timestamp)
            let reports = earlyReports
            earlyReports.removeAll()
            for early in reports { report(early.clock, arrival: early.arrival) }
        }
        lastPacket = max(lastPacket, arrival)
        window.insert(sequence: packet.sequence, arrival: arrival, bytes: bytes) { take($0) }
        handOver(emit)
    }

    func advance(now: UInt64, emit: (TimedFrame) -> Void) {
        guard let deadline = window.deadline, deadline <= now else { return }
        window.advance(now: now) { take($0) }
        handOver(emit)
    }

    func flush(emit: (TimedFrame) -> Void) {
        window.flush { take($0) }
        handOver(emit)
    }

    private func handOver(_ emit: (TimedFrame) -> Void) {
        guard !ready.isEmpty else { return }
        for frame in ready { emit(frame) }
        ready.removeAll(keepingCapacity: true)
    }

    func report(_ report: SenderReportClock, arrival: UInt64) {
        guard let ssrc else {
            if earlyReports.count < 4 { earlyReports.append((report, arrival)) }
            return
        }
        let rtp = timestamps.nearest(report.rtp)
        guard report.ssrc == ssrc, clock.report(rtp: rtp, ntp: report.ntp), let time = clock.senderTime(rtp) else {
            return
        }
        let arrived = sessionTime(arrival)
        if !hasReport {
            hasReport = true
            if !sender.delay.isEmpty, abs(sender.delay.delay(of: time, arrival: arrived)) > Self.sameClock {
                ownDelay = DelayFilter()
            }
        }
        observe(time, arrival: arrived)
    }

    private func sessionTime(_ arrival: UInt64) -> Int64 { Int64(bitPattern: arrival &- opened) }

    private func observe(_ time: Int64, arrival: Int64) {
        if ownDelay != nil {
            ownDelay?.observe(time, arrival: arrival)
        } else {
            sender.delay.observe(time, arrival: arrival)
        }
    }

    /// The sender began anew: other identifiers, other clocks, other numbers.
    private func restart() {
        lostBefore += window.lost
        window = ReorderWindow(patience: patience)
        assembler = Assembler.make(codec)
        ssrc = nil
        resetClock()
        timestamps = TimestampUnwrapper()
    }

    private func resetClock() {
        clock = StreamClock(clockRate: clockRate)
        arrivalDelay = DelayFilter()
        ownDelay = nil
        hasReport = false
        sawRestart = true
    }

    private func take(_ ordered: Ordered) {
        switch ordered {
        case .lost:
            sawLoss = true
            assembler.lost()
        case .packet(let bytes, let arrival):
            guard let packet = RTPHeader(bytes) else { return }
            let payload = UnsafeRawBufferPointer(
                rebasing: bytes[packet.headerLength..<packet.headerLength + packet.payloadLength])
            let timestamp = timestamps.unwrap(packet.timestamp)
            assembler.add(payload, timestamp: timestamp, marker: packet.marker, arrival: arrival) { frame in
                let time = place(frame)
                lastFrame = max(lastFrame ?? 0, frame.arrival)
                ready.append(
                    TimedFrame(
                        frame: frame, time: time, arrival: frame.arrival, followsLoss: sawLoss,
                        followsRestart: sawRestart))
                sawLoss = false
                sawRestart = false
            }
        }
    }

    /// The frame's session time: by the sender's reports where there are any, by arrival otherwise.
    private func place(_ frame: AssembledFrame) -> Int64 {
        let arrived = sessionTime(frame.arrival)
        let time = mapped(frame.timestamp, arrived)
        guard abs(time &- arrived) > Self.credible else { return time }
        resetClock()
        return mapped(frame.timestamp, arrived)
    }

    private func mapped(_ timestamp: Int64, _ arrived: Int64) -> Int64 {
        if let time = clock.senderTime(timestamp) {
            observe(time, arrival: arrived)
            return (ownDelay ?? sender.delay).session(of: time)
        }
        let nominal = clock.nominal(timestamp)
        arrivalDelay.observe(nominal, arrival: arrived)
        return arrivalDelay.session(of: nominal)
    }
}
