// libvpx for Swift: VP8/VP9 decoders and encoders.
#ifndef CONSILIUM_CVPX_H
#define CONSILIUM_CVPX_H
#include <vpx/vpx_decoder.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_encoder.h>
#include <vpx/vp8cx.h>
#endif
