"""The replay page plays a recording made by the archive itself: pictures, sound and words at the same moment."""

import http.server
import json
import os
import pathlib
import re
import subprocess
import threading

import pytest
from harness import PAGES, ROOT, until

SECONDS, PARTICIPANTS = 14, 2
SECURITY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'"
)
KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
    ".json": "application/json", ".ndjson": "application/x-ndjson", ".png": "image/png", ".webm": "video/webm",
}
TOKEN = "eyJhbGciOiJub25lIn0.eyJyb29tIjoiKiIsIm5hbWUiOiJSZWFkZXIifQ.x"


def writer():
    """The program that records synthetic participants, wherever it was built."""
    for folder in (os.environ.get("CONSILIUM_PROGRAMS", ""), ROOT / ".build" / "debug", ROOT / ".build" / "release"):
        program = pathlib.Path(folder) / "archive-writer"
        if program.is_file():
            return program
    raise FileNotFoundError("archive-writer is not built: swift build --product archive-writer")


class Site:
    """The pages and one recording, served with ranges and the server's content security policy; a cookie is required."""

    def __init__(self, folder):
        self.requests = []
        done = subprocess.run(
            [writer(), folder, str(SECONDS), str(PARTICIPANTS)], check=True, capture_output=True, text=True
        )
        self.recording = done.stdout.split()[0]
        self.folder = next(path for path in pathlib.Path(folder).iterdir() if path.is_dir())
        self.manifest = json.loads((self.folder / "manifest.json").read_text())
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                ok = self.path == "/v1/session" and self.headers.get("Authorization") == f"Bearer {TOKEN}"
                self.send_response(204 if ok else 401)
                if ok:
                    self.send_header("Set-Cookie", "consilium=1; HttpOnly; SameSite=Strict; Path=/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                path = self.path.split("?")[0]
                site.requests.append((path, self.headers.get("Range")))
                isOurs = "consilium=1" in self.headers.get("Cookie", "")
                if path.startswith("/v1/") and not isOurs:
                    return self.reply(401, b'{"error":{"code":"no_token","message":"no token"}}', "application/json")
                if path == "/v1/recordings":
                    return self.reply(200, site.listing(), "application/json")
                if path.startswith("/v1/recordings/"):
                    match = re.fullmatch(r"/v1/recordings/([0-9a-f]+)/((?:tracks/|thumbnails/)?[\w.-]+)", path)
                    file = site.folder / match[2] if match and match[1] == site.recording else None
                elif path.startswith("/v1/"):
                    file = None
                else:
                    file = PAGES / path.lstrip("/")
                if file is None or not file.is_file():
                    return self.reply(404, b'{"error":{"code":"not_found","message":"there is no such thing"}}', "application/json")
                self.reply(200, file.read_bytes(), KINDS.get(file.suffix, "application/octet-stream"))

            def reply(self, status, body, kind):
                wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                total = len(body)
                if status == 200 and wanted:
                    start = int(wanted[1])
                    end = min(int(wanted[2] or total - 1), total - 1)
                    status, body = 206, body[start : end + 1]
                self.send_response(status)
                if status == 206:
                    self.send_header("Content-Range", f"bytes {start}-{end}/{total}")
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", SECURITY)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def listing(self):
        manifest = self.manifest
        return json.dumps(
            {
                "recordings": [
                    {
                        "recording": self.recording, "room": manifest["room"], "title": manifest["title"],
                        "started": manifest["started"], "duration": manifest["duration"],
                        "tracks": len(manifest["tracks"]), "participants": PARTICIPANTS, "state": "ready", "bytes": 1,
                    }
                ]
            }
        ).encode()

    def close(self):
        self.server.shutdown()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("archive"))
    yield site
    site.close()


@pytest.fixture
def page(browser, site):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: page.complaints.append(message.text)
        if message.type == "error" and "404" not in message.text and "no such series" not in message.text
        else None,
    )
    yield page
    context.close()


