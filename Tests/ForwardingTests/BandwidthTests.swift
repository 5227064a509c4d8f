// The estimator, the pacer and the allocator over some bad networks; `tools/bench/run-networks` has all of them.
import ForwardingSimulation
import Testing

@Suite("Bandwidth")
struct BandwidthTests {
    @Test("there are more than sixty networks, and where one has a bound of its own it says why")
    func networks() {
        #expect(NetworkCase.all.count >= 60)
        #expect(Set(NetworkCase.all.map(\.name)).count == NetworkCase.all.count)
        for network in NetworkCase.all {
            for exception in network.exceptions { #expect(exception.reason.count > 40, "\(network.name)") }
        }
    }

    @Test(
        "the path is used, its queue stays short and hardly anything is lost by our doing",
        arguments: [
            "5.0 Mbit/s", "10 to 2 Mbit/s", "10 Mbit/s, 16 kB buffer", "TCP only, 0.2 % lost below",
            "meeting, 4 Mbit/s",
        ])
    func network(named name: String) throws {
        let network = try #require(NetworkCase.all.first { $0.name == name })
        let run = NetworkRun(network, seed: 1)
        #expect(
            run.broken == [], "used \(run.used), lost \(run.loss), queue \(run.queueing) s, \(run.switches) switches")
    }
}
