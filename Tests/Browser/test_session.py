"""One session, end to end: two windows, one CT, one recording, one replay."""

import json
import subprocess
import time

from harness import until
from rooms import close, enter, pictures, share_screen, wait_for

# What a viewport shows, as the shader windows it: image, exactness and a checksum of every displayed grey value.
SHOWN = """
() => {
    const pixels = %s?.readPixels();
    if (!pixels) return null;
    let hash = 0, least = 255, most = 0;
    for (const grey of pixels.grey) {
        hash = (hash * 31 + grey) | 0;
        least = Math.min(least, grey);
        most = Math.max(most, grey);
    }
    return { sop: pixels.sop, frame: pixels.frame, exact: pixels.isExact, hash, least, most, canvas: [pixels.canvas.width, pixels.canvas.height] };
}
"""
LIVE = SHOWN % "consilium.viewport('main')"
REPLAYED = SHOWN % "[...replay.tiles.values()].find((tile) => tile.viewport)?.viewport?.view"


def shown(page, source=LIVE):
    """What is shown once the exact slice is there."""
    def exact():
        pixels = page.evaluate(source)
        return pixels if pixels and pixels["exact"] else None

    return until(exact, 15, "the exact slice")


def same_picture(first, second):
    """Waits until both windows show the same slice with the same grey values, and returns it."""
    last = None

    def agree():
        nonlocal last
        a, b = last = first.evaluate(LIVE), second.evaluate(LIVE)
        same = a and b and a["exact"] and b["exact"] and all(a[key] == b[key] for key in ("sop", "frame", "hash"))
        return (a, b) if same else None

    try:
        return until(agree, 15, "the same slice with the same grey values in both windows")
    except AssertionError as differing:
        rooms = [page.evaluate("[consilium.state.viewports, consilium.viewport('main').isFollowing]") for page in (first, second)]
        raise AssertionError(f"{differing}: {last}\nwhile the rooms say {rooms}") from None


def middle(page):
    box = page.locator(".viewport-image").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def scroll(page, steps):
    page.mouse.move(*middle(page))
    for _ in range(abs(steps)):
        page.mouse.wheel(0, 120 if steps > 0 else -120)


def drag_window(page, dx, dy):
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + dx / 2, y + dy / 2, steps=4)
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up(button="right")


def open_first_ct(page, server, room):
    studies = server.json("/v1/imaging/studies", server.token(room))["studies"]
    study, series = next((study["study"], series["series"]) for study in studies for series in study["series"]
                         if series["modality"] == "CT" and series["supported"])
    page.evaluate("([study, series]) => consilium.call.perform('viewport.open', { viewport: 'main', study, series })",
                  [study, series])