def wait(page, condition, seconds=20):
    """Polls from outside: the content security policy lets nobody evaluate strings inside."""
    return until(lambda: page.evaluate(condition), seconds, condition)


def open_recording(page, site, t=None):
    moment = "" if t is None else f"&t={t}"
    page.goto(f"{site.url}/replay.html#token={TOKEN}&recording={site.recording}{moment}")
    page.wait_for_selector(".replay")
    wait(page, "document.querySelectorAll('.tile.pictured').length >= 1")


def play(page):
    page.get_by_role("button", name="Play").click()
    wait(page, "replay.clock.playing && !replay.clock.held && replay.clock.now > 0.2")


# Reads, at each new picture, where the film is, how bright the picture is, and where the clock is.
WATCH = """async ([key, seconds]) => {
    const video = document.querySelector(`.tile[data-key="${key}"] video`);
    const canvas = new OffscreenCanvas(32, 18), context = canvas.getContext("2d", { willReadFrequently: true });
    const seen = [];
    const end = performance.now() + seconds * 1000;
    await new Promise((resolve) => {
        const look = (_, picture) => {
            context.drawImage(video, 0, 0, 32, 18);
            const pixels = context.getImageData(0, 9, 32, 9).data;
            let sum = 0;
            for (let index = 0; index < pixels.length; index += 4) sum += pixels[index + 1];
            seen.push({ film: picture.mediaTime, clock: replay.clock.now, luma: sum / (pixels.length / 4) });
            if (performance.now() < end) video.requestVideoFrameCallback(look); else resolve();
        };
        video.requestVideoFrameCallback(look);
        setTimeout(resolve, seconds * 1000 + 2000);
    });
    return seen;
}"""


def test_the_list_shows_a_recording_and_opens_it(page, site):
    page.goto(f"{site.url}/replay.html#token={TOKEN}")
    card = page.get_by_role("link", name=re.compile("Tumour board"))
    card.wait_for()
    assert "token" not in page.url
    assert "0:14" in card.inner_text() and "2 people" in card.inner_text()
    wait(page, "document.querySelector('.poster img')?.naturalWidth > 0")
    page.get_by_role("searchbox").fill("nothing like it")
    assert page.get_by_role("status").inner_text().startswith("No recording is called")
    page.get_by_role("searchbox").fill("tumour")
    card.click()
    page.wait_for_selector(".replay")
    page.go_back()
    card.wait_for()
    assert page.complaints == []


def test_pictures_move_at_their_moment_and_stay_with_the_clock(page, site):
    open_recording(page, site)
    play(page)
    wait(page, "replay.clock.now > 3")
    seen = page.evaluate(WATCH, ["p1/camera", 4])
    assert len(seen) > 60
    off = sorted(abs(one["film"] - one["clock"]) for one in seen)
    # One picture's time is 33 ms, and it is reported when it is put on the screen.
    assert off[int(len(off) * 0.9)] < 0.12, off[-5:]
    flashes = [b["film"] for a, b in zip(seen, seen[1:]) if a["luma"] < 120 < b["luma"]]
    assert len(flashes) >= 3
    for flash in flashes:
        assert abs(flash % 1 - 0.53) < 0.06, flashes
    skews = page.evaluate(
        "replay.tracks.map((track) => [track.track.file, track.skew(replay.clock.now), track.element?.paused])"
    )
    for file, skew, paused in skews:
        assert paused is False and abs(skew) < 0.06, (file, skew)
    assert page.complaints == []


