// A participant with camera and microphone who talks for some seconds, ready to be played into a ring.

/// The streams of a conversation.
package struct ConversationStreams: Sendable {
    package var video = StreamSpecification(track: 1, ssrc: 0x1111, clockRate: 90_000, payloadType: 96)
    package var audio = StreamSpecification(track: 2, ssrc: 0x2222, clockRate: 48_000, payloadType: 111)

    package init() {}

    /// Numbers of their own for the nth participant.
    package init(participant number: UInt32) {
        video.track = 10 * number + 1
        video.ssrc = 0x10_0000 + number
        audio.track = 10 * number + 2
        audio.ssrc = 0x20_0000 + number
    }
}

extension Sender {
    /// Seconds are of session time; every `keyEvery`th picture is a key frame.
    package static func conversation(
        seconds: Range<Int64>, seed: UInt64, drift: Double = 0, loss: Double = 0, participant: String = "p1",
        streams: ConversationStreams = ConversationStreams(), keyEvery: Int64 = 60,
        size: (width: Int, height: Int) = (192, 108)
    ) -> Sender {
        let sender = Sender(participant: participant, seed: seed)
        sender.drift = drift
        sender.loss = loss
        let begin = seconds.lowerBound * 1_000_000_000
        let end = seconds.upperBound * 1_000_000_000
        let (video, audio) = (streams.video, streams.audio)
        sender.declare(
            video.track, stream: "camera", kind: "video", role: "camera", codec: "VP8", clockRate: 90_000,
            payloadType: video.payloadType, at: begin)
        sender.declare(
            audio.track, stream: "microphone", kind: "audio", role: "audio", codec: "opus", clockRate: 48_000,
            payloadType: audio.payloadType, at: begin)
        let camera = SyntheticCamera(width: size.width, height: size.height)
        let microphone = SyntheticMicrophone()
        var number: Int64 = 0
        while begin + number * 100_000_000 / 3 < end {
            let time = begin + number * 100_000_000 / 3
            sender.sendVP8(camera.frame(at: time, key: number % keyEvery == 0), video, at: time)
            number += 1
        }
        for time in stride(from: begin, to: end, by: 20_000_000) {
            sender.sendOpus(microphone.packet(at: time), audio, at: time)
        }
        for time in stride(from: begin + 300_000_000, to: end, by: 2_000_000_000) {
            sender.report(video, at: time)
            sender.report(audio, at: time + 70_000_000)
        }
        return sender
    }
}
