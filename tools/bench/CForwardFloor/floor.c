// The C floor: recvmmsg with GRO, decrypt, per receiver rewrite and encrypt, GSO sends by sendmmsg. One thread.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CForwardFloor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    BATCH = 32,
    SLAB_BYTES = 65536,
    PACKETS = 4096,
    PUBLISHERS = 64,
    RECEIVERS = 1024,
    TABLE = 256,
    SENDS = 64,
    OUT_BYTES = 1 << 20,
    SEGMENTS = 64,
    GROUP_BYTES = 65000,
    HEADER_BYTES = 96,
};

struct packet {
    uint8_t *base;
    int header_length, length, transport_offset;
};

struct receiver {
    struct sockaddr_in address;
    floor_srtp *srtp;
    uint32_t ssrc, timestamp_offset;
    uint16_t sequence_offset, transport_sequence;
};

struct publisher {
    uint64_t address;
    uint32_t ssrc;
    floor_srtp *srtp;
    int receivers[RECEIVERS];
    int receiver_count;
    struct packet packets[PACKETS];
    int packet_count;
};

struct floor_server {
    int descriptor;
    floor_crypto crypto;
    floor_profile profile;
    int tag_bytes;
    atomic_int is_stopping;
    floor_counters counters;

    struct publisher *publishers[PUBLISHERS];
    int publisher_count;
    struct receiver receivers[RECEIVERS];
    int receiver_count;
    // Open addressing by address and port; an entry is an index + 1.
    uint64_t table_keys[TABLE];
    int table_values[TABLE];

    uint8_t *slab;
    struct mmsghdr in[BATCH];
    struct iovec in_vectors[BATCH];
    struct sockaddr_in in_addresses[BATCH];
    char in_control[BATCH][64];

    uint8_t *out;
    int out_used, out_count;
    struct mmsghdr outgoing[SENDS];
    struct iovec out_vectors[SENDS];
    char out_control[SENDS][CMSG_SPACE(sizeof(uint16_t))];
};

static uint64_t address_key(const struct sockaddr_in *address) {
    return (uint64_t)address->sin_addr.s_addr << 16 | address->sin_port;
}

static unsigned slot_of(uint64_t key) { return (unsigned)((key * 0x9E3779B97F4A7C15u) >> 56); }

static struct publisher *find_publisher(floor_server *server, uint64_t key) {
    for (unsigned slot = slot_of(key);; slot = (slot + 1) % TABLE) {
        if (!server->table_values[slot]) return NULL;
        if (server->table_keys[slot] == key) return server->publishers[server->table_values[slot] - 1];
    }
}

static struct sockaddr_in loopback(uint16_t port) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

