"""Sound in real browsers: redundancy (RED) where both sides know it, plain Opus where not, and what it is good for."""

import json
import pathlib
import subprocess
import sys

import pytest
from harness import until
from rooms import REWRITE_CANDIDATES, enter

RELAY = pathlib.Path(__file__).with_name("relay.py")

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
    const sum = { codec: null, packets: 0, lost: 0, concealed: 0, samples: 0 };
    for (const entry of all.values()) {
        if (entry.type !== "inbound-rtp" || entry.kind !== "audio" || !entry.packetsReceived) continue;
        sum.codec = all.get(entry.codecId)?.mimeType ?? null;
        sum.packets += entry.packetsReceived;
        sum.lost += entry.packetsLost;
        sum.concealed += entry.concealedSamples;
        sum.samples += entry.totalSamplesReceived;
    }
    return sum;
}
"""

ANSWERS = "() => consilium.media.peer.remoteDescription.sdp"
OFFERS = "() => consilium.media.peer.localDescription.sdp"


@pytest.fixture
def relay(server):
    process = subprocess.Popen(
        [sys.executable, RELAY, "--to", f"127.0.0.1:{server.media_port}", "--seed", "3"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ports = json.loads(process.stdout.readline())

    def command(**words):
        process.stdin.write(json.dumps(words) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield ports["udp"], command
    process.kill()
    process.wait()


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
    assert knows.evaluate(HEARD)["codec"] == "audio/red"
    assert plain.evaluate(HEARD)["codec"] == "audio/opus"
    for page in (knows, plain):
        heard = page.evaluate(HEARD)
        assert heard["samples"] > 48_000
        page.context.close()


def test_with_a_fifth_of_all_packets_lost_red_conceals_far_less(browser, server, relay):
    port, command = relay
    route = f"{REWRITE_CANDIDATES}([{server.media_port}, {port}]);"
    speaker = enter(browser, server, "lossy", "Dr Adler", "expert", kind="consultation")
    knows = enter(browser, server, "lossy", "Dr Brandt", "observer", kind="consultation", script=route)
    plain = enter(browser, server, "lossy", "Dr Celik", "observer", kind="consultation", script=route + WITHOUT_RED)
    for page in (knows, plain):
        until(lambda page=page: page.evaluate(HEARD)["packets"] > 100, 20, "sound")
    command(do="conditions", direction="down", loss=20)
    # Until the reports have told of the loss.
    knows.wait_for_timeout(6000)
    before = {page: page.evaluate(HEARD) for page in (knows, plain)}
    knows.wait_for_timeout(10_000)
    shares = []
    for page in (knows, plain):
        after = page.evaluate(HEARD)
        assert after["samples"] > before[page]["samples"]
        shares.append(
            (after["concealed"] - before[page]["concealed"]) / (after["samples"] - before[page]["samples"]))
    print(f"concealed at 20 % loss: {shares[0]:.3f} with RED, {shares[1]:.3f} with Opus alone")
    assert shares[0] < 0.5 * shares[1], shares
    assert shares[0] < 0.08, shares
    for page in (speaker, knows, plain):
        page.context.close()
