// OpenSSL 3 for Swift: the headers, function-like macros as inline functions, and a datagram BIO.
#ifndef CONSILIUM_COPENSSL_H
#define CONSILIUM_COPENSSL_H
// SHA1_Update and friends are called with saved states, which the EVP interface cannot do without allocating.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <sys/time.h>

// What a datagram BIO reads from and writes to. Memory belongs to the caller and outlives the SSL.
typedef struct consilium_datagram_io {
    // One datagram in; consumed by one read.
    const unsigned char *input;
    int input_length;
    // Datagrams out, each behind its length as a native uint16_t.
    unsigned char *output;
    int output_length;
    int output_capacity;
    // Datagrams that did not fit into the output.
    int output_dropped;
    int mtu;
    // OpenSSL's retransmission timer: set while a flight waits for its answer.
    int timer_armed;
    int timer_starts;
    int timer_stops;
    // Where OpenSSL 3.0 and 3.1 keep the expiry; NULL with versions that hand over a copy.
    struct timeval *timer;
    // What the peer's certificate must hash to, and whether it did.
    const EVP_MD *fingerprint_digest;
    unsigned char fingerprint[EVP_MAX_MD_SIZE];
    unsigned int fingerprint_length;
    int fingerprint_verified;
    int fingerprint_refused;
} consilium_datagram_io;

// Gives ssl one BIO for both directions over io, and binds the certificate check to io. Returns 1 on success.
int consilium_ssl_attach(SSL *ssl, consilium_datagram_io *io);

// The context's certificate check: a peer's certificate is accepted by its fingerprint and by nothing else.
void consilium_ssl_ctx_verify_fingerprints(SSL_CTX *context);

// Sends the last flight again, whatever the wall clock says. Returns what DTLSv1_handle_timeout returns.
int consilium_dtls_retransmit(SSL *ssl, consilium_datagram_io *io);

static inline int consilium_ssl_ctx_set_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version) && SSL_CTX_set_max_proto_version(context, version);
}

static inline void consilium_ssl_ctx_set_options(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(context, 16384);
}

static inline int consilium_ssl_ctx_set_groups(SSL_CTX *context, const char *groups) {
    return (int)SSL_CTX_set1_groups_list(context, groups);
}

static inline void consilium_ssl_set_mtu(SSL *ssl, long mtu) {
    SSL_set_mtu(ssl, mtu);
}

static inline EVP_PKEY *consilium_generate_ec(const char *curve) {
    return EVP_EC_gen(curve);
}

static inline EVP_PKEY *consilium_generate_rsa(unsigned int bits) {
    return EVP_RSA_gen(bits);
}

static inline const char *consilium_cipher_name(SSL *ssl) {
    return SSL_get_cipher_name(ssl);
}

#endif
