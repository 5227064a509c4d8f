// Linux calls that the Glibc module hides from Swift: epoll, eventfd, recvmmsg/sendmmsg, UDP GRO/GSO control messages.
#ifndef CONSILIUM_CLINUX_H
#define CONSILIUM_CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <netinet/in.h>

// The Glibc module is built without _GNU_SOURCE, so `struct mmsghdr` does not exist there; this is its layout.
struct clinux_mmsghdr {
    struct msghdr msg_hdr;
    unsigned int msg_len;
};

// epoll_event is packed on x86-64, which Swift cannot import as a field-accessible type; this is the unpacked twin.
struct clinux_event {
    uint64_t data;
    uint32_t events;
};

enum {
    CLINUX_READABLE = 0x001,
    CLINUX_WRITABLE = 0x004,
    CLINUX_ERROR = 0x008,
    CLINUX_HANGUP = 0x010,
    CLINUX_PEER_CLOSED = 0x2000,
};

// Every call returns what the system call returns, or -errno.
int clinux_epoll_create(void);
int clinux_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t data);
int clinux_epoll_modify(int epoll, int descriptor, uint32_t events, uint64_t data);
int clinux_epoll_remove(int epoll, int descriptor);
// timeout in nanoseconds, negative: wait for ever.
int clinux_epoll_wait(int epoll, struct clinux_event *events, int capacity, int64_t timeout);

int clinux_eventfd_create(void);
int clinux_eventfd_signal(int descriptor);
int clinux_eventfd_drain(int descriptor);

int clinux_recvmmsg(int descriptor, struct clinux_mmsghdr *messages, unsigned int count);
int clinux_sendmmsg(int descriptor, struct clinux_mmsghdr *messages, unsigned int count);
int clinux_sendmsg(int descriptor, const struct msghdr *message);

int clinux_udp_socket(int family);
int clinux_tcp_listener(int family);
int clinux_accept(int descriptor, struct sockaddr_storage *address, socklen_t *length);
int clinux_set_v6_only(int descriptor, int only);
int clinux_set_reuse_address(int descriptor);
int clinux_set_no_delay(int descriptor);
int clinux_set_gro(int descriptor);
int clinux_set_receive_stamps(int descriptor);
// Asks for more than net.core.{r,w}mem_max where the process may; returns the size the kernel settled on.
int clinux_set_receive_buffer(int descriptor, int bytes);
int clinux_set_send_buffer(int descriptor, int bytes);

// What the control messages of one received message say. Absent values stay zero.
struct clinux_receive_facts {
    uint64_t realtime_nanoseconds;
    uint32_t segment_size;
};
struct clinux_receive_facts clinux_receive_facts(struct msghdr *message);

// Room for one UDP_SEGMENT control message, and for what a receive can carry.
enum {
    CLINUX_SEGMENT_CONTROL_BYTES = 24,
    CLINUX_RECEIVE_CONTROL_BYTES = 128,
};
// Writes the control message once; afterwards only the size at this offset changes.
enum { CLINUX_SEGMENT_SIZE_OFFSET = 16 };
void clinux_segment_control(void *control, uint16_t segment_size);

uint64_t clinux_monotonic_nanoseconds(void);
uint64_t clinux_realtime_nanoseconds(void);
uint64_t clinux_thread_cpu_nanoseconds(void);

void clinux_name_thread(const char *name);
// 0, or -errno. Pins the calling thread.
int clinux_pin_thread(int processor);

enum { CLINUX_INTERFACE_UP = 0x1, CLINUX_INTERFACE_LOOPBACK = 0x8 };

#endif
