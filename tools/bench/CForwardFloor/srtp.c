// SRTP for the floor: AEAD_AES_128_GCM (RFC 7714) and AES_CM_128_HMAC_SHA1_80 (RFC 3711), on OpenSSL,
// libsrtp2 or libipsec-mb.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "CForwardFloor.h"

#include <CIPSecMB.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

enum { GCM_TAG_BYTES = 16, CM_TAG_BYTES = 10, GCM_SALT_BYTES = 12, HMAC_KEY_BYTES = 20, HMAC_BLOCK_BYTES = 64 };

struct floor_srtp {
    floor_direction direction;
    floor_profile profile;
    EVP_CIPHER_CTX *cipher;
    consilium_gcm *gcm;
    uint8_t salt[FLOOR_SALT_BYTES];
    // HMAC-SHA1 after the key's inner and outer block: copying these is the fastest start of a tag.
    SHA_CTX inner, outer;
    srtp_t session;
    // Highest packet index seen, and which of the 64 before it.
    uint64_t highest;
    uint64_t window;
    int has_started;
};

int floor_tag_bytes(floor_profile profile) { return profile == FLOOR_PROFILE_GCM ? GCM_TAG_BYTES : CM_TAG_BYTES; }

static int salt_bytes(floor_profile profile) {
    return profile == FLOOR_PROFILE_GCM ? GCM_SALT_BYTES : FLOOR_SALT_BYTES;
}

static int derive(const floor_key *key, int salt_length, uint8_t label, uint8_t *out, int length) {
    uint8_t counter[16] = { 0 }, zeros[32] = { 0 }, block[48];
    int written = 0;
    memcpy(counter, key->salt, (size_t)salt_length);
    counter[7] ^= label;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int ok = context && EVP_EncryptInit_ex(context, EVP_aes_128_ctr(), NULL, key->key, counter) == 1
        && EVP_EncryptUpdate(context, block, &written, zeros, 32) == 1;
    EVP_CIPHER_CTX_free(context);
    if (ok) memcpy(out, block, (size_t)length);
    return ok;
}

static void start_hmac(floor_srtp *srtp, const uint8_t *key) {
    uint8_t block[HMAC_BLOCK_BYTES];
    for (int i = 0; i < HMAC_BLOCK_BYTES; i++) block[i] = (i < HMAC_KEY_BYTES ? key[i] : 0) ^ 0x36;
    SHA1_Init(&srtp->inner);
    SHA1_Update(&srtp->inner, block, sizeof block);
    for (int i = 0; i < HMAC_BLOCK_BYTES; i++) block[i] ^= 0x36 ^ 0x5c;
    SHA1_Init(&srtp->outer);
    SHA1_Update(&srtp->outer, block, sizeof block);
}

static int start_libsrtp(floor_srtp *srtp, floor_key key) {
    // A second srtp_init in one process is refused and harms nothing; srtp_create tells whether one succeeded.
    srtp_init();
    uint8_t master[FLOOR_KEY_BYTES + FLOOR_SALT_BYTES];
    memcpy(master, key.key, FLOOR_KEY_BYTES);
    memcpy(master + FLOOR_KEY_BYTES, key.salt, FLOOR_SALT_BYTES);
    srtp_policy_t policy;
    memset(&policy, 0, sizeof policy);
    if (srtp->profile == FLOOR_PROFILE_GCM) {
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    } else {
        srtp_crypto_policy_set_rtp_default(&policy.rtp);
        srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    }
    policy.ssrc.type = srtp->direction == FLOOR_SENDS ? ssrc_any_outbound : ssrc_any_inbound;
    policy.key = master;
    policy.window_size = 128;
    return srtp_create(&srtp->session, &policy) == srtp_err_status_ok;
}

static int start_evp(floor_srtp *srtp, floor_crypto crypto, floor_key key) {
    uint8_t cipher_key[16], hmac_key[HMAC_KEY_BYTES];
    int is_gcm = srtp->profile == FLOOR_PROFILE_GCM, salt_length = salt_bytes(srtp->profile);
    // Counter mode is its own inverse.
    int encrypts = srtp->direction == FLOOR_SENDS || !is_gcm;
    srtp->cipher = EVP_CIPHER_CTX_new();
    if (!srtp->cipher || !derive(&key, salt_length, 0, cipher_key, sizeof cipher_key)
        || !derive(&key, salt_length, 1, hmac_key, sizeof hmac_key)
        || !derive(&key, salt_length, 2, srtp->salt, salt_length))
        return 0;
    start_hmac(srtp, hmac_key);
    if (is_gcm && crypto == FLOOR_CRYPTO_IPSEC_MB) srtp->gcm = consilium_gcm_create(cipher_key, sizeof cipher_key);
    const EVP_CIPHER *cipher = is_gcm ? EVP_aes_128_gcm() : EVP_aes_128_ctr();
    return EVP_CipherInit_ex(srtp->cipher, cipher, NULL, cipher_key, NULL, encrypts) == 1;
}

