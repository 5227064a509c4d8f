// zlib for Swift.
#ifndef CONSILIUM_CZLIB_H
#define CONSILIUM_CZLIB_H
#include <zlib.h>
#endif
