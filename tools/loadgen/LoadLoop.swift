// The thread that all synthetic participants live on: one epoll, one timetable.
import CLinux
import Dispatch
import Foundation
import Glibc
import MediaEngine

/// Peers and meters belong to the loop's thread; others reach them through `perform`.
final class LoadLoop: @unchecked Sendable {
    let meters = Meters()
    private(set) var peers: [LoadPeer?] = []
    var timetable = Timetable()
    /// Called for every entry of the kind `flood`; answers when the next is due.
    var onFlood: ((UInt64) -> UInt64)?
    private var batch = ReceiveBatch(capacity: 32)
    private let epoll: Int32
    private let wakeup: Int32
    private let lock = NSLock()
    private var jobs: [@Sendable (LoadLoop) -> Void] = []
    private var isStopped = false
    private let ended = DispatchSemaphore(value: 0)
    private(set) var cpuNanoseconds: UInt64 = 0

    init() throws {
        epoll = clinux_epoll_create()
        wakeup = clinux_eventfd_create()
        guard epoll >= 0, wakeup >= 0 else { throw LoadFault("no epoll") }
        _ = clinux_epoll_add(epoll, wakeup, UInt32(CLINUX_READABLE), .max)
    }

    func start() {
        Thread {
            self.run()
            self.ended.signal()
        }.start()
    }

    func stop() {
        perform { loop in
            for peer in loop.peers { peer?.close() }
            loop.isStopped = true
        }
        ended.wait()
    }

    /// Runs on the loop's thread and waits for it.
    func perform(_ body: @escaping @Sendable (LoadLoop) -> Void) {
        let done = DispatchSemaphore(value: 0)
        lock.lock()
        jobs.append { loop in
            body(loop)
            done.signal()
        }
        lock.unlock()
        _ = clinux_eventfd_signal(wakeup)
        done.wait()
    }

    // MARK: On the loop's thread

    @discardableResult
    func add(_ peer: LoadPeer) -> Int32 {
        let index = Int32(peers.count)
        peers.append(peer)
        _ = clinux_epoll_add(epoll, peer.socket.descriptor, UInt32(CLINUX_READABLE), UInt64(index))
        let now = MonotonicClock.now()
        peer.beginHandshake(now: now)
        timetable.add(Timetable.Entry(due: now &+ 50_000_000, kind: .handshake, peer: index))
        return index
    }

    func remove(_ index: Int32) {
        guard let peer = peers[Int(index)] else { return }
        _ = clinux_epoll_remove(epoll, peer.socket.descriptor)
        peer.close()
        peers[Int(index)] = nil
    }

    /// Lets the peer send what it has to send, from now on.
    func startSending(_ index: Int32) {
        guard let peer = peers[Int(index)], !peer.isSending else { return }
        peer.isSending = true
        let now = MonotonicClock.now()
        for source in peer.videos.indices {
            peer.videos[source].start(now: now)
            timetable.add(
                Timetable.Entry(due: peer.videos[source].nextDue, kind: .video, peer: index, source: Int32(source)))
        }
        for source in peer.audios.indices {
            peer.audios[source].start(now: now)
            timetable.add(
                Timetable.Entry(due: peer.audios[source].nextDue, kind: .audio, peer: index, source: Int32(source)))
        }
    }

    private func run() {
        clinux_name_thread("load")
        let capacity = 256
        let events = UnsafeMutablePointer<clinux_event>.allocate(capacity: capacity)
        events.initialize(repeating: clinux_event(), count: capacity)
        defer { events.deallocate() }
        while !isStopped {
            let before = MonotonicClock.now()
            let next = timetable.next
            let timeout: Int64 = next == .max ? -1 : next <= before ? 0 : Int64(clamping: next - before)
            let count = Int(clinux_epoll_wait(epoll, events, Int32(capacity), timeout))
            let now = MonotonicClock.now()
            for place in 0..<max(0, count) {
                let index = events[place].data
                guard index != .max else {
                    _ = clinux_eventfd_drain(wakeup)
                    runJobs()
                    continue
                }
                guard index < UInt64(peers.count), let peer = peers[Int(index)] else { continue }
                guard peer.socket.receive(into: &batch) > 0 else { continue }
                let wasConnected = peer.isConnected
                peer.receive(batch, meters, now: now)
                if !wasConnected, peer.isConnected { schedule(peer, Int32(index), now: now) }
            }
            while let entry = timetable.take(dueBy: MonotonicClock.now()) { serve(entry) }
            cpuNanoseconds = clinux_thread_cpu_nanoseconds()
        }
    }

    private func runJobs() {
        lock.lock()
        let waiting = jobs
        jobs = []
        lock.unlock()
        for job in waiting { job(self) }
    }

    private func schedule(_ peer: LoadPeer, _ index: Int32, now: UInt64) {
        // Feedback of many peers is spread over its interval.
        let phase = UInt64(index) &* 7_919_000
        timetable.add(
            Timetable.Entry(due: now &+ phase % LoadPeer.feedbackInterval, kind: .feedback, peer: index))
        timetable.add(Timetable.Entry(due: now &+ phase % LoadPeer.reportInterval, kind: .reports, peer: index))
        timetable.add(Timetable.Entry(due: now &+ LoadPeer.checkInterval, kind: .check, peer: index))
    }

    private func serve(_ entry: Timetable.Entry) {
        var entry = entry
        let now = MonotonicClock.now()
        if entry.kind == .flood {
            guard let next = onFlood?(now), next < .max else { return }
            entry.due = next
            return timetable.add(entry)
        }
        guard let peer = peers[Int(entry.peer)] else { return }
        switch entry.kind {
        case .video:
            guard peer.isSending else { return }
            if meters.isOn { meters.lateness.record(now &- entry.due) }
            peer.sendVideo(Int(entry.source), now: now)
            entry.due = peer.videos[Int(entry.source)].nextDue
        case .audio:
            guard peer.isSending else { return }
            peer.sendAudio(Int(entry.source), now: now)
            entry.due = peer.audios[Int(entry.source)].nextDue
        case .feedback:
            peer.sendFeedback(now: now)
            entry.due = max(entry.due &+ LoadPeer.feedbackInterval, now &+ LoadPeer.feedbackInterval / 2)
        case .reports:
            peer.sendReports(now: now)
            entry.due = max(entry.due &+ LoadPeer.reportInterval, now)
        case .check:
            peer.sendCheck()
            entry.due = now &+ LoadPeer.checkInterval
        case .handshake:
            guard case .connecting = peer.state else { return }
            peer.continueHandshake(now: now)
            if peer.isConnected { return schedule(peer, entry.peer, now: now) }
            entry.due = now &+ 50_000_000
        case .flood: return
        }
        timetable.add(entry)
    }
}
