// Writes 8-bit RGB pixels as a PNG file (ISO/IEC 15948), deflated by zlib.

import CZlib

enum PNG {
    /// `pixels` are rows of 3 bytes a pixel. Nil when the sizes do not fit or zlib refuses.
    static func encode(_ pixels: [UInt8], width: Int, height: Int) -> [UInt8]? {
        guard width > 0, height > 0, pixels.count == width * height * 3 else { return nil }
        var filtered: [UInt8] = []
        filtered.reserveCapacity(pixels.count + height)
        for row in 0..<height {
            let start = row * width * 3
            // Filter "sub": photographs compress better as differences to the left neighbour.
            filtered.append(1)
            for index in start..<start + width * 3 {
                filtered.append(index - start < 3 ? pixels[index] : pixels[index] &- pixels[index - 3])
            }
        }
        var length = compressBound(uLong(filtered.count))
        var compressed = [UInt8](repeating: 0, count: Int(length))
        guard compress2(&compressed, &length, filtered, uLong(filtered.count), 6) == Z_OK else { return nil }
        compressed.removeLast(compressed.count - Int(length))

        let header = big32(width) + big32(height) + [8, 2, 0, 0, 0]
        return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", header) + chunk("IDAT", compressed)
            + chunk("IEND", [])
    }

    private static func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + content
        return big32(content.count) + body + big32(Int(crc32(of: body)))
    }

    private static func big32(_ value: Int) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }
}
