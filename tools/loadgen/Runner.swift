// What every scenario does: brings participants in, lets a time pass, and adds up what they saw.
import ArgumentParser
import Forwarding
import Foundation
import Glibc
import MediaEngine
import PeerTransport

struct ServerOptions: ParsableArguments {
    @Option(name: .long, help: "The TCP port of the running server, on this machine.")
    var port: Int

    @Option(name: .long, help: "Its port for media.")
    var mediaPort: Int

    @Option(name: .long, help: "Its process, whose time and memory are read.")
    var process: Int32

    @Option(name: .long, help: "A token for all rooms, by `consilium token`. The tools/bench programs make one.")
    var token: String

    @Option(name: .long, help: "Seconds that are measured.")
    var seconds: Int = 60

    @Option(name: .long, help: "Seconds between the last join and the first measurement.")
    var settle: Int = 5

    @Option(name: .long, help: "Writes the figures to this file as JSON.")
    var json: String?

    @Option(name: .long, help: "Runs repeat with the same seed.")
    var seed: UInt64 = 1

    @Flag(name: .long, help: "Checks only that everything arrives, not how fast.")
    var smoke = false
}

struct ObserverOptions: ParsableArguments {
    @Option(name: .long, help: "Players without transport feedback, to whom the server sends everything at once.")
    var observers = 3
}

final class Runner: @unchecked Sendable {
    let options: ServerOptions
    let loop: LoadLoop
    let probe: ServerProbe
    let reader = PageReader()
    let machine: MachineSpeed
    private let certificate: DTLSCertificate
    private let lock = NSLock()
    private var random: SplitMix64

    init(_ options: ServerOptions) throws {
        self.options = options
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
        random = SplitMix64(state: options.seed)
        machine = MachineSpeed.measure()
        loop = try LoadLoop()
        probe = ServerProbe(process: options.process, port: options.port, mediaPort: options.mediaPort)
        certificate = try DTLSCertificate()
        loop.start()
        reader.start()
    }

    func newSeed() -> UInt64 {
        lock.lock()
        defer { lock.unlock() }
        return random.next()
    }

    struct Member: Sendable {
        let index: Int32
        let page: Page?
        var participant: String { page?.participant ?? "" }
    }

    /// Joins as a page does, and shakes hands; the media may flow once `connect` has returned.
    func join(room: String, name: String, _ offer: Offer, isMeasured: Bool = true) throws -> Member {
        let began = MonotonicClock.now()
        let page = try Page(port: options.port, room: room, token: options.token)
        return try enter(page, name: name, offer, began: began, isMeasured: isMeasured)
    }

    func enter(
        _ page: Page, name: String, _ offer: Offer, began: UInt64, isMeasured: Bool = true,
        first command: [String: any Sendable]? = nil
    ) throws -> Member {
        var offer = offer
        offer.makeSources()
        let local = ICECredentials.random()
        if let command { try page.tell(command) }
        let answer = try page.negotiate(offer.text(local, certificate.fingerprint), offer.declarations)
        // What was said before there was a peer connection has to be said again.
        if let command { try page.tell(command) }
        let index = try hand(
            over: LoadPeer(
                name: name, answer: Answer(answer), local: local, certificate: certificate, offer: offer),
            began: began, isMeasured: isMeasured)
        reader.add(page)
        return Member(index: index, page: page)
    }

    /// A device by WHIP or a player by WHEP.
    func post(_ path: String, name: String, _ offer: Offer, isMeasured: Bool = true) throws -> Member {
        let began = MonotonicClock.now()
        var offer = offer
        offer.makeSources()
        let local = ICECredentials.random()
        let line = try Wireline(port: options.port)
        let answer = try line.request(
            "POST", path,
            headers: ["Authorization": "Bearer \(options.token)", "Content-Type": "application/sdp"],
            body: offer.text(local, certificate.fingerprint))
        guard answer.status == 201 else { throw LoadFault("POST \(path): \(answer.status) \(answer.body)") }
        let index = try hand(
            over: LoadPeer(
                name: name, answer: Answer(answer.body), local: local, certificate: certificate, offer: offer),
            began: began, isMeasured: isMeasured)
        return Member(index: index, page: nil)
    }

    private func hand(over peer: LoadPeer, began: UInt64, isMeasured: Bool) throws -> Int32 {
        peer.joinedAt = began
        peer.isMeasured = isMeasured
        let handed = HandedOver(peer: peer)
        let index = Slot()
        loop.perform { loop in index.value = loop.add(handed.peer) }
        return index.value
    }

