// A lock-free byte ring between the worker's thread, which writes and never waits, and one consumer, the recorder.
import CLinux
import Foundation
import Glibc
import Synchronization

/// One producer thread, one consumer thread. Every method says whose it is.
///
/// What does not fit is counted, and the count is told in order by a `.dropped` record once there is room. Packets may
/// not use the last eighth of the ring, so that declarations and ends find room when the recorder is slow; should even
/// that be full, they wait in a short list while packets are dropped, so their order among packets holds.
package final class PacketRing: @unchecked Sendable {
    /// Always a power of two.
    package let capacity: Int

    private let memory: UnsafeMutableRawPointer
    private let mask: UInt64
    private let packetLimit: UInt64
    private let wakeBytes: UInt64
    private let wakeup: Int32
    private let producer: UnsafeMutablePointer<Producer>
    private let keyFrameSlots: UnsafeMutablePointer<UInt32>

    // Positions only grow; the place in memory is the position modulo the capacity.
    private let tail = Atomic<UInt64>(0)
    private let head = Atomic<UInt64>(0)
    private let isConsumerWaiting = Atomic<Bool>(false)
    private let isUrgent = Atomic<Bool>(false)
    private let totalDropped = Atomic<UInt64>(0)
    private let keyFrameTail = Atomic<UInt32>(0)
    private let keyFrameHead = Atomic<UInt32>(0)

    private struct Producer {
        var tail: UInt64 = 0
        var knownHead: UInt64 = 0
        var droppedSinceTold: UInt64 = 0
        var hasEnded = false
        var waitingControl: [ControlRecord] = []
    }

    private struct ControlRecord {
        let kind: PacketRecordKind
        let encoding: UInt8
        let track: UInt32
        let arrival: UInt64
        let payload: [UInt8]
    }

    // Header of a record, little by little: size 4, kind 1, encoding 1, unused 2, track 4, payload length 4, arrival 8.
    private static let headerBytes = 24
    private static let paddingKind: UInt8 = 0
    private static let keyFrameCapacity: UInt32 = 64
    private static let waitingControlLimit = 4096

    /// - Parameter wakeBytes: how much has to wait before a packet wakes a consumer inside `wait`. Everything that is
    ///   not a packet wakes it at once. So a recorder is woken for work, not per packet.
    package init(capacity requested: Int = 16 << 20, wakeBytes: Int = 64 << 10) {
        var capacity = 4096
        while capacity < requested, capacity < 1 << 30 { capacity <<= 1 }
        self.capacity = capacity
        mask = UInt64(capacity - 1)
        packetLimit = UInt64(capacity - capacity / 8)
        self.wakeBytes = UInt64(max(1, min(wakeBytes, capacity / 4)))
        memory = .allocate(byteCount: capacity, alignment: 64)
        producer = .allocate(capacity: 1)
        producer.initialize(to: Producer())
        keyFrameSlots = .allocate(capacity: Int(Self.keyFrameCapacity))
        keyFrameSlots.initialize(repeating: 0, count: Int(Self.keyFrameCapacity))
        // Without a descriptor left, `wait` simply waits for its time.
        wakeup = clinux_eventfd_create()
    }

    deinit {
        if wakeup >= 0 { close(wakeup) }
        memory.deallocate()
        producer.deinitialize(count: 1)
        producer.deallocate()
        keyFrameSlots.deallocate()
    }

    /// Records lost so far. Any thread.
    package var dropped: UInt64 { totalDropped.load(ordering: .relaxed) }

    /// Bytes waiting for the consumer, headers included. Any thread.
    package var pendingBytes: Int {
        let end = tail.load(ordering: .acquiring)
        let start = head.load(ordering: .acquiring)
        return Int(end &- min(start, end))
    }

    // MARK: Producer

    /// False when the recorder is behind and the packet was dropped.
    @discardableResult
    package func write(packet: UnsafeRawBufferPointer, track: UInt32, encoding: UInt8, arrival: UInt64) -> Bool {
        guard !producer.pointee.hasEnded else { return false }
        guard tellBacklog(limit: packetLimit, arrival: arrival),
            append(.packet, encoding, track, arrival, packet, limit: packetLimit)
        else {
            countDropped()
            return false
        }
        if producer.pointee.tail &- producer.pointee.knownHead >= wakeBytes { wakeConsumer() }
        return true
    }

    package func declare(_ declaration: TrackDeclaration, arrival: UInt64) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        // Strings and integers always encode.
        guard let json = try? encoder.encode(declaration) else { return }
        control(
            ControlRecord(
                kind: .trackDeclared, encoding: 0, track: declaration.track, arrival: arrival, payload: [UInt8](json)))
    }

    package func end(track: UInt32, arrival: UInt64) {
        control(ControlRecord(kind: .trackEnded, encoding: 0, track: track, arrival: arrival, payload: []))
    }

    package func senderReport(track: UInt32, encoding: UInt8, arrival: UInt64, clock: SenderReportClock) {
        withUnsafeTemporaryAllocation(byteCount: SenderReportClock.encodedBytes, alignment: 8) { raw in
            raw.storeBytes(of: clock.ssrc.littleEndian, toByteOffset: 0, as: UInt32.self)
            raw.storeBytes(of: clock.ntp.littleEndian, toByteOffset: 4, as: UInt64.self)
            raw.storeBytes(of: clock.rtp.littleEndian, toByteOffset: 12, as: UInt32.self)
            let bytes = UnsafeRawBufferPointer(raw)
            guard !producer.pointee.hasEnded else { return }
            // The worker's thread relays one for each stream and second: only what has to wait is kept on the heap.
            if tellBacklog(limit: UInt64(capacity), arrival: arrival),
                append(.senderReport, encoding, track, arrival, bytes, limit: UInt64(capacity))
            {
                return announce()
            }
            keep(
                ControlRecord(
                    kind: .senderReport, encoding: encoding, track: track, arrival: arrival, payload: Array(bytes)))
        }
    }

    /// The last record. Everything written afterwards is ignored.
    package func finish(arrival: UInt64) {
        guard !producer.pointee.hasEnded else { return }
        control(ControlRecord(kind: .end, encoding: 0, track: 0, arrival: arrival, payload: []))
        producer.pointee.hasEnded = true
    }

    /// Gives waiting declarations and ends another chance when no packets come. Call it from a timer; true when
    /// nothing is left waiting.
    @discardableResult
    package func retryWaiting(now: UInt64) -> Bool {
        tellBacklog(limit: UInt64(capacity), arrival: now)
    }

    /// The next track for which the consumer wants a key frame; cheap when there is none.
    package func takeKeyFrameRequest() -> UInt32? {
        let position = keyFrameHead.load(ordering: .relaxed)
        guard position != keyFrameTail.load(ordering: .acquiring) else { return nil }
        let track = keyFrameSlots[Int(position % Self.keyFrameCapacity)]
        keyFrameHead.store(position &+ 1, ordering: .releasing)
        return track
    }

    /// Wakes a consumer that waits, whatever there is for it. A producer that writes packets in batches says so once
    /// after each, and `wakeBytes` may then be as large as the ring.
    package func wake() {
        // The exchange orders this after the packets' positions; a load could overtake them.
        if isConsumerWaiting.exchange(false, ordering: .sequentiallyConsistent), wakeup >= 0 {
            _ = clinux_eventfd_signal(wakeup)
        }
    }

    private func control(_ record: ControlRecord) {
        guard !producer.pointee.hasEnded else { return }
        if tellBacklog(limit: UInt64(capacity), arrival: record.arrival), append(record) {
            announce()
        } else {
            keep(record)
        }
    }

    /// Until there is room for it.
    private func keep(_ record: ControlRecord) {
        if producer.pointee.waitingControl.count < Self.waitingControlLimit {
            producer.pointee.waitingControl.append(record)
        } else {
            countDropped()
        }
    }

    /// Writes what has to precede the next record: waiting control records, then the number of lost ones.
    private func tellBacklog(limit: UInt64, arrival: UInt64) -> Bool {
        if producer.pointee.droppedSinceTold == 0, producer.pointee.waitingControl.isEmpty { return true }
        while let record = producer.pointee.waitingControl.first {
            guard append(record) else { return false }
            producer.pointee.waitingControl.removeFirst()
            announce()
        }
        if producer.pointee.droppedSinceTold > 0 {
            var count = producer.pointee.droppedSinceTold.littleEndian
            let isTold = withUnsafeBytes(of: &count) { append(.dropped, 0, 0, arrival, $0, limit: limit) }
            guard isTold else { return false }
            producer.pointee.droppedSinceTold = 0
        }
        return true
    }

    private func append(_ record: ControlRecord) -> Bool {
        record.payload.withUnsafeBytes {
            append(record.kind, record.encoding, record.track, record.arrival, $0, limit: UInt64(capacity))
        }
    }

    private func append(
        _ kind: PacketRecordKind, _ encoding: UInt8, _ track: UInt32, _ arrival: UInt64,
        _ payload: UnsafeRawBufferPointer, limit: UInt64
    ) -> Bool {
        guard payload.count <= capacity / 2 - Self.headerBytes else { return false }
        let size = (Self.headerBytes + payload.count + 7) & ~7
        let position = producer.pointee.tail
        let place = Int(position & mask)
        let untilWrap = capacity - place
        let needed = UInt64(size <= untilWrap ? size : untilWrap + size)
        if position &+ needed &- producer.pointee.knownHead > limit {
            producer.pointee.knownHead = head.load(ordering: .acquiring)
            guard position &+ needed &- producer.pointee.knownHead <= limit else { return false }
        }
        var start = place
        if size > untilWrap {
            memory.storeBytes(of: UInt32(untilWrap), toByteOffset: place, as: UInt32.self)
            memory.storeBytes(of: Self.paddingKind, toByteOffset: place + 4, as: UInt8.self)
            start = 0
        }
        memory.storeBytes(of: UInt32(size), toByteOffset: start, as: UInt32.self)
        memory.storeBytes(of: kind.rawValue, toByteOffset: start + 4, as: UInt8.self)
        memory.storeBytes(of: encoding, toByteOffset: start + 5, as: UInt8.self)
        memory.storeBytes(of: 0, toByteOffset: start + 6, as: UInt16.self)
        memory.storeBytes(of: track, toByteOffset: start + 8, as: UInt32.self)
        memory.storeBytes(of: UInt32(payload.count), toByteOffset: start + 12, as: UInt32.self)
        memory.storeBytes(of: arrival, toByteOffset: start + 16, as: UInt64.self)
        if let source = payload.baseAddress {
            (memory + start + Self.headerBytes).copyMemory(from: source, byteCount: payload.count)
        }
        producer.pointee.tail = position &+ needed
        tail.store(position &+ needed, ordering: .releasing)
        return true
    }

    private func countDropped() {
        producer.pointee.droppedSinceTold &+= 1
        totalDropped.wrappingAdd(1, ordering: .relaxed)
        wakeConsumer()
    }

    private func announce() {
        isUrgent.store(true, ordering: .sequentiallyConsistent)
        wakeConsumer()
    }

    private func wakeConsumer() {
        guard isConsumerWaiting.load(ordering: .sequentiallyConsistent),
            isConsumerWaiting.exchange(false, ordering: .sequentiallyConsistent), wakeup >= 0
        else { return }
        _ = clinux_eventfd_signal(wakeup)
    }

    // MARK: Consumer

    /// Hands over up to `limit` records, oldest first, and returns how many. Their space is given back as it goes.
    @discardableResult
    package func drain(limit: Int = .max, _ body: (PacketRecord) -> Void) -> Int {
        isUrgent.store(false, ordering: .sequentiallyConsistent)
        var position = head.load(ordering: .relaxed)
        var end = tail.load(ordering: .acquiring)
        var count = 0
        while count < limit {
            if position == end {
                end = tail.load(ordering: .acquiring)
                if position == end { break }
            }
            let place = Int(position & mask)
            let size = memory.load(fromByteOffset: place, as: UInt32.self)
            let rawKind = memory.load(fromByteOffset: place + 4, as: UInt8.self)
            if rawKind != Self.paddingKind, let record = record(at: place, rawKind) {
                body(record)
                count += 1
            }
            position &+= UInt64(size)
            head.store(position, ordering: .releasing)
        }
        if position != end { isUrgent.store(true, ordering: .sequentiallyConsistent) }
        return count
    }

    /// Returns when a control record or `wakeBytes` of packets wait, or when the time is over.
    package func wait(milliseconds: Int32) {
        isConsumerWaiting.store(true, ordering: .sequentiallyConsistent)
        defer { isConsumerWaiting.store(false, ordering: .sequentiallyConsistent) }
        let waiting = tail.load(ordering: .sequentiallyConsistent) &- head.load(ordering: .relaxed)
        if isUrgent.load(ordering: .sequentiallyConsistent) || waiting >= wakeBytes { return }
        var descriptor = pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0)
        if poll(&descriptor, 1, milliseconds) > 0 { _ = clinux_eventfd_drain(wakeup) }
    }

    /// Asks the worker for a key frame of this track. False when too many requests wait already: ask again later.
    @discardableResult
    package func requestKeyFrame(track: UInt32) -> Bool {
        let position = keyFrameTail.load(ordering: .relaxed)
        guard position &- keyFrameHead.load(ordering: .acquiring) < Self.keyFrameCapacity else { return false }
        keyFrameSlots[Int(position % Self.keyFrameCapacity)] = track
        keyFrameTail.store(position &+ 1, ordering: .releasing)
        return true
    }

    // MARK: Consumers with a loop of their own

    /// Readable when `prepareToWait` has said true and something has come since. Belongs to the ring.
    package var wakeDescriptor: Int32 { wakeup }

    /// Before the consumer goes to wait for its descriptor; false when there is something to drain already.
    package func prepareToWait() -> Bool {
        isConsumerWaiting.store(true, ordering: .sequentiallyConsistent)
        guard tail.load(ordering: .sequentiallyConsistent) != head.load(ordering: .relaxed) else { return true }
        isConsumerWaiting.store(false, ordering: .sequentiallyConsistent)
        return false
    }

    /// The descriptor is readable no longer, or again: for a consumer that leaves some of the work for its next turn.
    package func silence() { if wakeup >= 0 { _ = clinux_eventfd_drain(wakeup) } }
    package func wakeAgain() { if wakeup >= 0 { _ = clinux_eventfd_signal(wakeup) } }

    private func record(at place: Int, _ rawKind: UInt8) -> PacketRecord? {
        guard let kind = PacketRecordKind(rawValue: rawKind) else { return nil }
        let length = Int(memory.load(fromByteOffset: place + 12, as: UInt32.self))
        return PacketRecord(
            kind: kind, encoding: memory.load(fromByteOffset: place + 5, as: UInt8.self),
            track: memory.load(fromByteOffset: place + 8, as: UInt32.self),
            arrival: memory.load(fromByteOffset: place + 16, as: UInt64.self),
            payload: UnsafeRawBufferPointer(start: memory + place + Self.headerBytes, count: length))
    }

    // MARK: Tests

    /// Walks what waits and returns what is wrong with it. Only while neither side is active.
    package func checkInvariants() -> [String] {
        var faults: [String] = []
        let start = head.load(ordering: .acquiring)
        let end = tail.load(ordering: .acquiring)
        if start > end { faults.append("head \(start) is after tail \(end)") }
        if end &- start > UInt64(capacity) { faults.append("\(end &- start) bytes wait in a ring of \(capacity)") }
        if producer.pointee.tail != end { faults.append("the producer stands at \(producer.pointee.tail), not \(end)") }
        var position = start
        while position < end, faults.isEmpty {
            let place = Int(position & mask)
            let size = Int(memory.load(fromByteOffset: place, as: UInt32.self))
            let rawKind = memory.load(fromByteOffset: place + 4, as: UInt8.self)
            if size < 8 || size % 8 != 0 || size > capacity - place {
                faults.append("record at \(position) has size \(size)")
            } else if rawKind == Self.paddingKind {
                if place + size != capacity { faults.append("padding at \(position) does not end the ring") }
            } else if let record = record(at: place, rawKind) {
                if (Self.headerBytes + record.payload.count + 7) & ~7 != size {
                    faults.append("record at \(position): payload \(record.payload.count) in \(size)")
                }
            } else {
                faults.append("record at \(position) has kind \(rawKind)")
            }
            position &+= UInt64(size)
        }
        if faults.isEmpty, position != end { faults.append("records end at \(position), not at \(end)") }
        return faults
    }
}
