// Counts heap allocations by thread in the program it is linked into: only tests and benches link it.
#ifndef CONSILIUM_ALLOCATION_COUNTER_H
#define CONSILIUM_ALLOCATION_COUNTER_H

#include <stdint.h>

// The calling thread's counter. Other threads may read it for as long as this one lives.
const void *_Nonnull allocation_counter_of_this_thread(void);
// The counter of a thread by its number in the kernel; NULL when that has not allocated yet.
const void *_Nullable allocation_counter_of_thread(int thread);
uint64_t allocation_counter_read(const void *_Nonnull counter);
// 0 where a sanitizer has the allocator for itself: then nothing is counted.
int allocation_counter_works(void);

#endif