    /// Made on one thread, used on the loop's from here on.
    private struct HandedOver: @unchecked Sendable { let peer: LoadPeer }
    private final class Slot: @unchecked Sendable { var value: Int32 = -1 }

    func waitUntilConnected(_ members: [Member], seconds: Double = 15) throws {
        let deadline = MonotonicClock.now() + UInt64(seconds * 1e9)
        while true {
            let left = Collected<String>()
            loop.perform { loop in
                for member in members {
                    guard let peer = loop.peers[Int(member.index)], !peer.isConnected else { continue }
                    left.append("\(peer.name): \(peer.state)")
                }
            }
            if left.values.isEmpty { return }
            guard MonotonicClock.now() < deadline else {
                throw LoadFault("\(left.values.count) participants do not connect: \(left.values.prefix(3))")
            }
            usleep(20_000)
        }
    }

    func leave(_ member: Member) {
        if let page = member.page { reader.remove(page) }
        loop.perform { $0.remove(member.index) }
        _ = try? member.page?.tell(["do": "leave"])
    }

    /// Of all pictures that these send, one after the other.
    func keyFrameRequests(of members: [Member]) -> [UInt64] {
        let counts = Collected<UInt64>()
        loop.perform { loop in
            for member in members {
                for video in loop.peers[Int(member.index)]?.videos ?? [] { counts.append(video.keyFrameRequests) }
            }
        }
        return counts.values
    }

    /// From the beginning of a join to its first whole key frame.
    func firstPictures(of members: [Member]) -> (histogram: Histogram, missing: Int) {
        let result = Collected<(Histogram, Int)>()
        loop.perform { loop in
            var histogram = Histogram()
            var missing = 0
            for member in members {
                guard let peer = loop.peers[Int(member.index)] else { continue }
                let firsts = peer.received.compactMap { $0.firstKeyFrameAt }
                if let first = firsts.min() { histogram.record(first &- peer.joinedAt) } else { missing += 1 }
            }
            result.append((histogram, missing))
        }
        return result.values[0]
    }

    func startSending(_ members: [Member]) {
        loop.perform { loop in for member in members { loop.startSending(member.index) } }
    }

    final class Collected<Value: Sendable>: @unchecked Sendable {
        private(set) var values: [Value] = []
        func append(_ value: Value) { values.append(value) }
    }

    // MARK: - Measuring

    struct Measurement: Sendable {
        var paced: Histogram
        var unpaced: Histogram
        var sound: Histogram
        var lateness: Histogram
        var old: UInt64
        var damaged: UInt64
        var checked: UInt64
        var totals: Totals
    }

    /// Sums over all participants, since they came.
    struct Totals: Sendable {
        var streams = 0
        var flowing = 0
        var videoFlowing = 0
        var withPicture = 0
        var packets: UInt64 = 0
        var gaps: UInt64 = 0
        var lost: UInt64 = 0
        var repaired: UInt64 = 0
        var duplicates: UInt64 = 0
        var probes: UInt64 = 0
        var unknown: UInt64 = 0
        var feedback: UInt64 = 0
        var nacksFromServer: UInt64 = 0
        var keyFrameRequests: UInt64 = 0
        var keyFrames: UInt64 = 0
        var disconnected = 0
        var socketDrops: UInt64 = 0
        var sendDrops: UInt64 = 0
        var repairsSent: UInt64 = 0
    }

    /// A player in the corner, that gets one picture as soon as the server has it: what the pacer does is known by that.
    func observe(room: String, participant: String, stream: String = "camera", name: String = "observer") throws {
        var offer = Offer(seed: newSeed())
        offer.receivesVideo = 1
        offer.usesFeedback = false
        _ = try post("/whep/\(room)/\(participant)/\(stream)", name: name, offer)
    }

