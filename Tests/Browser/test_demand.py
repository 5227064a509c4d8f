"""A page gets what it shows and nothing else; a publisher sends what somebody wants."""

import re

import pytest

from harness import until
from rooms import HIDEABLE, SMALL_PICTURES

RECEIVED = """
async () => {
    let packets = 0;
    for (const entry of (await consilium.media.peer.getStats()).values()) {
        if (entry.type === "inbound-rtp" && entry.kind === "video") packets += entry.packetsReceived;
    }
    return packets;
}
"""

# Shows the page again and measures until a picture has been decoded.
BACK = """
async () => {
    const decoded = async () => {
        let frames = 0;
        for (const entry of (await consilium.media.peer.getStats()).values()) {
            if (entry.type === "inbound-rtp" && entry.kind === "video") frames += entry.framesDecoded;
        }
        return frames;
    };
    const before = await decoded();
    const began = performance.now();
    window.hide(false);
    while (performance.now() - began < 10_000) {
        if ((await decoded()) > before) return performance.now() - began;
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return null;
}
"""

ACTIVE = """
() => {
    const camera = consilium.media.local.get("camera");
    return camera.transceiver.sender.getParameters().encodings.map((encoding) => encoding.active);
}
"""


def enter(browser, server, name):
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(SMALL_PICTURES)
    page.add_init_script(HIDEABLE)
    page.goto(server.room_link("theatre", role="expert", kind="consultation", name=name))
    page.get_by_role("button", name=re.compile("^Join$")).click(timeout=20_000)
    until(lambda: page.evaluate("window.consilium?.media.state") == "connected", 20, f"the media of {name}")
    return page


@pytest.fixture
def pages(browser, server):
    first, second = enter(browser, server, "Dr Adler"), enter(browser, server, "Dr Brandt")
    yield first, second
    for page in (first, second):
        page.context.close()


def explained(server, page):
    """The camera that this page gets, as the server explains it."""
    me = page.evaluate("consilium.model.self")
    rooms = server.json("/v1/rooms/theatre/explain", server.token("theatre"))
    streams = next(receiver["streams"] for receiver in rooms["receivers"] if receiver["peer"] == me)
    return next(stream for stream in streams if stream["kind"] == "video")


def test_a_hidden_picture_stops_and_comes_back_within_half_a_second(server, pages):
    publisher, viewer = pages
    until(lambda: viewer.evaluate(RECEIVED) > 20, 20, "the viewer's pictures")
    until(lambda: "shown" in explained(server, viewer), 5, "the view of the viewer's page")

    viewer.evaluate("hide(true)")
    until(lambda: explained(server, viewer).get("wanted") is None, 3, "the pause")
    assert explained(server, viewer)["why"] == "viewport"
    viewer.wait_for_timeout(300)
    before = viewer.evaluate(RECEIVED)
    viewer.wait_for_timeout(1000)
    assert viewer.evaluate(RECEIVED) == before
    # The publisher still sends: it is told after five seconds only.
    assert viewer.evaluate(BACK) < 500

    viewer.evaluate("hide(true)")
    until(lambda: not any(publisher.evaluate(ACTIVE)), 10, "the publisher's pause")
    # From the moment at which the page is seen again: report, request, the encoders' start, a decoded picture.
    returned = viewer.evaluate(BACK)
    assert returned is not None and returned <= 500, returned
    assert any(publisher.evaluate(ACTIVE))


def test_a_small_page_says_so_and_the_panel_tells_why(server, pages):
    publisher, viewer = pages
    until(lambda: explained(server, viewer).get("layer"), 20, "the viewer's picture")
    viewer.set_viewport_size({"width": 360, "height": 320})
    until(lambda: (explained(server, viewer).get("shown") or {}).get("width", 9999) <= 360, 5, "the small view")
    viewer.evaluate("consilium.model.togglePanel('statistics')")
    viewer.set_viewport_size({"width": 1280, "height": 800})
    viewer.locator(".why", has_text=re.compile("^Why: ")).first.wait_for(timeout=10_000)


def test_every_reason_has_words_of_its_own(pages):
    said = pages[1].evaluate(
        """
        async () => {
            const { whyReceived, whySent } = await import("/room/why.js");
            const layer = { rid: "h" };
            const words = [];
            for (const why of ["best", "viewport", "bandwidth", "publisher", "decoder", "policy"]) {
                words.push(whyReceived({ why, layer, wanted: layer, shown: { width: 640, height: 360 } }));
                words.push(whyReceived({ why }));
            }
            words.push(whySent({ active: false, limitation: "" }));
            for (const limitation of ["bandwidth", "cpu"]) words.push(whySent({ active: true, limitation }));
            return words;
        }
        """
    )
    assert all(words.startswith("Why: ") for words in said), said
    # "best" and "decoder" say the same whether something is on its way or not.
    assert len(set(said)) == len(said) - 2, said
