"""Every codec and way of layering that Chromium can send reaches its viewers in the size that is good for them, on good and bad paths."""

import contextlib
import subprocess
import time

import pytest

from harness import until
from rooms import HIDEABLE, NO_DEVICES, close, enter, relayed, wait_for

WIDTH, HEIGHT, RATE = 960, 540, 15
WHOLE_SIZE = 'localStorage.setItem("consilium.devices", JSON.stringify({ quality: "standard" }));'

# What the viewer's decoder did, ten times a second; the longest time without a new picture is kept.
RECORD = """
() => {
    const record = (window.record = { frames: 0, width: 0, height: 0, keys: 0, packets: 0, longestGap: 0, changedAt: performance.now() });
    const look = async () => {
        for (const entry of (await consilium.media.peer.getStats()).values()) {
            if (entry.type !== "inbound-rtp" || entry.kind !== "video" || !entry.packetsReceived) continue;
            const now = performance.now();
            record.longestGap = Math.max(record.longestGap, now - record.changedAt);
            if (entry.framesDecoded > record.frames) record.changedAt = now;
            Object.assign(record, {
                frames: entry.framesDecoded, width: entry.frameWidth ?? 0, height: entry.frameHeight ?? 0,
                keys: entry.keyFramesDecoded, packets: entry.packetsReceived, lost: entry.packetsLost,
            });
        }
        setTimeout(look, 100);
    };
    void look();
}
"""
FORGET_GAPS = "() => Object.assign(record, { longestGap: 0, changedAt: performance.now() })"


@pytest.fixture(scope="module")
def cameras(launch, tmp_path_factory):
    """A browser whose camera shows much movement and some noise, so that every layer needs the bits that it may have."""
    clip = tmp_path_factory.mktemp("clip") / "camera.y4m"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE},noise=c0s=8:c0f=t",
         "-t", "2", "-pix_fmt", "yuv420p", clip], check=True)
    return launch(f"--use-file-for-fake-video-capture={clip}")


@contextlib.contextmanager
def consultation(browser, server, room, codec, layers, script=None):
    """Somebody who sends a camera and somebody who watches it in full size."""
    publisher = enter(browser, server, room, "Dr Send", "expert", devices=WHOLE_SIZE, query=f"?codec={codec}&layers={layers}")
    viewer = enter(browser, server, room, "Dr View", "expert", devices=NO_DEVICES, script=script)
    viewer.evaluate(RECORD)
    yield publisher, viewer
    close(publisher, viewer)


def explained(server, room, viewer):
    """The picture that this page gets, as the server explains it."""
    me = viewer.evaluate("consilium.model.self")
    receivers = server.json(f"/v1/rooms/{room}/explain", server.token(room))["receivers"]
    streams = next(receiver["streams"] for receiver in receivers if receiver["peer"] == me)
    return next(stream for stream in streams if stream["kind"] == "video")


def shows(page, width, seconds):
    """Waits until decoded pictures have this width, and returns how long that took."""
    began = time.monotonic()
    try:
        until(lambda: page.evaluate("record.width") == width, seconds, f"a picture {width} pixels wide")
    except AssertionError as late:
        raise AssertionError(f"{late}: {page.evaluate('record')}") from None
    return time.monotonic() - began


def keeps_moving(page, seconds, window=2.0):
    """Every window of so many seconds has new pictures."""
    for _ in range(max(1, round(seconds / window))):
        before = page.evaluate("record.frames")
        page.wait_for_timeout(window * 1000)
        assert page.evaluate("record.frames") > before, f"no picture for {window} s: {page.evaluate('record')}"


def sent(publisher):
    """Codec, mode and number of encodings that the camera really sends."""
    return publisher.evaluate("""async () => {
        const report = await consilium.media.local.get("camera").transceiver.sender.getStats();
        const streams = [...report.values()].filter((entry) => entry.type === "outbound-rtp" && entry.framesEncoded > 0);
        return {
            codec: report.get(streams[0]?.codecId)?.mimeType ?? "", modes: [...new Set(streams.map((stream) => stream.scalabilityMode))],
            count: streams.length,
        };
    }""")


@pytest.mark.parametrize(
    "codec, layers, mode, smallest",
    [
        ("vp8", "simulcast", "L1T3", 240), ("vp9", "simulcast", "L1T3", 240), ("av1", "simulcast", "L1T3", 240),
        ("vp9", "L3T3", "L3T3", 240), ("vp9", "L3T3_KEY", "L3T3_KEY", 240), ("av1", "L3T3", "L3T3", 240),
        ("av1", "L2T2", "L2T2", 480),
    ])
def test_a_viewer_gets_the_layer_that_its_view_is_good_for(cameras, server, codec, layers, mode, smallest):
    room = f"layers-{codec}-{layers}".lower().replace("_", "-")
    with consultation(cameras, server, room, codec, layers) as (publisher, viewer):
        shows(viewer, WIDTH, 20)
        count = 3 if layers == "simulcast" else 1
        until(lambda: sent(publisher)["count"] == count, 20, f"{count} encodings")
        assert sent(publisher) == {"codec": f"video/{codec.upper()}", "modes": [mode], "count": count}

        viewer.evaluate(FORGET_GAPS)
        keeps_moving(viewer, 2)
        until(lambda: (explained(server, room, viewer)["layer"] or {}).get("width") == WIDTH, 10, "the largest layer")
        layer = explained(server, room, viewer)["layer"]
        assert layer["height"] == HEIGHT and layer["temporal"] == int(mode[3]) - 1
        assert layer.get("rid") == ("f" if layers == "simulcast" else None)
        assert layer.get("spatial") == (None if layers == "simulcast" else int(mode[1]) - 1)

        viewer.set_viewport_size({"width": 320, "height": 300})
        shows(viewer, smallest, 8)
        explanation = explained(server, room, viewer)
        assert explanation["layer"]["width"] == smallest and explanation["why"] == "viewport", explanation

        viewer.set_viewport_size({"width": 1280, "height": 720})
        shows(viewer, WIDTH, 8)
        keeps_moving(viewer, 1, window=1)
        assert viewer.evaluate("record.longestGap") < 1000, viewer.evaluate("record")