def test_seeking_by_mouse_and_keys_changes_pictures_words_and_people(page, site):
    open_recording(page, site)
    bar = page.get_by_role("slider", name="Position in the recording")
    box = bar.bounding_box()
    duration = page.evaluate("replay.duration")
    page.mouse.click(box["x"] + box["width"] * 10.2 / duration, box["y"] + box["height"] - 3)
    wait(page, "Math.abs(replay.clock.now - 10.2) < 0.6")
    at = page.evaluate("replay.clock.now")
    wait(page, "document.querySelectorAll('.tile.pictured').length === 2")
    assert page.locator(".panel-chat li").count() == int(at + 0.5)
    assert page.locator(".tile .mark.hand").count() == 1
    assert page.get_by_text("Dr. Number 2").count() >= 1
    film = page.evaluate("document.querySelector('.tile[data-key=\"p1/camera\"] video').currentTime")
    assert abs(film - at) < 0.06
    assert page.evaluate("replay.state.viewports.main.image.sop") == "1.2.3.4.19"

    bar.focus()
    page.keyboard.press("Home")
    wait(page, "replay.clock.now === 0")
    assert page.locator(".panel-chat li").count() == 0
    # The second participant comes a second later: until then there is no picture of theirs.
    assert page.locator(".tile[data-key='p2/camera']").count() == 0
    page.keyboard.press("ArrowRight")
    assert page.evaluate("replay.clock.now") == 5
    assert bar.get_attribute("aria-valuetext") == "0:05 of 0:14"
    page.keyboard.press("5")
    assert abs(page.evaluate("replay.clock.now") - duration / 2) < 0.01
    page.get_by_role("button", name="Go to 0:02").click()
    assert abs(page.evaluate("replay.clock.now") - 2.5) < 0.01
    page.keyboard.press("Shift+?")
    assert page.get_by_role("dialog", name="Keys").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    assert page.evaluate("replay.clock.now") > 2.9
    assert page.complaints == []


def test_a_link_opens_its_moment_and_speed_is_kept(page, site):
    open_recording(page, site, 6.3)
    assert abs(page.evaluate("replay.clock.now") - 6.3) < 0.01
    assert page.evaluate("replay.state.chat.length") == 6
    page.get_by_role("combobox", name="Speed").select_option("2")
    page.locator("h1").click()
    page.keyboard.press("k")
    wait(page, "replay.clock.playing && !replay.clock.held && replay.clock.now > 7")
    begin = page.evaluate("[replay.clock.now, performance.now()]")
    wait(page, "replay.clock.now > 11")
    end = page.evaluate("[replay.clock.now, performance.now()]")
    rate = (end[0] - begin[0]) / ((end[1] - begin[1]) / 1000)
    assert 1.8 < rate < 2.1, rate
    skew = page.evaluate("Math.max(...replay.tracks.map((track) => Math.abs(track.skew(replay.clock.now))))")
    assert skew < 0.12
    wait(page, "!replay.clock.playing && replay.clock.now > replay.duration - 0.1")
    assert re.search(r"t=1[34]", page.evaluate("new Promise((done) => setTimeout(() => done(location.hash), 600))"))
    assert page.complaints == []


@pytest.mark.parametrize("width,height", [(320, 640), (1280, 800), (3840, 2160)])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_page_fits_every_screen(page, site, width, height, theme, tmp_path):
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=theme)
    open_recording(page, site, 9)
    wait(page, "document.querySelectorAll('.tile.pictured').length === 2")
    if os.environ.get("CONSILIUM_SCREENSHOTS"):
        page.screenshot(path=f"{os.environ['CONSILIUM_SCREENSHOTS']}/replay-{width}-{theme}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ("Play", "All recordings", "Keys"):
        box = page.get_by_label(name, exact=True).bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height, name
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, a, input, select, [role=slider]")]
            .filter((one) => one.checkVisibility() && !one.getAttribute("aria-label") && !one.textContent.trim() && !one.labels?.length)
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_without_an_invitation_the_page_says_so(browser, site):
    page = browser.new_page()
    page.goto(f"{site.url}/replay.html")
    page.get_by_role("alert").wait_for()
    assert "invitation" in page.inner_text("main") or "no token" in page.inner_text("main")
    page.close()
