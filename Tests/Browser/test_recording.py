"""A real session is recorded and replayed at once: sound, picture, and the slice that was shown at that moment."""

import json
import re
import subprocess
import time

from harness import until
from rooms import close, enter, wait_for

ROOM = "recorded-board"
SECONDS = 30
ASKED = 20


def scroll_slices(page, seconds):
    """Turns a page of the CT every half second or so, and notes which slice had then been shown for a while, and when."""
    shown = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        # There and back, so that a quick machine does not run into the end of the series.
        page.keyboard.press("ArrowDown" if len(shown) // 12 % 2 == 0 else "ArrowUp")
        page.wait_for_timeout(500)
        t, sop = page.evaluate("[consilium.call.connection.sessionSeconds, consilium.call.model.state.viewports.main.image?.sop]")
        shown.append((t, sop))
    return shown


def test_a_session_is_replayed_the_moment_it_ends(browser, server):
    chair = enter(browser, server, ROOM, "Dr. Chair", "chair")
    expert = enter(browser, server, ROOM, "Dr. Expert", "expert")
    studies = server.json("/v1/imaging/studies", server.token(ROOM))["studies"]
    study, series = next(
        (study, series)
        for study in studies
        for series in study["series"]
        if series["supported"] and series["modality"] == "CT" and series["instances"] > 5
    )
    chair.evaluate("consilium.call.perform('floor.take')")
    chair.evaluate("consilium.call.perform('recording.start', { title: 'Board of Tuesday' })")
    wait_for(expert, "consilium.call.model.state.recording !== null")
    began = chair.evaluate("consilium.call.model.state.recording.since / 1e9")
    chair.evaluate(
        "([study, series]) => consilium.call.perform('viewport.open', { viewport: 'main', study, series })",
        [study["study"], series["series"]],
    )
    chair.locator(".tile[data-kind=viewport] canvas").first.wait_for()
    chair.locator(".tile[data-kind=viewport] canvas").first.focus()
    chair.wait_for_timeout(1500)
    expert.evaluate("consilium.call.perform('chat.send', { text: 'Look at segment six.' })")
    shown = scroll_slices(chair, SECONDS - 3)
    chair.evaluate("consilium.call.perform('recording.stop')")
    wait_for(chair, "consilium.call.model.state.recording === null")
    stopped = time.monotonic()

    token = server.token("*")
    def ready():
        found = server.json("/v1/recordings", token)["recordings"]
        return next((one for one in found if one["title"] == "Board of Tuesday" and one["state"] == "ready"), None)
    recording = until(ready, 5, "the recording")
    assert time.monotonic() - stopped < 2, "it should be ready within a second; a test machine gets two"
    close(chair, expert)

    manifest = server.json(f"/v1/recordings/{recording['recording']}/manifest.json", token)
    folder = next(path for path in server.recordings.iterdir() if path.name.endswith(recording["recording"]))
    assert {(track["kind"], track["codec"]) for track in manifest["tracks"]} == {("video", "VP8"), ("audio", "opus")}
    assert len({track["participant"] for track in manifest["tracks"]}) == 2
    for track in manifest["tracks"]:
        seconds = (track["end"] - track["start"]) / 1e9
        assert seconds > SECONDS - 8, (track["file"], seconds)
        assert track["sync"] != "arrival", track["file"]
        words = subprocess.run(
            ["ffprobe", "-v", "warning", "-show_entries", "format=duration", folder / track["file"]],
            check=True, capture_output=True, text=True,
        )
        assert words.stderr == "", words.stderr
    ends = {}
    for track in manifest["tracks"]:
        ends.setdefault(track["participant"], []).append(track["end"] / 1e9)
    for participant, moments in ends.items():
        assert max(moments) - min(moments) < 0.5, (participant, moments)

    # A moment at which the presenter had had one slice on the screen for a while.
    asked, sop = next((t - 0.1, sop) for t, sop in shown if t > began + ASKED)
    t = asked - manifest["start"] / 1e9
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{server.url}/replay.html#token={token}&recording={recording['recording']}&t={t:.2f}")
    wait_for(page, "document.querySelectorAll('.tile.pictured').length >= 2", 20)
    assert page.evaluate("replay.state.viewports.main.image.sop") == sop
    pixels = until(
        lambda: page.evaluate(
            """() => {
                const read = replay.tiles.get("viewport:main")?.viewport?.view?.readPixels();
                return read && read.isExact ? { sop: read.sop, sum: read.grey.reduce((a, b) => a + b, 0) } : null;
            }"""
        ), 20, "the slice's pixels")
    assert pixels["sop"] == sop and pixels["sum"] > 0
    assert page.get_by_text("Look at segment six.").count() == 1

    page.get_by_role("button", name="Play").click()
    wait_for(page, f"replay.clock.playing && !replay.clock.held && replay.clock.now > {t + 3}")
    skews = page.evaluate("replay.tracks.map((track) => [track.track.file, track.skew(replay.clock.now)])")
    for file, skew in skews:
        assert skew is not None and abs(skew) < 0.1, skews
    heard = page.evaluate(
        "replay.tracks.filter((one) => one.track.kind === 'audio').every((one) => one.element && !one.element.paused && !one.element.muted)")
    assert heard
    first = page.evaluate("replay.tiles.get('viewport:main').viewport.view.state.image.sop")
    wait_for(page, f"replay.tiles.get('viewport:main').viewport.view.state.image.sop !== {json.dumps(first)}")
    assert faults == []
    context.close()


def test_a_killed_server_finishes_its_recording_at_the_next_start(browser, server):
    chair = enter(browser, server, "killed-board", "Dr. Chair", "chair")
    chair.evaluate("consilium.call.perform('recording.start', { title: 'Cut short' })")
    wait_for(chair, "consilium.call.model.state.recording !== null")
    chair.wait_for_timeout(6000)
    server.kill()
    chair.context.close()
    server.start()
    token = server.token("*")
    found = [one for one in server.json("/v1/recordings", token)["recordings"] if one["title"] == "Cut short"]
    assert [one["state"] for one in found] == ["recovered"]
    assert found[0]["duration"] > 4e9
    manifest = server.json(f"/v1/recordings/{found[0]['recording']}/manifest.json", token)
    assert {track["kind"] for track in manifest["tracks"]} == {"audio", "video"}
    for track in manifest["tracks"]:
        status, headers, body = server.request(
            "GET", f"/v1/recordings/{found[0]['recording']}/{track['file']}", token=token, headers={"Range": "bytes=0-3"})
        ranges = {name.lower(): value for name, value in headers.items()}["content-range"]
        assert (status, body) == (206, b"\x1a\x45\xdf\xa3") and re.match(r"bytes 0-3/\d+", ranges)
