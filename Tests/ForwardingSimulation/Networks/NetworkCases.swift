// Eighty networks by name: the places of the network simulator, and variations of rate, delay, loss, buffer and disorder.
import NetworkSimulator

/// What exceptions are derived from; the estimator's own constants.
private enum NetworkControl {
    static let falseAlarm = 0.85
    static let whenFull = 0.8
    static let fullQueue = 0.04
}

extension NetworkCase {
    package static let all: [NetworkCase] =
        places + rates + delays + losses + buffers + disorder + carriers + returnPaths + falls + pairs + meetings

    private static func link(
        _ name: String, _ megabits: Double, delay: Double = 20, traffic: Traffic = .elastic, event: Event? = nil,
        seconds: Double? = nil, _ change: (inout LinkConditions) -> Void = { _ in }
    ) -> NetworkCase {
        var down = LinkConditions(delay: .milliseconds(delay), rate: .megabits(megabits))
        change(&down)
        var up = LinkConditions(delay: .milliseconds(delay))
        up.jitter = down.jitter
        if case .repeated = down.lossConsequence {
            // What says how it went travels in the same kind of connection.
            up.loss = down.loss
            up.lossConsequence = down.lossConsequence
        }
        return NetworkCase(
            name, NetworkProfile(name, up: up, down: down), traffic: traffic, event: event,
            seconds: seconds)
    }

    private static func place(
        _ profile: NetworkProfile, traffic: Traffic = .elastic, seconds: Double? = nil
    ) -> NetworkCase {
        NetworkCase(profile.name, profile, traffic: traffic, seconds: seconds)
    }

    private static let places: [NetworkCase] = [
        place(.hospitalWiFi),
        // 662 Mbit pass in the measured time. After the rise at 24 s, which lasts 8 s, and that at 32 s, 3.6 and 14 Mbit/s more
        // are there than before; three probes lie 4 s apart.
        place(.ambulance4G, seconds: 60).except(
            .used, NetworkCase.used * (1 - (8 * 3.6 + 12 * 14) / 662),
            "The rate rises twice. Only a probe shows it, one comes every four seconds, and two of three are spoilt: "
                + "packets arrive 12 ms from where they should, and 2 % are lost in bursts."),
        place(.countyADSL),
        // Three lessons and two rests of half a second are 3.7 s, one more lesson for the last step; until then 40 % is used.
        place(.satellite).except(
            .used, NetworkCase.used * NetworkControl.falseAlarm * (1 - 0.6 * 0.9 / 8),
            "What is sent is told of 0.68 s later. When two of the first three probes are spoilt by jitter, full rate is "
                + "reached after 4.9 s; later, 8 ms of jitter that keeps the order looks like 16 ms of queue."),
        overTCP(place(.proxyTCP), lost: 0.01, roundTrip: 0.03),
        place(.homeCable),
    ]

    private static let rates: [NetworkCase] = [0.5, 1, 2, 3, 5, 10, 16, 25, 50].map {
        link("\($0) Mbit/s", $0) { $0.queueBytes = 128 * 1024 }
    }

    private static let delays: [NetworkCase] =
        [1, 5, 40, 80, 120, 200, 300].map { link("10 Mbit/s, \(Int($0)) ms", 10, delay: $0) }
        + [link("10 Mbit/s, detour of 60 ms", 10, event: .detour(by: 0.06))]

    private static let losses: [NetworkCase] =
        [0.001, 0.005, 0.01, 0.02, 0.03, 0.05].map { share in
            link("10 Mbit/s, \(share * 100) % lost", 10) { $0.loss = .random(share) }
        }
        + [(0.005, 4.0), (0.01, 4), (0.02, 6), (0.03, 10)].map { share, burst in
            link("10 Mbit/s, bursts of \(Int(burst)), \(share * 100) %", 10) {
                $0.loss = .bursts(average: share, burst: burst)
            }
        }

    private static let buffers: [NetworkCase] = [16, 32, 64, 128, 512, 1024].map { kilobytes in
        link("10 Mbit/s, \(kilobytes) kB buffer", 10) { $0.queueBytes = kilobytes * 1024 }
    }

    private static let disorder: [NetworkCase] =
        [1, 3, 6, 10, 20].map { jitter in
            shaken(link("10 Mbit/s, jitter \(Int(jitter)) ms", 10) { $0.jitter = .milliseconds(jitter) }, jitter)
        } + [
            link("10 Mbit/s, 1 % reordered", 10) {
                $0.reordering = 0.01
                $0.reorderingDelay = .milliseconds(15)
            },
            link("10 Mbit/s, 1 % doubled", 10) { $0.duplication = 0.01 },
        ]

    /// Packets that keep their order while each is late by chance: every one is as late as the slowest before it, by some two
    /// deviations, and that comes and goes. It can't be told from a queue.
    private static func shaken(_ network: NetworkCase, _ jitter: Double) -> NetworkCase {
        guard jitter >= 10 else { return network }
        let isFull = 2 * jitter / 1000 >= NetworkControl.fullQueue
        return network.except(
            .used, NetworkCase.used * NetworkControl.falseAlarm * (isFull ? NetworkControl.whenFull : 1),
            "Every packet is as late as the slowest before it, which looks like a queue of \(Int(2 * jitter)) ms that comes "
                + "and goes: each false alarm costs a decrease\(isFull ? ", and the path counts as full" : "").")
    }

    /// Mathis, Semke, Mahdavi, Ott, *The macroscopic behavior of the TCP congestion avoidance algorithm* (1997).
    private static func overTCP(_ network: NetworkCase, lost: Double, roundTrip: Double) -> NetworkCase {
        let carried = 1460 * 8 * 1.22 / (roundTrip * lost.squareRoot())
        return network.except(
            .used, NetworkCase.used * min(1, carried / network.capacity(from: 4, to: 12)),
            "TCP itself carries \((carried / 1e5).rounded() / 10) Mbit/s where \(lost * 100) % are lost in a round trip of "
                + "\(Int(roundTrip * 1000)) ms (Mathis et al. 1997); the simulated carrier keeps no window.")
    }

