// What a synthetic participant sends: VP8 pictures of a given rate with key frames on request, and a microphone.
import Forwarding
import WireFormats

/// Numbers of payload types and header extensions in every offer of the load.
enum Wire {
    static let video: UInt8 = 96
    static let videoRepair: UInt8 = 97
    static let audio: UInt8 = 111
    static let level: UInt8 = 1
    static let absoluteSendTime: UInt8 = 3
    static let mid: UInt8 = 4
    static let transportSequence: UInt8 = 5
    static let captureTime: UInt8 = 6
    static let rid: UInt8 = 10
    static let repairedRid: UInt8 = 11

    static let largestDatagram = 1200
    static let tag = 16
    /// Fixed header, and transport-wide number and capture time as extensions.
    static let header = 28
    static let largestPayload = largestDatagram - header - tag
    /// Number and check at the end of every payload.
    static let trailer = 16

    /// The load's own clock rides in the clear, in an extension that the server passes on as it is.
    static func stampTrailer(_ payload: UnsafeMutableRawBufferPointer, number: UInt64) {
        payload.storeBytes(of: number, toByteOffset: payload.count - 16, as: UInt64.self)
        payload.storeBytes(of: number &* 0x9E37_79B9_7F4A_7C15, toByteOffset: payload.count - 8, as: UInt64.self)
    }

    static func isIntact(_ payload: UnsafeRawBufferPointer) -> Bool {
        guard payload.count >= trailer else { return false }
        let number = payload.loadUnaligned(fromByteOffset: payload.count - 16, as: UInt64.self)
        let check = payload.loadUnaligned(fromByteOffset: payload.count - 8, as: UInt64.self)
        return number &* 0x9E37_79B9_7F4A_7C15 == check
    }
}

struct VideoShape: Sendable {
    static let framesPerSecond = 30
    /// A key frame takes so many times the bytes of another.
    static let keyFrameFactor = 8
    static let slot: UInt64 = 5_000_000
    /// Over the rate of the stream, as browsers pace.
    static let paceFactor = 2.5

    /// Of UDP payload, so that what is said of a load can be measured at the socket.
    var bitsPerSecond: Int
    var width: Int
    var height: Int
    var rid: String?
}

/// One encoding. Packets of a frame leave in slots of 5 ms, each as one segmented send.
struct VideoSource {
    private struct Frame {
        var isKey: Bool
        var picture: UInt16
        var timestamp: UInt32
        var packets: Int
        var payload: Int
        var last: Int
        var sent = 0
    }

    /// What it takes to make a packet again.
    struct Made {
        var sequence: UInt16 = 0
        var timestamp: UInt32 = 0
        var picture: UInt16 = 0
        var isKey = false
        var isFirst = false
        var isLast = false
        var payload = 0
        var number: UInt64 = 0
    }

    static let remembered = 2048

    let shape: VideoShape
    let mid: String
    let ssrc: UInt32
    let repairSSRC: UInt32
    var slot = -1
    var repairSlot = -1
    private(set) var packets: UInt64 = 0
    private(set) var bytes: UInt64 = 0
    private(set) var keyFrames: UInt64 = 0
    /// Key frames that were asked for, each message counted.
    private(set) var keyFrameRequests: UInt64 = 0
    private(set) var retransmitted: UInt64 = 0
    private(set) var lastTimestamp: UInt32 = 0
    private var frames: [Frame] = []
    private var history = [Made](repeating: Made(), count: VideoSource.remembered)
    private var sequence: UInt16
    private var repairSequence: UInt16 = 1
    private var timestamp: UInt32
    private var picture: UInt16
    private var number: UInt64 = 0
    private var wantsKey = true
    private var lastFullIntra: UInt8?
    private var nextFrame: UInt64 = 0
    private var nextSlot: UInt64 = .max
    private var random: SplitMix64

    init(shape: VideoShape, mid: String, seed: UInt64) {
        self.shape = shape
        self.mid = mid
        random = SplitMix64(state: seed)
        ssrc = UInt32(truncatingIfNeeded: random.next()) | 1
        repairSSRC = ssrc &+ 1
        sequence = UInt16(truncatingIfNeeded: random.next())
        timestamp = UInt32(truncatingIfNeeded: random.next())
        picture = UInt16(truncatingIfNeeded: random.next()) & 0x7FFF
    }

    private static let interval = UInt64(1_000_000_000 / VideoShape.framesPerSecond)
    private var slotBytes: Int {
        max(Wire.largestDatagram, Int(Double(shape.bitsPerSecond) / 8 * VideoShape.paceFactor * 0.005))
    }

    /// Cameras are not in step.
    mutating func start(now: UInt64) { nextFrame = now &+ random.next() % VideoSource.interval }

    var nextDue: UInt64 { min(nextFrame, nextSlot) }

    mutating func requestKeyFrame() {
        keyFrameRequests &+= 1
        wantsKey = true
    }

    /// Repeats of one request carry the same number (RFC 5104 §4.3.1).
    mutating func requestKeyFrame(fullIntra sequence: UInt8) {
        keyFrameRequests &+= 1
        guard lastFullIntra != sequence else { return }
        lastFullIntra = sequence
        wantsKey = true
    }

