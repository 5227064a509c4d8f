// Which layer of each stream one receiver gets, by what its path carries.

/// One video stream of a receiver, and what was decided for it.
package struct AllottedStream: Sendable {
    package let id: Int32
    package let track: Int32
    package let role: StreamRole
    /// From the cheapest to the best; empty while nothing flows.
    package var rungs: [MeasuredLayer]
    /// The best rung that is wanted; -1 for a stream that is not shown.
    package var limit: Int
    package var isShown = true
    /// Why it ends there.
    package var limitReason: LayerReason

    /// The rung that was given; -1 for none.
    package var given = -1
    package var reason = LayerReason.publisher
    var target = LayerTarget.none
    var isNew = true
    var switchedAt: UInt64 = 0
    var estimateAtSwitch = 0.0
    var switches = 0

    package init(
        id: Int32, track: Int32 = -1, role: StreamRole, rungs: [MeasuredLayer], limit: Int? = nil,
        limitReason: LayerReason = .best
    ) {
        self.id = id
        self.track = track
        self.role = role
        self.rungs = rungs
        self.limit = limit ?? rungs.count - 1
        self.limitReason = limitReason
    }

    package var cost: Double { given >= 0 && given < rungs.count ? rungs[given].bitsPerSecond : 0 }
    package var switchCount: Int { switches }
    package var wanted: LayerTarget { target }
}