floor_server *floor_create(floor_crypto crypto, floor_profile profile) {
    floor_server *server = calloc(1, sizeof *server);
    if (!server) return NULL;
    server->crypto = crypto;
    server->profile = profile;
    server->tag_bytes = floor_tag_bytes(profile);
    server->slab = aligned_alloc(64, BATCH * SLAB_BYTES);
    server->out = aligned_alloc(64, OUT_BYTES);
    server->descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = loopback(0);
    int on = 1, bytes = 8 << 20;
    if (!server->slab || !server->out || server->descriptor < 0
        || bind(server->descriptor, (struct sockaddr *)&address, sizeof address) < 0) {
        floor_destroy(server);
        return NULL;
    }
    setsockopt(server->descriptor, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    if (setsockopt(server->descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(server->descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (setsockopt(server->descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(server->descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    for (int i = 0; i < BATCH; i++) {
        server->in_vectors[i] = (struct iovec){ server->slab + i * SLAB_BYTES, SLAB_BYTES };
        server->in[i].msg_hdr.msg_iov = &server->in_vectors[i];
        server->in[i].msg_hdr.msg_iovlen = 1;
        server->in[i].msg_hdr.msg_name = &server->in_addresses[i];
        server->in[i].msg_hdr.msg_control = server->in_control[i];
    }
    for (int i = 0; i < SENDS; i++) {
        server->outgoing[i].msg_hdr.msg_iov = &server->out_vectors[i];
        server->outgoing[i].msg_hdr.msg_iovlen = 1;
        server->outgoing[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_in);
    }
    return server;
}

void floor_destroy(floor_server *server) {
    if (!server) return;
    if (server->descriptor >= 0) close(server->descriptor);
    for (int i = 0; i < server->publisher_count; i++) {
        floor_srtp_destroy(server->publishers[i]->srtp);
        free(server->publishers[i]);
    }
    for (int i = 0; i < server->receiver_count; i++) floor_srtp_destroy(server->receivers[i].srtp);
    free(server->slab);
    free(server->out);
    free(server);
}

uint16_t floor_port(const floor_server *server) {
    struct sockaddr_in address = { 0 };
    socklen_t length = sizeof address;
    getsockname(server->descriptor, (struct sockaddr *)&address, &length);
    return ntohs(address.sin_port);
}

int floor_add_publisher(floor_server *server, uint16_t port, uint32_t ssrc, floor_key key) {
    if (server->publisher_count == PUBLISHERS) return -1;
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher) return -1;
    struct sockaddr_in address = loopback(port);
    publisher->address = address_key(&address);
    publisher->ssrc = ssrc;
    publisher->srtp = floor_srtp_create(server->crypto, server->profile, FLOOR_RECEIVES, key);
    if (!publisher->srtp) {
        free(publisher);
        return -1;
    }
    unsigned slot = slot_of(publisher->address);
    while (server->table_values[slot]) slot = (slot + 1) % TABLE;
    server->publishers[server->publisher_count] = publisher;
    server->table_keys[slot] = publisher->address;
    server->table_values[slot] = ++server->publisher_count;
    return server->publisher_count - 1;
}

int floor_add_receiver(floor_server *server, int publisher, uint16_t port, uint32_t ssrc, floor_key key) {
    if (publisher < 0 || publisher >= server->publisher_count || server->receiver_count == RECEIVERS) return -1;
    struct receiver *receiver = &server->receivers[server->receiver_count];
    receiver->address = loopback(port);
    receiver->ssrc = ssrc;
    receiver->sequence_offset = (uint16_t)(ssrc * 7);
    receiver->timestamp_offset = ssrc * 13;
    receiver->srtp = floor_srtp_create(server->crypto, server->profile, FLOOR_SENDS, key);
    if (!receiver->srtp) return -1;
    struct publisher *owner = server->publishers[publisher];
    owner->receivers[owner->receiver_count++] = server->receiver_count;
    return server->receiver_count++;
}

static uint16_t read16(const uint8_t *bytes) { return (uint16_t)(bytes[0] << 8 | bytes[1]); }
static uint32_t read32(const uint8_t *bytes) { return (uint32_t)read16(bytes) << 16 | read16(bytes + 2); }

static void write16(uint8_t *bytes, uint16_t value) {
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static void write32(uint8_t *bytes, uint32_t value) {
    write16(bytes, (uint16_t)(value >> 16));
    write16(bytes + 2, (uint16_t)value);
}

// Fills in where the header ends and where the transport-wide sequence number is; 0 when it is no such packet.
static int parse(struct packet *packet) {
    const uint8_t *p = packet->base;
    if (packet->length < 12 || p[0] >> 6 != 2) return 0;
    int offset = 12 + 4 * (p[0] & 15);
    packet->transport_offset = 0;
    if (p[0] & 16) {
        if (packet->length < offset + 4) return 0;
        int end = offset + 4 + 4 * read16(p + offset + 2);
        if (packet->length < end) return 0;
        int is_one_byte = read16(p + offset) == 0xBEDE;
        offset += 4;
        while (is_one_byte && offset < end) {
            if (!p[offset]) {
                offset++;
                continue;
            }
            int id = p[offset] >> 4, size = (p[offset] & 15) + 1;
            if (id == 15 || offset + 1 + size > end) break;
            if (id == FLOOR_TRANSPORT_CC_ID && size == 2) packet->transport_offset = offset + 1;
            offset += 1 + size;
        }
        offset = end;
    }
    packet->header_length = offset;
    return offset <= HEADER_BYTES;
}

static void flush(floor_server *server) {
    int first = 0;
    while (first < server->out_count) {
        int sent = sendmmsg(server->descriptor, server->outgoing + first, (unsigned)(server->out_count - first), MSG_DONTWAIT);
        if (sent <= 0) {
            server->counters.dropped++;
            first++;
            continue;
        }
        server->counters.sends += (uint64_t)sent;
        first += sent;
    }
    server->out_count = 0;
    server->out_used = 0;
}

static void forward(floor_server *server, struct publisher *publisher) {
    for (int r = 0; r < publisher->receiver_count; r++) {
        struct receiver *receiver = &server->receivers[publisher->receivers[r]];
        int segment = 0, count = 0, bytes = 0;
        for (int i = 0; i < publisher->packet_count; i++) {
            const struct packet *packet = &publisher->packets[i];
            int length = packet->length + server->tag_bytes;
            int opens = count == 0 || length > segment || count == SEGMENTS || bytes + length > GROUP_BYTES;
            if (opens) {
                if (server->out_count == SENDS || server->out_used + SLAB_BYTES > OUT_BYTES) flush(server);
                struct msghdr *message = &server->outgoing[server->out_count].msg_hdr;
                server->out_vectors[server->out_count] = (struct iovec){ server->out + server->out_used, 0 };
                message->msg_name = &receiver->address;
                message->msg_control = NULL;
                message->msg_controllen = 0;
                server->out_count++;
                segment = length;
                count = 0;
                bytes = 0;
            }
            uint8_t header[HEADER_BYTES];
            memcpy(header, packet->base, (size_t)packet->header_length);
            write16(header + 2, (uint16_t)(read16(header + 2) + receiver->sequence_offset));
            write32(header + 4, read32(header + 4) + receiver->timestamp_offset);
            write32(header + 8, receiver->ssrc);
            if (packet->transport_offset) write16(header + packet->transport_offset, receiver->transport_sequence++);
            int written = floor_srtp_protect(
                receiver->srtp, header, packet->header_length, packet->base + packet->header_length,
                packet->length - packet->header_length, server->out + server->out_used);
            if (written < 0) {
                server->counters.dropped++;
                continue;
            }
            int at = server->out_count - 1;
            server->out_vectors[at].iov_len += (size_t)written;
            server->out_used += written;
            bytes += written;
            count++;
            server->counters.forwarded++;
            if (count == 2) {
                struct msghdr *message = &server->outgoing[at].msg_hdr;
                message->msg_control = server->out_control[at];
                message->msg_controllen = sizeof server->out_control[at];
                struct cmsghdr *control = CMSG_FIRSTHDR(message);
                control->cmsg_level = IPPROTO_UDP;
                control->cmsg_type = UDP_SEGMENT;
                control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
                uint16_t size = (uint16_t)segment;
                memcpy(CMSG_DATA(control), &size, sizeof size);
            }
            // A shorter one has to be the last of its group.
            if (written < segment) count = 0;
        }
    }
    publisher->packet_count = 0;
}

static int segment_size(struct msghdr *message, int length) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            return size > 0 ? size : length;
        }
    }
    return length;
}

static void take(floor_server *server, int count) {
    struct publisher *touched[BATCH];
    int touched_count = 0;
    for (int i = 0; i < count; i++) {
        struct publisher *publisher = find_publisher(server, address_key(&server->in_addresses[i]));
        if (!publisher) {
            server->counters.refused++;
            continue;
        }
        int length = (int)server->in[i].msg_len, size = segment_size(&server->in[i].msg_hdr, length);
        if (publisher->packet_count == 0) touched[touched_count++] = publisher;
        for (int offset = 0; offset < length && publisher->packet_count < PACKETS; offset += size) {
            struct packet *packet = &publisher->packets[publisher->packet_count];
            packet->base = server->slab + i * SLAB_BYTES + offset;
            packet->length = length - offset < size ? length - offset : size;
            server->counters.received++;
            if (!parse(packet) || read32(packet->base + 8) != publisher->ssrc
                || (packet->length = floor_srtp_unprotect(publisher->srtp, packet->base, packet->length)) < 0) {
                server->counters.refused++;
                continue;
            }
            publisher->packet_count++;
        }
    }
    for (int i = 0; i < touched_count; i++) forward(server, touched[i]);
    flush(server);
}

void floor_run(floor_server *server) {
    while (!atomic_load_explicit(&server->is_stopping, memory_order_relaxed)) {
        struct pollfd ready = { .fd = server->descriptor, .events = POLLIN };
        if (poll(&ready, 1, 100) <= 0) continue;
        for (int i = 0; i < BATCH; i++) {
            server->in[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_in);
            server->in[i].msg_hdr.msg_controllen = sizeof server->in_control[i];
        }
        int count = recvmmsg(server->descriptor, server->in, BATCH, MSG_DONTWAIT, NULL);
        if (count > 0) take(server, count);
    }
}

void floor_stop(floor_server *server) { atomic_store(&server->is_stopping, 1); }

floor_counters floor_counters_of(const floor_server *server) { return server->counters; }

int floor_thread_id(void) { return (int)syscall(SYS_gettid); }

uint64_t floor_thread_cpu_nanoseconds(int thread) {
    // The kernel's encoding of "the CPU time of that thread" (what pthread_getcpuclockid returns).
    clockid_t clock = (clockid_t)((~(unsigned)thread << 3) | 6);
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int floor_pin_thread(int thread, int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return sched_setaffinity(thread, sizeof set, &set);
}
