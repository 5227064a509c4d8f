// Contiguous storage of values addressed by small integers that are reused.

/// Values stay where they are until they are removed or the slab grows: a pointer is good for one call, an id for ever.
package struct Slab<Element: ~Copyable>: ~Copyable {
    @usableFromInline var elements: UnsafeMutablePointer<Element>
    @usableFromInline var live: UnsafeMutablePointer<Bool>
    @usableFromInline var capacity: Int
    /// One past the highest id ever used.
    package private(set) var end = 0
    package private(set) var count = 0
    private var free: [Int32] = []

    package init(capacity: Int = 16) {
        let capacity = max(capacity, 1)
        elements = .allocate(capacity: capacity)
        live = .allocate(capacity: capacity)
        live.initialize(repeating: false, count: capacity)
        self.capacity = capacity
    }

    deinit {
        for index in 0..<capacity where live[index] { (elements + index).deinitialize(count: 1) }
        elements.deallocate()
        live.deallocate()
    }

    @discardableResult
    package mutating func insert(_ element: consuming Element) -> Int32 {
        let index: Int
        if let reused = free.popLast() {
            index = Int(reused)
        } else {
            if end == capacity { grow() }
            index = end
            end += 1
        }
        (elements + index).initialize(to: element)
        live[index] = true
        count += 1
        return Int32(truncatingIfNeeded: index)
    }

    /// Takes an id out of use without a value: for slabs that share their ids with another one.
    package mutating func reserve() -> Int32 {
        if let reused = free.popLast() { return reused }
        if end == capacity { grow() }
        end += 1
        return Int32(truncatingIfNeeded: end - 1)
    }

    package mutating func unreserve(_ id: Int32) {
        guard id >= 0, Int(id) < end, !contains(id) else { return }
        free.append(id)
    }

    package mutating func remove(_ id: Int32) {
        guard contains(id) else { return }
        (elements + Int(id)).deinitialize(count: 1)
        live[Int(id)] = false
        count -= 1
        free.append(id)
    }

    @inlinable @inline(__always)
    package func contains(_ id: Int32) -> Bool {
        id >= 0 && Int(id) < capacity && live[Int(id)]
    }

    /// nil for an id that is not in use.
    @inlinable @inline(__always)
    package func find(_ id: Int32) -> UnsafeMutablePointer<Element>? {
        contains(id) ? elements + Int(id) : nil
    }

    /// For ids that the caller knows to be in use.
    @inlinable @inline(__always)
    package subscript(_ id: Int32) -> UnsafeMutablePointer<Element> {
        precondition(contains(id), "an id that is not in use")
        return elements + Int(id)
    }

    /// Ids in use at this moment, in order.
    package func ids() -> [Int32] {
        (0..<end).compactMap { live[$0] ? Int32(truncatingIfNeeded: $0) : nil }
    }

    private mutating func grow() {
        let larger = capacity * 2
        let newElements = UnsafeMutablePointer<Element>.allocate(capacity: larger)
        let newLive = UnsafeMutablePointer<Bool>.allocate(capacity: larger)
        newLive.initialize(repeating: false, count: larger)
        for index in 0..<capacity where live[index] {
            (newElements + index).moveInitialize(from: elements + index, count: 1)
            newLive[index] = true
        }
        elements.deallocate()
        live.deallocate()
        elements = newElements
        live = newLive
        capacity = larger
    }
}
