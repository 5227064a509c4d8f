"""Two viewports on screens of different size show the same slice, the same anatomy and the same grey values."""

import http.server
import json
import math
import os
import pathlib
import struct
import subprocess
import threading
import time

import pytest

from harness import PAGES, ROOT

SIZE, SLICES = 128, 12
CONTENT_SECURITY = "default-src 'self'; style-src 'self'; script-src 'self'; worker-src 'self'; img-src 'self' blob:"
PAGE = """<!doctype html><html lang="en"><title>Viewport</title>
<link rel="stylesheet" href="/shared/theme.css"><link rel="stylesheet" href="/full.css">
<div id="here"></div><script type="module" src="/start.js"></script></html>"""
STYLE = "html, body { margin: 0; height: 100% } #here { position: fixed; inset: 0 }"
SCRIPT = """
import { Viewport } from "/viewport/viewport.js";
window.patches = []; window.pointers = []; window.followings = [];
window.viewport = new Viewport(document.getElementById("here"), {
    fetch: (path) => fetch(path),
    onPatch: (patch, { final }) => window.patches.push({ patch, final }),
    onPointer: (pointer) => window.pointers.push(pointer),
});
window.viewport.addEventListener("following", (event) => window.followings.push(event.detail.following));
"""


# --- A server with the answers that the library wrote as files -------------------------------------------------------


class Demo:
    """Studies by make-demo-data, and an HTTP server that answers from them as Consilium would."""

    def __init__(self, folder: pathlib.Path):
        self.dicom, self.answers = folder / "dicom", folder / "answers"
        programs = pathlib.Path(os.environ.get("CONSILIUM_PROGRAMS", ROOT / ".build" / "release"))
        subprocess.run(
            [programs / "make-demo-data", "--into", self.dicom, "--answers", self.answers,
             "--size", str(SIZE), "--slices", str(SLICES)],
            check=True,
        )
        self.held = threading.Event()
        self.held.set()
        self.held_suffix = None
        demo = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = self.path.split("?")[0]
                if demo.held_suffix and path.endswith(demo.held_suffix):
                    demo.held.wait(20)
                body, kind = demo.answer(path)
                self.send_response(200 if body is not None else 404)
                body = body if body is not None else json.dumps(
                    {"error": {"code": "not_found", "message": "no such series in the imaging folder"}}).encode()
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", CONTENT_SECURITY)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def answer(self, path):
        inline = {"/": (PAGE, "text/html"), "/full.css": (STYLE, "text/css"), "/start.js": (SCRIPT, "text/javascript")}
        if path in inline:
            text, kind = inline[path]
            return text.encode(), kind
        root = self.answers if path.startswith("/v1/") else PAGES
        file = (root / path.lstrip("/")).resolve()
        kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
        kind = "application/octet-stream" if "/frames/" in path else kinds.get(file.suffix, "application/json")
        if root.resolve() not in file.parents or not file.is_file():
            return None, "application/json"
        return file.read_bytes(), kind

    def series(self, modality, description=""):
        for study in json.loads((self.answers / "v1/imaging/studies").read_text())["studies"]:
            for series in study["series"]:
                if series["modality"] == modality and description in study["description"]:
                    return {"study": study["study"], "series": series["series"]}
        raise LookupError(modality)

    def stored(self, sop):
        """Stored values of an image of the explicit CT: its pixels are the last bytes of its file."""
        needle = sop.encode()
        for file in self.dicom.rglob("*.dcm"):
            data = file.read_bytes()
            if needle in data[:1500]:
                count = SIZE * SIZE
                return struct.unpack(f"<{count}H", data[-2 * count:])
        raise LookupError(sop)

    def close(self):
        self.held.set()
        self.server.shutdown()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    demo = Demo(tmp_path_factory.mktemp("imaging"))
    yield demo
    demo.close()


