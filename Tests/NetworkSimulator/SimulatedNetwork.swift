// A client and a server with a path between them, and the virtual clock that all of it runs by.

package enum NetworkSide: Sendable, Hashable {
    case client, server

    package var other: NetworkSide {
        switch self {
        case .client: .server
        case .server: .client
        }
    }
}

/// Drives two sans-IO sides: send what they have, then ask for the next thing that happens before their deadlines.
///
/// ```swift
/// var network = SimulatedNetwork<[UInt8]>(.hospitalWiFi, seed: 7)
/// while network.now < .seconds(10) {
///     while let packet = client.nextTransmit() { network.send(packet, bytes: packet.count, from: .client) }
///     switch network.advance(to: client.nextDeadline) {
///     case .arrived(let packet, at: .server): server.receive(now: network.now, packet.payload)
///     …
///     }
/// }
/// ```
package struct SimulatedNetwork<Payload> {
    package enum Event {
        case arrived(Delivery<Payload>, at: NetworkSide)
        /// Nothing arrived before the asked time, which it is now.
        case timeReached
    }

    package private(set) var now: Nanoseconds
    package let seed: UInt64
    package var up: SimulatedLink<Payload>
    package var down: SimulatedLink<Payload>

    package init(_ profile: NetworkProfile, seed: UInt64, start: Nanoseconds = 0) {
        self.seed = seed
        now = start
        var random = SeededRandom(seed: seed)
        up = SimulatedLink(profile.up, seed: random.next(), start: start)
        down = SimulatedLink(profile.down, seed: random.next(), start: start)
    }

    package mutating func send(_ payload: Payload, bytes: Int, from side: NetworkSide) {
        switch side {
        case .client: up.send(payload, bytes: bytes, now: now)
        case .server: down.send(payload, bytes: bytes, now: now)
        }
    }

    /// Moves the clock to the next arrival, or to `time` if that is sooner. Time never goes backwards.
    package mutating func advance(to time: Nanoseconds) -> Event {
        let atServer = up.nextArrival ?? .max
        let atClient = down.nextArrival ?? .max
        guard min(atServer, atClient) <= time else {
            now = max(now, time)
            return .timeReached
        }
        now = max(now, min(atServer, atClient))
        if atServer <= atClient, let delivery = up.receive(now: now) { return .arrived(delivery, at: .server) }
        if let delivery = down.receive(now: now) { return .arrived(delivery, at: .client) }
        return .timeReached
    }
}

extension SimulatedNetwork where Payload == [UInt8] {
    package mutating func send(_ packet: [UInt8], from side: NetworkSide) {
        send(packet, bytes: packet.count, from: side)
    }
}
