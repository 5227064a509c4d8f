// Many microphones and what pages show, in a running engine.
import Testing
import WireFormats

@testable import MediaEngine

extension MediaEngine {
    fileprivate func join(
        _ client: MediaClient, as peer: String, _ sections: [MediaClient.Section], streams: [StreamDeclaration] = [],
        version: Int = 1
    ) async throws -> PeerAnswer {
        try await negotiate(
            room: "r", peer: peer,
            offer: PeerOffer(
                sdp: client.offer(sections, version: version), streams: streams, maySend: true,
                subscription: .everything))
    }

    fileprivate func next<Value: Sendable>(_ wanted: @Sendable (MediaEvent) -> Value?) async -> Value? {
        for await event in events { if let value = wanted(event) { return value } }
        return nil
    }
}

private let microphone = MediaClient.Section(mid: "0", kind: "audio", direction: "sendonly")

private func sections(_ count: Int) -> [MediaClient.Section] {
    (0..<count).map { MediaClient.Section(mid: "\($0)", kind: "audio", direction: "recvonly") }
}

private func sound(_ index: UInt16, ssrc: UInt32, level: UInt8) -> [UInt8] {
    MediaPackets.rtp(
        payloadType: 111, marker: false, sequence: index, timestamp: UInt32(index) * 960, ssrc: ssrc,
        extensions: [(4, [48]), (1, [127 - level])],
        payload: [UInt8](repeating: UInt8(truncatingIfNeeded: ssrc), count: 40))
}

@Suite("Conversations in the engine")
struct ConversationTests {
    @Test(
        "with five microphones or more a page needs five sections, in which speakers take turns; with four again one each"
    )
    func sharedSections() async throws {
        let engine = try MediaEngine(configuration: .patient)
        var speakers: [MediaClient] = []
        for index in 0..<8 {
            let client = try MediaClient()
            let answer = try await engine.join(
                client, as: "p\(index)", [microphone],
                streams: [StreamDeclaration(mid: "0", stream: "microphone", role: "audio")])
            try client.connect(answer.sdp, port: engine.udpPort)
            speakers.append(client)
        }
        let listener = try MediaClient()
        let first = try await engine.join(listener, as: "listener", sections(2))
        #expect(first.needed.audio == 5)
        #expect(first.sections.allSatisfy { $0.shared && $0.participant == nil })
        let answer = try await engine.join(listener, as: "listener", sections(5), version: 2)
        #expect(answer.sections.count == 5)
        #expect(answer.needed.audio == 5)
        try listener.connect(answer.sdp, port: engine.udpPort)
        let all = speakers + [listener]
        #expect(MediaClient.run(all) { all.allSatisfy(\.isConnected) })
        for index in 0..<20 as Range<UInt16> {
            for (who, speaker) in speakers.enumerated() {
                speaker.send(rtp: sound(index, ssrc: UInt32(who + 1), level: who == 6 ? 100 : 30))
            }
        }
        #expect(MediaClient.run(all) { listener.packets.count >= 20 })
        #expect(Set(listener.packets.map { $0.rtpPayload.first }) == [7])
        let explained = await engine.explain(room: "r")
        let heard = explained.receivers.first { $0.peer == "listener" }?.streams ?? []
        #expect(heard.map(\.participant) == ["p6"])

        for peer in 0..<4 { await engine.closePeer(room: "r", peer: "p\(peer)", reason: "test") }
        let own = await engine.next { event -> [SectionAssignment]? in
            guard case .sectionsChanged(_, "listener", let sections, _) = event,
                sections.contains(where: { $0.participant != nil })
            else { return nil }
            return sections
        }
        #expect(own?.compactMap(\.participant).sorted() == ["p4", "p5", "p6", "p7"])
        #expect(own?.contains(where: \.shared) == false)
        await engine.shutdown()
    }

    @Test(
        "who is not shown is not sent, is said to be so, and its publisher is told after five seconds that nobody watches"
    )
    func views() async throws {
        let engine = try MediaEngine(configuration: .patient)
        let (publisher, viewer) = (try MediaClient(), try MediaClient())
        let camera = MediaClient.Section(mid: "0", kind: "video", direction: "sendonly", rids: ["q", "f"])
        let published = try await engine.join(
            publisher, as: "p1", [camera], streams: [StreamDeclaration(mid: "0", stream: "camera", role: "camera")])
        let seen = try await engine.join(
            viewer, as: "p2", [MediaClient.Section(mid: "0", kind: "video", direction: "recvonly")])
        try publisher.connect(published.sdp, port: engine.udpPort)
        try viewer.connect(seen.sdp, port: engine.udpPort)
        #expect(MediaClient.run([publisher, viewer]) { publisher.isConnected && viewer.isConnected })
        func why() async -> String? {
            await engine.explain(room: "r").receivers.first { $0.peer == "p2" }?.streams.first?.why
        }
        #expect(await why() == "publisher")
        await engine.setView(room: "r", peer: "p2", PageView(streams: []))
        #expect(await why() == "viewport")
        let told = await engine.next { event -> [WantedStream]? in
            if case .streamsWanted(_, "p1", let streams) = event { streams } else { nil }
        }
        #expect(told == [WantedStream(mid: "0", stream: "camera", wanted: false, rids: [])])
        let shown = PageView.Stream(participant: "p1", stream: "camera", width: 640, height: 360)
        await engine.setView(room: "r", peer: "p2", PageView(streams: [shown]))
        let again = await engine.next { event -> [WantedStream]? in
            if case .streamsWanted(_, "p1", let streams) = event { streams } else { nil }
        }
        #expect(again == [WantedStream(mid: "0", stream: "camera", wanted: true, rids: ["q", "f"])])
        await engine.shutdown()
    }
}
