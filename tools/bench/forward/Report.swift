// What the bench prints: a table for people and one line of JSON for programs.
import Foundation

/// One mode at one fan-out, with the laps of both servers.
struct Lane {
    let mode: LapMode
    let fanOut: Int
    let floor: Course
    let engine: Course?
    private(set) var floorLaps: [LapResult] = []
    private(set) var engineLaps: [LapResult] = []

    init(mode: LapMode, fanOut: Int, floor: Course, engine: Course?) {
        self.mode = mode
        self.fanOut = fanOut
        self.floor = floor
        self.engine = engine
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
    }
}

struct Report {
    struct Row: Codable {
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
        var profile = "AEAD_AES_128_GCM"
        var rounds: Int
        var floorCrypto: String
        var protectNanoseconds: [String: Double]
        var rows: [Row]
    }

    private let crypto: Crypto
    private let rounds: Int
    private let rows: [Row]

    init(crypto: Crypto, lanes: [Lane], rounds: Int) {
        self.crypto = crypto
        self.rounds = rounds
        rows = lanes.map { lane in
            let floor = Figures(lane.floorLaps, fanOut: lane.fanOut)
            let engine = Figures(lane.engineLaps, fanOut: lane.fanOut)
            let ratio = floor.flatMap { floor in engine.map { $0.median / floor.median } }
            return Row(mode: lane.mode.rawValue, fanOut: lane.fanOut, floor: floor, consilium: engine, ratio: ratio)
        }
    }

    private var floorCrypto: String { crypto.evpNanoseconds <= crypto.libsrtpNanoseconds ? "EVP" : "libsrtp2" }

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
            encoder.outputFormatting = .sortedKeys
            let document = Document(
                rounds: rounds, floorCrypto: floorCrypto,
                protectNanoseconds: ["evp": crypto.evpNanoseconds, "libsrtp2": crypto.libsrtpNanoseconds], rows: rows)
            return String(decoding: try encoder.encode(document), as: UTF8.self)
        }
    }

    var table: String {
        var lines = [
            "CPU per forwarded packet in µs (median of \(rounds) rounds, min–max), \(MediaShape.packetBytes) bytes, "
                + "AEAD_AES_128_GCM, loopback, GRO and GSO",
            "encrypting one packet: EVP \(format(crypto.evpNanoseconds / 1000)), "
                + "libsrtp2 \(format(crypto.libsrtpNanoseconds / 1000)); the floor uses \(floorCrypto)",
            "",
            row(["mode", "fan-out", "C floor", "Consilium", "ratio", "load's own", "lost", "checked"]),
        ]
        for entry in rows {
            lines.append(
                row([
                    entry.mode, String(entry.fanOut), entry.floor.map(cost) ?? "–", entry.consilium.map(cost) ?? "–",
                    entry.ratio.map(format) ?? "–",
                    [entry.floor, entry.consilium].map { $0.map { format($0.load) } ?? "–" }.joined(separator: " / "),
                    [entry.floor, entry.consilium].map { $0.map { String($0.missing) } ?? "–" }.joined(
                        separator: " / "),
                    [entry.floor, entry.consilium].map { figures in
                        figures.map { $0.damaged == 0 ? "\($0.sampled) ok" : "\($0.damaged) of \($0.sampled) BAD" }
                            ?? "–"
                    }.joined(separator: " / "),
                ]))
        }
        return lines.joined(separator: "\n") + "\n"
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
        let widths = [6, 8, 20, 20, 6, 13, 13, 0]
        return zip(cells, widths).map { cell, width in
            cell + String(repeating: " ", count: max(1, width - cell.count))
        }.joined().trimmingCharacters(in: .whitespaces)
    }
}