    /// Nothing is lost, but everything behind a packet that would be waits for its repetition, which takes a round trip.
    private static let carriers: [NetworkCase] =
        [0.0005, 0.001, 0.002, 0.005, 0.01].map { share in
            let network = link("TCP only, \(share * 100) % lost below", 10) {
                $0.loss = .random(share)
                $0.lossConsequence = .repeated(after: .milliseconds(50))
            }
            return share < 0.01 ? network : overTCP(network, lost: share, roundTrip: 0.04)
        } + [
            link("TCP only, bursts below", 10) {
                $0.loss = .bursts(average: 0.002, burst: 4)
                $0.lossConsequence = .repeated(after: .milliseconds(50))
            },
            link("TCP only, 60 ms", 10, delay: 60) {
                $0.loss = .random(0.001)
                $0.lossConsequence = .repeated(after: .milliseconds(130))
            },
            link("TCP only, timeouts of 250 ms", 10) {
                $0.loss = .random(0.0005)
                $0.lossConsequence = .repeated(after: .milliseconds(250))
            }.except(
                .used, NetworkCase.used * (1 - 0.0005 * 830 * 0.25),
                "Of 830 packets a second every two thousandth stops everything for 250 ms. For as long nothing is told, and "
                    + "what may be under way is soon sent."),
            link("TCP only, 10 to 2 Mbit/s", 10, event: .fall(to: 2e6)) {
                $0.loss = .random(0.001)
                $0.lossConsequence = .repeated(after: .milliseconds(50))
            }.except(
                .queue, NetworkCase.queue + 0.05,
                "What the carrier holds back for a repetition, 50 ms, is measured with the queue and is none."),
            link("TCP only, meeting", 10, traffic: .meeting) {
                $0.loss = .random(0.002)
                $0.lossConsequence = .repeated(after: .milliseconds(50))
            },
        ]

    /// The way back is bad: what tells of the path comes late, in heaps, or not at all.
    private static let returnPaths: [NetworkCase] = [
        returning("10 Mbit/s, feedback 10 % lost") { $0.loss = .random(0.1) },
        // Four tries of 0.64 s and a rest of half a second each, less the first rest: a second too late, at half the rate.
        returning("10 Mbit/s, feedback 30 % lost") { $0.loss = .random(0.3) }.except(
            .used, NetworkCase.used * (1 - 0.8 / 8),
            "A probe is told of in two messages, both come in half of all cases: one run in twenty needs more than four "
                + "tries, which last longer than four seconds."),
        returning("10 Mbit/s, feedback jitter 40 ms") { $0.jitter = .milliseconds(40) },
        returning("10 Mbit/s, feedback in heaps") {
            $0.loss = .random(0.1)
            $0.lossConsequence = .repeated(after: .milliseconds(250))
        },
    ]

    private static func returning(_ name: String, _ change: (inout LinkConditions) -> Void) -> NetworkCase {
        var made = link(name, 10)
        change(&made.network.up)
        return made
    }

    private static let falls: [NetworkCase] = [
        falling("10 to 2 Mbit/s", to: 2), falling("10 to 5 Mbit/s", to: 5), falling("10 to 1 Mbit/s", to: 1),
        falling("5 to 2 Mbit/s", from: 5, to: 2), falling("20 to 5 Mbit/s", from: 20, to: 5),
        falling("10 to 2 Mbit/s, 60 ms", to: 2, delay: 60),
        falling("10 to 2 Mbit/s, deep buffer", to: 2, buffer: 1024 * 1024),
        falling("meeting, 10 to 2 Mbit/s", to: 2, traffic: .meeting),
        falling("meeting, 10 to 4 Mbit/s", to: 4, traffic: .meeting),
        falling("two, 10 to 4 Mbit/s", to: 4, traffic: .pair).except(
            .queue, 2 * 0.05 + 0.05,
            "Each of the two tolerates 50 ms of queue, and neither knows of the probe that the other sends at twice its "
                + "rate for 25 ms, which adds 50 ms at most."),
    ]

    private static func falling(
        _ name: String, from: Double = 10, to: Double, delay: Double = 20, traffic: Traffic = .elastic,
        buffer: Int = 256 * 1024
    ) -> NetworkCase {
        link(name, from, delay: delay, traffic: traffic, event: .fall(to: to * 1e6)) { $0.queueBytes = buffer }
    }

    private static let pairs: [NetworkCase] = [
        link("two on 4 Mbit/s", 4, traffic: .pair),
        link("two on 10 Mbit/s", 10, traffic: .pair),
        link("two on 20 Mbit/s", 20, traffic: .pair),
        link("two on 10 Mbit/s, 60 ms", 10, delay: 60, traffic: .pair),
        link("two on 10 Mbit/s, small buffer", 10, traffic: .pair) { $0.queueBytes = 64 * 1024 },
    ]

    private static let meetings: [NetworkCase] =
        [1, 2, 4, 6, 8, 10, 12].map { link("meeting, \(Int($0)) Mbit/s", $0, traffic: .meeting) } + [
            link("meeting, 10 Mbit/s, 3 % lost", 10, traffic: .meeting) { $0.loss = .random(0.03) },
            link("meeting, 10 Mbit/s, jitter 6 ms", 10, traffic: .meeting) { $0.jitter = .milliseconds(6) },
            link("meeting, 100 Mbit/s", 100, delay: 2, traffic: .meeting),
        ]
}
