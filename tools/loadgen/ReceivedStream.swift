// One stream as a receiver gets it: gaps in its numbers, its first key frame, how long packets took.

struct ReceivedStream {
    struct Missing {
        var since: UInt64
        var requests = 0
    }

    let isVideo: Bool
    let ssrc: UInt32
    let repairSSRC: UInt32?
    private(set) var packets: UInt64 = 0
    private(set) var bytes: UInt64 = 0
    private(set) var duplicates: UInt64 = 0
    private(set) var repaired: UInt64 = 0
    /// Numbers that never came.
    private(set) var lost: UInt64 = 0
    private(set) var highest: UInt32 = 0
    private(set) var missing: [UInt16: Missing] = [:]
    var repairPackets: UInt64 = 0
    private(set) var firstKeyFrameAt: UInt64?
    /// When the last packet of a key frame came that is not whole yet.
    private(set) var keyFramePacketAt: UInt64 = 0
    private(set) var lastPacketAt: UInt64 = 0
    var pictureLossDue: UInt64 = 0
    var lastSenderReport: UInt32 = 0
    var senderReportAt: UInt64 = 0
    private var keyNext: UInt16?
    private var untilSample = 0

    static let sampling = 32
    static let mostMissing = 2000

    init(isVideo: Bool, ssrc: UInt32, repairSSRC: UInt32?) {
        self.isVideo = isVideo
        self.ssrc = ssrc
        self.repairSSRC = repairSSRC
    }

    /// Whether this packet is to be decrypted: all until there is a picture, then one in so many.
    @inline(__always)
    mutating func wantsDecryption() -> Bool {
        if isVideo, firstKeyFrameAt == nil { return true }
        untilSample -= 1
        guard untilSample < 0 else { return false }
        untilSample = ReceivedStream.sampling
        return true
    }

    @inline(__always)
    mutating func note(sequence: UInt16, bytes: Int, now: UInt64) {
        self.bytes &+= UInt64(bytes)
        lastPacketAt = now
        guard packets > 0 else {
            highest = UInt32(sequence)
            packets = 1
            return
        }
        let step = sequence &- UInt16(truncatingIfNeeded: highest)
        if step == 1 {
            packets &+= 1
            highest &+= 1
            return
        }
        noteStep(step, sequence, now: now)
    }

    private mutating func noteStep(_ step: UInt16, _ sequence: UInt16, now: UInt64) {
        if step == 0 || step >= 0x8000 {
            if missing.removeValue(forKey: sequence) != nil {
                packets &+= 1
                repaired &+= 1
            } else {
                duplicates &+= 1
            }
            return
        }
        packets &+= 1
        for number in 1..<step {
            guard missing.count < ReceivedStream.mostMissing else {
                lost &+= 1
                continue
            }
            missing[UInt16(truncatingIfNeeded: highest &+ UInt32(number))] = Missing(since: now)
        }
        highest &+= UInt32(step)
    }

    mutating func noteRepair(of sequence: UInt16) {
        if missing.removeValue(forKey: sequence) != nil { repaired &+= 1 }
    }

    /// The numbers to ask for now: after 10 ms, then every 100 ms, at most ten times.
    mutating func takeDueRequests(now: UInt64, into sequences: inout [UInt16]) {
        guard !missing.isEmpty else { return }
        for (sequence, state) in missing {
            guard now &- state.since >= 10_000_000 + UInt64(state.requests) * 100_000_000 else { continue }
            if state.requests >= 10 {
                missing[sequence] = nil
                lost &+= 1
            } else {
                missing[sequence]?.requests += 1
                sequences.append(sequence)
            }
        }
        sequences.sort { $0 &- UInt16(truncatingIfNeeded: highest) < $1 &- UInt16(truncatingIfNeeded: highest) }
    }

    /// Follows a key frame from its first packet to the marker.
    mutating func follow(sequence: UInt16, startsKeyFrame: Bool, marker: Bool, now: UInt64) {
        guard firstKeyFrameAt == nil else { return }
        if startsKeyFrame {
            keyNext = sequence &+ 1
        } else if let next = keyNext, sequence == next {
            keyNext = sequence &+ 1
        } else {
            return
        }
        keyFramePacketAt = now
        if marker { firstKeyFrameAt = now }
    }
}
