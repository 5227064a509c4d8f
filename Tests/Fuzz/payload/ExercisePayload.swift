// What must hold for any bytes given to the payload readers. The fuzzer and the replay of its corpus both call this.

import WireFormats

/// The first byte chooses the format.
func exercisePayload(_ bytes: UnsafeRawBufferPointer) {
    guard let choice = bytes.first else { return }
    let payload = UnsafeRawBufferPointer(rebasing: bytes[1...])
    for format in VideoFormat.allCases {
        _ = format.startsKeyFrame(payload)
        _ = format.pictureSize(payload)
    }
    switch choice % 7 {
    case 0: exerciseVP8(payload)
    case 1: exerciseVP9(payload)
    case 2: exerciseH264(payload)
    case 3: exerciseAV1(payload)
    case 4: if let packet = OpusPacket(payload) { precondition((120...5760).contains(packet.samples)) }
    case 5: exerciseDescriptor(payload)
    default: exerciseRedundantAudio(payload)
    }
}

private func exerciseVP8(_ payload: UnsafeRawBufferPointer) {
    guard let descriptor = VP8Descriptor(payload) else { return }
    precondition(Int(descriptor.length) < payload.count, "the descriptor is longer than the payload")
    withCopy(of: payload) { copy in
        descriptor.setPictureID(0x55AA, in: copy)
        descriptor.setTemporalBaseIndex(0x5A, in: copy)
        descriptor.setKeyIndex(0x15, in: copy)
        guard let again = VP8Descriptor(UnsafeRawBufferPointer(copy)) else {
            preconditionFailure("a rewritten descriptor can't be read")
        }
        precondition(again.length == descriptor.length && again.temporalLayer == descriptor.temporalLayer)
        precondition(again.isKeyFrameStart == descriptor.isKeyFrameStart)
        if descriptor.pictureID != nil { precondition(again.pictureID == (descriptor.pictureIDIsLong ? 0x55AA : 0x2A)) }
        if descriptor.temporalBaseIndex != nil { precondition(again.temporalBaseIndex == 0x5A) }
        if descriptor.keyIndex != nil { precondition(again.keyIndex == 0x15) }
    }
}

private func exerciseVP9(_ payload: UnsafeRawBufferPointer) {
    guard let descriptor = VP9Descriptor(payload) else { return }
    precondition(Int(descriptor.length) < payload.count, "the descriptor is longer than the payload")
    withCopy(of: payload) { copy in
        descriptor.setPictureID(0x55AA, in: copy)
        descriptor.setTemporalBaseIndex(0x5A, in: copy)
        guard let again = VP9Descriptor(UnsafeRawBufferPointer(copy)) else {
            preconditionFailure("a rewritten descriptor can't be read")
        }
        precondition(again.length == descriptor.length && again.spatialLayer == descriptor.spatialLayer)
    }
}

private func exerciseH264(_ payload: UnsafeRawBufferPointer) {
    guard let read = H264Payload(payload) else { return }
    if read.packetization == .aggregate {
        for unit in H264AggregatedUnits(payload) {
            precondition(unit.length > 0 && unit.offset + unit.length <= payload.count, "a unit beyond the payload")
        }
    }
    _ = H264SequenceParameterSet(payload)
}

private func exerciseAV1(_ payload: UnsafeRawBufferPointer) {
    _ = AV1SequenceHeader(payload)
    guard AV1Payload(payload) != nil else { return }
    for element in OBUElements(payload) {
        precondition(element.offset + element.length <= payload.count, "an element beyond the payload")
    }
}

/// Twice with the same structure, so that the second reading may use what the first one told.
private func exerciseDescriptor(_ payload: UnsafeRawBufferPointer) {
    var structure = FrameDependencyStructure()
    for _ in 0..<2 {
        guard let read = ReadDependencies(payload, structure: &structure) else { return }
        precondition(structure.templateCount <= FrameDependencyStructure.mostTemplates)
        precondition(structure.decodeTargetCount <= FrameDependencyStructure.mostDecodeTargets)
        let rewriter = DependencyDescriptorRewriter(
            frameNumber: 0x1234, mask: 1, maskPosition: read.maskPosition, maskLength: read.maskLength,
            decodeTargets: UInt8(structure.decodeTargetCount))
        let length = rewriter.length(of: payload)
        precondition(length <= payload.count + DependencyDescriptorRewriter.growth)
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 1)
        defer { target.deallocate() }
        rewriter.write(payload, to: target)
        var other = structure
        guard let again = ReadDependencies(UnsafeRawBufferPointer(target), structure: &other) else {
            preconditionFailure("a rewritten descriptor can't be read")
        }
        precondition(again.frame.referenceCount == read.frame.referenceCount && again.activeDecodeTargets == 1)
    }
}

/// Blocks lie within the payload, one after the other, and its own comes last.
private func exerciseRedundantAudio(_ payload: UnsafeRawBufferPointer) {
    guard let audio = RedundantAudio(payload) else { return }
    precondition(audio.count <= RedundantAudio.mostBlocks)
    var position = audio.count * RedundantAudio.headerLength + RedundantAudio.lastHeaderLength
    for index in 0..<audio.count {
        precondition(Int(audio[index].offset) == position, "a block that does not follow the one before")
        position += Int(audio[index].length)
    }
    precondition(Int(audio.primary.offset) == position && audio.primary.length > 0)
    precondition(position + Int(audio.primary.length) == payload.count, "bytes that belong to no block")
}

private func withCopy(of payload: UnsafeRawBufferPointer, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 1)
    defer { copy.deallocate() }
    copy.copyMemory(from: payload)
    body(copy)
}
