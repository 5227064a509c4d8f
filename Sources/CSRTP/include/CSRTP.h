// libsrtp2 for Swift.
#ifndef CONSILIUM_CSRTP_H
#define CONSILIUM_CSRTP_H
#include <srtp2/srtp.h>
#endif
