// Native frame bytes to samples: masked, shifted and sign-extended to Bits Stored (PS3.5 8.1.1).

package enum NativeSamples {
    /// One grey sample per pixel as 16 bits; signed values in two's complement. For 1, 8 and 16 bits allocated.
    ///
    /// `bytes` are those of `byteRange(ofFrame: frame)`.
    package static func grey(_ bytes: [UInt8], _ description: PixelDescription, frame: Int) -> [UInt16] {
        let count = description.pixels
        precondition(bytes.count == description.byteRange(ofFrame: frame).count && description.samplesPerPixel == 1)
        let above = UInt16(15 - description.highBit)
        let unused = UInt16(16 - description.bitsStored)
        return [UInt16](unsafeUninitializedCapacity: count) { samples, initialized in
            switch description.bitsAllocated {
            case 1:
                let firstBit = frame * description.frameBits % 8
                for index in 0..<count {
                    let bit = firstBit + index
                    samples[index] = UInt16(bytes[bit >> 3] >> UInt8(bit & 7) & 1)
                }
            case 8:
                for index in 0..<count { samples[index] = UInt16(bytes[index]) }
            default:
                for index in 0..<count {
                    samples[index] = UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8
                }
            }
            // To the top and back: drops what lies above High Bit and below the stored bits, and extends the sign.
            if description.isSigned {
                for index in 0..<count {
                    let top = Int16(bitPattern: samples[index] << above)
                    samples[index] = UInt16(bitPattern: top >> Int16(unused))
                }
            } else if unused > 0 {
                for index in 0..<count {
                    let top = samples[index] << above
                    samples[index] = top >> unused
                }
            }
            initialized = count
        }
    }

    /// Three bytes per pixel, colour by pixel. For RGB of 8 bits.
    package static func rgb(_ bytes: [UInt8], _ description: PixelDescription) -> [UInt8] {
        let count = description.pixels
        precondition(bytes.count == 3 * count && description.bitsAllocated == 8)
        guard description.isPlanar else { return bytes }
        return [UInt8](unsafeUninitializedCapacity: 3 * count) { samples, initialized in
            for index in 0..<count {
                samples[3 * index] = bytes[index]
                samples[3 * index + 1] = bytes[count + index]
                samples[3 * index + 2] = bytes[2 * count + index]
            }
            initialized = 3 * count
        }
    }

    /// One frame as tools print and compare it: little endian, colour by pixel, grey masked and sign-extended into the
    /// allocated bytes (1 bit as one byte), YBR_FULL_422 with its chroma repeated. Nothing is converted to RGB.
    package static func bytes(_ bytes: [UInt8], _ description: PixelDescription, frame: Int) -> [UInt8] {
        if description.photometric == .ybrFull422 { return upsampled(bytes, pixels: description.pixels) }
        if description.samplesPerPixel == 3 {
            return description.bitsAllocated == 8 ? rgb(bytes, description) : bytes
        }
        switch description.bitsAllocated {
        case 1, 8: return grey(bytes, description, frame: frame).map { UInt8(truncatingIfNeeded: $0) }
        case 16:
            return grey(bytes, description, frame: frame).flatMap {
                [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)]
            }
        default: return bytes
        }
    }

    /// Y1 Y2 Cb Cr → Y1 Cb Cr, Y2 Cb Cr (PS3.3 C.7.6.3.1.2).
    private static func upsampled(_ bytes: [UInt8], pixels: Int) -> [UInt8] {
        var samples: [UInt8] = []
        samples.reserveCapacity(3 * pixels)
        for start in stride(from: 0, to: bytes.count - 3, by: 4) {
            samples += [bytes[start], bytes[start + 2], bytes[start + 3]]
            samples += [bytes[start + 1], bytes[start + 2], bytes[start + 3]]
        }
        return samples
    }
}