def test_a_session_is_seen_recorded_and_replayed(browser, server, tmp_path):
    room = "session"
    chair = enter(browser, server, room, "Dr Chair", "chair", width=1366, height=768)
    expert = enter(browser, server, room, "Dr Expert", "expert", width=820, height=620, scale=2)
    share_screen(chair)
    pictures(expert, {"p1/camera", "p1/screen"})

    # One CT: the chair scrolls and windows, the expert's smaller and denser window shows the same.
    open_first_ct(chair, server, room)
    first, _ = same_picture(chair, expert)
    scroll(chair, 7)
    until(lambda: shown(expert)["sop"] != first["sop"], 10, "another slice at the expert's")
    mine, theirs = same_picture(chair, expert)
    assert mine["canvas"] != theirs["canvas"], "the windows are of the same size, so little is shown"
    assert mine["most"] - mine["least"] > 50, "the slice is all of one grey"
    drag_window(chair, 90, 40)
    until(lambda: expert.evaluate(LIVE)["hash"] != theirs["hash"], 10, "another window at the expert's")
    same_picture(chair, expert)

    # Who breaks away sees their own slice and returns to the shared one.
    scroll(expert, -3)
    until(lambda: shown(expert)["sop"] != shown(chair)["sop"], 10, "the expert's own slice")
    expert.keyboard.press("r")
    same_picture(chair, expert)

    # Thirty seconds on the record, the slices moving on.
    chair.get_by_role("button", name="Record this session").click()
    wait_for(expert, "consilium.state.recording !== null", 5)
    assert expert.get_by_text("Recording", exact=False).first.is_visible(), "no visible mark of the recording"
    recording = expert.evaluate("consilium.state.recording.recording")
    began = time.monotonic()
    expert.evaluate("consilium.call.perform('recording.consent', { given: true })")
    at_second_20 = None
    while time.monotonic() - began < 30:
        scroll(chair, 1 if time.monotonic() - began < 18 or time.monotonic() - began > 22 else 0)
        if at_second_20 is None and time.monotonic() - began >= 20:
            at_second_20 = same_picture(chair, expert)[0]
            chair.evaluate("consilium.call.perform('chat.send', { text: 'second twenty' })")
        chair.wait_for_timeout(700)
    end_slice = shown(chair)
    assert end_slice["sop"] != at_second_20["sop"]

    # The end, and the replay at once.
    token = server.token(room, name="Teacher")
    chair.evaluate("consilium.call.perform('room.end')")
    ended = time.monotonic()
    until(lambda: [one for one in server.json("/v1/recordings", token)["recordings"]
                   if one["recording"] == recording and one["state"] == "ready"], 5, "the finished recording", every=0.02)
    ready = time.monotonic() - ended
    assert ready <= 1, f"the recording was ready {ready:.2f} s after the end"
    close(chair, expert)

    replay = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    replay.faults = []
    replay.on("pageerror", lambda error: replay.faults.append(str(error)))
    replay.goto(f"{server.url}/replay.html#recording={recording}&token={token}")
    wait_for(replay, "window.replay?.clock", 10)
    replay.get_by_role("button", name="Play").first.click()
    wait_for(replay, "replay.clock.playing && !replay.clock.held && replay.clock.now > 2", 15)
    kinds = replay.evaluate("replay.tracks.map(({ track }) => `${track.participant}/${track.stream}`)")
    assert {"p1/camera", "p1/screen", "p1/microphone", "p2/camera", "p2/microphone"} <= set(kinds)
    sound = """replay.tracks.filter(({ track, element }) => track.kind === 'audio' && element && !element.paused
        && element.webkitAudioDecodedByteCount > 2000).length"""
    wait_for(replay, f"{sound} >= 2", 10)
    before = replay.evaluate(SAMPLE_VIDEOS)
    until(lambda: differs(before, replay.evaluate(SAMPLE_VIDEOS)) >= 2, 10, "moving pictures in the replay")

    replay.evaluate("replay.seek(20.5)")
    again = until(lambda: (pixels := replay.evaluate(REPLAYED)) and pixels["exact"] and pixels["sop"] == at_second_20["sop"]
                  and pixels, 10, "the slice of second 20")
    assert again["hash"] == at_second_20["hash"], "the slice of second 20 has other grey values"
    box = replay.locator(".viewport-image").bounding_box()
    assert box["width"] > 300 and box["height"] > 200, f"the replay has no room for its image: {box}"
    wait_for(replay, "replay.state.chat.some((line) => line.text === 'second twenty') || replay.clock.now < 20.4", 5)
    replay.evaluate("replay.setRate(2)")
    until(lambda: (pixels := replay.evaluate(REPLAYED)) and pixels["sop"] != at_second_20["sop"], 15, "the next slice")
    close(replay)

    # Every file is accepted by somebody else's reader, and lasts as long as the recording.
    folder = next(server.recordings.glob(f"*{recording}*"))
    tracks = json.loads((folder / "manifest.json").read_text())["tracks"]
    assert len(tracks) >= 5
    for track in tracks:
        probe = subprocess.run(
            ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "json", folder / track["file"]],
            capture_output=True, text=True, check=True)
        assert probe.stderr == "", f"ffprobe complains about {track['file']}: {probe.stderr}"
        duration = float(json.loads(probe.stdout)["format"]["duration"])
        assert 25 < duration < 40, f"{track['file']} lasts {duration} s"
        subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", folder / track["file"], "-f", "null", "-"], check=True)


SAMPLE_VIDEOS = """
() => [...document.querySelectorAll('video')].filter((video) => video.readyState >= 2 && video.videoWidth > 0).map((video) => {
    const canvas = new OffscreenCanvas(64, 36), context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 64, 36);
    return [...context.getImageData(0, 0, 64, 36).data].reduce((hash, value, index) => (hash * 31 + value * (index %% 4 + 1)) | 0, 0);
})
""".replace("%%", "%")


def differs(before, after):
    return sum(1 for a, b in zip(before, after) if a != b)
