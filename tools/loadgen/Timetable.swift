// What is due when: a heap of the moments at which sources send and peers report.

struct Timetable {
    enum Kind { case video, audio, feedback, reports, check, handshake, flood }

    struct Entry {
        var due: UInt64
        var kind: Kind
        var peer: Int32
        var source: Int32 = 0
    }

    private var heap: [Entry] = []

    var next: UInt64 { heap.first?.due ?? .max }

    mutating func add(_ entry: Entry) {
        heap.append(entry)
        var place = heap.count - 1
        while place > 0, heap[(place - 1) / 2].due > heap[place].due {
            heap.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    mutating func take(dueBy now: UInt64) -> Entry? {
        guard let first = heap.first, first.due <= now else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var place = 0
        while true {
            var smallest = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && heap[child].due < heap[smallest].due {
                smallest = child
            }
            if smallest == place { break }
            heap.swapAt(place, smallest)
            place = smallest
        }
        return first
    }
}
