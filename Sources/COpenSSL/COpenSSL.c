#include "COpenSSL.h"
#include <string.h>

static int datagram_write(BIO *bio, const char *bytes, int length) {
    consilium_datagram_io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (length <= 0) return 0;
    uint16_t prefix = (uint16_t)length;
    if (length > UINT16_MAX || io->output_capacity - io->output_length < length + (int)sizeof prefix) {
        // As on a network: what does not fit is lost, and sent again when the timer says so.
        io->output_dropped++;
        return length;
    }
    memcpy(io->output + io->output_length, &prefix, sizeof prefix);
    memcpy(io->output + io->output_length + sizeof prefix, bytes, (size_t)length);
    io->output_length += (int)sizeof prefix + length;
    return length;
}

static int datagram_read(BIO *bio, char *bytes, int capacity) {
    consilium_datagram_io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (io->input_length <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    int length = io->input_length < capacity ? io->input_length : capacity;
    memcpy(bytes, io->input, (size_t)length);
    io->input_length = 0;
    return length;
}

static long datagram_ctrl(BIO *bio, int command, long number, void *pointer) {
    consilium_datagram_io *io = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return io->mtu;
    case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT: {
        struct timeval *expiry = pointer;
        io->timer_armed = expiry->tv_sec != 0 || expiry->tv_usec != 0;
        if (io->timer_armed) io->timer_starts++;
        else io->timer_stops++;
        // From 3.2 on this is a pointer to a copy on the stack.
        io->timer = OpenSSL_version_num() < 0x30200000UL ? expiry : NULL;
        return 1;
    }
    default:
        return 0;
    }
}

static BIO_METHOD *datagram_method(void) {
    static BIO_METHOD *method;
    BIO_METHOD *known = __atomic_load_n(&method, __ATOMIC_ACQUIRE);
    if (known) return known;
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "consilium datagrams");
    if (!made) return NULL;
    BIO_meth_set_write(made, datagram_write);
    BIO_meth_set_read(made, datagram_read);
    BIO_meth_set_ctrl(made, datagram_ctrl);
    if (!__atomic_compare_exchange_n(&method, &known, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        BIO_meth_free(made);
        return known;
    }
    return made;
}

// Our own schedule decides about retransmission (in virtual time in the tests), so OpenSSL's wall clock timer is set
// far away. Versions that do not let us move it fall back to a wall clock timer a little shorter than our first one.
static unsigned int next_timer(SSL *ssl, unsigned int previous) {
    (void)ssl;
    if (OpenSSL_version_num() < 0x30200000UL) return 3600u * 1000u * 1000u;
    if (previous == 0) return 40u * 1000u;
    return previous >= 1600u * 1000u ? previous : previous * 2;
}

int consilium_dtls_retransmit(SSL *ssl, consilium_datagram_io *io) {
    if (io->timer_armed && io->timer) {
        io->timer->tv_sec = 1;
        io->timer->tv_usec = 0;
    }
    return (int)DTLSv1_handle_timeout(ssl);
}

int consilium_ssl_attach(SSL *ssl, consilium_datagram_io *io) {
    BIO_METHOD *method = datagram_method();
    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio) return 0;
    BIO_set_data(bio, io);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_mtu(ssl, io->mtu);
    DTLS_set_timer_cb(ssl, next_timer);
    return SSL_set_app_data(ssl, io);
}

static int verify_fingerprint(X509_STORE_CTX *store, void *unused) {
    (void)unused;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    consilium_datagram_io *io = ssl ? SSL_get_app_data(ssl) : NULL;
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (io && certificate && io->fingerprint_length > 0 &&
        X509_digest(certificate, io->fingerprint_digest, hash, &length) == 1 && length == io->fingerprint_length &&
        CRYPTO_memcmp(hash, io->fingerprint, length) == 0) {
        io->fingerprint_verified = 1;
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    if (io) io->fingerprint_refused = 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

void consilium_ssl_ctx_verify_fingerprints(SSL_CTX *context) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, verify_fingerprint, NULL);
}