@pytest.mark.parametrize("codec, layers", [("vp8", "simulcast"), ("vp9", "L3T3"), ("av1", "L3T3")])
def test_on_a_path_that_narrows_and_loses_pictures_move_and_the_top_layer_returns_within_eight_seconds(
        cameras, server, codec, layers):
    with relayed(server, loss=3, delay=10, queue=65_536) as relay:
        relay.tell("conditions", direction="down", rate=10_000)
        room = f"narrow-{codec}"
        with consultation(cameras, server, room, codec, layers, script=relay.script) as (_, viewer):
            shows(viewer, WIDTH, 20)
            keeps_moving(viewer, 2)

            relay.tell("conditions", direction="down", rate=1_000)
            keeps_moving(viewer, 8)
            narrow = viewer.evaluate("record")
            assert narrow["width"] < WIDTH and explained(server, room, viewer)["why"] == "bandwidth"

            relay.tell("conditions", direction="down", rate=10_000)
            restored = time.monotonic()
            while viewer.evaluate("record.width") != WIDTH:
                keeps_moving(viewer, 1, window=0.5 if codec == "vp8" else 1)
                assert time.monotonic() - restored < 8, f"not back at {WIDTH} pixels: {viewer.evaluate('record')}"
            keeps_moving(viewer, 2)
            lost = relay.tell("status")["down"]["counters"]["lost"]
            assert lost > 20, f"the relay lost {lost} packets only, so nothing was shown"


# A page of fine print that changes a little: stripes of two pixels are grey as soon as the picture is not in full size.
DOCUMENT = """
navigator.mediaDevices.getDisplayMedia = async () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [1280, 720];
    const context = canvas.getContext("2d");
    let line = 0;
    const draw = () => {
        context.fillStyle = "white";
        context.fillRect(0, 0, 1280, 720);
        context.fillStyle = "black";
        context.font = "14px sans-serif";
        for (let row = 0; row < 40; row += 1) context.fillText(`Finding ${row}: no change since ${1990 + row}. `.repeat(3), 20, 18 * row);
        context.fillRect(20 + (line % 60) * 10, 702, 300, 4);
        for (let x = 800; x < 1200; x += 4) context.fillRect(x, 200, 2, 200);
        line += 1;
    };
    draw();
    setInterval(draw, 100);
    return canvas.captureStream(10);
};
"""

# Shows the page again and measures until the stripes are black and white in a decoded picture of full size.
SHARP_AGAIN = """
async () => {
    const remote = [...consilium.media.remote.values()].find(({ stream }) => stream === "screen");
    const decoded = async () => {
        for (const entry of (await consilium.media.peer.getStats()).values()) {
            if (entry.type === "inbound-rtp" && entry.kind === "video" && entry.mid === remote.mid) return entry.framesDecoded;
        }
        return 0;
    };
    const canvas = new OffscreenCanvas(64, 8);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const before = await decoded();
    const began = performance.now();
    window.hide(false);
    let contrast = 0, width = 0;
    while (performance.now() - began < 10_000) {
        const video = [...document.querySelectorAll("video")].find(({ srcObject }) => srcObject === remote.media);
        if (video?.videoWidth && (await decoded()) > before) {
            width = video.videoWidth;
            context.drawImage(video, 900, 300, 64, 8, 0, 0, 64, 8);
            const pixels = context.getImageData(0, 0, 64, 8).data;
            const light = Array.from({ length: 512 }, (_, index) => pixels[4 * index]);
            const mean = light.reduce((sum, value) => sum + value, 0) / light.length;
            contrast = light.reduce((sum, value) => sum + Math.abs(value - mean), 0) / light.length;
            if (width === 1280 && contrast > 70) return { milliseconds: performance.now() - began, contrast, width };
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return { milliseconds: Infinity, contrast, width };
}
"""


def test_a_document_is_sharp_again_within_a_second_of_being_shown_again(cameras, server):
    with relayed(server, loss=3, delay=10, rate=10_000, queue=65_536) as relay:
        presenter = enter(cameras, server, "document", "Dr Present", "expert", devices=NO_DEVICES, script=DOCUMENT)
        viewer = enter(
            cameras, server, "document", "Dr Read", "expert", devices=NO_DEVICES, script=HIDEABLE + relay.script)
        presenter.evaluate("consilium.call.shareScreen()")
        viewer.evaluate(RECORD)
        shows(viewer, 1280, 20)
        wait_for(viewer, "document.querySelector('.pictured video')?.videoWidth === 1280", 20)
        keeps_moving(viewer, 2)

        active = """consilium.media.local.get("screen").transceiver.sender.getParameters().encodings[0].active"""
        for is_paused in (False, True):
            viewer.evaluate("hide(true)")
            until(lambda: explained(server, "document", viewer).get("wanted") is None, 5, "the pause")
            if is_paused:
                until(lambda: not presenter.evaluate(active), 15, "the publisher's pause")
            packets = viewer.evaluate("record.packets")
            viewer.wait_for_timeout(700)
            stopped = viewer.evaluate("record.packets")
            viewer.wait_for_timeout(700)
            assert viewer.evaluate("record.packets") == stopped, (packets, stopped)
            sharp = viewer.evaluate(SHARP_AGAIN)
            assert sharp["milliseconds"] < 1000, f"{sharp}, publisher paused: {is_paused}"
        close(presenter, viewer)