floor_srtp *floor_srtp_create(floor_crypto crypto, floor_profile profile, floor_direction direction, floor_key key) {
    floor_srtp *srtp = calloc(1, sizeof *srtp);
    if (!srtp) return NULL;
    srtp->direction = direction;
    srtp->profile = profile;
    if (!(crypto == FLOOR_CRYPTO_LIBSRTP ? start_libsrtp(srtp, key) : start_evp(srtp, crypto, key))) {
        floor_srtp_destroy(srtp);
        return NULL;
    }
    return srtp;
}

void floor_srtp_destroy(floor_srtp *srtp) {
    if (!srtp) return;
    if (srtp->cipher) EVP_CIPHER_CTX_free(srtp->cipher);
    if (srtp->session) srtp_dealloc(srtp->session);
    consilium_gcm_destroy(srtp->gcm);
    free(srtp);
}

static uint64_t index_of(const floor_srtp *srtp, uint16_t sequence) {
    if (!srtp->has_started) return sequence;
    int16_t distance = (int16_t)(sequence - (uint16_t)srtp->highest);
    if (distance < 0 && srtp->highest < (uint64_t)-distance) return sequence;
    return srtp->highest + (int64_t)distance;
}

static void gcm_vector(const floor_srtp *srtp, const uint8_t *header, uint64_t index, uint8_t iv[12]) {
    iv[0] = iv[1] = 0;
    memcpy(iv + 2, header + 8, 4);
    for (int i = 0; i < 6; i++) iv[6 + i] = (uint8_t)(index >> (40 - 8 * i));
    for (int i = 0; i < 12; i++) iv[i] ^= srtp->salt[i];
}

static void cm_vector(const floor_srtp *srtp, const uint8_t *header, uint64_t index, uint8_t iv[16]) {
    memcpy(iv, srtp->salt, FLOOR_SALT_BYTES);
    iv[14] = iv[15] = 0;
    for (int i = 0; i < 4; i++) iv[4 + i] ^= header[8 + i];
    for (int i = 0; i < 6; i++) iv[8 + i] ^= (uint8_t)(index >> (40 - 8 * i));
}

static void cm_tag(const floor_srtp *srtp, const uint8_t *packet, int length, uint64_t index, uint8_t digest[20]) {
    SHA_CTX hash = srtp->inner;
    uint8_t rollover[4] = { (uint8_t)(index >> 40), (uint8_t)(index >> 32), (uint8_t)(index >> 24), (uint8_t)(index >> 16) };
    SHA1_Update(&hash, packet, (size_t)length);
    SHA1_Update(&hash, rollover, sizeof rollover);
    SHA1_Final(digest, &hash);
    hash = srtp->outer;
    SHA1_Update(&hash, digest, 20);
    SHA1_Final(digest, &hash);
}

static int gcm_encrypt(
    floor_srtp *srtp, uint8_t *out, int header_length, const uint8_t *payload, int payload_length, uint64_t index) {
    uint8_t iv[12], *body = out + header_length;
    int written;
    gcm_vector(srtp, out, index, iv);
    if (srtp->gcm) {
        consilium_gcm_seal(
            srtp->gcm, body, payload, (size_t)payload_length, iv, out, (size_t)header_length, body + payload_length);
        return 1;
    }
    return EVP_EncryptInit_ex(srtp->cipher, NULL, NULL, NULL, iv) == 1
        && EVP_EncryptUpdate(srtp->cipher, NULL, &written, out, header_length) == 1
        && EVP_EncryptUpdate(srtp->cipher, body, &written, payload, payload_length) == 1
        && EVP_EncryptFinal_ex(srtp->cipher, body + payload_length, &written) == 1
        && EVP_CIPHER_CTX_ctrl(srtp->cipher, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_BYTES, body + payload_length) == 1;
}

static int cm_encrypt(
    floor_srtp *srtp, uint8_t *out, int header_length, const uint8_t *payload, int payload_length, uint64_t index) {
    uint8_t iv[16], digest[20];
    int written;
    cm_vector(srtp, out, index, iv);
    if (EVP_EncryptInit_ex(srtp->cipher, NULL, NULL, NULL, iv) != 1
        || EVP_EncryptUpdate(srtp->cipher, out + header_length, &written, payload, payload_length) != 1)
        return 0;
    cm_tag(srtp, out, header_length + payload_length, index, digest);
    memcpy(out + header_length + payload_length, digest, CM_TAG_BYTES);
    return 1;
}

