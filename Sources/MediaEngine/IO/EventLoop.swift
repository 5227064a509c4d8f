// One thread with one epoll: the serial executor that a worker actor and its sockets live on.
import CLinux
import Glibc
import Synchronization

/// What a descriptor is ready for.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let readable = Readiness(rawValue: UInt32(CLINUX_READABLE))
    package static let writable = Readiness(rawValue: UInt32(CLINUX_WRITABLE))
    package static let error = Readiness(rawValue: UInt32(CLINUX_ERROR))
    package static let hangup = Readiness(rawValue: UInt32(CLINUX_HANGUP))
    package static let peerClosed = Readiness(rawValue: UInt32(CLINUX_PEER_CLOSED))
}

/// A turn of the loop: at most `jobBudget` actor jobs, then ready descriptors, then the deadline, then `endOfTurn`.
///
/// An actor sits on it with `nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }`
/// and calls `register` and friends from its own isolation; handlers run on the same thread, so inside them
/// `assumeIsolated` holds. The loop must outlive its actors. Nothing that runs here may block.
///
/// Everything not marked otherwise belongs to the loop's own thread (or to the time before `start`).
package final class EventLoop: SerialExecutor, @unchecked Sendable {
    package typealias Handler = (Readiness) -> Void

    /// Names one registration; a stale one is ignored, so a handler may deregister anything at any time.
    package struct Registration: Hashable, Sendable {
        fileprivate let slot: UInt32
        fileprivate let generation: UInt32

        fileprivate var packed: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
    }

    private struct Slot {
        var descriptor: Int32 = -1
        var generation: UInt32 = 0
        var handler: Handler?
    }

    private enum Phase { case idle, running, stopping, stopped }

    // Shared between threads, under `lock`.
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private var phase = Phase.idle
    private var incoming: [UnownedJob] = []
    private var maySleep = false
    private var isDrainedElsewhere = false
    private var thread = pthread_t()

    /// The thread that currently counts as "on the loop".
    private let owner = Atomic<UInt>(0)

    // The loop thread's own.
    private let name: String
    private let jobBudget: Int
    private let epoll: Int32
    private let wakeup: Int32
    private let events: UnsafeMutablePointer<clinux_event>
    private var running: [UnownedJob] = []
    private var runningHead = 0
    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []

    /// When `onDeadline` is to be called next, on CLOCK_MONOTONIC; `.max` means never. Cleared when it fires.
    package var deadline: UInt64 = .max
    package var onDeadline: ((_ now: UInt64) -> Void)?
    /// Called last in every turn in which anything else ran: the place to flush what the turn produced.
    package var endOfTurn: ((_ now: UInt64) -> Void)?
    /// The clock as read once at the start of this turn's input.
    package private(set) var now: UInt64

    /// A handler that took its time says so to those after it in this turn.
    package func advance(to time: UInt64) { now = max(now, time) }

    private static let eventCapacity = 64
    private static let wakeupData = UInt64.max

    package init(name: String, jobBudget: Int = 64) throws(SystemCallError) {
        self.name = String(name.prefix(15))
        self.jobBudget = max(1, jobBudget)
        now = MonotonicClock.now()
        epoll = try SystemCallError.check("epoll_create1", clinux_epoll_create())
        let wakeup = clinux_eventfd_create()
        guard wakeup >= 0 else {
            close(epoll)
            throw SystemCallError(call: "eventfd", code: -wakeup)
        }
        self.wakeup = wakeup
        lock = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        events = .allocate(capacity: Self.eventCapacity)
        events.initialize(repeating: clinux_event(), count: Self.eventCapacity)
        let added = clinux_epoll_add(epoll, wakeup, UInt32(CLINUX_READABLE), Self.wakeupData)
        if added < 0 { throw SystemCallError(call: "epoll_ctl", code: -added) }
    }

    deinit {
        close(wakeup)
        close(epoll)
        events.deallocate()
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    // MARK: Life (any thread)

    /// Starts the thread. The loop keeps itself alive until `stop`.
    package func start() throws(SystemCallError) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        guard phase == .idle else { return }
        let context = Unmanaged.passRetained(self)
        let code = pthread_create(&thread, nil, eventLoopThread, context.toOpaque())
        guard code == 0 else {
            context.release()
            throw SystemCallError(call: "pthread_create", code: code)
        }
        phase = .running
    }

    /// Runs what is queued, ends the thread and joins it. From the loop's own thread it only asks for the end.
    ///
    /// Jobs that arrive later still run, on the thread that enqueues them, one at a time: no task is left hanging.
    package func stop() {
        pthread_mutex_lock(lock)
        let previous = phase
        switch phase {
        case .idle: phase = .stopped
        case .running: phase = .stopping
        case .stopping, .stopped: break
        }
        maySleep = false
        pthread_mutex_unlock(lock)
        switch previous {
        case .idle:
            drainWithoutThread()
        case .running:
            _ = clinux_eventfd_signal(wakeup)
            if !isOnLoop { pthread_join(thread, nil) } else { pthread_detach(thread) }
        case .stopping, .stopped:
            break
        }
    }

    /// Whether the caller is on the loop's thread.
    package var isOnLoop: Bool { owner.load(ordering: .relaxed) == UInt(pthread_self()) }

    // MARK: SerialExecutor (any thread)

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pthread_mutex_lock(lock)
        incoming.append(job)
        let mustWake = maySleep
        maySleep = false
        let hasNoThread = phase == .stopped
        pthread_mutex_unlock(lock)
        if mustWake { _ = clinux_eventfd_signal(wakeup) }
        if hasNoThread { drainWithoutThread() }
    }

    package func checkIsolated() {
        precondition(isOnLoop, "not on the event loop \(name)")
    }

    package func isIsolatingCurrentContext() -> Bool? { isOnLoop }

    // MARK: Descriptors

    /// Calls `handler` once per turn in which the descriptor is ready. The descriptor stays the caller's to close,
    /// after `deregister`.
    package func register(
        _ descriptor: Int32, for interest: Readiness, handler: @escaping Handler
    ) throws(SystemCallError) -> Registration {
        let slot: UInt32
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = UInt32(slots.count)
            slots.append(Slot())
        }
        slots[Int(slot)].generation &+= 1
        let registration = Registration(slot: slot, generation: slots[Int(slot)].generation)
        let added = clinux_epoll_add(epoll, descriptor, interest.rawValue, registration.packed)
        guard added >= 0 else {
            freeSlots.append(slot)
            throw SystemCallError(call: "epoll_ctl(ADD)", code: -added)
        }
        slots[Int(slot)].descriptor = descriptor
        slots[Int(slot)].handler = handler
        return registration
    }

    package func modify(_ registration: Registration, for interest: Readiness) {
        guard isCurrent(registration) else { return }
        let descriptor = slots[Int(registration.slot)].descriptor
        _ = clinux_epoll_modify(epoll, descriptor, interest.rawValue, registration.packed)
    }

    package func deregister(_ registration: Registration) {
        guard isCurrent(registration) else { return }
        let index = Int(registration.slot)
        _ = clinux_epoll_remove(epoll, slots[index].descriptor)
        slots[index].descriptor = -1
        slots[index].handler = nil
        freeSlots.append(registration.slot)
    }

    private func isCurrent(_ registration: Registration) -> Bool {
        let index = Int(registration.slot)
        return index < slots.count && slots[index].generation == registration.generation
            && slots[index].handler != nil
    }

    // MARK: The thread

    fileprivate func run() {
        owner.store(UInt(pthread_self()), ordering: .relaxed)
        clinux_name_thread(name)
        var hasMoreJobs = false
        while true {
            let ranJobs = runJobs()
            pthread_mutex_lock(lock)
            hasMoreJobs = runningHead < running.count || !incoming.isEmpty
            if phase == .stopping, !hasMoreJobs {
                phase = .stopped
                owner.store(0, ordering: .relaxed)
                pthread_mutex_unlock(lock)
                break
            }
            maySleep = !hasMoreJobs && phase == .running
            let timeout = maySleep ? timeUntilDeadline() : 0
            pthread_mutex_unlock(lock)

            let count = clinux_epoll_wait(epoll, events, Int32(Self.eventCapacity), timeout)

            pthread_mutex_lock(lock)
            maySleep = false
            pthread_mutex_unlock(lock)
            now = MonotonicClock.now()
            let ranHandlers = runHandlers(count: Int(count))
            let ranDeadline = runDeadline()
            if ranJobs || ranHandlers || ranDeadline { endOfTurn?(now) }
        }
        // Handlers hold their owners; let go of them so that nothing outlives the loop by accident.
        slots.removeAll()
        freeSlots.removeAll()
        onDeadline = nil
        endOfTurn = nil
        drainWithoutThread()
    }

    private func runJobs() -> Bool {
        if runningHead == running.count {
            running.removeAll(keepingCapacity: true)
            runningHead = 0
            pthread_mutex_lock(lock)
            swap(&running, &incoming)
            pthread_mutex_unlock(lock)
        }
        let end = min(running.count, runningHead + jobBudget)
        guard runningHead < end else { return false }
        let executor = asUnownedSerialExecutor()
        while runningHead < end {
            let job = running[runningHead]
            runningHead += 1
            job.runSynchronously(on: executor)
        }
        return true
    }

    private func runHandlers(count: Int) -> Bool {
        guard count > 0 else { return false }
        var ran = false
        for index in 0..<count {
            let event = events[index]
            if event.data == Self.wakeupData {
                _ = clinux_eventfd_drain(wakeup)
                continue
            }
            let registration = Registration(
                slot: UInt32(truncatingIfNeeded: event.data), generation: UInt32(truncatingIfNeeded: event.data >> 32))
            guard isCurrent(registration), let handler = slots[Int(registration.slot)].handler else { continue }
            handler(Readiness(rawValue: event.events))
            ran = true
        }
        return ran
    }

    private func runDeadline() -> Bool {
        guard deadline <= now else { return false }
        deadline = .max
        onDeadline?(now)
        return true
    }

    private func timeUntilDeadline() -> Int64 {
        guard deadline != .max else { return -1 }
        let current = MonotonicClock.now()
        return deadline <= current ? 0 : Int64(clamping: deadline - current)
    }

    /// After the thread's end its jobs run on whoever enqueues them, still one at a time.
    private func drainWithoutThread() {
        pthread_mutex_lock(lock)
        if isDrainedElsewhere {
            pthread_mutex_unlock(lock)
            return
        }
        isDrainedElsewhere = true
        let executor = asUnownedSerialExecutor()
        while !incoming.isEmpty {
            let batch = incoming
            incoming = []
            owner.store(UInt(pthread_self()), ordering: .relaxed)
            pthread_mutex_unlock(lock)
            for job in batch { job.runSynchronously(on: executor) }
            pthread_mutex_lock(lock)
            owner.store(0, ordering: .relaxed)
        }
        isDrainedElsewhere = false
        pthread_mutex_unlock(lock)
    }
}

// A plain function of no actor: a closure here could be inferred @MainActor and trap on the new thread.
private func eventLoopThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<EventLoop>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
