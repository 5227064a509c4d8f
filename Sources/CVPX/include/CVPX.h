// libvpx for Swift: VP8/VP9 decoders and encoders, and the macros and variadic calls that Swift does not see.
#ifndef CONSILIUM_CVPX_H
#define CONSILIUM_CVPX_H
#include <vpx/vpx_decoder.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_encoder.h>
#include <vpx/vp8cx.h>

static inline vpx_codec_err_t consilium_vpx_decoder_init(vpx_codec_ctx_t *context, vpx_codec_iface_t *codec) {
    return vpx_codec_dec_init_ver(context, codec, 0, 0, VPX_DECODER_ABI_VERSION);
}

static inline vpx_codec_err_t consilium_vpx_encoder_init(
    vpx_codec_ctx_t *context, vpx_codec_iface_t *codec, const vpx_codec_enc_cfg_t *configuration) {
    return vpx_codec_enc_init_ver(context, codec, configuration, 0, VPX_ENCODER_ABI_VERSION);
}

static inline vpx_codec_err_t consilium_vpx_set_speed(vpx_codec_ctx_t *context, int speed) {
    return vpx_codec_control_(context, VP8E_SET_CPUUSED, speed);
}

/* The packet's frame, where Swift would have to go through an anonymous union. */
static inline const void *consilium_vpx_frame(const vpx_codec_cx_pkt_t *packet, size_t *size, int *is_key) {
    if (packet->kind != VPX_CODEC_CX_FRAME_PKT) return 0;
    *size = packet->data.frame.sz;
    *is_key = (packet->data.frame.flags & VPX_FRAME_IS_KEY) != 0;
    return packet->data.frame.buf;
}
#endif
