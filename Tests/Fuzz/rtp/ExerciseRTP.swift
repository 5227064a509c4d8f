// What must hold for any bytes given to the RTP header reader. The fuzzer and the replay of its corpus both call this.

import WireFormats

func exerciseRTP(_ bytes: UnsafeRawBufferPointer) {
    _ = RTPHeader.isRTCP(bytes)
    guard let header = RTPHeader(bytes) else { return }
    precondition(header.headerLength >= RTPHeader.fixedLength && header.payloadLength >= 0)
    precondition(header.headerLength + header.payloadLength + Int(header.paddingLength) == bytes.count)
    precondition(header.extensionOffset + header.extensionLength <= header.headerLength)
    var elements = HeaderExtensionElements(header, in: bytes)
    var found: [HeaderExtensionElement] = []
    while let element = elements.next() {
        precondition(element.offset + element.length <= header.headerLength, "an element beyond the header")
        found.append(element)
    }
    rewrite(bytes, header)
    writeAgain(bytes, header, found)
}

private func rewrite(_ bytes: UnsafeRawBufferPointer, _ header: RTPHeader) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { copy.deallocate() }
    copy.copyMemory(from: bytes)
    guard let base = copy.baseAddress else { return }
    RTPHeader.setSequence(0x1234, in: base)
    RTPHeader.setTimestamp(0x1234_5678, in: base)
    RTPHeader.setSSRC(0x8765_4321, in: base)
    RTPHeader.setPayloadType(0x55, in: base)
    guard let again = RTPHeader(UnsafeRawBufferPointer(copy)) else {
        preconditionFailure("a rewritten header can't be read")
    }
    precondition(again.sequence == 0x1234 && again.timestamp == 0x1234_5678 && again.ssrc == 0x8765_4321)
    precondition(again.payloadType == 0x55 && again.marker == header.marker)
    precondition(again.headerLength == header.headerLength && again.payloadLength == header.payloadLength)
}

private func writeAgain(_ bytes: UnsafeRawBufferPointer, _ header: RTPHeader, _ elements: [HeaderExtensionElement]) {
    let usesTwoBytes = elements.contains { $0.id > 14 || $0.length == 0 || $0.length > 16 }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + 64, alignment: 8)
    defer { buffer.deallocate() }
    var writer = RTPHeaderWriter(
        into: buffer, payloadType: header.payloadType, marker: header.marker, sequence: header.sequence,
        timestamp: header.timestamp, ssrc: header.ssrc)
    if !elements.isEmpty {
        writer.beginExtensions(twoByte: usesTwoBytes)
        for element in elements {
            let value = bytes[element.offset..<(element.offset + element.length)]
            writer.append(id: element.id, bytes: UnsafeRawBufferPointer(rebasing: value))
        }
    }
    let length = writer.finish()
    let written = UnsafeRawBufferPointer(rebasing: buffer[..<length])
    guard let again = RTPHeader(written) else { preconditionFailure("a header that was written can't be read") }
    precondition(again.ssrc == header.ssrc && again.sequence == header.sequence && again.headerLength == length)
    var walk = HeaderExtensionElements(again, in: written)
    for element in elements {
        guard let copied = walk.next() else { preconditionFailure("an element was lost") }
        precondition(copied.id == element.id && copied.length == element.length)
    }
    precondition(walk.next() == nil, "an element was added")
}
