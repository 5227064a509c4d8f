// Linux calls that the Glibc module hides from Swift: epoll, eventfd, recvmmsg/sendmmsg, UDP GRO/GSO control messages.
#ifndef CONSILIUM_CLINUX_H
#define CONSILIUM_CLINUX_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif
