// libopus for Swift.
#ifndef CONSILIUM_COPUS_H
#define CONSILIUM_COPUS_H
#include <opus/opus.h>
#endif
