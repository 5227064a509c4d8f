"""Every message of consilium.v1, in both directions, against its JSON Schema."""

import contextlib
import json

import jsonschema
import pytest
from harness import ROOT
from websockets.sync.client import connect

SCHEMA = json.loads((ROOT / "Sources/WebClient/pages/protocol/consilium.v1.schema.json").read_text())


def validator(side):
    return jsonschema.Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{side}"}]})


CLIENT, SERVER = validator("client"), validator("server")


class Page:
    def __init__(self, server, room):
        address = f"ws://127.0.0.1:{server.port}/v1/rooms/{room}/socket"
        self.open = contextlib.ExitStack()
        self.socket = self.open.enter_context(connect(address, subprotocols=["consilium.v1"]))
        self.number = 0
        self.kept = []
        self.seen = set()

    def receive(self):
        message = json.loads(self.socket.recv(timeout=10))
        SERVER.validate(message)
        self.seen.add(message.get("event") or message.get("notice") or message.get("presence") or "reply")
        return message

    def send(self, command, **fields):
        message = {"do": command, **fields}
        CLIENT.validate(message)
        self.socket.send(json.dumps(message))

    def ask(self, command, **fields):
        self.number += 1
        message = {"id": self.number, "do": command, **fields}
        CLIENT.validate(message)
        self.socket.send(json.dumps(message))
        return self.wait(lambda answer: answer.get("re") == self.number)

    def wait(self, fits):
        for index, message in enumerate(self.kept):
            if fits(message):
                return self.kept.pop(index)
        while not fits(message := self.receive()):
            self.kept.append(message)
        return message

    def event(self, name):
        return self.wait(lambda message: message.get("event") == name)

    def notice(self, name):
        return self.wait(lambda message: message.get("notice") == name)

    def join(self, token, **fields):
        return self.ask("join", token=token, **fields)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_message_of_a_session(server):
    room = "protocol"
    chair = Page(server, room)
    me = chair.join(server.token(room, role="chair"))["ok"]
    assert "steer" in me["permissions"]
    guest = Page(server, room)
    waiting = guest.join(server.token(room, name="Guest", role="attendee"))["ok"]
    assert waiting["waiting"] is True
    chair.event("participant.waiting")
    chair.ask("lobby.admit", participant=waiting["participant"])
    guest.notice("admitted")
    other = Page(server, room)
    rejected = other.join(server.token(room, name="Other", role="attendee"))["ok"]["participant"]
    chair.ask("lobby.reject", participant=rejected, reason="full")
    other.notice("rejected")

    guest.ask("hand.raise")
    chair.ask("floor.take")
    chair.ask("floor.give", participant=waiting["participant"])
    chair.event("hand.lowered")
    guest.ask("hand.raise")
    guest.ask("hand.lower")
    guest.ask("floor.release")
    guest.ask("chat.send", text="Grüß Gott 花 \"quoted\" \\ back\nnext")
    assert chair.event("chat.message")["text"].endswith("next")
    chair.ask("viewport.open", viewport="main", study="1.2.3", series="1.2.3.4")
    chair.ask(
        "viewport.update", viewport="main",
        patch={
            "image": {"sop": "1.2.3.4.5", "frame": 1}, "area": {"left": 0, "top": 0.5, "right": 512, "bottom": 511.25},
            "orientation": {"rotation": 90, "flipHorizontal": True},
            "voi": {"center": 40, "width": 400, "function": "LINEAR"}, "invert": False,
            "focalPoint": [1.5, -2, 3e-7], "viewUp": [0, -1, 0], "parallelScale": 1e21 / 1e18,
        },
    )
    chair.send("pointer", viewport="main", sop="1.2.3.4.5", frame=1, x=1e-7, y=12345678.5 / 10)
    guest.wait(lambda message: message.get("presence") == "pointer")
    chair.send("pointer", viewport="main", sop="1.2.3.4.5", frame=1, x=None, y=None)
    guest.wait(lambda message: message.get("presence") == "pointer" and message["x"] is None)
    assert chair.ask("recording.start", title="A case")["ok"]["recording"]
    guest.event("recording.started")
    guest.ask("recording.consent", given=False)
    guest.event("consent.given")
    late = Page(server, room)
    state = late.join(server.token(room, name="Late", role="expert"))["ok"]["snapshot"]["state"]
    assert state["viewports"]["main"]["voi"]["width"] == 400 and state["recording"]["title"] == "A case"
    chair.ask("recording.stop")
    guest.event("recording.stopped")
    chair.ask("viewport.close", viewport="main")
    assert chair.ask("spotlight.set", participant="p1", stream="camera")["error"]["code"] == "no_stream"
    chair.ask("spotlight.clear")
    assert chair.ask("stream.mute", stream="camera", muted=True)["error"]["code"] == "no_stream"
    chair.ask("participant.mute", participant=waiting["participant"])
    assert chair.ask("negotiate", sdp="v=0", streams=[])["error"]["code"]
    assert "now" in chair.ask("ping")["ok"]

    session, seq = me["session"], me["snapshot"]["seq"]
    chair.socket.close()
    late.event("participant.disconnected")
    chair = Page(server, room)
    back = chair.join(server.token(room, role="chair", identity="somebody"), resume={"session": session, "seq": seq})
    assert back["error"]["code"] == "foreign_session"
    late.ask("leave")
    last = Page(server, room)
    last.join(server.token(room, role="chair"))
    guest.event("participant.left")
    removed = waiting["participant"]
    last.ask("participant.remove", participant=removed, reason="over")
    guest.notice("goodbye")
    last.ask("room.end", reason="done")
    last.event("room.ended")
    last.notice("goodbye")


def test_a_tail_is_as_the_schema_says(server):
    token = server.token("tail", role="chair", identity="same")
    page = Page(server, "tail")
    ok = page.join(token)["ok"]
    page.ask("chat.send", text="one")
    page.socket.close()
    again = Page(server, "tail").join(token, resume={"session": ok["session"], "seq": ok["snapshot"]["seq"]})["ok"]
    assert again["resumed"] is True
    assert [event["event"] for event in again["tail"]][0] == "chat.message"


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"do":"ping"}', '{"id":"x","do":"ping"}', '{"id":1,"do":"fly"}'])
def test_errors_are_as_the_schema_says(server, text):
    page = Page(server, "errors")
    page.join(server.token("errors"))
    page.socket.send(text)
    assert page.wait(lambda message: "error" in message)["error"]["message"]
