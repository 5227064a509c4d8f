// libwebsockets with its libuv event loop, for Swift.
#ifndef CONSILIUM_CWEBSOCKETS_H
#define CONSILIUM_CWEBSOCKETS_H
#include <uv.h>
#include <libwebsockets.h>
#endif