@pytest.fixture(scope="module")
def graphics(launch):
    return launch("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


@pytest.fixture
def open_window(demo, graphics):
    opened = []

    def open_window(width, height, ratio):
        context = graphics.new_context(viewport={"width": width, "height": height}, device_scale_factor=ratio)
        page = context.new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda line: page.problems.append(line.text) if line.type == "error" else None)
        page.goto(demo.url)
        until(page, "window.viewport")
        opened.append((context, page))
        return page

    yield open_window
    for context, page in opened:
        problems = [problem for problem in page.problems if "404" not in problem]
        context.close()
        assert problems == []


@pytest.fixture
def pair(open_window):
    """A presenter on a wide screen, a follower on a tall one with twice the pixel density."""
    presenter, follower = open_window(1100, 640, 1), open_window(420, 700, 2)
    presenter.evaluate("viewport.setSteering(true); viewport.setFollowing(false)")
    return presenter, follower


def until(page, condition, seconds=15):
    """Polls: the page's own policy forbids the eval that wait_for_function needs."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"not within {seconds} s: {condition}"
        page.wait_for_timeout(20)


# --- What both sides must agree on -----------------------------------------------------------------------------------


def show(page, what):
    page.evaluate("what => viewport.open(what)", what)
    settled(page)


def settled(page):
    """Waits until the slice that is asked for is the one on the canvas."""
    until(page, "viewport.readPixels()?.isExact")


def pixels(page):
    return page.evaluate(
        "(() => { const p = viewport.readPixels(); return { ...p, grey: Array.from(p.grey) }; })()")


def state(page):
    return page.evaluate("viewport.state")


def forward(presenter, follower):
    """What the room does: the presenter's patches, in order, to the follower."""
    until(presenter, "patches.length > 0 && patches[patches.length - 1].final")
    patches = presenter.evaluate("patches.splice(0)")
    follower.evaluate("patches => patches.forEach(({ patch }) => viewport.apply(patch))", patches)
    settled(presenter)
    settled(follower)
    return patches


def grey(value, voi, invert=False):
    """PS3.3 C.11.2.1, as the server's reference renderer has it."""
    center, width = voi["center"], voi["width"]
    if voi["function"] == "SIGMOID":
        brightness = 1 / (1 + math.exp(min(700, -4 * (value - center) / width)))
    elif voi["function"] == "LINEAR_EXACT":
        brightness = (value - center) / width + 0.5
    else:
        brightness = (value - (center - 0.5)) / (width - 1) + 0.5
    brightness = min(1, max(0, brightness))
    return math.floor((1 - brightness if invert else brightness) * 255 + 0.5)


def interpolated(stored, x, y):
    """Between the centres of the four pixels around an image point."""
    column, row = math.floor(x - 0.5), math.floor(y - 0.5)
    part_x, part_y = x - 0.5 - column, y - 0.5 - row

    def at(r, c):
        return stored[min(max(r, 0), SIZE - 1) * SIZE + min(max(c, 0), SIZE - 1)]

    top = at(row, column) * (1 - part_x) + at(row, column + 1) * part_x
    bottom = at(row + 1, column) * (1 - part_x) + at(row + 1, column + 1) * part_x
    return top * (1 - part_y) + bottom * part_y


def assert_shows_the_truth(page, demo):
    """Every image pixel, and the canvas itself, against the formula on the file's own bytes."""
    shown, now = pixels(page), state(page)
    stored = demo.stored(shown["sop"])
    expected = [grey(value - 1024, now["voi"], now["invert"]) for value in stored]
    worst = max(abs(a - b) for a, b in zip(shown["grey"], expected))
    assert worst <= 1, f"grey values differ by up to {worst}"
    inside = 0
    for sample in shown["canvas"]["samples"]:
        if 0 <= sample["x"] < SIZE and 0 <= sample["y"] < SIZE:
            inside += 1
            value = grey(interpolated(stored, sample["x"], sample["y"]) - 1024, now["voi"], now["invert"])
            assert abs(sample["grey"] - value) <= 1, (sample, value)
        else:
            assert sample["grey"] == 0
    assert inside > 50