/// The rules, in order:
/// 1. Audio is set aside first.
/// 2. What is clinical gets its floor: full size at a low frame rate for documents and images, the smallest size at full
///    frame rate for what moves.
/// 3. Faces get their smallest layer, as far as a fifth of the budget goes (or all that is left when nothing else wants it).
/// 4. Surgical fields are raised to the top, then documents and images, then panorama and vital signs, then faces: one step
///    each in turn within a group.
/// 5. What is left without anything is paused: faces before all others.
///
/// A decision stands while it fits. Steps down are taken at once; steps up need room to spare, no probe under way, and ten
/// seconds since the stream's last switch, unless the path has become so much better that it is another one.
package struct LayerAllocator: Sendable {
    package static let usable = 0.95
    /// Estimates fall to 85 % of the capacity whenever they have met it; a step that did not fit then would be taken back.
    package static let usableForSteps = 0.86
    package static let rest: UInt64 = 10_000_000_000
    package static let newPath = 1.4
    /// Of the estimate: what is borne, what is borne for so long, and what is not.
    package static let tolerance = 1.02
    package static let excess = 1.2
    package static let patience: UInt64 = 4_000_000_000
    /// Of the estimate, what steps up may add in one decision.
    package static let largestBurst = 0.2
    /// Share of the budget that the smallest layers of faces may take from what is clinical.
    package static let shareOfFaces = 0.2

    package var streams: [AllottedStream] = []
    /// What could be sent at best, and with one step more for each stream: goals of probes.
    package private(set) var idealBitsPerSecond = 0.0
    package private(set) var nextBitsPerSecond = 0.0
    private var plan: [Int] = []
    private var overSince: UInt64?

    package init() {}

    /// What a probe is to show.
    package func goal(afterFailure: Bool) -> Double { afterFailure ? nextBitsPerSecond : idealBitsPerSecond }

    /// What is known of a stream at this moment; what was decided for it before stands.
    package mutating func set(
        _ place: Int, id: Int32, track: Int32, role: StreamRole, rungs: [MeasuredLayer], demand: StreamDemand
    ) {
        if let known = streams[min(place, streams.count)...].firstIndex(where: { $0.id == id }),
            streams[known].track == track, streams[known].role == role
        {
            if known != place { streams.swapAt(known, place) }
        } else {
            streams.insert(AllottedStream(id: id, track: track, role: role, rungs: []), at: min(place, streams.count))
        }
        let limit = demand.limit(rungs)
        // A copy: the track's own memory stays its own, to be filled again.
        streams[place].rungs.removeAll(keepingCapacity: true)
        streams[place].rungs.append(contentsOf: rungs)
        streams[place].limit = limit
        streams[place].isShown = demand.isShown
        streams[place].limitReason = limit == rungs.count - 1 && demand.isShown ? .best : demand.reason
    }

    /// Somebody has opened the picture, or made it larger, and looks at it: it is decided anew, as if it had just come.
    package mutating func welcome(_ id: Int32) {
        guard let index = streams.firstIndex(where: { $0.id == id }) else { return }
        streams[index].isNew = true
    }

    package mutating func truncate(to count: Int) {
        if streams.count > count { streams.removeLast(streams.count - count) }
    }

    /// The layers of everything shown are known.
    package var isMeasured: Bool { streams.allSatisfy { !$0.isShown || !$0.rungs.isEmpty } }

    package var givenBitsPerSecond: Double { streams.reduce(0) { $0 + $1.cost } }

    /// true when any stream's target changed. `stable` is what the path was seen to carry, for steps up.
    package mutating func decide(estimate: Double, stable: Double? = nil, audio: Double, mayStepUp: Bool, now: UInt64)
        -> Bool
    {
        anchor()
        let usable = estimate == .infinity ? .infinity : max(0, estimate - audio)
        let fits = holds(givenBitsPerSecond, within: usable, now: now)
        let hasNew = streams.contains { $0.isNew && $0.limit >= 0 && !$0.rungs.isEmpty }
        if !fits || hasNew {
            makePlan(budget: max(0, estimate * LayerAllocator.usable - audio))
            for index in streams.indices {
                let stream = streams[index]
                // Making room is at once; more for the others follows the rules of steps up.
                if plan[index] < stream.given || stream.isNew { give(plan[index], to: index, estimate, now: now) }
            }
        }
        if mayStepUp || estimate == .infinity {
            makePlan(budget: max(0, min(estimate, stable ?? estimate) * LayerAllocator.usableForSteps - audio))
            // Each step up brings a key frame; not all of them at once.
            var burst = 0.0
            for index in streams.indices where plan[index] > streams[index].given {
                guard burst == 0 || burst < estimate * LayerAllocator.largestBurst else { break }
                let stream = streams[index]
                let hasRested = now &- stream.switchedAt >= LayerAllocator.rest || stream.switches == 0
                guard hasRested || estimate >= stream.estimateAtSwitch * LayerAllocator.newPath else { continue }
                let added = stream.rungs[plan[index]].bitsPerSecond - stream.cost
                guard givenBitsPerSecond + added <= usable * LayerAllocator.usable else { continue }
                burst += added
                give(plan[index], to: index, estimate, now: now)
            }
        }
        setGoals(audio: audio)
        return explain(isOpen: estimate == .infinity)
    }

    /// Estimates swing around what the path carries; a little too much for a moment is the pacer's affair.
    private mutating func holds(_ given: Double, within usable: Double, now: UInt64) -> Bool {
        guard given > usable * LayerAllocator.tolerance else {
            overSince = nil
            return true
        }
        if given > usable * LayerAllocator.excess { return false }
        let since = overSince ?? now
        overSince = since
        return now &- since < LayerAllocator.patience
    }

    /// Rungs are measured anew all the time: the given one is found again by its target.
    private mutating func anchor() {
        for index in streams.indices {
            let stream = streams[index]
            var given = -1
            if stream.target == .highest {
                given = stream.rungs.count - 1
            } else if !stream.target.isPaused {
                for (rung, layer) in stream.rungs.enumerated() where layer.target == stream.target { given = rung }
                if given < 0 {
                    // It is gone, or a better one has become cheaper.
                    given = stream.rungs.lastIndex { $0.target.spatial <= stream.target.spatial } ?? -1
                }
            }
            streams[index].given = min(given, stream.limit)
        }
    }

    private mutating func give(_ rung: Int, to index: Int, _ estimate: Double, now: UInt64) {
        if streams[index].isNew, rung < 0, streams[index].rungs.isEmpty { return }
        if rung != streams[index].given {
            if !streams[index].isNew { streams[index].switches += 1 }
            streams[index].switchedAt = now
            streams[index].estimateAtSwitch = estimate
        }
        streams[index].isNew = false
        streams[index].given = rung
    }

    private mutating func makePlan(budget: Double) {
        plan.removeAll(keepingCapacity: true)
        for _ in streams.indices { plan.append(-1) }
        var left = budget
        for group in 1...3 { giveFloors(group, upTo: left, &left) }
        let hasClinical = streams.contains { $0.role.group < 4 && $0.limit >= 0 && !$0.rungs.isEmpty }
        var forFaces = hasClinical && budget < .infinity ? min(left, budget * LayerAllocator.shareOfFaces) : left
        let before = forFaces
        giveFloors(4, upTo: forFaces, &forFaces)
        if left < .infinity { left -= before - forFaces }
        for group in 1...4 { raise(group, &left) }
    }

    private mutating func giveFloors(_ group: Int, upTo budget: Double, _ left: inout Double) {
        for index in streams.indices where streams[index].role.group == group && streams[index].limit >= 0 {
            let stream = streams[index]
            guard !stream.rungs.isEmpty else { continue }
            var rung = min(LayerLadder.wantedFloor(stream.rungs, role: stream.role), stream.limit)
            while rung >= 0, stream.rungs[rung].bitsPerSecond > left { rung -= 1 }
            guard rung >= 0 else { continue }
            plan[index] = rung
            if left < .infinity { left -= stream.rungs[rung].bitsPerSecond }
        }
    }

    private mutating func raise(_ group: Int, _ left: inout Double) {
        var hasRaised = true
        while hasRaised {
            hasRaised = false
            for index in streams.indices where streams[index].role.group == group {
                let stream = streams[index]
                guard plan[index] < min(stream.limit, stream.rungs.count - 1) else { continue }
                let present = plan[index] >= 0 ? stream.rungs[plan[index]].bitsPerSecond : 0
                let added = stream.rungs[plan[index] + 1].bitsPerSecond - present
                guard added <= left else { continue }
                if left < .infinity { left -= added }
                plan[index] += 1
                hasRaised = true
            }
        }
    }

    private mutating func setGoals(audio: Double) {
        var ideal = audio
        var given = audio
        // One step for each: while streams rest, what they may have afterwards is found out.
        var steps = 0.0
        for stream in streams where stream.limit >= 0 && stream.limit < stream.rungs.count {
            ideal += stream.rungs[stream.limit].bitsPerSecond
            given += stream.cost
            if stream.given < stream.limit {
                steps += stream.rungs[stream.given + 1].bitsPerSecond - stream.cost
            }
        }
        let headroom = LayerAllocator.usableForSteps
        idealBitsPerSecond = ideal / headroom
        nextBitsPerSecond = steps == 0 ? 0 : (given + steps) / headroom
    }

    private mutating func explain(isOpen: Bool) -> Bool {
        var hasChanged = false
        for index in streams.indices {
            let stream = streams[index]
            let target: LayerTarget
            let reason: LayerReason
            if stream.rungs.isEmpty, stream.isShown {
                // Nothing is known of it yet, or nothing flows: whatever comes is welcome.
                target = .highest
                reason = .publisher
            } else if stream.limit < 0 {
                target = .none
                reason = stream.limitReason == .best ? .publisher : stream.limitReason
            } else if isOpen, stream.given == stream.rungs.count - 1, stream.limitReason == .best {
                // As long as nothing is short, whatever the publisher's best may become.
                target = .highest
                reason = .best
            } else if stream.given < 0 {
                target = .none
                reason = .bandwidth
            } else {
                target = stream.rungs[stream.given].target
                reason = stream.given < stream.limit ? .bandwidth : stream.limitReason
            }
            if stream.target != target { hasChanged = true }
            streams[index].target = target
            streams[index].reason = reason
        }
        return hasChanged
    }
}
