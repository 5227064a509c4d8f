// The counter behind `tools/bench/run-forward --allocations`, which holds the packet path to no allocation: only optimised
// code can.
import AllocationCounter
import Testing

@Suite("Allocations")
struct AllocationTests {
    @Test("the counter sees what its thread allocates")
    func counterCounts() {
        guard allocation_counter_works() == 1 else { return print("skipped: a sanitizer has the allocator") }
        let counter = allocation_counter_of_this_thread()
        let before = allocation_counter_read(counter)
        UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 8).deallocate()
        UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 64).deallocate()
        #expect(allocation_counter_read(counter) == before + 2)
    }
}
