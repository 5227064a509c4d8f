// Where the library's slow work runs: two threads of its own, so that neither media nor signalling ever waits for a disc.

import Dispatch
import Synchronization

final class ReadingQueue: Sendable {
    private let queues: [DispatchQueue]
    private let next = Atomic<Int>(0)

    init(width: Int = 2) {
        queues = (0..<width).map { DispatchQueue(label: "consilium.imaging.\($0)", qos: .utility) }
    }

    func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        let turn = next.wrappingAdd(1, ordering: .relaxed).newValue
        let queue = queues[Int(turn.magnitude) % queues.count]
        return await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: work()) }
        }
    }
}
