"""The page's twin of RoomState.apply makes the same room of the same log."""

import json

from harness import PAGES, ROOT


def test_the_page_rebuilds_a_room_exactly_as_the_server_does(browser):
    lines = (ROOT / "Tests" / "RoomsTests" / "session-2026.ndjson").read_text().splitlines()
    events, expected = [json.loads(line) for line in lines[:-1]], json.loads(lines[-1])
    source = (PAGES / "shared" / "room-state.js").read_text()
    page = browser.new_page()
    page.route("http://pages.test/**", lambda route: route.fulfill(
        body=source if route.request.url.endswith(".js") else "<!doctype html>",
        content_type="text/javascript" if route.request.url.endswith(".js") else "text/html"))
    page.goto("http://pages.test/")
    state = page.evaluate(
        """async ([room, events]) => {
            const { emptyState, apply } = await import("/room-state.js");
            const state = { ...emptyState(), room };
            for (const event of events) apply(state, event);
            return state;
        }""",
        [expected["room"], events],
    )
    page.close()
    assert state == expected
