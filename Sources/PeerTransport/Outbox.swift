// Control datagrams that wait to be sent, bounded: when full, the oldest are lost as on any network.

struct Outbox {
    private var waiting: [(path: PathID?, bytes: [UInt8])] = []
    private var head = 0

    private static let most = 64

    /// `nil` is wherever the selected path leads when the datagram is taken.
    mutating func append(_ bytes: [UInt8], to path: PathID?) {
        if waiting.count - head >= Self.most { _ = popFirst() }
        waiting.append((path, bytes))
    }

    mutating func popFirst() -> (path: PathID?, bytes: [UInt8])? {
        guard head < waiting.count else { return nil }
        let first = waiting[head]
        waiting[head].bytes = []
        head += 1
        if head == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= Self.most {
            waiting.removeFirst(head)
            head = 0
        }
        return first
    }
}
