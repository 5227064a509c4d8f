"""The room on more than one screen, on a very small one, and before it has begun."""

from harness import until
from rooms import close, enter, share_screen, wait_for

OWN_WINDOW = "[aria-label='Open in a window of its own']"


def pop_out(page, key):
    page.hover(f'[data-key="{key}"]')
    with page.expect_popup() as opened:
        page.click(f'[data-key="{key}"] {OWN_WINDOW}')
    return opened.value


def test_a_screen_plays_in_a_window_of_its_own_and_comes_back(browser, server):
    chair = enter(browser, server, "walls", "Chair", "chair")
    expert = enter(browser, server, "walls", "Expert", "expert")
    share_screen(expert)
    key = expert.evaluate("consilium.self") + "/screen"
    wait_for(chair, f"""document.querySelector('[data-key="{key}"].pictured.staged') !== null""")

    window = pop_out(chair, key)
    until(lambda: window.evaluate("(document.querySelector('video')?.videoWidth ?? 0) > 0"), what="a picture in the window")
    before = window.evaluate("document.querySelector('video').currentTime")
    until(lambda: window.evaluate("document.querySelector('video').currentTime") > before + 0.5, what="movement in it")
    wait_for(chair, f"""document.querySelector('[data-key="{key}"]').classList.contains("staged") === false""")

    window.close()
    wait_for(chair, f"""document.querySelector('[data-key="{key}"].pictured.staged') !== null""")
    close(chair, expert)


def test_whoever_steers_in_a_window_of_its_own_is_followed(browser, server):
    chair = enter(browser, server, "reading-room", "Chair", "chair")
    expert = enter(browser, server, "reading-room", "Expert", "expert", width=360, height=740)
    chair.click("[data-action=imaging]")
    chair.wait_for_selector(".series:not([disabled])")
    chair.click(".series:not([disabled])")
    shown = "consilium.viewport()?.state.image?.sop ?? ''"
    wait_for(expert, f"({shown}) !== ''")
    chair.keyboard.press("Escape")

    window = pop_out(chair, "viewport:main")
    own = "window.consilium?.surface?.view?.state.image?.sop ?? ''"
    first = until(lambda: window.evaluate(own), what="an image in the window")
    window.hover("canvas")
    window.mouse.wheel(0, 400)
    moved = until(lambda: (now := window.evaluate(own)) != first and now, what="another slice in the window")
    until(lambda: expert.evaluate(shown) == moved, what="the same slice with the one who follows")
    until(lambda: chair.evaluate(shown) == moved, what="the same slice in the room's own window")
    window.close()
    close(chair, expert)


def test_nothing_sticks_out_at_320_pixels(browser, server):
    page = enter(browser, server, "small", "Chair", "chair", width=320, height=568)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    for action in ("chat", "more"):
        page.click(f"[data-action={action}]")
        box = page.locator(".panel:not([hidden])" if action == "chat" else ".menu").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 320
        page.keyboard.press("Escape")
        page.wait_for_selector(".panel", state="hidden")
    # What the bar has no room for is in the menu, so nothing is lost.
    page.click("[data-action=more]")
    offered = page.locator(".menu").inner_text()
    assert "Share a screen" in offered and "Record" in offered and "Participants" in offered
    close(page)


def test_a_student_who_is_early_comes_in_when_the_session_begins(browser, server):
    early = browser.new_context().new_page()
    early.faults = []
    early.on("pageerror", lambda error: early.faults.append(str(error)))
    early.goto(server.room_link("theatre", name="Student", role="attendee", kind="broadcast"))
    early.click("#join")
    early.wait_for_selector("text=The session has not begun yet")
    chair = enter(browser, server, "theatre", "Surgeon", "chair", kind="broadcast")
    wait_for(early, "window.consilium?.view && consilium.media.state === 'connected'", 20)
    assert early.locator("[data-action=microphone]").is_hidden()
    close(early, chair)
