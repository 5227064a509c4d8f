// A small world for room tests: a clock that moves when told, people, and a seeded source of chance.

import Foundation
import Synchronization

@testable import Rooms

final class TestClock: Sendable {
    private let value = Atomic<UInt64>(5_000_000_000)
    var now: UInt64 { value.load(ordering: .relaxed) }
    func advance(seconds: Double) { value.add(UInt64(seconds * 1e9), ordering: .relaxed) }
}

/// SplitMix64: small, seeded, the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

func person(_ name: String, _ role: Role) -> Claimant { Claimant(identity: name, name: name, role: role) }

func makeRoom(_ kind: RoomKind = .mdt, clock: TestClock = TestClock()) -> LiveRoom {
    LiveRoom(room: "board-1", kind: kind, title: "Tumour board", clock: { clock.now })
}

func encoded(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// One command of a client, read as the gateway reads it.
func command(_ name: String, _ fields: String = "{}") throws -> RoomCommand {
    struct Wrapper: Decodable {
        let command: RoomCommand
        init(from decoder: any Decoder) throws {
            command = try RoomCommand(name: decoder.userInfo[.commandName] as? String ?? "", from: decoder)
        }
    }
    let decoder = JSONDecoder()
    decoder.userInfo[.commandName] = name
    return try decoder.decode(Wrapper.self, from: Data(fields.utf8)).command
}

extension CodingUserInfoKey {
    static let commandName = CodingUserInfoKey(rawValue: "command")!
}

extension LiveRoom {
    func refusal(of command: RoomCommand, by id: ParticipantID) -> String? {
        do {
            try perform(command, by: id)
            return nil
        } catch {
            return error.code
        }
    }
}