    func totals() -> Totals {
        let result = Collected<Totals>()
        loop.perform { loop in
            let now = MonotonicClock.now()
            var sum = Totals()
            for case let peer? in loop.peers {
                if !peer.isConnected { sum.disconnected += 1 }
                for stream in peer.received where stream.packets > 0 {
                    sum.streams += 1
                    if now &- stream.lastPacketAt < 1_000_000_000 {
                        sum.flowing += 1
                        if stream.isVideo, peer.usesFeedback { sum.videoFlowing += 1 }
                    }
                    if stream.isVideo, stream.firstKeyFrameAt != nil { sum.withPicture += 1 }
                    sum.packets += stream.packets
                    sum.gaps += UInt64(stream.missing.count)
                    sum.lost += stream.lost
                    sum.repaired += stream.repaired
                    sum.duplicates += stream.duplicates
                    sum.probes += stream.repairPackets
                }
                sum.unknown += peer.unknownSources
                sum.feedback += peer.feedbackSent
                sum.nacksFromServer += peer.negativeAcknowledgementsReceived
                for video in peer.videos {
                    sum.keyFrameRequests += video.keyFrameRequests
                    sum.keyFrames += video.keyFrames
                    sum.repairsSent += video.retransmitted
                }
                sum.sendDrops += peer.queue.counters.dropped
                sum.socketDrops += Runner.drops(of: peer.socket.descriptor)
            }
            result.append(sum)
        }
        return result.values.first ?? Totals()
    }

    /// SO_MEMINFO: what the kernel threw away because the load did not read in time.
    private static func drops(of descriptor: Int32) -> UInt64 {
        var info = [UInt32](repeating: 0, count: 9)
        var length = socklen_t(36)
        guard getsockopt(descriptor, SOL_SOCKET, 55, &info, &length) == 0 else { return 0 }
        return UInt64(info[8])
    }

    func beginMeasuring() {
        loop.perform { loop in
            loop.meters.clear()
            loop.meters.isOn = true
        }
    }

    func endMeasuring() -> Measurement {
        let result = Collected<Measurement>()
        let totals = totals()
        loop.perform { loop in
            let meters = loop.meters
            meters.isOn = false
            result.append(
                Measurement(
                    paced: meters.paced, unpaced: meters.unpaced, sound: meters.sound, lateness: meters.lateness,
                    old: meters.old, damaged: meters.damaged, checked: meters.checked, totals: totals))
        }
        return result.values[0]
    }

    /// Measures for so many seconds and says now and then how it goes.
    func measure(seconds: Int, label: String = "") throws -> (ServerInterval, Measurement) {
        beginMeasuring()
        let first = try probe.read()
        var last = first
        let end = first.at + UInt64(seconds) * 1_000_000_000
        while true {
            let now = MonotonicClock.now()
            guard now < end else { break }
            usleep(UInt32(min((end - now) / 1000, 10_000_000)))
            let reading = try probe.read()
            let step = ServerInterval(first: last, last: reading)
            guard step.seconds > 0.5 else { continue }
            say(
                "  \(label)"
                    + String(
                        format:
                            "%4.0f s: in %.0f out %.0f Mbit/s, server %.3f load %.3f of a core, %.0f MiB, dropped %d",
                        Double(reading.at - first.at) / 1e9, step.megabitsIn, step.megabitsOut, step.server, step.load,
                        Double(reading.residentBytes) / 1_048_576, ServerInterval(first: first, last: reading).dropped))
            last = reading
        }
        let reading = try probe.read()
        return (ServerInterval(first: first, last: reading), endMeasuring())
    }

    func stop() {
        reader.stop()
        loop.stop()
    }
}

/// What a core of this machine did just before the run: hosts that are shared differ from minute to minute.
struct MachineSpeed: Sendable {
    var nanosecondsPerStep: Double
    var gigabytesPerSecond: Double

    static func measure() -> MachineSpeed {
        var random = SplitMix64(state: 1)
        var sum: UInt64 = 0
        let steps = 20_000_000
        let begun = MonotonicClock.now()
        for _ in 0..<steps { sum ^= random.next() }
        let computed = MonotonicClock.now()
        let size = 32 << 20
        let from = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        let to = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        defer {
            from.deallocate()
            to.deallocate()
        }
        memset(from, Int32(truncatingIfNeeded: sum), size)
        memset(to, 1, size)
        let filled = MonotonicClock.now()
        for _ in 0..<4 { to.copyMemory(from: from, byteCount: size) }
        let copied = MonotonicClock.now()
        return MachineSpeed(
            nanosecondsPerStep: Double(computed - begun) / Double(steps),
            gigabytesPerSecond: Double(4 * size) / Double(copied - filled))
    }

    var words: String {
        String(format: "%.2f ns a step, copies %.1f GB/s", nanosecondsPerStep, gigabytesPerSecond)
    }
}
