// SRTP for the floor: AEAD_AES_128_GCM (RFC 7714) on OpenSSL with reused contexts, or on libsrtp2.
#include "CForwardFloor.h"

#include <openssl/evp.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

struct floor_srtp {
    floor_direction direction;
    EVP_CIPHER_CTX *cipher;
    uint8_t salt[FLOOR_SALT_BYTES];
    srtp_t session;
    // Highest packet index seen, and which of the 64 before it.
    uint64_t highest;
    uint64_t window;
    int has_started;
};

static int derive(const floor_key *key, uint8_t label, uint8_t *out, int length) {
    uint8_t counter[16] = { 0 }, zeros[16] = { 0 }, block[32];
    int written = 0;
    memcpy(counter, key->salt, FLOOR_SALT_BYTES);
    counter[7] ^= label;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int ok = context && EVP_EncryptInit_ex(context, EVP_aes_128_ctr(), NULL, key->key, counter) == 1
        && EVP_EncryptUpdate(context, block, &written, zeros, 16) == 1;
    EVP_CIPHER_CTX_free(context);
    if (ok) memcpy(out, block, (size_t)length);
    return ok;
}

floor_srtp *floor_srtp_create(floor_crypto crypto, floor_direction direction, floor_key key) {
    floor_srtp *srtp = calloc(1, sizeof *srtp);
    if (!srtp) return NULL;
    srtp->direction = direction;
    if (crypto == FLOOR_CRYPTO_LIBSRTP) {
        // A second srtp_init in one process is refused and harms nothing; srtp_create tells whether one succeeded.
        srtp_init();
        uint8_t master[FLOOR_KEY_BYTES + FLOOR_SALT_BYTES];
        memcpy(master, key.key, FLOOR_KEY_BYTES);
        memcpy(master + FLOOR_KEY_BYTES, key.salt, FLOOR_SALT_BYTES);
        srtp_policy_t policy;
        memset(&policy, 0, sizeof policy);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
        policy.ssrc.type = direction == FLOOR_SENDS ? ssrc_any_outbound : ssrc_any_inbound;
        policy.key = master;
        policy.window_size = 128;
        if (srtp_create(&srtp->session, &policy) != srtp_err_status_ok) {
            free(srtp);
            return NULL;
        }
        return srtp;
    }
    uint8_t cipher_key[16];
    srtp->cipher = EVP_CIPHER_CTX_new();
    int encrypts = direction == FLOOR_SENDS;
    if (!srtp->cipher || !derive(&key, 0, cipher_key, 16) || !derive(&key, 2, srtp->salt, FLOOR_SALT_BYTES)
        || EVP_CipherInit_ex(srtp->cipher, EVP_aes_128_gcm(), NULL, NULL, NULL, encrypts) != 1
        || EVP_CIPHER_CTX_ctrl(srtp->cipher, EVP_CTRL_AEAD_SET_IVLEN, FLOOR_SALT_BYTES, NULL) != 1
        || EVP_CipherInit_ex(srtp->cipher, NULL, NULL, cipher_key, NULL, encrypts) != 1) {
        floor_srtp_destroy(srtp);
        return NULL;
    }
    return srtp;
}

void floor_srtp_destroy(floor_srtp *srtp) {
    if (!srtp) return;
    if (srtp->cipher) EVP_CIPHER_CTX_free(srtp->cipher);
    if (srtp->session) srtp_dealloc(srtp->session);
    free(srtp);
}

static uint64_t index_of(const floor_srtp *srtp, uint16_t sequence) {
    if (!srtp->has_started) return sequence;
    int16_t distance = (int16_t)(sequence - (uint16_t)srtp->highest);
    if (distance < 0 && srtp->highest < (uint64_t)-distance) return sequence;
    return srtp->highest + (int64_t)distance;
}

static void nonce(const floor_srtp *srtp, const uint8_t *header, uint64_t index, uint8_t iv[12]) {
    iv[0] = iv[1] = 0;
    memcpy(iv + 2, header + 8, 4);
    for (int i = 0; i < 6; i++) iv[6 + i] = (uint8_t)(index >> (40 - 8 * i));
    for (int i = 0; i < 12; i++) iv[i] ^= srtp->salt[i];
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
    uint8_t iv[12];
    nonce(srtp, out, index, iv);
    int written;
    uint8_t *body = out + header_length;
    if (EVP_EncryptInit_ex(srtp->cipher, NULL, NULL, NULL, iv) != 1
        || EVP_EncryptUpdate(srtp->cipher, NULL, &written, out, header_length) != 1
        || EVP_EncryptUpdate(srtp->cipher, body, &written, payload, payload_length) != 1
        || EVP_EncryptFinal_ex(srtp->cipher, body + payload_length, &written) != 1
        || EVP_CIPHER_CTX_ctrl(srtp->cipher, EVP_CTRL_AEAD_GET_TAG, FLOOR_TAG_BYTES, body + payload_length) != 1)
        return -1;
    return header_length + payload_length + FLOOR_TAG_BYTES;
}

int floor_srtp_unprotect(floor_srtp *srtp, uint8_t *packet, int length) {
    if (srtp->session)
        return srtp_unprotect(srtp->session, packet, &length) == srtp_err_status_ok ? length : -1;
    if (length < 12 + FLOOR_TAG_BYTES) return -1;
    int header_length = 12 + 4 * (packet[0] & 15);
    if (packet[0] & 16) {
        if (length < header_length + 4) return -1;
        header_length += 4 + 4 * (packet[header_length + 2] << 8 | packet[header_length + 3]);
    }
    int payload_length = length - header_length - FLOOR_TAG_BYTES;
    if (payload_length < 0) return -1;
    uint64_t index = index_of(srtp, (uint16_t)(packet[2] << 8 | packet[3]));
    uint64_t age = srtp->has_started && index <= srtp->highest ? srtp->highest - index : 0;
    if (srtp->has_started && index <= srtp->highest && (age >= 64 || srtp->window >> age & 1)) return -1;
    uint8_t iv[12];
    nonce(srtp, packet, index, iv);
    int written;
    uint8_t *body = packet + header_length;
    if (EVP_DecryptInit_ex(srtp->cipher, NULL, NULL, NULL, iv) != 1
        || EVP_DecryptUpdate(srtp->cipher, NULL, &written, packet, header_length) != 1
        || EVP_DecryptUpdate(srtp->cipher, body, &written, body, payload_length) != 1
        || EVP_CIPHER_CTX_ctrl(srtp->cipher, EVP_CTRL_AEAD_SET_TAG, FLOOR_TAG_BYTES, body + payload_length) != 1
        || EVP_DecryptFinal_ex(srtp->cipher, body + payload_length, &written) != 1)
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
