// The event loop as an executor, as a clock and as a reader of descriptors.
import CLinux
import Glibc
import MediaEngine
import Synchronization
import Testing

private actor Resident {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private var count = 0
    private var registration: EventLoop.Registration?

    init(loop: EventLoop) { self.loop = loop }

    func increment() -> Int {
        count += 1
        return count
    }

    func isHome() -> Bool { loop.isOnLoop }

    /// Resumes with the clock reading of the deadline's call.
    func deadline(after nanoseconds: UInt64) async -> (asked: UInt64, fired: UInt64) {
        let asked = MonotonicClock.now() + nanoseconds
        let fired = await withCheckedContinuation { continuation in
            loop.onDeadline = { now in continuation.resume(returning: now) }
            loop.deadline = asked
        }
        return (asked, fired)
    }

    /// Reads one value from an eventfd through a handler, in which this actor's state may be touched.
    func firstValue(of descriptor: Int32) async throws -> UInt64 {
        try await withCheckedThrowingContinuation { continuation in
            do {
                registration = try loop.register(descriptor, for: .readable) { [self] ready in
                    assumeIsolated { me in
                        me.count += 1
                        var value: UInt64 = 0
                        _ = read(descriptor, &value, 8)
                        if let registration = me.registration { me.loop.deregister(registration) }
                        me.registration = nil
                        #expect(ready.contains(.readable))
                        continuation.resume(returning: value)
                    }
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}

@Suite("EventLoop")
struct IOEventLoopTests {
    private func withLoop<Value>(_ body: (EventLoop) async throws -> Value) async throws -> Value {
        let loop = try EventLoop(name: "test-loop")
        try loop.start()
        defer { loop.stop() }
        return try await body(loop)
    }

    @Test("an actor on the loop runs on the loop's thread, and nowhere else")
    func isolation() async throws {
        try await withLoop { loop in
            let resident = Resident(loop: loop)
            #expect(await resident.isHome())
            #expect(!loop.isOnLoop)
            #expect(loop.isIsolatingCurrentContext() == false)
        }
    }

    @Test("jobs from many tasks run one at a time")
    func serial() async throws {
        try await withLoop { loop in
            let resident = Resident(loop: loop)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask { for _ in 0..<500 { _ = await resident.increment() } }
                }
            }
            #expect(await resident.increment() == 4001)
        }
    }

    @Test("jobs queued before the start run after it; jobs after the stop still run")
    func startAndStop() async throws {
        let loop = try EventLoop(name: "late")
        let resident = Resident(loop: loop)
        async let early = resident.increment()
        try loop.start()
        try loop.start()
        #expect(await early == 1)
        loop.stop()
        loop.stop()
        #expect(await resident.increment() == 2)
        #expect(await resident.isHome())
    }

    @Test("a loop that never started runs its jobs when stopped")
    func neverStarted() async throws {
        let loop = try EventLoop(name: "never")
        let resident = Resident(loop: loop)
        let task = Task { await resident.increment() }
        loop.stop()
        #expect(await task.value == 1)
    }

    @Test("the deadline fires once, not before its time")
    func deadline() async throws {
        try await withLoop { loop in
            let resident = Resident(loop: loop)
            for delay: UInt64 in [0, 200_000, 3_000_000] {
                let (asked, fired) = await resident.deadline(after: delay)
                #expect(fired >= asked)
            }
        }
    }

    @Test("a readable descriptor reaches its handler, in which the actor is isolated")
    func descriptor() async throws {
        try await withLoop { loop in
            let resident = Resident(loop: loop)
            let descriptor = clinux_eventfd_create()
            defer { close(descriptor) }
            for _ in 0..<2 {
                _ = clinux_eventfd_signal(descriptor)
                let value = try await resident.firstValue(of: descriptor)
                #expect(value == 1)
            }
        }
    }

    @Test("a flood of jobs does not keep a descriptor waiting")
    func budget() async throws {
        try await withLoop { loop in
            let resident = Resident(loop: loop)
            let isDone = Flag()
            let descriptor = clinux_eventfd_create()
            defer { close(descriptor) }
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        while !isDone.isSet { _ = await resident.increment() }
                    }
                }
                _ = clinux_eventfd_signal(descriptor)
                _ = try? await resident.firstValue(of: descriptor)
                isDone.set()
            }
        }
    }

    @Test("a stopped loop is let go of")
    func noLeak() async throws {
        weak var last: EventLoop?
        do {
            let loop = try EventLoop(name: "leak")
            try loop.start()
            last = loop
            loop.stop()
        }
        #expect(last == nil)
    }
}
