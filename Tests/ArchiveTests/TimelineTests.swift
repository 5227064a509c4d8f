// The timeline's chain: every change, loss or reordering of lines is found, a torn last line is cut off.

import ArchiveWorkshop
import Foundation
import Testing

@testable import Archive

@Suite("the timeline")
struct TimelineTests {
    private func timeline(_ folder: TemporaryFolder, events: Int) throws -> (path: String, head: String) {
        let sync = SyncGroup(interval: 1) {}
        defer { sync.stop() }
        let path = folder.path + "/timeline.ndjson"
        let writer = try TimelineWriter(
            storage: PosixStorage(), path: path,
            header: .init(
                recording: "r1", room: "b\"oard", title: "Fälle", started: "2026-11-24T10:00:00.000Z", start: 5,
                monotonic: 7,
                snapshotJSON: Array("{\n\"room\":\"b\"}".utf8)),
            sync: sync, failed: { _ in })
        for index in 0..<events {
            writer.append(event: Array("{\"seq\":\(index),\"t\":\(index * 1000),\"event\":\"hand.raised\"}".utf8))
            if index % 10 == 9 { writer.append(snapshot: Array("{\"room\":\"b\"}".utf8), t: Int64(index * 1000)) }
        }
        writer.append(event: Array("not an object".utf8))
        return (path, writer.end(t: 99_000))
    }

    @Test("every line is JSON and follows from the one before")
    func intact() throws {
        let folder = TemporaryFolder()
        let (path, head) = try timeline(folder, events: 20)
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        #expect(Timeline.verify(bytes) == .intact(lines: 24, head: head, isComplete: true))
        let lines = bytes.split(separator: UInt8(ascii: "\n"))
        let objects = try lines.map { try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any] }
        #expect(objects[0]?["timeline"] as? String == "consilium.timeline.v1")
        #expect(objects[0]?["room"] as? String == "b\"oard")
        #expect((objects[0]?["snapshot"] as? [String: Any])?["room"] as? String == "b")
        #expect(objects[1]?["event"] as? String == "hand.raised")
        #expect(objects[23]?["events"] as? Int == 20)
    }

    @Test("a changed bit anywhere is found, in its line or the next")
    func changedBits() throws {
        let folder = TemporaryFolder()
        let (path, head) = try timeline(folder, events: 12)
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        var chance = Chance(seed: 4)
        for _ in 0..<400 {
            var changed = bytes
            let at = Int.random(in: 0..<bytes.count, using: &chance)
            changed[at] ^= 1 << UInt8.random(in: 0..<8, using: &chance)
            switch Timeline.verify(changed) {
            case .intact(_, let found, _): #expect(found != head, "byte \(at)")
            case .broken, .torn: break
            }
        }
    }

    @Test("lines that were left out, doubled or exchanged are found")
    func reordered() throws {
        let folder = TemporaryFolder()
        let (path, _) = try timeline(folder, events: 12)
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let lines = bytes.split(separator: UInt8(ascii: "\n")).map { Array($0) + [UInt8(ascii: "\n")] }
        for index in 1..<lines.count - 1 {
            var without = lines
            without.remove(at: index)
            guard case .broken = Timeline.verify(without.flatMap { $0 }) else {
                Issue.record("line \(index + 1) can be left out")
                continue
            }
            var exchanged = lines
            exchanged.swapAt(index, index + 1)
            guard case .broken = Timeline.verify(exchanged.flatMap { $0 }) else {
                Issue.record("line \(index + 1) can be exchanged")
                continue
            }
        }
    }

    @Test("a timeline cut at any byte is ended after its last whole line")
    func cut() throws {
        let folder = TemporaryFolder()
        let (path, _) = try timeline(folder, events: 6)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        let headerEnd = (bytes.firstIndex(of: UInt8(ascii: "\n")) ?? 0) + 1
        for size in headerEnd...bytes.count {
            let copy = folder.path + "/cut.ndjson"
            try bytes.prefix(size).write(to: URL(fileURLWithPath: copy))
            let (head, _, lost) = try Timeline.recover(PosixStorage(), path: copy)
            let whole = bytes.prefix(size).lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            #expect(lost == Int64(size - whole))
            let recovered = [UInt8](try Data(contentsOf: URL(fileURLWithPath: copy)))
            let lines = recovered.count { $0 == UInt8(ascii: "\n") }
            #expect(Timeline.verify(recovered) == .intact(lines: lines, head: head, isComplete: true))
        }
    }
}
