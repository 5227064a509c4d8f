// Decodes single VP8 and VP9 key frames with libvpx into small RGB pictures.

import CVPX

/// 8-bit RGB, rows from the top.
struct SmallPicture {
    var width: Int
    var height: Int
    var pixels: [UInt8]

    /// How much there is to see: the spread of brightness. A black or grey picture has next to none.
    var contrast: Double {
        guard !pixels.isEmpty else { return 0 }
        var sum = 0
        var squares = 0
        var count = 0
        for index in stride(from: 1, to: pixels.count, by: 3) {
            let value = Int(pixels[index])
            sum += value
            squares += value * value
            count += 1
        }
        let mean = Double(sum) / Double(max(1, count))
        return Double(squares) / Double(max(1, count)) - mean * mean
    }
}

/// One decoder; confined to one thread.
final class PictureDecoder {
    private var context = vpx_codec_ctx_t()
    private let isOpen: Bool

    init?(codec: MediaFormat.Codec) {
        let interface: OpaquePointer?
        switch codec {
        case .vp8: interface = vpx_codec_vp8_dx()
        case .vp9: interface = vpx_codec_vp9_dx()
        case .av1, .h264, .opus: return nil
        }
        isOpen = consilium_vpx_decoder_init(&context, interface) == VPX_CODEC_OK
        if !isOpen { return nil }
    }

    deinit { if isOpen { vpx_codec_destroy(&context) } }

    /// Pictures no wider than each of `widths`, of one key frame; empty when it cannot be decoded.
    func decode(_ frame: UnsafeRawBufferPointer, widths: [Int]) -> [SmallPicture] {
        guard let data = frame.bindMemory(to: UInt8.self).baseAddress,
            vpx_codec_decode(&context, data, UInt32(clamping: frame.count), nil, 0) == VPX_CODEC_OK
        else { return [] }
        var position: vpx_codec_iter_t?
        var last: UnsafeMutablePointer<vpx_image_t>?
        while let image = vpx_codec_get_frame(&context, &position) { last = image }
        guard let image = last?.pointee, image.fmt == VPX_IMG_FMT_I420, image.d_w > 0, image.d_h > 0 else { return [] }
        return widths.map { Self.scale(image, width: min($0, Int(image.d_w))) }
    }

    /// Mean of the luma samples below each pixel, nearest chroma, BT.601.
    private static func scale(_ image: vpx_image_t, width: Int) -> SmallPicture {
        let sourceWidth = Int(image.d_w)
        let sourceHeight = Int(image.d_h)
        let height = max(1, (sourceHeight * width + sourceWidth / 2) / sourceWidth)
        guard let luma = image.planes.0, let blue = image.planes.1, let red = image.planes.2 else {
            return SmallPicture(width: 0, height: 0, pixels: [])
        }
        let (lumaStride, blueStride, redStride) = (Int(image.stride.0), Int(image.stride.1), Int(image.stride.2))
        var pixels: [UInt8] = []
        pixels.reserveCapacity(width * height * 3)
        for row in 0..<height {
            let top = row * sourceHeight / height
            let bottom = max(top + 1, (row + 1) * sourceHeight / height)
            for column in 0..<width {
                let left = column * sourceWidth / width
                let right = max(left + 1, (column + 1) * sourceWidth / width)
                var sum = 0
                for y in top..<bottom {
                    for x in left..<right { sum += Int(luma[y * lumaStride + x]) }
                }
                let brightness = 298 * (sum / ((bottom - top) * (right - left)) - 16)
                let u = Int(blue[(top + bottom) / 4 * blueStride + (left + right) / 4]) - 128
                let v = Int(red[(top + bottom) / 4 * redStride + (left + right) / 4]) - 128
                pixels.append(UInt8(clamping: (brightness + 409 * v + 128) >> 8))
                pixels.append(UInt8(clamping: (brightness - 100 * u - 208 * v + 128) >> 8))
                pixels.append(UInt8(clamping: (brightness + 516 * u + 128) >> 8))
            }
        }
        return SmallPicture(width: width, height: height, pixels: pixels)
    }
}