int floor_srtp_protect(
    floor_srtp *srtp, const uint8_t *header, int header_length, const uint8_t *payload, int payload_length, uint8_t *out) {
    if (out != header) memcpy(out, header, (size_t)header_length);
    if (srtp->session) {
        if (out + header_length != payload) memmove(out + header_length, payload, (size_t)payload_length);
        int length = header_length + payload_length;
        return srtp_protect(srtp->session, out, &length) == srtp_err_status_ok ? length : -1;
    }
    uint64_t index = index_of(srtp, (uint16_t)(out[2] << 8 | out[3]));
    if (!srtp->has_started || index > srtp->highest) srtp->highest = index;
    srtp->has_started = 1;
    int ok = srtp->profile == FLOOR_PROFILE_GCM
        ? gcm_encrypt(srtp, out, header_length, payload, payload_length, index)
        : cm_encrypt(srtp, out, header_length, payload, payload_length, index);
    return ok ? header_length + payload_length + floor_tag_bytes(srtp->profile) : -1;
}

static int gcm_decrypt(floor_srtp *srtp, uint8_t *packet, int header_length, int payload_length, uint64_t index) {
    uint8_t iv[12], *body = packet + header_length;
    int written;
    gcm_vector(srtp, packet, index, iv);
    if (srtp->gcm)
        return consilium_gcm_open(
            srtp->gcm, body, body, (size_t)payload_length, iv, packet, (size_t)header_length, body + payload_length);
    return EVP_DecryptInit_ex(srtp->cipher, NULL, NULL, NULL, iv) == 1
        && EVP_DecryptUpdate(srtp->cipher, NULL, &written, packet, header_length) == 1
        && EVP_DecryptUpdate(srtp->cipher, body, &written, body, payload_length) == 1
        && EVP_CIPHER_CTX_ctrl(srtp->cipher, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_BYTES, body + payload_length) == 1
        && EVP_DecryptFinal_ex(srtp->cipher, body + payload_length, &written) == 1;
}

static int cm_decrypt(floor_srtp *srtp, uint8_t *packet, int header_length, int payload_length, uint64_t index) {
    uint8_t iv[16], digest[20], *body = packet + header_length;
    int written;
    cm_tag(srtp, packet, header_length + payload_length, index, digest);
    if (CRYPTO_memcmp(digest, body + payload_length, CM_TAG_BYTES) != 0) return 0;
    cm_vector(srtp, packet, index, iv);
    return EVP_EncryptInit_ex(srtp->cipher, NULL, NULL, NULL, iv) == 1
        && EVP_EncryptUpdate(srtp->cipher, body, &written, body, payload_length) == 1;
}

int floor_srtp_unprotect(floor_srtp *srtp, uint8_t *packet, int length) {
    if (srtp->session)
        return srtp_unprotect(srtp->session, packet, &length) == srtp_err_status_ok ? length : -1;
    int tag_bytes = floor_tag_bytes(srtp->profile);
    if (length < 12 + tag_bytes) return -1;
    int header_length = 12 + 4 * (packet[0] & 15);
    if (packet[0] & 16) {
        if (length < header_length + 4) return -1;
        header_length += 4 + 4 * (packet[header_length + 2] << 8 | packet[header_length + 3]);
    }
    int payload_length = length - header_length - tag_bytes;
    if (payload_length < 0) return -1;
    uint64_t index = index_of(srtp, (uint16_t)(packet[2] << 8 | packet[3]));
    uint64_t age = srtp->has_started && index <= srtp->highest ? srtp->highest - index : 0;
    if (srtp->has_started && index <= srtp->highest && (age >= 64 || srtp->window >> age & 1)) return -1;
    if (!(srtp->profile == FLOOR_PROFILE_GCM
              ? gcm_decrypt(srtp, packet, header_length, payload_length, index)
              : cm_decrypt(srtp, packet, header_length, payload_length, index)))
        return -1;
    if (!srtp->has_started || index > srtp->highest) {
        uint64_t step = srtp->has_started ? index - srtp->highest : 64;
        srtp->window = step < 64 ? srtp->window << step | 1 : 1;
        srtp->highest = index;
    } else {
        srtp->window |= (uint64_t)1 << age;
    }
    srtp->has_started = 1;
    return header_length + payload_length;
}
