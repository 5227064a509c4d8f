// The floor under the forwarding bench: the least a C program must do to forward SRTP, and the SRTP its load is made of.
#ifndef CONSILIUM_CFORWARDFLOOR_H
#define CONSILIUM_CFORWARDFLOOR_H

#include <stddef.h>
#include <stdint.h>

enum { FLOOR_KEY_BYTES = 16, FLOOR_SALT_BYTES = 14, FLOOR_LARGEST_TAG_BYTES = 16, FLOOR_TRANSPORT_CC_ID = 3 };

// The last is for comparison only: libipsec-mb where it has the profile (GCM), else EVP.
typedef enum { FLOOR_CRYPTO_EVP = 0, FLOOR_CRYPTO_LIBSRTP = 1, FLOOR_CRYPTO_IPSEC_MB = 2 } floor_crypto;
// AEAD_AES_128_GCM (RFC 7714) and AES_CM_128_HMAC_SHA1_80 (RFC 3711).
typedef enum { FLOOR_PROFILE_GCM = 0, FLOOR_PROFILE_CM = 1 } floor_profile;
typedef enum { FLOOR_SENDS = 0, FLOOR_RECEIVES = 1 } floor_direction;

typedef struct floor_key {
    uint8_t key[FLOOR_KEY_BYTES];
    uint8_t salt[FLOOR_SALT_BYTES];
} floor_key;

// One SRTP stream (RTP only) in one direction. Of the salt the GCM profile takes the first twelve bytes.
typedef struct floor_srtp floor_srtp;
floor_srtp *floor_srtp_create(floor_crypto crypto, floor_profile profile, floor_direction direction, floor_key key);
void floor_srtp_destroy(floor_srtp *srtp);
// Writes header, ciphertext and tag to `out`; returns the length, or -1.
int floor_srtp_protect(
    floor_srtp *srtp, const uint8_t *header, int header_length, const uint8_t *payload, int payload_length, uint8_t *out);
// In place; returns the new length, or -1 (malformed, replayed, not authentic).
int floor_srtp_unprotect(floor_srtp *srtp, uint8_t *packet, int length);

// The server: one UDP socket on 127.0.0.1, one thread (the caller of floor_run).
typedef struct floor_server floor_server;
floor_server *floor_create(floor_crypto crypto, floor_profile profile);
void floor_destroy(floor_server *server);
uint16_t floor_port(const floor_server *server);
// Returns the publisher's index, or -1.
int floor_add_publisher(floor_server *server, uint16_t port, uint32_t ssrc, floor_key key);
int floor_add_receiver(floor_server *server, int publisher, uint16_t port, uint32_t ssrc, floor_key key);
void floor_run(floor_server *server);
void floor_stop(floor_server *server);

int floor_tag_bytes(floor_profile profile);

typedef struct floor_counters {
    uint64_t received, forwarded, refused, dropped, sends;
} floor_counters;
floor_counters floor_counters_of(const floor_server *server);

// Threads by kernel id: the CPU time another thread has used, and where it may run.
int floor_thread_id(void);
uint64_t floor_thread_cpu_nanoseconds(int thread);
int floor_pin_thread(int thread, int processor);

#endif
