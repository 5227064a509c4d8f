// Thirty microphones in five sections: who is heard, how soon, and that each section is one continuous stream.
import Testing
import WireFormats

@testable import Forwarding

@Suite("Shared audio sections")
struct AudioSelectionTests {
    /// Everybody sends for a while; `levels` says how loud each is.
    private func run(_ room: AudioTestRoom, milliseconds: Int, _ levels: (Int) -> UInt8) {
        for _ in stride(from: 0, to: milliseconds, by: 20) {
            for index in room.microphones.indices { room.send(index, level: levels(index)) }
            room.pass()
        }
    }

    private func sources(_ heard: [(at: UInt64, packet: ReceivedPacket)]) -> Set<Int> {
        Set(heard.map { Int($0.packet.payload[0]) })
    }

    @Test("thirty open microphones in a quiet room send nothing")
    func silence() {
        let room = AudioTestRoom(microphones: 30, sections: 5)
        run(room, milliseconds: 2000) { _ in 40 }
        #expect(room.takeHeard().isEmpty)
    }

    @Test("the loudest three and the dominant speaker of thirty are heard, and nobody else")
    func loudest() {
        let room = AudioTestRoom(microphones: 30, sections: 5)
        run(room, milliseconds: 2000) { $0 == 7 ? 100 : 40 }
        #expect(room.takeSpeakers() == [7])
        _ = room.takeHeard()
        // Louder ones come, while the dominant speaker goes on.
        run(room, milliseconds: 1000) { [7: 90, 11: 95, 12: 97, 13: 99, 14: 70][$0] ?? 60 }
        _ = room.takeHeard()
        run(room, milliseconds: 1000) { [7: 90, 11: 95, 12: 97, 13: 99, 14: 70][$0] ?? 60 }
        let heard = room.takeHeard()
        #expect(sources(heard) == [7, 11, 12, 13])
        #expect(heard.count == 4 * 50)
    }

    @Test(
        "the first packet of a voice is heard when a place is free, and within 100 ms when none is", arguments: 0..<30)
    func firstSyllable(who: Int) throws {
        let free = AudioTestRoom(microphones: 30, sections: 5)
        run(free, milliseconds: 1000) { _ in 40 }
        let began = free.now
        run(free, milliseconds: 200) { $0 == who ? 95 : 40 }
        let first = try #require(free.takeHeard().first)
        #expect(first.at == began)
        #expect(Int(first.packet.payload[0]) == who)

        let crowded = AudioTestRoom(microphones: 30, sections: 5)
        let noisy = [(who + 1) % 30, (who + 2) % 30, (who + 3) % 30, (who + 4) % 30, (who + 5) % 30]
        run(crowded, milliseconds: 3000) { noisy.contains($0) ? 75 : 40 }
        _ = crowded.takeHeard()
        let start = crowded.now
        run(crowded, milliseconds: 300) { $0 == who ? 95 : noisy.contains($0) ? 75 : 40 }
        let entry = try #require(crowded.takeHeard().first { Int($0.packet.payload[0]) == who })
        #expect(entry.at - start <= 100 * millisecond, "\((entry.at - start) / millisecond) ms")
    }

    @Test("a section's numbers go on without a gap and its clock never goes back, whoever takes it", arguments: 1...20)
    func continuity(seed: Int) {
        let room = AudioTestRoom(microphones: 30, sections: 5, seed: UInt64(seed))
        var random = SplitMix64(state: UInt64(seed))
        var levels = [UInt8](repeating: 40, count: 30)
        for step in 0..<3000 {
            if step % 10 == 0 {
                let who = Int(random.next() % 30)
                levels[who] = random.next() % 3 == 0 ? 80 + UInt8(random.next() % 30) : 40
            }
            for index in levels.indices {
                if random.next() % 50 == 0 { room.lose(index) } else { room.send(index, level: levels[index]) }
            }
            room.pass()
        }
        let heard = room.takeHeard()
        #expect(heard.count > 1000)
        var bySection: [Int: [(at: UInt64, packet: ReceivedPacket)]] = [:]
        for entry in heard { bySection[entry.packet.slot, default: []].append(entry) }
        for (section, entries) in bySection {
            var switches = 0
            for (before, after) in zip(entries, entries.dropFirst()) {
                let isSame = before.packet.payload[0] == after.packet.payload[0]
                let step = after.packet.header.sequence &- before.packet.header.sequence
                let ticks = Int32(bitPattern: after.packet.header.timestamp &- before.packet.header.timestamp)
                let elapsed = Int32((after.at - before.at) / millisecond) * 48
                // What the network lost on its way here is missing; a change of source is not a loss.
                #expect(step == 1 || (isSame && step < 5), "seed \(seed), section \(section)")
                #expect(ticks > 0, "seed \(seed), section \(section)")
                // The clock of a section is that of the listener's wall, whoever speaks.
                #expect(abs(ticks - elapsed) <= 960, "seed \(seed), section \(section): \(ticks) for \(elapsed)")
                if !isSame { switches += 1 }
            }
            #expect(switches > 0, "seed \(seed), section \(section) never changed its source")
        }
    }

