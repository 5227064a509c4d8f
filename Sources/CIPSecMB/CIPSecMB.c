// AES-GCM on libipsec-mb: one call a packet, where OpenSSL's interface takes five and looks up parameters by name.
#include "CIPSecMB.h"

#if defined(__x86_64__)

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct consilium_gcm {
    struct gcm_key_data key;
    aes_gcm_enc_dec_t seal, open;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static IMB_MGR *manager;

// The manager stays for the life of the process: it is a table of functions, chosen by what the processor can do.
static void choose(void) {
    IMB_MGR *made = alloc_mb_mgr(0);
    if (!made) return;
    init_mb_mgr_auto(made, NULL);
    if (imb_get_errno(made) == 0 && (made->features & IMB_FEATURE_SELF_TEST_PASS)) {
        manager = made;
    } else {
        free_mb_mgr(made);
    }
}

consilium_gcm *consilium_gcm_create(const uint8_t *key, size_t key_bytes) {
    pthread_once(&once, choose);
    if (!manager || (key_bytes != 16 && key_bytes != 32)) return NULL;
    consilium_gcm *gcm = aligned_alloc(64, sizeof *gcm);
    if (!gcm) return NULL;
    if (key_bytes == 16) {
        IMB_AES128_GCM_PRE(manager, key, &gcm->key);
        gcm->seal = manager->gcm128_enc;
        gcm->open = manager->gcm128_dec;
    } else {
        IMB_AES256_GCM_PRE(manager, key, &gcm->key);
        gcm->seal = manager->gcm256_enc;
        gcm->open = manager->gcm256_dec;
    }
    return gcm;
}

void consilium_gcm_destroy(consilium_gcm *gcm) {
    if (!gcm) return;
    imb_clear_mem(gcm, sizeof *gcm);
    free(gcm);
}

void consilium_gcm_seal(
    const consilium_gcm *gcm, uint8_t *out, const uint8_t *in, size_t length, const uint8_t *vector,
    const uint8_t *associated, size_t associated_length, uint8_t *tag) {
    struct gcm_context_data context;
    gcm->seal(
        &gcm->key, &context, out, in, length, vector, associated, associated_length, tag, CONSILIUM_GCM_TAG_BYTES);
}

int consilium_gcm_open(
    const consilium_gcm *gcm, uint8_t *out, const uint8_t *in, size_t length, const uint8_t *vector,
    const uint8_t *associated, size_t associated_length, const uint8_t *tag) {
    struct gcm_context_data context;
    uint64_t expected[2], given[2];
    gcm->open(
        &gcm->key, &context, out, in, length, vector, associated, associated_length, (uint8_t *)expected,
        CONSILIUM_GCM_TAG_BYTES);
    memcpy(given, tag, sizeof given);
    // Without a branch on a part of it: how much of a forged tag is right must not show.
    return ((expected[0] ^ given[0]) | (expected[1] ^ given[1])) == 0;
}

#else

consilium_gcm *consilium_gcm_create(const uint8_t *key, size_t key_bytes) { return NULL; }
void consilium_gcm_destroy(consilium_gcm *gcm) {}
void consilium_gcm_seal(
    const consilium_gcm *gcm, uint8_t *out, const uint8_t *in, size_t length, const uint8_t *vector,
    const uint8_t *associated, size_t associated_length, uint8_t *tag) {}
int consilium_gcm_open(
    const consilium_gcm *gcm, uint8_t *out, const uint8_t *in, size_t length, const uint8_t *vector,
    const uint8_t *associated, size_t associated_length, const uint8_t *tag) {
    return 0;
}

#endif
