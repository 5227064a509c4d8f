// What the bench prints: a table for people and one line of JSON for programs.
import Foundation

/// One mode at one fan-out, with the laps of both servers.
struct Lane {
    let mode: LapMode
    let fanOut: Int
    let profile: Profile
    private(set) var floorLaps: [LapResult] = []
    private(set) var engineLaps: [LapResult] = []

    init(mode: LapMode, fanOut: Int, profile: Profile) {
        self.mode = mode
        self.fanOut = fanOut
        self.profile = profile
    }

    mutating func add(_ result: LapResult, isFloor: Bool) {
        if isFloor { floorLaps.append(result) } else { engineLaps.append(result) }
    }
}

/// Microseconds of CPU per forwarded packet over the laps of one server.
struct Figures: Codable {
    var median: Double
    var minimum: Double
    var maximum: Double
    /// The load's own CPU, on the other processor.
    var load: Double
    var forwarded: Int
    var missing: Int
    var sampled: Int
    var damaged: Int
    /// Thousands of forwarded packets a second that one processor would carry.
    var thousandsPerProcessor: Double
    /// Of the server's thread, per thousand forwarded packets.
    var wakeUps: Double

    init?(_ laps: [LapResult], fanOut: Int) {
        let usable = laps.filter { $0.received > 0 }
        guard !usable.isEmpty else { return nil }
        let costs = usable.map { Double($0.serverCPU) / Double($0.received) / 1000 }.sorted()
        let loads = usable.map { Double($0.loadCPU) / Double($0.received) / 1000 }.sorted()
        median = costs[costs.count / 2]
        minimum = costs[0]
        maximum = costs[costs.count - 1]
        load = loads[loads.count / 2]
        forwarded = laps.reduce(0) { $0 + $1.received }
        missing = laps.reduce(0) { $0 + max(0, $1.sent * fanOut - $1.received) }
        sampled = laps.reduce(0) { $0 + $1.sampled }
        damaged = laps.reduce(0) { $0 + $1.damaged }
        thousandsPerProcessor = 1000 / median
        wakeUps = Double(laps.reduce(0) { $0 + $1.wakeUps }) * 1000 / Double(max(forwarded, 1))
    }
}

struct Report {
    struct Row: Codable {
        var profile: String
        var mode: String
        var fanOut: Int
        var floor: Figures?
        var consilium: Figures?
        /// Medians; nil when a side forwarded nothing.
        var ratio: Double?
    }

    private struct Document: Codable {
        var bench = "forward"
        var unit = "microseconds of CPU per forwarded packet"
        var packetBytes = MediaShape.packetBytes
        var rounds: Int
        var crypto: [Crypto]
        var rows: [Row]
    }

    private let rounds: Int
    private var crypto: [Crypto] = []
    private var rows: [Row] = []

    init(rounds: Int) { self.rounds = rounds }

    mutating func add(_ crypto: Crypto) { self.crypto.append(crypto) }

    mutating func add(_ lanes: [Lane]) {
        rows += lanes.map { lane in
            let floor = Figures(lane.floorLaps, fanOut: lane.fanOut)
            let engine = Figures(lane.engineLaps, fanOut: lane.fanOut)
            let ratio = floor.flatMap { floor in engine.map { $0.median / floor.median } }
            return Row(
                profile: lane.profile.name, mode: lane.mode.rawValue, fanOut: lane.fanOut, floor: floor,
                consilium: engine, ratio: ratio)
        }
    }

    /// In words, the rows whose ratio is above a limit.
    func rows(above limit: Double) -> [String] {
        rows.filter { ($0.ratio ?? 0) > limit }.map { row in
            "\(row.profile), \(row.mode), fan-out \(row.fanOut): \(format(row.ratio ?? 0))"
        }
    }

    /// Something arrived that was not what was sent, or nothing arrived where something should.
    var isDamaged: Bool {
        rows.contains { row in
            [row.floor, row.consilium].contains { figures in
                figures.map { $0.damaged > 0 || $0.sampled == 0 } ?? false
            }
        }
    }

    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
            let document = Document(rounds: rounds, crypto: crypto, rows: rows)
            return String(decoding: try encoder.encode(document), as: UTF8.self) + "\n"
        }
    }

    var table: String {
        var lines = [
            "CPU per forwarded packet in µs (median of \(rounds) rounds, min–max), \(MediaShape.packetBytes) bytes, "
                + "loopback, GRO and GSO"
        ]
        for crypto in crypto {
            lines += [
                "",
                "\(crypto.profile.name): encrypting a packet takes EVP \(format(crypto.evpNanoseconds / 1000)), "
                    + "libsrtp2 \(format(crypto.libsrtpNanoseconds / 1000)), "
                    + "ipsec-mb \(format(crypto.ipsecMBNanoseconds / 1000)) µs; the floor uses \(crypto.floorUses)",
                row(["mode", "fan-out", "C floor", "Consilium", "ratio", "load's own", "wake-ups", "lost", "checked"]),
            ]
            lines += rows.filter { $0.profile == crypto.profile.name }.map(line)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func line(_ entry: Row) -> String {
        func both(_ text: (Figures) -> String) -> String {
            [entry.floor, entry.consilium].map { $0.map(text) ?? "–" }.joined(separator: " / ")
        }
        return row([
            entry.mode, String(entry.fanOut), entry.floor.map(cost) ?? "–", entry.consilium.map(cost) ?? "–",
            entry.ratio.map(format) ?? "–", both { format($0.load) }, both { String(Int($0.wakeUps.rounded())) },
            both { String($0.missing) },
            both { $0.damaged == 0 ? "\($0.sampled) ok" : "\($0.damaged) of \($0.sampled) BAD" },
        ])
    }

    private func cost(_ figures: Figures) -> String {
        "\(format(figures.median)) (\(format(figures.minimum))–\(format(figures.maximum)))"
    }

    private func format(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        let hundredths = Int((value * 100).rounded())
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    }

    private func row(_ cells: [String]) -> String {
        let widths = [6, 8, 20, 20, 6, 14, 11, 10, 0]
        return zip(cells, widths).map { cell, width in
            cell + String(repeating: " ", count: max(1, width - cell.count))
        }.joined().trimmingCharacters(in: .whitespaces)
    }
}
