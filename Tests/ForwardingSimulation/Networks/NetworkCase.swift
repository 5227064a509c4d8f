// One named network, who sits behind it, what happens to it, and the bounds that hold there.
package import NetworkSimulator

/// The bounds are the same for every network. Where one can't be kept whatever the sender does, the case says why, and the
/// bound it has instead follows from that reason, not from what a run happened to give.
package struct NetworkCase: Sendable {
    package enum Traffic: Sendable {
        /// One receiver, as much as fits.
        case elastic
        /// One receiver with faces, a surgical field and a document.
        case meeting
        /// Two receivers behind one bottleneck, as much as fits.
        case pair
    }

    package enum Event: Sendable {
        /// The bottleneck's rate falls to this many bits per second.
        case fall(to: Double)
        /// Another route: the delay grows by this many seconds, nothing else changes.
        case detour(by: Double)
    }

    package enum Bound: String, Sendable, CaseIterable {
        case used, loss, queue, fairness, switches
    }

    package struct Exception: Sendable {
        package var bound: Bound
        package var value: Double
        package var reason: String
    }

    /// Of what the bottleneck carries, from four seconds after the start (or the event) on.
    package static let used = 0.85
    package static let usedWithin = 4.0
    /// Of what was sent, dropped by the bottleneck's queue.
    package static let loss = 0.03
    /// Seconds of queue, from 1.5 s after the rate fell on.
    package static let queue = 0.1
    package static let queueWithin = 1.5
    /// Jain's index of two receivers on one link.
    package static let fairness = 0.9
    /// Of one stream within ten seconds, while nothing happens.
    package static let switches = 1.0
    package static let eventAt = 8.0

    package var name: String
    package var network: NetworkProfile
    package var traffic: Traffic
    package var event: Event?
    package var seconds: Double
    package var exceptions: [Exception] = []

    init(
        _ name: String, _ network: NetworkProfile, traffic: Traffic, event: Event? = nil, seconds: Double? = nil
    ) {
        self.name = name
        self.network = network
        self.traffic = traffic
        self.event = event
        switch traffic {
        case .elastic: self.seconds = seconds ?? (event == nil ? 12 : 18)
        case .meeting: self.seconds = seconds ?? 26
        case .pair: self.seconds = seconds ?? 40
        }
        if case .fall(let rate) = event, let before = network.down.rate(at: 0) {
            self.network.down.rates = [
                RateStep(from: 0, rate: before),
                RateStep(from: .seconds(NetworkCase.eventAt), rate: UInt64(rate)),
            ]
        }
    }

    func except(_ bound: Bound, _ value: Double, _ reason: String) -> NetworkCase {
        var copy = self
        copy.exceptions.append(Exception(bound: bound, value: value, reason: reason))
        return copy
    }

    package func limit(_ bound: Bound) -> Double {
        if let exception = exceptions.first(where: { $0.bound == bound }) { return exception.value }
        switch bound {
        case .used: return traffic.isMeeting ? neededByMeeting : NetworkCase.used
        case .loss: return NetworkCase.loss
        case .queue: return NetworkCase.queue
        case .fairness: return NetworkCase.fairness
        case .switches: return NetworkCase.switches
        }
    }

    /// When the use of the path is measured from, in seconds.
    package var usedFrom: Double {
        (event == nil ? 0 : NetworkCase.eventAt) + NetworkCase.usedWithin
    }

    /// When the queue has to be gone: what has been sent before anybody could know of the fall has to drain first. It is
    /// what the path does not carry any more during a round trip and two intervals of feedback: one until anything is told,
    /// and one until what is told shows how much is carried now.
    package var queueFrom: Double {
        guard case .fall(let rate) = event, let before = network.down.rate(at: 0) else { return NetworkCase.eventAt }
        let roundTrip = Double(network.down.delay + network.up.delay) / 1e9
        let reaction = roundTrip + 0.2
        let backlog = min((Double(before) - rate) * reaction, Double(network.down.queueBytes) * 8)
        return NetworkCase.eventAt + max(NetworkCase.queueWithin, reaction + backlog / rate - NetworkCase.queue)
    }

    package var isFall: Bool {
        if case .fall = event { return true }
        return false
    }

    /// Mean rate of the bottleneck between two moments, in bits per second.
    package func capacity(from start: Double, to end: Double) -> Double {
        let steps = 1000
        var sum = 0.0
        for step in 0..<steps {
            let moment = start + (end - start) * (Double(step) + 0.5) / Double(steps)
            sum += Double(network.down.rate(at: .seconds(moment)) ?? 1_000_000_000)
        }
        return sum / Double(steps)
    }
}

extension NetworkCase.Traffic {
    package var isMeeting: Bool {
        if case .meeting = self { return true }
        return false
    }
    package var isPair: Bool {
        if case .pair = self { return true }
        return false
    }
}
