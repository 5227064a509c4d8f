// Sixty and more networks by name: the places of the network simulator and variations of delay, loss, buffer and rate.
import NetworkSimulator

/// What a run has to show beyond its figures.
struct BandwidthProfile {
    enum Shape {
        /// One receiver, as much as fits.
        case elastic
        /// One receiver with faces, a surgical field and a document.
        case meeting
        /// The rate falls after eight seconds; as much as fits.
        case fall(to: Double)
        /// The same with a meeting.
        case meetingFalls(to: Double)
        /// Two receivers behind one bottleneck.
        case pair
    }

    var name: String
    var network: NetworkProfile
    var shape: Shape
    /// What the bottleneck carries in the measured window, in Mbit/s.
    var megabits: Double
    /// Share that must be used by then; 0 where the network forbids it.
    var needed = 0.85
    var largestLoss = 0.03
    /// Of our own queue, in milliseconds; jitter and repetitions of the carrier are allowed for.
    var largestQueue = 1000.0
    /// Of one stream within ten seconds; where it is more than one, that is a known weakness.
    var mostSwitches = 1

    private static func link(
        _ name: String, _ megabits: Double, delay: Double = 20, shape: Shape = .elastic, needed: Double = 0.85,
        _ change: (inout LinkConditions) -> Void = { _ in }
    ) -> BandwidthProfile {
        var down = LinkConditions(delay: .milliseconds(delay), rate: .megabits(megabits))
        change(&down)
        var up = LinkConditions(delay: .milliseconds(delay))
        up.jitter = down.jitter
        return BandwidthProfile(
            name: name, network: NetworkProfile(name, up: up, down: down), shape: shape, megabits: megabits,
            needed: needed)
    }

    private static func falling(
        _ name: String, from: Double = 10, to: Double, delay: Double = 20, isMeeting: Bool = false,
        buffer: Int = 256 * 1024, queue: Double = 100
    ) -> BandwidthProfile {
        var profile = link(
            name, from, delay: delay, shape: isMeeting ? .meetingFalls(to: to) : .fall(to: to),
            needed: isMeeting ? 0.5 : 0.75
        ) {
            $0.rates = [RateStep(from: 0, rate: .megabits(from)), RateStep(from: .seconds(8), rate: .megabits(to))]
            $0.queueBytes = buffer
        }
        profile.megabits = to
        profile.largestQueue = queue
        return profile
    }

    private static func place(
        _ profile: NetworkProfile, megabits: Double, shape: Shape = .elastic, needed: Double = 0.7
    ) -> BandwidthProfile {
        BandwidthProfile(
            name: profile.name, network: profile, shape: shape, megabits: megabits, needed: needed)
    }

    static let all: [BandwidthProfile] =
        places + rates + delays + losses + buffers + disorder + falls + pairs + meetings

    private static let places: [BandwidthProfile] = [
        place(.hospitalWiFi, megabits: 25),
        place(.ambulance4G, megabits: 8, needed: 0.5),
        place(.countyADSL, megabits: 12, needed: 0.85),
        place(.satellite, megabits: 10, needed: 0.5),
        place(.proxyTCP, megabits: 20, needed: 0.05),
        place(.homeCable, megabits: 100, needed: 0.3),
    ]

    private static let rates: [BandwidthProfile] = [0.5, 1, 2, 3, 5, 10, 16, 25, 50].map {
        link("\($0) Mbit/s", $0, needed: $0 > 30 ? 0.6 : $0 < 1 ? 0.75 : 0.85) { $0.queueBytes = 128 * 1024 }
    }

    private static let delays: [BandwidthProfile] = [1, 5, 40, 80, 120, 200, 300].map {
        link("10 Mbit/s, \(Int($0)) ms", 10, delay: $0, needed: $0 > 150 ? 0.6 : 0.85)
    }