def assert_same(presenter, follower, demo):
    mine, theirs = pixels(presenter), pixels(follower)
    assert (mine["sop"], mine["frame"]) == (theirs["sop"], theirs["frame"])
    assert mine["grey"] == theirs["grey"]
    assert (mine["canvas"]["width"], mine["canvas"]["height"]) != (theirs["canvas"]["width"], theirs["canvas"]["height"])
    assert_shows_the_truth(presenter, demo)
    assert_shows_the_truth(follower, demo)
    # The follower's window shows all of what the presenter's window shows.
    area, corners = state(presenter)["area"], theirs["canvas"]["samples"]
    step_x = (max(s["x"] for s in corners) - min(s["x"] for s in corners)) / 23
    step_y = (max(s["y"] for s in corners) - min(s["y"] for s in corners)) / 23
    assert min(s["x"] for s in corners) <= area["left"] + step_x and max(s["x"] for s in corners) >= area["right"] - step_x
    assert min(s["y"] for s in corners) <= area["top"] + step_y and max(s["y"] for s in corners) >= area["bottom"] - step_y


# --- Tests -----------------------------------------------------------------------------------------------------------


def test_a_follower_shows_the_presenters_slice_and_grey_values(pair, demo):
    presenter, follower = pair
    series = demo.series("CT", "follow-up")
    for page in pair:
        show(page, series)
    assert_same(presenter, follower, demo)
    before = state(presenter)

    presenter.mouse.move(500, 320)
    for _ in range(3):
        presenter.mouse.wheel(0, 120)
    forward(presenter, follower)
    assert state(presenter)["image"] != before["image"]
    assert_same(presenter, follower, demo)

    presenter.mouse.down(button="right")
    presenter.mouse.move(560, 300, steps=6)
    presenter.mouse.up(button="right")
    patches = forward(presenter, follower)
    assert state(presenter)["voi"] != before["voi"]
    assert [patch["final"] for patch in patches][-1] and "voi" in patches[-1]["patch"]
    assert_same(presenter, follower, demo)

    presenter.mouse.move(700, 200)
    presenter.keyboard.down("Control")
    for _ in range(3):
        presenter.mouse.wheel(0, -200)
    presenter.keyboard.up("Control")
    forward(presenter, follower)
    presenter.keyboard.down("Shift")
    presenter.mouse.down()
    presenter.mouse.move(640, 260, steps=4)
    presenter.mouse.up()
    presenter.keyboard.up("Shift")
    forward(presenter, follower)
    area = state(presenter)["area"]
    assert area["right"] - area["left"] < 400 and area == state(follower)["area"]
    assert_same(presenter, follower, demo)


def test_turned_flipped_and_inverted_images_agree(pair, demo):
    presenter, follower = pair
    for page in pair:
        show(page, demo.series("CT", "baseline"))
    presenter.locator("canvas.viewport-image").focus()
    for key in ["t", "h", "i", "t", "2"]:
        presenter.keyboard.press(key)
        forward(presenter, follower)
    now = state(presenter)
    assert now["orientation"] == state(follower)["orientation"] and now["orientation"]["flipHorizontal"]
    assert now["invert"] and now["voi"]["center"] == -600
    assert_same(presenter, follower, demo)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_every_window_function_matches_the_formula(open_window, demo, function):
    page = open_window(300, 300, 1)
    show(page, demo.series("CT", "follow-up"))
    for center, width in [(40, 400), (-600, 1500), (60, 2), (33.5, 101.25)]:
        page.evaluate("voi => viewport.apply({ voi })", {"center": center, "width": width, "function": function})
        assert_shows_the_truth(page, demo)


