"""What the tests of the room page do again and again: come in, share a screen, look at decoded pictures."""

import contextlib
import json
import pathlib
import subprocess
import sys

from harness import until

# Two cores carry several browsers only with small pictures.
SMALL_PICTURES = 'localStorage.setItem("consilium.devices", JSON.stringify({ quality: "low" }));'

# Sends the page's media through another port, and with which transport, by rewriting the candidates of every answer.
REWRITE_CANDIDATES = """
(([from, to]) => {
    const original = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function (description) {
        const lines = description.sdp.split("\\r\\n").filter((line) => !/^a=candidate:.* tcp /i.test(line));
        const sdp = lines.map((line) => line.startsWith("a=candidate:") ? line.replace(` ${from} `, ` ${to} `) : line);
        return original.call(this, { type: description.type, sdp: sdp.join("\\r\\n") });
    };
})
"""

# Somebody who only watches and listens.
NO_DEVICES = 'localStorage.setItem("consilium.devices", JSON.stringify({ cameraOff: true, microphoneOff: true }));'

# The tab counts as hidden when the test says so.
HIDEABLE = """
window.hiddenByTest = false;
Object.defineProperty(document, "visibilityState", { get: () => (window.hiddenByTest ? "hidden" : "visible") });
window.hide = (hidden) => {
    window.hiddenByTest = hidden;
    document.dispatchEvent(new Event("visibilitychange"));
};
"""

# Lets a test break the signalling connection under the page's feet.
KEEP_SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
    constructor(...words) {
        super(...words);
        window.sockets.push(this);
    }
};
"""

# Draws every remote picture, again and again for some time, and tells how many different drawings each of them gave.
COUNT_PICTURES = """
async (milliseconds) => {
    const looked = new Map();
    for (const remote of consilium.media.remote.values()) {
        if (remote.kind !== "video") continue;
        const video = document.createElement("video");
        video.muted = true;
        video.srcObject = remote.media;
        void video.play().catch(() => undefined);
        looked.set(`${remote.participant}/${remote.stream}`, { video, seen: new Set(), canvas: new OffscreenCanvas(64, 36) });
    }
    const end = performance.now() + milliseconds;
    while (performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        for (const { video, seen, canvas } of looked.values()) {
            if (video.readyState < 2 || video.videoWidth === 0) continue;
            const context = canvas.getContext("2d", { willReadFrequently: true });
            context.drawImage(video, 0, 0, 64, 36);
            const pixels = context.getImageData(0, 0, 64, 36).data;
            let hash = 0, light = 0;
            for (let i = 0; i < pixels.length; i += 4) {
                hash = (hash * 31 + pixels[i] + 7 * pixels[i + 1] + 13 * pixels[i + 2]) | 0;
                light += pixels[i] + pixels[i + 1] + pixels[i + 2];
            }
            if (light > 0) seen.add(hash);
        }
    }
    for (const { video } of looked.values()) video.srcObject = null;
    return Object.fromEntries([...looked].map(([name, { seen }]) => [name, seen.size]));
}
"""


def wait_for(page, expression, seconds=15):
    """Waits until the expression is true in the page. (Playwright's own wait needs eval, which our pages forbid.)"""
    return until(lambda: page.evaluate(expression), seconds, expression)


class Relay:
    """A running relay.py in front of the server's media port."""

    def __init__(self, server, process):
        self.process = process
        port = json.loads(process.stdout.readline())["udp"]
        self.script = f"{REWRITE_CANDIDATES}([{server.media_port}, {port}])"

    def tell(self, do, **words):
        """Gives an order and returns the relay's state."""
        self.process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextlib.contextmanager
def relayed(server, **conditions):
    """A relay; pages that are opened with its `script` reach the server through it."""
    words = [sys.executable, pathlib.Path(__file__).with_name("relay.py"), "--to", f"127.0.0.1:{server.media_port}"]
    for name, value in conditions.items():
        words += [f"--{name}", str(value)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Relay(server, process)
    finally:
        process.kill()
        process.wait()


def enter(browser, server, room, name, role, kind="mdt", width=1280, height=720, scale=1, script=None,
          devices=SMALL_PICTURES, query=""):
    """Opens a link in a window of its own, joins, and waits until the media path stands."""
    context = browser.new_context(
        permissions=["camera", "microphone"], viewport={"width": width, "height": height}, device_scale_factor=scale)
    context.add_init_script(devices)
    if script:
        context.add_init_script(script)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(server.room_link(room, name=name, role=role, kind=kind).replace("/room.html", f"/room.html{query}"))
    page.click("#join")
    wait_for(page, "window.consilium?.view && consilium.media.state === 'connected'", 20)
    return page


def share_screen(page):
    page.evaluate("consilium.call.shareScreen()")


def pictures(page, expected, milliseconds=2000, seconds=30):
    """Waits until every expected stream showed at least three different pictures within the time; returns the counts."""
    last = {}

    def moving():
        nonlocal last
        last = page.evaluate(COUNT_PICTURES, milliseconds)
        return expected <= last.keys() and all(last[name] >= 3 for name in expected)

    try:
        until(moving, seconds, "movement in every picture")
    except AssertionError as still:
        raise AssertionError(f"{still}: expected {sorted(expected)}, saw {last}") from None
    return last


def close(*pages):
    for page in pages:
        assert page.faults == [], f"the page raised errors: {page.faults}"
        page.context.close()