    private static let losses: [BandwidthProfile] =
        [0.001, 0.005, 0.01, 0.02, 0.03, 0.05].map { share in
            link("10 Mbit/s, \(share * 100) % lost", 10, needed: share > 0.02 ? 0.7 : 0.85) { $0.loss = .random(share) }
        }
        + [(0.005, 4.0), (0.01, 4), (0.02, 6), (0.03, 10)].map { share, burst in
            link("10 Mbit/s, bursts of \(Int(burst)), \(share * 100) %", 10, needed: 0.6) {
                $0.loss = .bursts(average: share, burst: burst)
            }
        }

    private static let buffers: [BandwidthProfile] = [16, 32, 64, 128, 512, 1024].map { kilobytes in
        link("10 Mbit/s, \(kilobytes) kB buffer", 10, needed: kilobytes < 32 ? 0.6 : 0.85) {
            $0.queueBytes = kilobytes * 1024
        }
    }

    private static let disorder: [BandwidthProfile] =
        [1, 3, 6, 10, 20].map { jitter in
            link("10 Mbit/s, jitter \(Int(jitter)) ms", 10, needed: jitter > 10 ? 0.3 : jitter > 8 ? 0.5 : 0.8) {
                $0.jitter = .milliseconds(jitter)
            }
        } + [
            link("10 Mbit/s, 1 % reordered", 10) {
                $0.reordering = 0.01
                $0.reorderingDelay = .milliseconds(15)
            },
            link("10 Mbit/s, 1 % doubled", 10) { $0.duplication = 0.01 },
            link("10 Mbit/s, TCP below", 10, needed: 0.2) {
                $0.loss = .random(0.005)
                $0.lossConsequence = .repeated(after: .milliseconds(80))
            },
        ]

    private static let falls: [BandwidthProfile] = [
        falling("10 to 2 Mbit/s", to: 2), falling("10 to 5 Mbit/s", to: 5),
        falling("10 to 1 Mbit/s", to: 1, queue: 1000),
        falling("5 to 2 Mbit/s", from: 5, to: 2), falling("20 to 5 Mbit/s", from: 20, to: 5),
        falling("10 to 2 Mbit/s, 60 ms", to: 2, delay: 60),
        falling("10 to 2 Mbit/s, deep buffer", to: 2, buffer: 1024 * 1024),
        falling("meeting, 10 to 2 Mbit/s", to: 2, isMeeting: true),
        falling("meeting, 10 to 4 Mbit/s", to: 4, isMeeting: true),
    ]

    private static let pairs: [BandwidthProfile] = [
        link("two on 4 Mbit/s", 4, shape: .pair, needed: 0.8),
        link("two on 10 Mbit/s", 10, shape: .pair, needed: 0.8),
        link("two on 20 Mbit/s", 20, shape: .pair, needed: 0.8),
        link("two on 10 Mbit/s, 60 ms", 10, delay: 60, shape: .pair, needed: 0.75),
        link("two on 10 Mbit/s, small buffer", 10, shape: .pair, needed: 0.75) { $0.queueBytes = 64 * 1024 },
    ]

    private static let meetings: [BandwidthProfile] =
        [1, 2, 4, 6, 8, 10, 12].map { megabits in
            // The first estimate is the rate one starts with, which is above this path: it settles late.
            var profile = link(
                "meeting, \(Int(megabits)) Mbit/s", megabits, shape: .meeting, needed: megabits == 2 ? 0.4 : 0.55)
            if megabits == 2 { profile.mostSwitches = 2 }
            return profile
        } + [
            link("meeting, 10 Mbit/s, 3 % lost", 10, shape: .meeting, needed: 0.5) { $0.loss = .random(0.03) },
            link("meeting, 10 Mbit/s, jitter 6 ms", 10, shape: .meeting, needed: 0.5) { $0.jitter = .milliseconds(6) },
            link("meeting, 100 Mbit/s", 100, delay: 2, shape: .meeting, needed: 0.07),
        ]
}