def test_a_pointer_is_at_the_same_place_of_the_image(pair, demo):
    presenter, follower = pair
    for page in pair:
        show(page, demo.series("CT", "follow-up"))
    presenter.mouse.move(520, 260)
    presenter.mouse.move(523, 262)
    until(presenter, "pointers.length > 0 && pointers[pointers.length - 1].x !== null")
    presenter.wait_for_timeout(100)
    pointer = presenter.evaluate("pointers[pointers.length - 1]")
    scale = 640 / SIZE
    assert abs(pointer["x"] - ((523 - 550) / scale + SIZE / 2)) < 0.5
    assert abs(pointer["y"] - ((262 - 320) / scale + SIZE / 2)) < 0.5

    follower.evaluate("pointer => viewport.showPointer({ by: 'p1', name: 'Dr Demo', color: '#ff8800', ...pointer })", pointer)
    follower.wait_for_timeout(300)
    mark = follower.locator(".viewport-pointer").evaluate("node => node.getBoundingClientRect().toJSON()")
    scale = 420 / SIZE
    assert abs(mark["x"] - ((pointer["x"] - SIZE / 2) * scale + 210)) < 0.5 * scale
    assert abs(mark["y"] - ((pointer["y"] - SIZE / 2) * scale + 350)) < 0.5 * scale
    assert follower.locator(".viewport-pointer-name").inner_text() == "Dr Demo"

    follower.evaluate("viewport.apply({ image: { sop: viewport.state.image.sop + '0', frame: 1 } })")
    until(follower, "document.querySelector('.viewport-pointer').hidden")
    presenter.mouse.move(5, 5)
    until(presenter, "pointers[pointers.length - 1].x === null")


def test_a_follower_breaks_away_and_returns(pair, demo):
    presenter, follower = pair
    for page in pair:
        show(page, demo.series("CT", "follow-up"))
    follower.locator("canvas.viewport-image").focus()
    follower.keyboard.press("End")
    until(follower, "followings.length === 1 && followings[0] === false")
    settled(follower)
    alone = state(follower)["image"]

    presenter.locator("canvas.viewport-image").focus()
    presenter.keyboard.press("Home")
    until(presenter, "patches.length > 0 && patches[patches.length - 1].final")
    patches = presenter.evaluate("patches.splice(0)")
    follower.evaluate("patches => patches.forEach(({ patch }) => viewport.apply(patch))", patches)
    assert state(follower)["image"] == alone != state(presenter)["image"]

    follower.evaluate("viewport.setFollowing(true)")
    settled(follower)
    settled(presenter)
    assert_same(presenter, follower, demo)


def test_a_slice_that_stands_in_for_another_says_so(open_window, demo):
    page = open_window(500, 500, 1)
    series = demo.series("CT", "follow-up")
    detail = json.loads((demo.answers / "v1/imaging/series" / series["series"]).read_text())
    missing = detail["images"][SLICES // 2 + 1]
    demo.held.clear()
    demo.held_suffix = f"/{missing['sop']}/1"
    try:
        show(page, series)
        until(page, f"viewport.loaded.frames === {SLICES - 1}")
        page.locator("canvas.viewport-image").focus()
        page.keyboard.press("ArrowDown")
        badge = page.locator(".viewport-badge")
        badge.wait_for(state="visible")
        assert "nearest available slice" in badge.inner_text()
        assert page.evaluate("viewport.readPixels().isExact") is False
        demo.held.set()
        settled(page)
        badge.wait_for(state="hidden")
    finally:
        demo.held.set()
        demo.held_suffix = None


def test_an_mr_without_window_and_with_oblong_pixels(open_window, demo):
    page = open_window(600, 600, 1)
    show(page, demo.series("MR"))
    shown = pixels(page)
    assert state(page)["voi"]["function"] == "LINEAR_EXACT"
    assert max(shown["grey"]) > 150 and min(shown["grey"]) < 10
    # Square on the canvas what is square in the patient: 1.45 mm rows, 1.6 mm columns.
    first, last = shown["canvas"]["samples"][0], shown["canvas"]["samples"][-1]
    assert abs((last["x"] - first["x"]) * 1.6 - (last["y"] - first["y"]) * 1.45) < 2
    sides = {side: page.locator(f".viewport-letter-{side}").inner_text() for side in ["top", "right", "bottom", "left"]}
    assert sides == {"top": "H", "right": "L", "bottom": "F", "left": "R"}


def test_what_cannot_be_shown_is_said_in_words(open_window, demo):
    page = open_window(400, 300, 1)
    page.evaluate("viewport.open({ study: '1.2', series: '1.2.3' })")
    page.locator(".viewport-words").wait_for(state="visible")
    assert page.locator(".viewport-words").inner_text() == "no such series in the imaging folder"
