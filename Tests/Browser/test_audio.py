"""Sound in real browsers: redundancy (RED) where both sides know it, plain Opus where not, and what it is good for."""

from harness import until
from rooms import NO_DEVICES, enter, relayed

# A browser that has not heard of RED: takes it out of whatever the page offers.
WITHOUT_RED = """
window.WebSocket = class extends WebSocket {
    send(data) {
        const message = JSON.parse(data);
        if (message.do !== "negotiate") return super.send(data);
        const numbers = [...message.sdp.matchAll(/^a=rtpmap:(\\d+) red\\/48000/gm)].map((found) => found[1]);
        message.sdp = message.sdp.split("\\r\\n")
            .filter((line) => !numbers.some((number) => line.startsWith(`a=rtpmap:${number} `) || line.startsWith(`a=fmtp:${number} `)))
            .map((line) => (line.startsWith("m=audio") ? line.split(" ").filter((word, index) => index < 3 || !numbers.includes(word)).join(" ") : line))
            .join("\\r\\n");
        return super.send(JSON.stringify(message));
    }
};
"""

HEARD = """
async () => {
    const all = await consilium.media.peer.getStats();
    const sum = { packets: 0, bytes: 0, lost: 0, concealed: 0, samples: 0 };
    for (const entry of all.values()) {
        if (entry.type !== "inbound-rtp" || entry.kind !== "audio" || !entry.packetsReceived) continue;
        sum.packets += entry.packetsReceived;
        sum.bytes += entry.bytesReceived;
        sum.lost += entry.packetsLost;
        sum.concealed += entry.concealedSamples;
        sum.samples += entry.totalSamplesReceived;
    }
    return sum;
}
"""

ANSWERS = "() => consilium.media.peer.remoteDescription.sdp"
OFFERS = "() => consilium.media.peer.localDescription.sdp"


def audio_codecs(sdp):
    section = next(part for part in sdp.split("\r\nm=") if part.startswith("audio"))
    numbers = section.split("\r\n")[0].split(" ")[3:]
    names = dict(
        line.removeprefix("a=rtpmap:").split(" ", 1) for line in section.split("\r\n") if line.startswith("a=rtpmap:"))
    return [names.get(number, "") for number in numbers], section


def test_red_is_negotiated_in_front_of_opus_and_both_with_in_band_correction(browser, server):
    page = enter(browser, server, "sound", "Dr Adler", "expert", kind="consultation")
    codecs, section = audio_codecs(page.evaluate(ANSWERS))
    assert codecs[:2] == ["red/48000/2", "opus/48000/2"]
    assert "useinbandfec=1" in section
    page.context.close()


def test_who_knows_red_gets_it_from_whoever_sends_and_who_does_not_gets_opus(browser, server):
    knows = enter(browser, server, "sound", "Dr Adler", "expert", kind="consultation")
    plain = enter(browser, server, "sound", "Dr Brandt", "expert", kind="consultation", script=WITHOUT_RED)
    codecs, _ = audio_codecs(plain.evaluate(ANSWERS))
    assert codecs == ["opus/48000/2"]
    until(lambda: knows.evaluate(HEARD)["packets"] > 100, 20, "sound from the browser without RED")
    until(lambda: plain.evaluate(HEARD)["packets"] > 100, 20, "sound from the browser with RED")
    # Statistics name the codec inside; each sound comes once or twice, and both browsers' encoders are the same.
    sizes = []
    for page in (knows, plain):
        heard = page.evaluate(HEARD)
        assert heard["samples"] > 48_000
        sizes.append(heard["bytes"] / heard["packets"])
    assert sizes[0] > 1.7 * sizes[1], sizes
    for page in (knows, plain):
        page.context.close()


def test_with_a_fifth_of_all_packets_lost_red_conceals_far_less(browser, server):
    with relayed(server, seed=3) as relay:
        speaker = enter(browser, server, "lossy", "Dr Adler", "expert", kind="consultation")
        knows = enter(
            browser, server, "lossy", "Dr Brandt", "expert", kind="consultation", devices=NO_DEVICES,
            script=relay.script)
        plain = enter(
            browser, server, "lossy", "Dr Celik", "expert", kind="consultation", devices=NO_DEVICES,
            script=relay.script + ";" + WITHOUT_RED)
        for page in (knows, plain):
            until(lambda page=page: page.evaluate(HEARD)["packets"] > 100, 20, "sound")
        relay.tell("conditions", direction="down", loss=20)
        # Until the reports have told of the loss.
        knows.wait_for_timeout(6000)
        before = {page: page.evaluate(HEARD) for page in (knows, plain)}
        knows.wait_for_timeout(10_000)
        shares = []
        for page in (knows, plain):
            after = page.evaluate(HEARD)
            samples = after["samples"] - before[page]["samples"]
            assert samples > 48_000
            shares.append((after["concealed"] - before[page]["concealed"]) / samples)
        print(f"concealed at 20 % loss: {shares[0]:.3f} with RED, {shares[1]:.3f} with Opus alone")
        assert shares[1] > 0.1, shares
        assert shares[0] < 0.4 * shares[1], shares
        for page in (speaker, knows, plain):
            page.context.close()