    /// Encodes the next picture when its time has come.
    mutating func advance(now: UInt64) {
        guard now >= nextFrame else { return }
        nextFrame &+= VideoSource.interval
        if nextFrame < now { nextFrame = now &+ VideoSource.interval }
        let average = shape.bitsPerSecond / 8 / VideoShape.framesPerSecond
        var size = average * Int(85 + random.next() % 31) / 100
        if wantsKey {
            size = average * VideoShape.keyFrameFactor
            keyFrames &+= 1
        }
        let count = max(1, (size + Wire.largestDatagram - 1) / Wire.largestDatagram)
        let content = max(size - count * (Wire.header + Wire.tag), count * 32)
        let each = min((content + count - 1) / count, Wire.largestPayload)
        picture = (picture &+ 1) & 0x7FFF
        timestamp &+= UInt32(90_000 / VideoShape.framesPerSecond)
        frames.append(
            Frame(
                isKey: wantsKey, picture: picture, timestamp: timestamp, packets: count, payload: each,
                last: max(32, min(each, content - (count - 1) * each))))
        wantsKey = false
        if nextSlot == .max { nextSlot = now }
    }

    /// The packets of this slot; nil ends it.
    mutating func beginSlot(now: UInt64) -> Int { now >= nextSlot ? slotBytes : 0 }

    mutating func endSlot(now: UInt64) {
        guard now >= nextSlot else { return }
        nextSlot = frames.isEmpty ? .max : max(nextSlot &+ VideoShape.slot, now &+ VideoShape.slot / 2)
    }

    mutating func nextPacket() -> Made? {
        guard let frame = frames.first else { return nil }
        let isLast = frame.sent == frame.packets - 1
        let made = Made(
            sequence: sequence, timestamp: frame.timestamp, picture: frame.picture, isKey: frame.isKey,
            isFirst: frame.sent == 0, isLast: isLast, payload: isLast ? frame.last : frame.payload, number: number)
        history[Int(sequence) % VideoSource.remembered] = made
        sequence &+= 1
        number &+= 1
        lastTimestamp = frame.timestamp
        packets &+= 1
        bytes &+= UInt64(made.payload)
        if isLast { frames.removeFirst() } else { frames[0].sent += 1 }
        return made
    }

    /// A packet that the server misses, and the number it is sent again under.
    mutating func repair(_ sequence: UInt16) -> (made: Made, under: UInt16)? {
        let made = history[Int(sequence) % VideoSource.remembered]
        guard made.sequence == sequence, made.payload > 0 else { return nil }
        repairSequence &+= 1
        retransmitted &+= 1
        return (made, repairSequence)
    }

    /// VP8 (RFC 7741): descriptor with a 15-bit PictureID, then, in a frame's first packet, the frame's header.
    func writePayload(_ out: UnsafeMutableRawBufferPointer, _ made: Made) {
        out[0] = made.isFirst ? 0x90 : 0x80
        out[1] = 0x80
        out[2] = 0x80 | UInt8(truncatingIfNeeded: made.picture >> 8)
        out[3] = UInt8(truncatingIfNeeded: made.picture)
        if made.isFirst {
            // Bit 0 clear is a key frame, bit 4 shows it.
            out[4] = made.isKey ? 0x10 : 0x11
            out[5] = 0
            out[6] = 0
            if made.isKey {
                out[7] = 0x9D
                out[8] = 0x01
                out[9] = 0x2A
                out[10] = UInt8(truncatingIfNeeded: shape.width)
                out[11] = UInt8(truncatingIfNeeded: shape.width >> 8)
                out[12] = UInt8(truncatingIfNeeded: shape.height)
                out[13] = UInt8(truncatingIfNeeded: shape.height >> 8)
            }
        }
        Wire.stampTrailer(out, number: made.number)
    }

    /// The first packets say which section and encoding they belong to.
    var introducesItself: Bool { packets < 200 }
}

/// Opus, 50 packets a second: somebody who speaks for some seconds, then listens to room noise.
struct AudioSource {
    static let interval: UInt64 = 20_000_000
    static let payload = 100

    let mid: String
    let ssrc: UInt32
    var slot = -1
    private(set) var packets: UInt64 = 0
    private(set) var sequence: UInt16
    private(set) var timestamp: UInt32
    private(set) var nextDue: UInt64 = 0
    private var random: SplitMix64
    private var isSpeaking = false
    private var until: UInt64 = 0

    init(mid: String, seed: UInt64) {
        self.mid = mid
        random = SplitMix64(state: seed)
        ssrc = UInt32(truncatingIfNeeded: random.next()) | 1
        sequence = UInt16(truncatingIfNeeded: random.next())
        timestamp = UInt32(truncatingIfNeeded: random.next())
    }

    mutating func start(now: UInt64) { nextDue = now &+ random.next() % AudioSource.interval }

    /// -dBov of the packet that is due now (RFC 6464).
    mutating func advance(now: UInt64) -> UInt8 {
        nextDue &+= AudioSource.interval
        if nextDue < now { nextDue = now &+ AudioSource.interval }
        if now >= until {
            isSpeaking = random.next() % 8 == 0
            until = now &+ (isSpeaking ? 4_000_000_000 : 2_000_000_000)
        }
        packets &+= 1
        sequence &+= 1
        timestamp &+= 960
        return isSpeaking ? UInt8(18 + random.next() % 12) : UInt8(58 + random.next() % 10)
    }
}
