// What must hold for any bytes given to the SDP reader. The fuzzer and the replay of its corpus both call this.

import WireFormats

func exerciseSDP(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    exerciseFragment(text)
    guard let description = try? SessionDescription(parsing: text) else { return }
    let written = description.description
    guard let again = try? SessionDescription(parsing: written) else {
        preconditionFailure("what was written can't be read")
    }
    precondition(again == description, "writing and reading changed the description")
    var capabilities = MediaCapabilities.consilium
    capabilities.acceptsDataChannels = bytes.count & 1 == 0
    guard let offer = try? evaluate(offer: description, capabilities: capabilities) else { return }
    exerciseAnswer(to: offer, sections: description.media.count)
}

private func exerciseAnswer(to offer: EvaluatedOffer, sections: Int) {
    let transport = AnswerTransport(
        ufrag: "abcd", pwd: "abcdefghijklmnopqrstuv",
        fingerprint: CertificateFingerprint(algorithm: "sha-256", bytes: Array(repeating: 7, count: 32)),
        setup: offer.answerSetup, candidates: [])
    let wishes = offer.sections.enumerated().map { index, section in
        AnswerSection(
            mid: section.mid, direction: .sendrecv, sendSSRC: UInt32(index) + 1,
            sendRetransmissionSSRC: UInt32(index) + 500,
            participant: "p1", stream: "camera", startBitrate: 1000)
    }
    let answer = makeAnswer(to: offer, transport: transport, sections: wishes)
    precondition(answer.media.count == sections, "the answer has another number of sections than the offer")
    guard let read = try? SessionDescription(parsing: answer.description) else {
        preconditionFailure("the answer can't be read")
    }
    precondition(read == answer, "the answer reads differently from what was meant")
}

private func exerciseFragment(_ text: String) {
    guard let fragment = try? TrickleFragment(parsing: text) else { return }
    guard let again = try? TrickleFragment(parsing: fragment.description) else {
        preconditionFailure("a fragment that was written can't be read")
    }
    precondition(again.candidates == fragment.candidates, "writing and reading changed the candidates")
}
