// OpenSSL 3 for Swift: the headers, and function-like macros as inline functions.
#ifndef CONSILIUM_COPENSSL_H
#define CONSILIUM_COPENSSL_H
#include <openssl/ssl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/pem.h>
#endif
