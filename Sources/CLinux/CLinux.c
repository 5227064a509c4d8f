// The bodies of the Linux calls: one system call each, errors as -errno, nothing clever.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

_Static_assert(sizeof(struct clinux_mmsghdr) == sizeof(struct mmsghdr), "layout of mmsghdr");
_Static_assert(offsetof(struct clinux_mmsghdr, msg_len) == offsetof(struct mmsghdr, msg_len), "layout of mmsghdr");
_Static_assert(CMSG_SPACE(sizeof(uint16_t)) == CLINUX_SEGMENT_CONTROL_BYTES, "size of a UDP_SEGMENT message");
_Static_assert(CMSG_LEN(0) == CLINUX_SEGMENT_SIZE_OFFSET, "offset of the segment size");
_Static_assert(CLINUX_READABLE == EPOLLIN && CLINUX_WRITABLE == EPOLLOUT && CLINUX_ERROR == EPOLLERR
    && CLINUX_HANGUP == EPOLLHUP && CLINUX_PEER_CLOSED == EPOLLRDHUP, "epoll bits");

static int result(int value) { return value < 0 ? -errno : value; }

int clinux_epoll_create(void) { return result(epoll_create1(EPOLL_CLOEXEC)); }

static int epoll_change(int epoll, int operation, int descriptor, uint32_t events, uint64_t data) {
    struct epoll_event event = { .events = events, .data.u64 = data };
    return result(epoll_ctl(epoll, operation, descriptor, &event));
}

int clinux_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t data) {
    return epoll_change(epoll, EPOLL_CTL_ADD, descriptor, events, data);
}

int clinux_epoll_modify(int epoll, int descriptor, uint32_t events, uint64_t data) {
    return epoll_change(epoll, EPOLL_CTL_MOD, descriptor, events, data);
}

int clinux_epoll_remove(int epoll, int descriptor) {
    return epoll_change(epoll, EPOLL_CTL_DEL, descriptor, 0, 0);
}

int clinux_epoll_wait(int epoll, struct clinux_event *events, int capacity, int64_t timeout) {
    struct epoll_event native[64];
    if (capacity > 64) capacity = 64;
    int count = -1;
    errno = ENOSYS;
#ifdef SYS_epoll_pwait2
    struct timespec wait = { .tv_sec = timeout / 1000000000, .tv_nsec = timeout % 1000000000 };
    count = (int)syscall(SYS_epoll_pwait2, epoll, native, capacity, timeout < 0 ? NULL : &wait, NULL, (size_t)8);
#endif
    if (count < 0 && errno == ENOSYS) {
        // Older kernels count in milliseconds; round up so that a deadline is never early and never spins.
        int64_t milliseconds = timeout < 0 ? -1 : (timeout + 999999) / 1000000;
        if (milliseconds > 3600000) milliseconds = 3600000;
        count = epoll_wait(epoll, native, capacity, (int)milliseconds);
    }
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) {
        events[i].data = native[i].data.u64;
        events[i].events = native[i].events;
    }
    return count;
}

int clinux_eventfd_create(void) { return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int clinux_eventfd_signal(int descriptor) {
    uint64_t one = 1;
    return result((int)write(descriptor, &one, sizeof one));
}

int clinux_eventfd_drain(int descriptor) {
    uint64_t value;
    return result((int)read(descriptor, &value, sizeof value));
}

int clinux_recvmmsg(int descriptor, struct clinux_mmsghdr *messages, unsigned int count) {
    return result(recvmmsg(descriptor, (struct mmsghdr *)messages, count, MSG_DONTWAIT, NULL));
}

int clinux_sendmmsg(int descriptor, struct clinux_mmsghdr *messages, unsigned int count) {
    return result(sendmmsg(descriptor, (struct mmsghdr *)messages, count, MSG_DONTWAIT | MSG_NOSIGNAL));
}

int clinux_sendmsg(int descriptor, const struct msghdr *message) {
    return result((int)sendmsg(descriptor, message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

int clinux_udp_socket(int family) {
    return result(socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP));
}

int clinux_tcp_listener(int family) {
    return result(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
}

int clinux_accept(int descriptor, struct sockaddr_storage *address, socklen_t *length) {
    return result(accept4(descriptor, (struct sockaddr *)address, length, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

static int set_integer(int descriptor, int level, int option, int value) {
    return result(setsockopt(descriptor, level, option, &value, sizeof value));
}

int clinux_set_v6_only(int descriptor, int only) { return set_integer(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, only); }
int clinux_set_reuse_address(int descriptor) { return set_integer(descriptor, SOL_SOCKET, SO_REUSEADDR, 1); }
int clinux_set_no_delay(int descriptor) { return set_integer(descriptor, IPPROTO_TCP, TCP_NODELAY, 1); }
int clinux_set_gro(int descriptor) { return set_integer(descriptor, IPPROTO_UDP, UDP_GRO, 1); }
int clinux_set_receive_stamps(int descriptor) { return set_integer(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, 1); }

static int set_buffer(int descriptor, int forced, int option, int bytes) {
    if (set_integer(descriptor, SOL_SOCKET, forced, bytes) < 0) {
        int error = set_integer(descriptor, SOL_SOCKET, option, bytes);
        if (error < 0) return error;
    }
    int settled = 0;
    socklen_t length = sizeof settled;
    if (getsockopt(descriptor, SOL_SOCKET, option, &settled, &length) < 0) return -errno;
    return settled;
}

int clinux_set_receive_buffer(int descriptor, int bytes) {
    return set_buffer(descriptor, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
}

int clinux_set_send_buffer(int descriptor, int bytes) {
    return set_buffer(descriptor, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
}

struct clinux_receive_facts clinux_receive_facts(struct msghdr *message) {
    struct clinux_receive_facts facts = { 0, 0 };
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            // The kernel puts an int here, whatever its documentation of the option says.
            int size = 0;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            if (size > 0) facts.segment_size = (uint32_t)size;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
            facts.realtime_nanoseconds = (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec;
        }
    }
    return facts;
}

void clinux_segment_control(void *control, uint16_t segment_size) {
    memset(control, 0, CLINUX_SEGMENT_CONTROL_BYTES);
    struct cmsghdr header = { .cmsg_len = CMSG_LEN(sizeof segment_size), .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT };
    memcpy(control, &header, sizeof header);
    memcpy((char *)control + CLINUX_SEGMENT_SIZE_OFFSET, &segment_size, sizeof segment_size);
}

static uint64_t clock_nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clinux_monotonic_nanoseconds(void) { return clock_nanoseconds(CLOCK_MONOTONIC); }
uint64_t clinux_realtime_nanoseconds(void) { return clock_nanoseconds(CLOCK_REALTIME); }
uint64_t clinux_thread_cpu_nanoseconds(void) { return clock_nanoseconds(CLOCK_THREAD_CPUTIME_ID); }

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int clinux_pin_thread(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return result(sched_setaffinity(0, sizeof set, &set));
}
