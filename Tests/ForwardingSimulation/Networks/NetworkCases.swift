// Eighty networks by name: the places of the network simulator, and variations of rate, delay, loss, buffer and disorder.
import NetworkSimulator

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
            name, NetworkProfile(name, up: up, down: down), traffic: traffic, event: event, seconds: seconds)
    }

    private static func place(
        _ profile: NetworkProfile, traffic: Traffic = .elastic, seconds: Double? = nil
    ) -> NetworkCase {
        NetworkCase(profile.name, profile, traffic: traffic, seconds: seconds)
    }

    private static let places: [NetworkCase] = [
        place(.hospitalWiFi),
        place(.ambulance4G, seconds: 60),
        place(.countyADSL),
        place(.satellite),
        place(.proxyTCP),
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
            link("10 Mbit/s, jitter \(Int(jitter)) ms", 10) { $0.jitter = .milliseconds(jitter) }
        } + [
            link("10 Mbit/s, 1 % reordered", 10) {
                $0.reordering = 0.01
                $0.reorderingDelay = .milliseconds(15)
            },
            link("10 Mbit/s, 1 % doubled", 10) { $0.duplication = 0.01 },
        ]

    /// Nothing is lost, but everything behind a packet that would be waits for its repetition, which takes a round trip.
    private static let carriers: [NetworkCase] =
        [0.0005, 0.001, 0.002, 0.005, 0.01].map { share in
            link("TCP only, \(share * 100) % lost below", 10) {
                $0.loss = .random(share)
                $0.lossConsequence = .repeated(after: .milliseconds(50))
            }
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
            },
            link("TCP only, 10 to 2 Mbit/s", 10, event: .fall(to: 2e6)) {
                $0.loss = .random(0.001)
                $0.lossConsequence = .repeated(after: .milliseconds(50))
            },
            link("TCP only, meeting", 10, traffic: .meeting) {
                $0.loss = .random(0.002)
                $0.lossConsequence = .repeated(after: .milliseconds(50))
            },
        ]

    /// The way back is bad: what tells of the path comes late, in heaps, or not at all.
    private static let returnPaths: [NetworkCase] = [
        returning("10 Mbit/s, feedback 10 % lost") { $0.loss = .random(0.1) },
        returning("10 Mbit/s, feedback 30 % lost") { $0.loss = .random(0.3) },
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
        falling("two, 10 to 4 Mbit/s", to: 4, traffic: .pair),
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
