// libopus for Swift: the headers, and the variadic control calls that are needed as plain functions.
#ifndef CONSILIUM_COPUS_H
#define CONSILIUM_COPUS_H
#include <opus/opus.h>

static inline int consilium_opus_encoder_set_bitrate(OpusEncoder *encoder, opus_int32 bits_per_second) {
    return opus_encoder_ctl(encoder, OPUS_SET_BITRATE(bits_per_second));
}
#endif
