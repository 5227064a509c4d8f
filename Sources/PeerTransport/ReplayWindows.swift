// The replay windows of one direction, one for each source that has proved itself.

/// Slots belong to sources as in `SSRCTable`; whoever makes room loses its window as well.
struct ReplayWindows: ~Copyable {
    private var sources = SSRCTable()
    private var windows: UnsafeMutablePointer<ReplayWindow>
    private var capacity = 4

    init() { windows = .allocate(capacity: capacity) }

    deinit { windows.deallocate() }

    /// The window of a known source.
    @inline(__always)
    mutating func find(_ ssrc: UInt32) -> UnsafeMutablePointer<ReplayWindow>? {
        let slot = sources.find(ssrc)
        return slot >= 0 ? windows + slot : nil
    }

    /// A source that `find` did not know; `index` is that of its first packet.
    mutating func add(_ ssrc: UInt32, first index: UInt64) {
        let slot = sources.insert(ssrc).slot
        if slot >= capacity {
            let larger = UnsafeMutablePointer<ReplayWindow>.allocate(capacity: capacity * 2)
            larger.moveInitialize(from: windows, count: capacity)
            windows.deallocate()
            windows = larger
            capacity *= 2
        }
        windows[slot] = ReplayWindow(first: index)
    }
}
