// The thread that libwebsockets runs on: a libuv loop that is also the executor of the actors of the front door.
import CWebSockets
import Dispatch
import Glibc
import MediaEngine

/// libwebsockets calls back on this thread only, so an actor whose executor is this loop may enter its own isolation
/// synchronously from those callbacks (`assumeIsolated`), without a queue in between.
package final class GatewayLoop: SerialExecutor, @unchecked Sendable {
    /// Jobs run in one turn before sockets get theirs.
    private static let jobBudget = 64

    private struct Pending {
        var jobs: [UnownedJob] = []
        var isAwake = false
        var hasEnded = false
    }

    let uvLoop: UnsafeMutablePointer<uv_loop_t>
    private let wakeUp: UnsafeMutablePointer<uv_async_t>
    private let pending = Lock(Pending())
    private let afterEnd = DispatchQueue(label: "consilium.gateway.after-end")
    private let thread = Lock<pthread_t?>(nil)
    private let isStopping = Lock(false)

    package init() {
        uvLoop = .allocate(capacity: 1)
        wakeUp = .allocate(capacity: 1)
        uv_loop_init(uvLoop)
        uv_async_init(uvLoop, wakeUp, gatewayLoopWasWoken)
        wakeUp.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    }

    /// Starts the thread. The thread keeps the loop alive until `stop()`.
    package func start() {
        var started = pthread_t()
        let box = Unmanaged.passRetained(self).toOpaque()
        let result = pthread_create(&started, nil, gatewayLoopMain, box)
        precondition(result == 0, "a thread for the front door cannot be started: error \(result)")
        pthread_detach(started)
    }

    /// Ends the thread after what is queued now. Handles that are closing get a moment to do so.
    package func stop() {
        isStopping.withLock { $0 = true }
        uv_async_send(wakeUp)
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        enum Next { case nothing, wake, afterEnd }
        let next: Next = pending.withLock { pending in
            guard !pending.hasEnded else { return .afterEnd }
            pending.jobs.append(job)
            defer { pending.isAwake = true }
            return pending.isAwake ? .nothing : .wake
        }
        switch next {
        case .nothing: break
        case .wake: uv_async_send(wakeUp)
        case .afterEnd: afterEnd.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
        }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    package func checkIsolated() {
        precondition(isOnLoopThread, "this code runs on the thread of the front door only")
    }

    package func isIsolatingCurrentContext() -> Bool? { isOnLoopThread }

    private var isOnLoopThread: Bool {
        guard let own = thread.withLock({ $0 }) else { return false }
        return pthread_equal(own, pthread_self()) != 0
    }

    fileprivate func run() {
        let own = pthread_self()
        thread.withLock { $0 = own }
        uv_run(uvLoop, UV_RUN_DEFAULT)
        // Stopped: let what is closing close, then give the remaining jobs to a queue.
        var turns = 0
        while uv_loop_alive(uvLoop) != 0, turns < 25 {
            uv_run(uvLoop, UV_RUN_NOWAIT)
            runJobs()
            usleep(2_000)
            turns += 1
        }
        thread.withLock { $0 = nil }
        let rest = pending.withLock { pending in
            pending.hasEnded = true
            defer { pending.jobs = [] }
            return pending.jobs
        }
        for job in rest {
            afterEnd.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
        }
    }

    fileprivate func wasWoken() {
        runJobs()
        if isStopping.withLock({ $0 }) {
            if uv_is_closing(UnsafeMutableRawPointer(wakeUp).assumingMemoryBound(to: uv_handle_t.self)) == 0 {
                uv_close(UnsafeMutableRawPointer(wakeUp).assumingMemoryBound(to: uv_handle_t.self), nil)
            }
            uv_stop(uvLoop)
        }
    }

    private func runJobs() {
        let batch = pending.withLock { pending -> [UnownedJob] in
            guard pending.jobs.count > Self.jobBudget else {
                defer { pending.jobs.removeAll(keepingCapacity: false) }
                pending.isAwake = false
                return pending.jobs
            }
            defer { pending.jobs.removeFirst(Self.jobBudget) }
            return Array(pending.jobs.prefix(Self.jobBudget))
        }
        for job in batch {
            job.runSynchronously(on: asUnownedSerialExecutor())
        }
        let isMoreWaiting = pending.withLock { !$0.jobs.isEmpty }
        if isMoreWaiting { uv_async_send(wakeUp) }
    }
}

private func gatewayLoopMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<GatewayLoop>.fromOpaque(argument).takeRetainedValue().run()
    return nil
}

private func gatewayLoopWasWoken(_ handle: UnsafeMutablePointer<uv_async_t>?) {
    guard let data = handle?.pointee.data else { return }
    Unmanaged<GatewayLoop>.fromOpaque(data).takeUnretainedValue().wasWoken()
}
