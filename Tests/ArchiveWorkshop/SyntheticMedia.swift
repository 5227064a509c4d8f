// Makes real VP8 and Opus with libvpx and libopus: a picture that flashes and a tone that beeps at the same moments.

import COpus
import CVPX
import Foundation

/// Once a second, for a tenth of a second, at the middle of the second.
package enum FlashAndBeep {
    package static func isOn(nanoseconds: Int64) -> Bool {
        let phase = nanoseconds % 1_000_000_000
        return phase >= 500_000_000 && phase < 600_000_000
    }
}

/// VP8 (or VP9) pictures: grey, white while the flash is on, with a moving bar so that no two are alike.
package final class SyntheticCamera {
    package let width: Int
    package let height: Int
    private var context = vpx_codec_ctx_t()
    private var image: UnsafeMutablePointer<vpx_image_t>
    private var count: Int64 = 0

    package init(width: Int = 192, height: Int = 108, vp9: Bool = false, kilobits: UInt32 = 200) {
        self.width = width
        self.height = height
        var configuration = vpx_codec_enc_cfg_t()
        let codec = vp9 ? vpx_codec_vp9_cx() : vpx_codec_vp8_cx()
        precondition(vpx_codec_enc_config_default(codec, &configuration, 0) == VPX_CODEC_OK)
        configuration.g_w = UInt32(width)
        configuration.g_h = UInt32(height)
        configuration.g_timebase = vpx_rational(num: 1, den: 90_000)
        configuration.rc_target_bitrate = kilobits
        configuration.g_lag_in_frames = 0
        configuration.g_error_resilient = 1
        configuration.kf_mode = VPX_KF_DISABLED
        configuration.g_threads = 1
        precondition(consilium_vpx_encoder_init(&context, codec, &configuration) == VPX_CODEC_OK)
        _ = consilium_vpx_set_speed(&context, vp9 ? 8 : 12)
        image = vpx_img_alloc(nil, VPX_IMG_FMT_I420, UInt32(width), UInt32(height), 16)
    }

    deinit {
        vpx_codec_destroy(&context)
        vpx_img_free(image)
    }

    /// The picture of this moment.
    package func frame(at nanoseconds: Int64, key: Bool) -> [UInt8] {
        let luma: UInt8 = FlashAndBeep.isOn(nanoseconds: nanoseconds) ? 235 : 60
        let planes = image.pointee
        for row in 0..<height { memset(planes.planes.0! + row * Int(planes.stride.0), Int32(luma), width) }
        for row in 0..<(height + 1) / 2 {
            memset(planes.planes.1! + row * Int(planes.stride.1), 128, (width + 1) / 2)
            memset(planes.planes.2! + row * Int(planes.stride.2), 128, (width + 1) / 2)
        }
        let bar = Int(count * 4) % max(1, width - 8)
        for row in 0..<min(16, height) { memset(planes.planes.0! + row * Int(planes.stride.0) + bar, 200, 8) }
        count += 1
        let time = Int64(count) * 3000
        let flags = key ? vpx_enc_frame_flags_t(VPX_EFLAG_FORCE_KF) : 0
        precondition(vpx_codec_encode(&context, image, time, 3000, flags, UInt(VPX_DL_REALTIME)) == VPX_CODEC_OK)
        var position: vpx_codec_iter_t?
        var bytes: [UInt8] = []
        while let packet = vpx_codec_get_cx_data(&context, &position) {
            var size = 0
            var isKey: Int32 = 0
            guard let data = consilium_vpx_frame(packet, &size, &isKey) else { continue }
            bytes += UnsafeRawBufferPointer(start: data, count: size)
        }
        return bytes
    }
}

/// 20 ms Opus packets: silence, and 1 kHz while the beep is on.
package final class SyntheticMicrophone {
    private let encoder: OpaquePointer
    private var sample: Int64 = 0

    package init() {
        var error: Int32 = 0
        encoder = opus_encoder_create(48_000, 1, OPUS_APPLICATION_VOIP, &error)!
        _ = consilium_opus_encoder_set_bitrate(encoder, 32_000)
    }

    deinit { opus_encoder_destroy(encoder) }

    /// The packet that begins at this moment.
    package func packet(at nanoseconds: Int64) -> [UInt8] {
        var samples = [Int16](repeating: 0, count: 960)
        for index in samples.indices {
            let time = nanoseconds + Int64(index) * 1_000_000_000 / 48_000
            guard FlashAndBeep.isOn(nanoseconds: time) else { continue }
            samples[index] = Int16(12_000 * sin(2 * Double.pi * 1000 * Double(time % 1_000_000_000) / 1e9))
        }
        var bytes = [UInt8](repeating: 0, count: 1500)
        let count = opus_encode(encoder, samples, 960, &bytes, Int32(bytes.count))
        precondition(count > 0)
        return Array(bytes.prefix(Int(count)))
    }
}

/// Repeatable chance (SplitMix64).
package struct Chance: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    package mutating func happens(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &self) < probability
    }
}
