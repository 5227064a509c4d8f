// libwebsockets with its libuv event loop, for Swift: the headers, and the macros that Swift cannot import.
#ifndef CONSILIUM_CWEBSOCKETS_H
#define CONSILIUM_CWEBSOCKETS_H
#include <uv.h>
#include <libwebsockets.h>

enum {
    CWS_WRITE_HEADROOM = LWS_PRE,
    // The write type of a close frame: libwebsockets uses it itself and leaves this number out of its public list.
    CWS_WRITE_CLOSE = 4,
    CWS_LOG_ERROR = LLL_ERR,
    CWS_LOG_WARNING = LLL_WARN,
};

static inline uint64_t cws_options_plain(void) {
    return LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
           LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
           LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS | LWS_SERVER_OPTION_NO_LWS_SYSTEM_STATES |
           LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME;
}

static inline uint64_t cws_options_tls(void) {
    return cws_options_plain() | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_SSL_ECDH;
}

// TLS 1.2 and later; no compression, no renegotiation; the server's order of ciphers.
static inline long cws_tls_options(void) {
    return (long)(SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_COMPRESSION |
                  SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
}

static inline uint64_t cws_option_no_ipv6(void) { return LWS_SERVER_OPTION_DISABLE_IPV6; }
#endif
