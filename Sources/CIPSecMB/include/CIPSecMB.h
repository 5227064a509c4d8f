// AES-GCM in one call, by Intel's Multi-Buffer Crypto library (libipsec-mb), which exists for x86-64.
#ifndef CONSILIUM_CIPSECMB_H
#define CONSILIUM_CIPSECMB_H

#include <stddef.h>
#include <stdint.h>

enum { CONSILIUM_GCM_TAG_BYTES = 16, CONSILIUM_GCM_VECTOR_BYTES = 12 };

// One key, expanded for the best instructions that this processor has. Good for any number of threads.
typedef struct consilium_gcm consilium_gcm;

// NULL on other processors, for keys that are not 16 or 32 bytes, and where the library's own test fails.
consilium_gcm *consilium_gcm_create(const uint8_t *key, size_t key_bytes);
// Wipes the key.
void consilium_gcm_destroy(consilium_gcm *gcm);

// Encrypts `length` bytes from `in` to `out`, which may be the same place, and writes the tag of 16 bytes.
void consilium_gcm_seal(
    const consilium_gcm *gcm, uint8_t *out, const uint8_t *in, size_t length, const uint8_t *vector,
    const uint8_t *associated, size_t associated_length, uint8_t *tag);
// The reverse; 0 when the tag is another one. What `out` holds then means nothing.
int consilium_gcm_open(
    const consilium_gcm *gcm, uint8_t *out, const uint8_t *in, size_t length, const uint8_t *vector,
    const uint8_t *associated, size_t associated_length, const uint8_t *tag);

#endif
