"""Every message between the room page and the server, written down by Chromium, is as the schema says."""

import json
import re

from protocol import check, check_from_client, check_from_server, check_reply


class Tap:
    """What one page and the server say to each other on consilium.v1."""

    def __init__(self, page):
        self.sent, self.received = [], []
        page.on("websocket", self._listen)

    def _listen(self, socket):
        if not socket.url.endswith("/socket"):
            return
        socket.on("framesent", lambda frame: self.sent.append(json.loads(frame)))
        socket.on("framereceived", lambda frame: self.received.append(json.loads(frame)))

    def kinds(self):
        return {message.get("event") or message.get("presence") or message.get("notice") for message in self.received}

    def check(self):
        asked = {}
        for message in self.sent:
            check_from_client(message)
            check("clientMessage", message)
            asked[message.get("id")] = message["do"]
        for message in self.received:
            check_from_server(message)
            if "ok" in message:
                check_reply(asked[message["re"]], message["ok"])
        return {message["do"] for message in self.sent}


def enter(browser, server, role):
    context = browser.new_context()
    page = context.new_page()
    tap = Tap(page)
    page.goto(server.room_link("board", role=role, kind="mdt", name=f"Dr {role.title()}"))
    page.get_by_role("button", name=re.compile("^Join$")).click(timeout=20_000)
    return page, tap


def until(page, condition, what):
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{what} did not happen; the page shows: {page.locator('body').inner_text()[:500]}")


def test_the_page_and_the_server_keep_to_the_schema(browser, server):
    chair, chairs = enter(browser, server, "chair")
    until(chair, lambda: "media.state" in chairs.kinds(), "the chair's media")
    guest, guests = enter(browser, server, "attendee")
    until(chair, lambda: "participant.waiting" in chairs.kinds(), "the guest in the lobby")
    chair.get_by_role("button", name=re.compile("^Admit")).first.click()
    until(guest, lambda: "media.state" in guests.kinds(), "the guest's media")

    guest.keyboard.press("h")
    until(chair, lambda: "hand.raised" in chairs.kinds(), "the raised hand")
    until(chair, lambda: "levels" in chairs.kinds(), "the levels of the guest's beeps")
    before = len(chairs.received)
    chair.context.close()
    until(guest, lambda: guests.kinds() & {"participant.disconnected", "participant.left"}, "the chair's end")
    guest.context.close()

    assert {"join", "negotiate", "lobby.admit", "ping"} <= chairs.check()
    assert {"join", "negotiate", "hand.raise", "ping"} <= guests.check()
    assert before > 10
