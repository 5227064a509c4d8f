// Named networks: the places our users sit in, as pairs of link conditions.

/// `up` is from the client to the server, `down` the other way.
package struct NetworkProfile: Sendable, CustomStringConvertible {
    package var name: String
    package var up: LinkConditions
    package var down: LinkConditions

    package init(_ name: String, up: LinkConditions, down: LinkConditions) {
        self.name = name
        self.up = up
        self.down = down
    }

    package init(_ name: String, both: LinkConditions) { self.init(name, up: both, down: both) }

    package var description: String { name }

    /// The figures are orders of magnitude for such places, not measurements of one.
    package static let all: [NetworkProfile] = [
        .perfect, .consultingRoomLAN, .hospitalWiFi, .ambulance4G, .countyADSL, .satellite, .proxyTCP, .homeCable,
    ]

    package static let perfect = NetworkProfile("perfect", both: LinkConditions(delay: .milliseconds(1)))

    package static let consultingRoomLAN = NetworkProfile(
        "consultingRoomLAN",
        both: LinkConditions(delay: .milliseconds(0.5), jitter: .milliseconds(0.1), rate: .megabits(1000)))

    /// Many people on one access point: short bursts of loss, jitter from contention, some reordering by roaming.
    package static let hospitalWiFi = NetworkProfile(
        "hospitalWiFi",
        both: LinkConditions(
            delay: .milliseconds(8), jitter: .milliseconds(6), loss: .bursts(average: 0.01, burst: 4),
            rate: .megabits(25)
        ).with {
            $0.reordering = 0.002
            $0.reorderingDelay = .milliseconds(12)
            $0.duplication = 0.0005
        })

    /// A moving vehicle: the rate collapses and comes back, the base station holds deep queues.
    package static let ambulance4G = NetworkProfile(
        "ambulance4G",
        up: LinkConditions(
            delay: .milliseconds(45), jitter: .milliseconds(15), loss: .bursts(average: 0.02, burst: 6)
        ).with {
            $0.rates = mobileRates(scale: 1)
            $0.queueBytes = 400 * 1024
            $0.mtu = 1420
        },
        down: LinkConditions(
            delay: .milliseconds(40), jitter: .milliseconds(12), loss: .bursts(average: 0.01, burst: 6)
        ).with {
            $0.rates = mobileRates(scale: 4)
            $0.queueBytes = 1024 * 1024
            $0.mtu = 1420
        })

    /// A practice in the country: hardly any loss, but one megabit upwards behind a modem that buffers.
    package static let countyADSL = NetworkProfile(
        "countyADSL",
        up: LinkConditions(
            delay: .milliseconds(22), jitter: .milliseconds(2), loss: .random(0.001), rate: .megabits(1)
        ).with {
            $0.queueBytes = 96 * 1024
            $0.mtu = 1492
        },
        down: LinkConditions(
            delay: .milliseconds(22), jitter: .milliseconds(2), loss: .random(0.001), rate: .megabits(12)
        ).with {
            $0.queueBytes = 256 * 1024
            $0.mtu = 1492
        })

    /// Geostationary: 36,000 km up and down again.
    package static let satellite = NetworkProfile(
        "satellite",
        up: LinkConditions(
            delay: .milliseconds(290), jitter: .milliseconds(8), loss: .bursts(average: 0.005, burst: 10),
            rate: .megabits(2)),
        down: LinkConditions(
            delay: .milliseconds(290), jitter: .milliseconds(8), loss: .bursts(average: 0.005, burst: 10),
            rate: .megabits(10)))

    /// Everything through a hospital's TCP proxy: nothing is lost, but what would be makes all behind it wait.
    package static let proxyTCP = NetworkProfile(
        "proxyTCP",
        both: LinkConditions(
            delay: .milliseconds(15), jitter: .milliseconds(3), loss: .random(0.01), rate: .megabits(20)
        ).with { $0.lossConsequence = .repeated(after: .milliseconds(60)) })

    package static let homeCable = NetworkProfile(
        "homeCable",
        up: LinkConditions(
            delay: .milliseconds(12), jitter: .milliseconds(4), loss: .random(0.002), rate: .megabits(10)),
        down: LinkConditions(
            delay: .milliseconds(12), jitter: .milliseconds(4), loss: .random(0.002), rate: .megabits(100)))

    /// A minute of driving, repeated by nobody: after it the last step holds.
    private static func mobileRates(scale: Double) -> [RateStep] {
        [(0, 4), (10, 2), (18, 0.6), (24, 1.5), (32, 5), (45, 3)].map { seconds, megabits in
            RateStep(from: .seconds(seconds), rate: .megabits(megabits * scale))
        }
    }
}