    @Test("silence is sent on for half a second and then suppressed, and a voice comes back without a gap")
    func hangOver() {
        let room = AudioTestRoom(microphones: 6, sections: 5)
        run(room, milliseconds: 1000) { $0 == 2 ? 95 : 40 }
        let before = room.takeHeard()
        #expect(before.count == 50)
        run(room, milliseconds: 2000) { _ in 40 }
        let tail = room.takeHeard()
        #expect((24...27).contains(tail.count), "\(tail.count)")
        run(room, milliseconds: 200) { $0 == 2 ? 95 : 40 }
        let after = room.takeHeard()
        #expect(after.count == 10)
        #expect(after.first?.packet.slot == tail.last?.packet.slot)
        #expect(after[0].packet.header.sequence == tail[tail.count - 1].packet.header.sequence &+ 1)
    }

    @Test("a pinned microphone is heard whatever its rank, and silence of it is not sent either")
    func pinned() {
        let room = AudioTestRoom(microphones: 12, sections: 5)
        room.forwarder.pin([room.microphones[9].track], at: room.listener, now: room.now)
        run(room, milliseconds: 2000) { $0 < 4 ? 100 : 40 }
        #expect(!sources(room.takeHeard()).contains(9))
        run(room, milliseconds: 1000) { $0 < 4 ? 100 : $0 == 9 ? 65 : 40 }
        #expect(sources(room.takeHeard()).contains(9))
        room.forwarder.pin([], at: room.listener, now: room.now)
        run(room, milliseconds: 1000) { $0 < 4 ? 100 : $0 == 9 ? 65 : 40 }
        #expect(!sources(room.takeHeard()).contains(9))
    }

    @Test("a microphone that does not tell its level is heard, and its empty packets are silence")
    func untold() {
        let room = AudioTestRoom(microphones: 6, sections: 5)
        for _ in 0..<50 {
            room.send(4, level: nil)
            room.pass()
        }
        #expect(room.takeHeard().count == 50)
        for _ in 0..<50 {
            room.send(4, level: nil, payload: [0])
            room.pass()
        }
        #expect((24...27).contains(room.takeHeard().count))
    }

    @Test("who leaves or is muted gives the place up, and the room is forgotten with its last")
    func leaving() {
        let room = AudioTestRoom(microphones: 6, sections: 5)
        run(room, milliseconds: 1000) { $0 == 2 ? 95 : 40 }
        #expect(room.takeSpeakers() == [2])
        room.forwarder.setMuted(room.microphones[2].track, true, now: room.now)
        room.pass(200)
        #expect(room.forwarder.audioRooms[0].pointee.onAir.isEmpty)
        room.forwarder.removePeer(room.microphones[2].peer)
        #expect(
            room.forwarder.takeNotices().contains { notice in
                if case .speaker(_, -1) = notice { true } else { false }
            })
        for (index, microphone) in room.microphones.enumerated() where index != 2 {
            room.forwarder.removePeer(microphone.peer)
        }
        room.forwarder.removePeer(room.listener)
        #expect(room.forwarder.audioRooms.count == 0)
    }

    @Test("sections of their own carry silence, too, as before")
    func direct() {
        let world = ForwardingWorld(isVideo: false)
        let receiver = world.addReceiver(isVideo: false)
        for index in 0..<100 {
            world.send(
                Packets.rtp(
                    payloadType: 111, sequence: UInt16(index), timestamp: UInt32(index) * 960, ssrc: 9,
                    extensions: [(4, [48]), (1, [127])], payload: [1, 2, 3, 4]))
            world.pass(20)
        }
        #expect(world.packets(receiver.peer).count == 100)
    }
}
