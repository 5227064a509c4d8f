// Big-endian reads for the container readers; the caller has checked the length.

func bigEndian16(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt16 {
    UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])
}

func bigEndian32(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
    UInt32(bigEndian16(bytes, at)) << 16 | UInt32(bigEndian16(bytes, at + 2))
}
