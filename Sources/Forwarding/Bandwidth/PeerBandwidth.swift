// What one receiver's path carries: everything sent to it, its feedback, the estimate made of it, and the pace it sets.
package import WireFormats

/// ```swift
/// bandwidth.enable(.transportFeedback, now: now)
/// if bandwidth.mayRelease(now: now) { …; bandwidth.sent(sequence: 7, bytes: 1200, now: now) }
/// bandwidth.receive(feedback, now: now)
/// bandwidth.tick(goal: 3_000_000, queuedBytes: 0, now: now)
/// bandwidth.estimate
/// ```
package struct PeerBandwidth: ~Copyable {
    package enum Source: UInt8, Sendable {
        /// The receiver says nothing of its path: it gets everything at once.
        case nothing
        case transportFeedback
        /// It estimates itself and says so (REMB).
        case maximumBitrate
    }

    package static let start = 2_000_000.0
    package static let smallest = 40_000.0
    /// A receiver that negotiated feedback and gives none within this is not held back.
    package static let silence: UInt64 = 1_000_000_000
    /// Feedback that stops after it came: the path, or the way back, is gone.
    package static let lostFeedback: UInt64 = 1_000_000_000
    /// IPv4, UDP and the SRTP tag: the path carries them as well.
    package static let overhead = 44
    /// More messages than this within a second are not read; browsers send twenty.
    package static let feedbackLimit = 200
    /// The first estimates may take this long.
    static let longestStart: UInt64 = 1_500_000_000
    static let startGoal = 6_000_000.0
    static let replaySeconds = 0.25
    static let queueSeconds = 0.5
    static let smallestQueue = 60_000
    /// The estimate needs not to be far above what would be sent.
    static let enough = 1.15
    /// Seconds of queue that are aimed at, on top of round trip and feedback interval.
    static let toleratedQueue = 0.05
    static let fullQueue = 0.04

    package private(set) var source = Source.nothing
    /// Bits per second; infinite while nothing is known of the path.
    package private(set) var estimate = Double.infinity
    package private(set) var roundTrip = 0.1
    /// Seconds that every packet waits on the path.
    package var queueing: Double { standing.seconds }
    package private(set) var packetsReported: UInt64 = 0
    package private(set) var packetsLost: UInt64 = 0
    package private(set) var decreases: UInt64 = 0
    package private(set) var feedbackCount: UInt64 = 0
    package private(set) var feedbackRefused: UInt64 = 0

    package private(set) var history = SendHistory()
    package private(set) var trend = DelayTrend()
    package private(set) var acknowledged = AcknowledgedRate()
    private var recent = RecentArrivals()
    package private(set) var control = RateControl(start: PeerBandwidth.start)
    package private(set) var loss = LossBound()
    package private(set) var limit = ApplicationLimit()
    package private(set) var probing = Probing()
    package private(set) var pacing = Pacing()
    private var groups = ArrivalGroups()

    private var standing = StandingQueue()
    private var smallestRoundTrip = RunningMinimum()
    private var feedbackInterval = 0.1
    /// Of the last seconds: what is under way is told of that late.
    private var longestInterval = 0.1
    private var lastFeedback: UInt64?
    private var firstSent: UInt64?
    private var feedbackWindow: (start: UInt64, count: Int) = (0, 0)
    private var reference: Int64?
    private var fullSince: UInt64?
    private var window = Int.max
    /// When a path of the estimated rate would have sent everything on.
    private var busyUntil: UInt64 = 0
    private var nanosecondsPerByte: UInt64 = 0
    private var maximumBitrate: Double?
    private var hasGivenUp = false
    private var goal = 0.0
    private var isGoalKnown = false
    package private(set) var isStarting = false

    package init() {}

    /// The estimate is bounded from now on by what the receiver reports.
    package mutating func enable(_ source: Source, now: UInt64) {
        guard source != self.source else { return }
        self.source = source
        switch source {
        case .nothing, .maximumBitrate: estimate = .infinity
        case .transportFeedback:
            estimate = PeerBandwidth.start
            isStarting = true
        }
        updatePace(queuedBytes: 0)
    }

    package var isOpen: Bool { estimate == .infinity }

    /// What streams are allotted by. A receiver that has just come gets everything, at the pace that probes have shown so
    /// far, until one of them fails or the path queues: on a good network nobody starts with a small picture.
    package var budget: Double { isStarting ? .infinity : estimate }

    /// What can be relied on when the estimate swings.
    package var stableBudget: Double {
        isStarting ? .infinity : min(estimate, control.capacity.bitsPerSecond ?? estimate)
    }

    /// More packets than this of the past are not sent to catch up.
    package var largestReplay: UInt32 {
        guard !isOpen, !isStarting else { return .max }
        return UInt32(estimate / 8 * PeerBandwidth.replaySeconds / 1200)
    }

    /// So much video waits here that what comes out is old: better to begin anew from a key frame. Not at the start, and not
    /// while a probe needs it: three pictures in full size begin with a megabyte, and what takes it out of the queue takes
    /// away the proof that the path carries it.
    package func isOverfull(queuedBytes: Int) -> Bool {
        !isOpen && !isStarting && probing.cluster == nil && feedbackCount > 0
            && queuedBytes > max(PeerBandwidth.smallestQueue, Int(estimate / 8 * PeerBandwidth.queueSeconds))
    }

    /// Not while a probe is under way, right after one that leads on, or while the path is full.
    package func mayStepUp(now: UInt64) -> Bool {
        !probing.isUnderWay(now: now) && fullSince == nil && trend.use != .over
    }

    // MARK: - Out

    @inline(__always)
    package mutating func mayRelease(now: UInt64) -> Bool {
        if history.bytesInFlight > window {
            pacing.block(now: now)
            return false
        }
        return pacing.mayRelease(now: now)
    }

    /// `bytes` without what is around RTP. nil for a packet that carries no number of its own.
    @inline(__always)
    package mutating func sent(sequence: UInt16?, origin: UInt16 = 0, bytes: Int, now: UInt64) {
        guard source != .nothing else { return }
        let size = bytes &+ PeerBandwidth.overhead
        pacing.spend(size)
        limit.sentBytes &+= size
        guard source == .transportFeedback, let sequence else { return }
        if firstSent == nil { firstSent = now }
        var cluster: UInt8 = 0
        if let probe = probing.cluster, !probe.isSent {
            cluster = probe.id
            probing.sent(bytes: size, now: now, roundTrip: roundTrip + feedbackInterval)
        }
        if busyUntil < now { busyUntil = now }
        history.append(
            sequence: sequence, origin: origin, bytes: size, ownWait: busyUntil &- now, cluster: cluster, now: now)
        busyUntil &+= UInt64(truncatingIfNeeded: size) &* nanosecondsPerByte
    }

    /// Bytes that a probe still needs, beyond media.
    package func paddingDue(now: UInt64) -> Int {
        guard let cluster = probing.cluster, history.bytesInFlight <= window else { return 0 }
        return cluster.due(now: now)
    }

    package mutating func cancelProbe(now: UInt64) { probing.postpone(now: now) }

    // MARK: - In

    /// true when the estimate fell: what was allotted by it has to be looked at again.
    package mutating func receive(_ feedback: TransportFeedback, now: UInt64) -> Bool {
        guard source == .transportFeedback else { return false }
        if now &- feedbackWindow.start > 1_000_000_000 { feedbackWindow = (now, 0) }
        feedbackWindow.count += 1
        // A message may announce 65,535 packets; only those can be told of that were sent and are remembered.
        var left = history.reportable(from: feedback.baseSequence)
        guard feedbackWindow.count <= PeerBandwidth.feedbackLimit, left > 0 else {
            feedbackRefused &+= 1
            return false
        }
        noteFeedback(now: now)
        let shift = unwrap(feedback.referenceTime) &- feedback.referenceTime
        history.told(from: feedback.baseSequence, to: feedback.baseSequence &+ feedback.statusCount)
        var newest: UInt64?
        var statuses = feedback.statuses
        while left > 0, let status = statuses.next() {
            left -= 1
            guard let packet = history.find(status.sequence) else { continue }
            if let time = status.arrival {
                guard packet.pointee.state != .acknowledged else { continue }
                let arrival = time &+ shift
                arrived(packet, arrival: arrival)
                newest = max(newest ?? 0, packet.pointee.sentAt)
                if packet.pointee.cluster != 0 {
                    probing.received(
                        id: packet.pointee.cluster, bytes: Int(packet.pointee.bytes), sentAt: packet.pointee.sentAt,
                        arrival: arrival, delay: arrival &- Int64(packet.pointee.sentAt / 1000))
                }
            } else if packet.pointee.state == .inFlight || packet.pointee.state == .unheard {
                packetsReported &+= 1
                packetsLost &+= 1
                loss.note(packets: 1, lost: 1, bytes: Int(packet.pointee.bytes))
                history.settle(packet, as: .lost)
            }
        }
        guard let newest else { return false }
        return conclude(newest: newest, probed: probing.conclude(free: standing.free, now: now), now: now)
    }

    private mutating func arrived(_ packet: UnsafeMutablePointer<SentTransportPacket>, arrival: Int64) {
        let bytes = Int(packet.pointee.bytes)
        if packet.pointee.state == .lost {
            loss.note(packets: 0, lost: -1, bytes: 0)
            if packetsLost > 0 { packetsLost &-= 1 }
        } else {
            packetsReported &+= 1
            loss.note(packets: 1, lost: 0, bytes: bytes)
        }
        history.settle(packet, as: .acknowledged)
        recent.add(
            bytes: bytes, delay: arrival &- Int64(packet.pointee.sentAt / 1000),
            ownWait: (Int64(packet.pointee.ownWait) << Int64(SentTransportPacket.waitShift)) / 1000, arrival: arrival)
        acknowledged.add(bytes: bytes, arrival: arrival, isLimited: limit.isLimited)
        if let delta = groups.add(sentAt: packet.pointee.sentAt, arrival: arrival) { trend.add(delta) }
    }

    private mutating func noteFeedback(now: UInt64) {
        feedbackCount &+= 1
        if let last = lastFeedback {
            let interval = min(Double(now &- last) / 1e9, 0.5)
            feedbackInterval += 0.1 * (interval - feedbackInterval)
            longestInterval = max(interval, longestInterval + 0.02 * (feedbackInterval - longestInterval))
        }
        lastFeedback = now
        if hasGivenUp || estimate == .infinity {
            hasGivenUp = false
            estimate = control.bitsPerSecond
        }
    }

    /// Times are told modulo 2^24 · 64 ms.
    private mutating func unwrap(_ time: Int64) -> Int64 {
        let cycle = Int64(1 << 24) &* TransportFeedback.referenceTick
        guard let last = reference else {
            reference = time
            return time
        }
        var difference = (time &- last) % cycle
        if difference > cycle / 2 { difference &-= cycle }
        if difference < -cycle / 2 { difference &+= cycle }
        reference = last &+ difference
        return last &+ difference
    }

    private mutating func conclude(newest: UInt64, probed: Double?, now: UInt64) -> Bool {
        let sample = Double(now &- newest) / 1e9
        roundTrip += 0.2 * (sample - roundTrip)
        smallestRoundTrip.add(sample, now: now)
        if let delays = recent.delays {
            standing.update(
                quickest: delays.quickest, slowest: delays.slowest, isDraining: fullSince != nil, now: now)
        }
        limit.update(estimate: estimate, now: now)
        let before = estimate
        var use = trend.use
        // No queue stands: what looks like one is a packet that others wait for, or a radio's turn.
        if use != .normal, !standing.isBelieved { use = .normal }
        // Little is sent and little waits: jitter, not a queue of ours.
        if use == .over, limit.isLimited, queueing < PeerBandwidth.fullQueue { use = .normal }
        // So is the queue that a probe of ours has just made.
        if use == .over, queueing < probing.echo(now: now, roundTrip: roundTrip + feedbackInterval) {
            use = .under
        }
        // A queue that stands still has no slope, but is no reason to send more.
        if use == .normal, queueing > PeerBandwidth.toleratedQueue { use = .under }
        if use == .over { probing.postpone(now: now) }
        let decreased = control.update(
            use, acknowledged: acknowledged.bitsPerSecond.map { max($0, recent.rate) },
            arriving: recent.carried(over: queueing, estimate: estimate), isLimited: limit.isLimited,
            roundTrip: roundTrip, ceiling: max(goal * PeerBandwidth.enough, PeerBandwidth.start), now: now)
        if decreased {
            decreases &+= 1
            isStarting = false
        }
        if let probed, !decreased {
            control.raise(to: probed, now: now)
            loss.raise(to: probed)
        }
        loss.update(delayBased: control.bitsPerSecond, acknowledged: acknowledged.bitsPerSecond, sentAt: newest)
        estimate = max(PeerBandwidth.smallest, min(control.bitsPerSecond, loss.bitsPerSecond ?? .infinity))
        if queueing > PeerBandwidth.fullQueue || use == .over { fullSince = fullSince ?? now } else { fullSince = nil }
        return estimate < before
    }

    package mutating func receive(maximumBitrate bitsPerSecond: UInt64) {
        guard source == .maximumBitrate || hasGivenUp else { return }
        let rate = max(Double(bitsPerSecond), PeerBandwidth.smallest)
        maximumBitrate = rate
        estimate = estimate == .infinity ? rate : min(estimate * 1.08, rate)
    }

    /// Of a receiver report, in 1/256: only where nothing better is known (draft-ietf-rmcat-gcc-02 §6).
    package mutating func receive(fractionLost: UInt8) {
        guard source == .maximumBitrate, let maximum = maximumBitrate else { return }
        let share = Double(fractionLost) / 256
        if share > 0.1 { estimate = max(PeerBandwidth.smallest, estimate * (1 - 0.5 * share)) }
        if share < 0.02 { estimate = min(maximum, estimate * 1.08) }
    }

    // MARK: - Time

    /// Ten times a second and after feedback. `goal` is what would be sent if the path carried it.
    package mutating func tick(goal: Double, queuedBytes: Int, now: UInt64) {
        guard source != .nothing else { return }
        // What a publisher sends is not measured yet when the first receiver comes.
        isGoalKnown = goal > 0
        let goal = isStarting ? max(goal, PeerBandwidth.startGoal) : goal
        self.goal = goal
        if source == .transportFeedback {
            history.expire(now: now)
            watchSilence(now: now)
            // Nothing is tried on a receiver that has not shown yet that it reports.
            if estimate != .infinity, feedbackCount > 0 {
                limit.update(estimate: estimate, now: now)
                watchStart(now: now)
                probing.start(
                    goal: goal, estimate: estimate, use: trend.use, recentLoss: loss.recentLoss - loss.inherent,
                    queue: standing, now: now)
            }
        }
        updatePace(queuedBytes: queuedBytes)
    }

    private mutating func watchStart(now: UInt64) {
        guard isStarting, let firstSent, feedbackCount > 0 else { return }
        let isSatisfied = isGoalKnown && estimate >= goal
        if isSatisfied || probing.failures > 0 || now &- firstSent > PeerBandwidth.longestStart { isStarting = false }
    }

    private mutating func watchSilence(now: UInt64) {
        if let last = lastFeedback {
            guard history.bytesInFlight > 0, history.lastSentAt > last, now &- last > PeerBandwidth.lostFeedback
            else { return }
            // Half of it for every further second without a word.
            lastFeedback = now
            control.lower(to: max(PeerBandwidth.smallest, estimate / 2))
            estimate = max(PeerBandwidth.smallest, estimate / 2)
        } else if let firstSent, now &- firstSent > PeerBandwidth.silence, !hasGivenUp {
            hasGivenUp = true
            isStarting = false
            estimate = maximumBitrate ?? .infinity
        }
    }

    package mutating func updatePace(queuedBytes: Int) {
        guard estimate != .infinity else {
            pacing.bytesPerSecond = .infinity
            window = .max
            return
        }
        nanosecondsPerByte = UInt64(8e9 / max(estimate, PeerBandwidth.smallest))
        var rate = estimate / 8 * Pacing.factor
        if fullSince != nil {
            rate = estimate / 8 * Pacing.factorWhenFull
        } else if let capacity = control.capacity.bitsPerSecond {
            rate = min(estimate * Pacing.factorNearCapacity, max(estimate * Pacing.factorAtCapacity, capacity)) / 8
        }
        if fullSince == nil { rate = max(rate, Double(queuedBytes) / Pacing.longestWait) }
        if let cluster = probing.cluster, !cluster.isSent { rate = max(rate, cluster.bitsPerSecond / 8) }
        pacing.bytesPerSecond = rate
        guard source == .transportFeedback, !hasGivenUp, feedbackCount > 0 else {
            window = .max
            return
        }
        let seconds = smallestRoundTrip.value + 1.2 * longestInterval + PeerBandwidth.toleratedQueue
        window = max(6000, Int(estimate / 8 * seconds))
        if let cluster = probing.cluster { window += cluster.wantedBytes }
    }
}
