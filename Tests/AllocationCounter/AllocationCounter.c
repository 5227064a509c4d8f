// The program's own malloc and its kin: a count, then glibc's. They come before the libraries' in the search order of
// symbols, so that allocations of Swift's runtime and of OpenSSL are counted as well. `free` stays glibc's.
#include "AllocationCounter.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

// Only its own thread writes it: an atomic for readers elsewhere, not for a sum.
static _Thread_local _Atomic uint64_t allocations __attribute__((tls_model("initial-exec")));

// Which thread has which counter. Threads that have ended keep their places: nobody asks for them any more.
enum { THREADS = 1024 };
static struct {
    _Atomic int thread;
    _Atomic(const void *) counter;
} threads[THREADS];
static _Atomic int thread_count;
static _Thread_local int is_listed __attribute__((tls_model("initial-exec")));

const void *allocation_counter_of_this_thread(void) { return &allocations; }

const void *allocation_counter_of_thread(int thread) {
    int count = atomic_load(&thread_count);
    // From the end: a number may have been another thread's before.
    for (int place = (count < THREADS ? count : THREADS) - 1; place >= 0; place--) {
        if (atomic_load(&threads[place].thread) == thread) return atomic_load(&threads[place].counter);
    }
    return NULL;
}

uint64_t allocation_counter_read(const void *counter) {
    return atomic_load_explicit((const _Atomic uint64_t *)counter, memory_order_acquire);
}

#ifdef IS_SANITIZED

int allocation_counter_works(void) { return 0; }

#else

int allocation_counter_works(void) { return 1; }

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static void list_this_thread(void) {
    is_listed = 1;
    int place = atomic_fetch_add(&thread_count, 1);
    if (place >= THREADS) return;
    atomic_store(&threads[place].counter, &allocations);
    atomic_store(&threads[place].thread, (int)syscall(SYS_gettid));
}

static void count_one(void) {
    if (!is_listed) list_this_thread();
    uint64_t value = atomic_load_explicit(&allocations, memory_order_relaxed);
    atomic_store_explicit(&allocations, value + 1, memory_order_release);
}

void *malloc(size_t size) {
    count_one();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    count_one();
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    count_one();
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
    count_one();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    void *allocated = memalign(alignment, size);
    if (!allocated) return ENOMEM;
    *memory = allocated;
    return 0;
}

#endif
