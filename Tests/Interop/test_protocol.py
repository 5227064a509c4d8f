"""Another client than the page speaks consilium.v1 with a real server; every message both ways is held to the schema."""

import itertools
import json

import pytest
from clients import request, sign
from harness import until
from protocol import DEFINITIONS, Client, Refused, check, names
from protocol_examples import BAD_BUT_VALID, BAD_MESSAGES

STUDY, SERIES, SOP = "1.2.840.99", "1.2.840.99.1", "1.2.840.99.1.1"
POINTER = {"viewport": "main", "sop": SOP, "frame": 1}
PATCH = {"image": {"sop": SOP, "frame": 1}, "voi": {"center": 40, "width": 400, "function": "LINEAR"}}
numbers = itertools.count(1)

# An offer as a browser makes it, cut to what it takes. Nobody answers at its addresses, so media never starts.
OFFER = "\r\n".join([
    "v=0", "o=- 4611733 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1 2", "a=extmap-allow-mixed",
    *[line for mid, kind, direction, codec in [
        ("0", "audio", "sendonly", "111 opus/48000/2"), ("1", "video", "sendonly", "96 VP8/90000"),
        ("2", "video", "recvonly", "96 VP8/90000")] for line in [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {codec.split()[0]}", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-ufrag:aB3d", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=ice-options:trickle",
        "a=fingerprint:sha-256 " + ":".join(["5A"] * 32), "a=setup:actpass", f"a=mid:{mid}",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid", f"a={direction}", "a=rtcp-mux",
        f"a=rtpmap:{codec}", *([f"a=ssrc:{1000 + int(mid)} cname:here"] if direction == "sendonly" else []),
    ]], ""])
STREAMS = [{"mid": "0", "stream": "microphone", "role": "audio"},
           {"mid": "1", "stream": "camera", "role": "camera", "label": "Kamera im Büro"}]


@pytest.fixture
def room():
    return f"protocol-{next(numbers)}"


@pytest.fixture
def enter(server, room):
    """A function that makes a client with a token for this test's room; all are closed in the end."""
    clients = []

    def make(role="chair", kind="mdt", joins=True, token=None, **claims):
        claims = {"name": f"Dr {role.title()}", **claims}
        client = Client(server, room, token or server.token(room=room, role=role, kind=kind, **claims))
        clients.append(client)
        if joins:
            client.join()
        return client

    yield make
    for client in clients:
        client.close()


def test_a_session_of_two_with_nearly_every_command(enter):
    chair = enter(joins=False, title="Tumour board")
    ok = chair.join()
    assert ok["participant"] == "p1" and ok["role"] == "chair" and ok["kind"] == "mdt"
    assert ok["permissions"] == sorted(DEFINITIONS["permission"]["enum"])
    assert ok["snapshot"]["seq"] == 2 and ok["snapshot"]["state"]["title"] == "Tumour board"
    assert list(ok["snapshot"]["state"]["participants"]) == ["p1"]

    # The lobby.
    guest = enter("attendee", joins=False)
    assert guest.join()["waiting"] is True
    assert guest.refusal("chat.send", text="hello?") == "waiting"
    assert guest.refusal("negotiate", sdp=OFFER) == "waiting"
    assert guest.ask("ping")["now"] > 0
    assert chair.wait_for(event="participant.waiting", participant="p2")["name"] == "Dr Attendee"
    assert chair.refusal("lobby.admit", participant="p9") == "not_waiting"
    chair.ask("lobby.admit", participant="p2")
    admitted = guest.wait_for(notice="admitted")
    assert admitted["participant"] == "p2" and admitted["role"] == "attendee"
    assert admitted["snapshot"]["state"]["participants"]["p2"]["status"] == "present"
    assert not [event for event in guest.events if event["seq"] <= admitted["snapshot"]["seq"]]
    stranger = enter("observer")
    chair.wait_for(event="participant.waiting", participant="p3")
    chair.ask("lobby.reject", participant="p3", reason="wrong room")
    assert stranger.wait_for(notice="rejected")["reason"] == "wrong room"
    assert stranger.wait_closed() == 4002
    assert enter("observer", joins=False, token=stranger.token).refusal("join", token=stranger.token) == "barred"

    # Streams.
    answer = chair.ask("negotiate", sdp=OFFER, streams=STREAMS)
    assert {(stream["stream"], stream["codec"]) for stream in answer["published"]} == {
        ("microphone", "opus"), ("camera", "VP8")}
    assert answer["sections"] == [{"mid": "2", "kind": "video", "participant": None, "stream": None}]
    published = guest.wait_for(event="stream.published", stream="camera")
    assert published["label"] == "Kamera im Büro" and published["muted"] is False
    seen = guest.ask("negotiate", sdp=OFFER.replace("4611733", "4611734"), streams=STREAMS[:1])
    assert {"mid": "2", "kind": "video", "participant": "p1", "stream": "camera"} in seen["sections"]
    assert seen["needed"] == {"audio": 1, "video": 1}
    # Undeclared, and announced under the name that it gets.
    assert chair.wait_for(event="stream.published", by="p2", stream="video-0")["role"] == "camera"
    assert chair.wait_for(notice="media.sections")["sections"]
    chair.ask("stream.mute", stream="camera", muted=True)
    guest.wait_for(event="stream.muted", participant="p1", stream="camera", muted=True)
    chair.ask("stream.mute", stream="camera", muted=False)
    guest.wait_for(event="stream.muted", participant="p1", stream="camera", muted=False)
    assert chair.refusal("stream.mute", stream="screen", muted=True) == "no_stream"
    chair.ask("participant.mute", participant="p2")
    muted = guest.wait_for(event="stream.muted", participant="p2")
    assert muted["by"] == "p1" and muted["stream"] == "microphone"
    assert guest.refusal("participant.mute", participant="p1") == "not_permitted"
    assert guest.refusal("negotiate", sdp="v=0\r\nnonsense") == "malformed_sdp"
    assert guest.refusal("negotiate", sdp="\r\n".join(
        line for line in OFFER.split("\r\n") if "fingerprint" not in line)) == "missing_fingerprint"

    # Hands and the floor.
    guest.ask("hand.raise")
    guest.ask("hand.raise")
    chair.wait_for(event="hand.raised", participant="p2")
    assert guest.refusal("floor.take") == "not_permitted"
    chair.ask("floor.give", participant="p2")
    assert guest.wait_for(event="floor.changed", holder="p2")["epoch"] == 1
    assert guest.wait_for(event="hand.lowered", participant="p2")["by"] == "p1"
    assert chair.refusal("viewport.open", viewport="main", study=STUDY, series=SERIES) == "floor_needed"
    assert chair.refusal("floor.give", participant="p9") == "no_participant"

    # Images.
    guest.ask("viewport.open", viewport="main", study=STUDY, series=SERIES)
    chair.wait_for(event="viewport.opened", viewport="main", by="p2")
    guest.ask("viewport.update", viewport="main", patch=PATCH)
    assert chair.wait_for(event="viewport.changed")["patch"] == PATCH
    guest.ask("viewport.update", viewport="main", patch={
        "area": {"left": -0.5, "top": 0, "right": 512, "bottom": 511.25}, "invert": True, "focalPoint": [1, -2.5, 84],
        "viewUp": [0, -1, 0], "parallelScale": 200.5, "orientation": {"rotation": 90, "flipHorizontal": True}})
    assert guest.refusal("viewport.update", viewport="other", patch=PATCH) == "no_viewport"
    guest.point(**POINTER, x=211.5, y=140)
    assert chair.wait_for(presence="pointer", by="p2")["x"] == 211.5
    chair.point(**POINTER, x=None, y=None)
    assert guest.wait_for(presence="pointer", by="p1")["y"] is None
    assert not [message for message in guest.messages if message.get("presence") == "pointer" and message["by"] == "p2"]
    guest.ask("floor.release")
    chair.wait_for(event="floor.changed", holder=None)
    chair.ask("floor.take")
    chair.ask("viewport.close", viewport="main")
    guest.wait_for(event="viewport.closed", viewport="main")

    # Words, the spotlight, the recording.
    guest.ask("chat.send", text="  The lesion is 10 mm \U0001f600 \"now\"\n")
    line = chair.wait_for(event="chat.message")
    assert line["text"] == "The lesion is 10 mm \U0001f600 \"now\"" and line["participant"] == "p2"
    assert chair.refusal("spotlight.set", participant="p2", stream="screen") == "no_stream"
    chair.ask("spotlight.set", participant="p2", stream="video-0")
    guest.wait_for(event="spotlight.changed", participant="p2", stream="video-0")
    chair.ask("spotlight.clear")
    guest.wait_for(event="spotlight.changed", participant=None, stream=None)
    assert guest.refusal("recording.consent", given=True) == "not_recording"
    assert guest.refusal("recording.start") == "not_permitted"
    recording = chair.ask("recording.start", title="Case 3")["recording"]
    assert guest.wait_for(event="recording.started", recording=recording)["title"] == "Case 3"
    assert chair.refusal("recording.start") == "already_recording"
    guest.ask("recording.consent", given=True)
    chair.wait_for(event="consent.given", participant="p2", given=True)
    chair.ask("recording.stop")
    guest.wait_for(event="recording.stopped", recording=recording)
    assert chair.refusal("recording.stop") == "not_recording"

    # The end. The reply may be lost in it, the event may not.
    chair.send("room.end", reason="all cases done")
    for client in (chair, guest):
        assert client.wait_for(event="room.ended")["reason"] == "all cases done"
        assert client.wait_for(notice="goodbye")["reason"] == "all cases done"
        assert client.wait_closed() == 4002
    late = enter("attendee", joins=False)
    assert late.refusal("join", token=guest.token, resume={"session": admitted["session"], "seq": 1}) == "room_ended"

    # Both saw the same log, each from its own beginning and without a gap.
    assert [event["seq"] for event in chair.events] == list(range(3, chair.events[-1]["seq"] + 1))
    assert guest.events == chair.events[-len(guest.events):]
    missing = names("event") - {event["event"] for event in chair.events}
    assert missing == {"room.opened", "participant.disconnected", "participant.reconnected", "participant.left",
                       "stream.unpublished"}


def test_a_broken_connection_is_taken_up_again_with_what_was_missed(enter):
    chair, expert = enter(), enter("expert")
    chair.ask("chat.send", text="one")
    seq = expert.wait_for(event="chat.message", text="one")["seq"]
    expert.break_off()
    assert chair.wait_for(event="participant.disconnected", participant="p2")["by"] is None
    chair.ask("chat.send", text="two")

    back = enter(joins=False, token=expert.token)
    ok = back.join(session=expert.session, seq=seq)
    assert ok["resumed"] is True and ok["participant"] == "p2" and ok["role"] == "expert"
    assert [event["event"] for event in ok["tail"]] == [
        "participant.disconnected", "chat.message", "participant.reconnected"]
    assert [event["seq"] for event in ok["tail"]] == [seq + 1, seq + 2, seq + 3]
    back.ask("chat.send", text="three")
    assert back.wait_for(event="chat.message")["seq"] == seq + 4
    for event in ok["tail"]:
        check("event." + event["event"], event)
        assert chair.wait_for(seq=event["seq"]) == event

    # Without the number of an event, or with one that never was, there is the whole state.
    for resume in ({}, {"seq": 10**6}):
        back.break_off()
        back = enter(joins=False, token=expert.token)
        ok = back.join(session=expert.session, **resume)
        assert ok["resumed"] is True and ok["participant"] == "p2" and "tail" not in ok
        assert [line["text"] for line in ok["snapshot"]["state"]["chat"]] == ["one", "two", "three"]
        assert ok["snapshot"]["state"]["participants"]["p2"]["status"] == "present"


def test_the_place_of_a_connection_that_still_stands_is_taken_without_anybody_noticing(enter):
    chair, expert = enter(), enter("expert")
    chair.wait_for(event="participant.joined", participant="p2")
    twin = enter(joins=False, token=expert.token)
    ok = twin.join(session=expert.session, seq=3)
    assert ok["resumed"] is True and ok["tail"] == []
    assert expert.wait_closed() == 4001
    twin.ask("hand.raise")
    chair.wait_for(event="hand.raised", participant="p2")
    assert not [event for event in chair.events if event["event"] == "participant.disconnected"]


def test_a_place_in_the_lobby_survives_a_break_too(enter):
    chair, guest = enter(), enter("attendee")
    chair.wait_for(event="participant.waiting", participant="p2")
    guest.break_off()
    back = enter(joins=False, token=guest.token)
    assert back.join(session=guest.session, seq=0)["waiting"] is True
    assert back.participant == "p2"
    chair.ask("lobby.admit", participant="p2")
    assert back.wait_for(notice="admitted")["participant"] == "p2"


def test_a_session_is_good_for_its_owner_only(enter):
    expert, thief = enter("expert"), enter("expert", joins=False)
    assert thief.refusal("join", token=thief.token, resume={"session": expert.session, "seq": 2}) == "foreign_session"
    assert thief.wait_closed() == 1000
    # One that is not known is no hindrance.
    newcomer = enter("expert", joins=False)
    ok = newcomer.join(session="0" * 32, seq=2)
    assert ok["participant"] == "p2" and "resumed" not in ok and ok["snapshot"]["seq"] == 3


def test_who_is_removed_is_told_why_and_stays_out(enter):
    chair, presenter = enter(), enter("presenter")
    assert presenter.refusal("participant.remove", participant="p1") == "not_permitted"
    presenter.ask("floor.take")
    chair.ask("participant.remove", participant="p2", reason="please rejoin from the ward")
    assert presenter.wait_for(event="participant.left", participant="p2")["reason"] == "please rejoin from the ward"
    assert presenter.wait_for(notice="goodbye")["reason"] == "please rejoin from the ward"
    assert presenter.wait_closed() == 4002
    given_back = chair.wait_for(event="floor.changed", holder=None)
    assert given_back["seq"] < chair.wait_for(event="participant.left")["seq"]
    assert enter(joins=False).refusal("join", token=presenter.token) == "barred"


def test_who_leaves_is_gone_at_once(enter):
    chair, expert = enter(), enter("expert")
    expert.send("leave")
    assert chair.wait_for(event="participant.left", participant="p2")["reason"] == "left"
    assert expert.wait_closed() == 4002
    assert not [message for message in expert.messages if message.get("notice") == "goodbye"]


def test_what_is_not_sent_any_more_is_taken_back(enter):
    chair, expert = enter(), enter("expert")
    expert.ask("negotiate", sdp=OFFER, streams=STREAMS)
    chair.wait_for(event="stream.published", stream="camera")
    without = OFFER.replace("o=- 4611733 2", "o=- 4611733 3").split("m=video", 1)
    expert.ask("negotiate", sdp=without[0] + "m=video" + without[1].replace("a=sendonly", "a=inactive", 1),
               streams=STREAMS[:1])
    assert chair.wait_for(event="stream.unpublished")["stream"] == "camera"


def test_an_observer_of_a_lesson_may_watch_and_nothing_else(enter):
    enter("presenter", kind="lesson")
    observer = enter("observer", kind="lesson", joins=False)
    ok = observer.join()
    assert ok["permissions"] == [] and ok["kind"] == "lesson"
    for command in ("hand.raise", "floor.take", "spotlight.clear", "recording.start", "recording.stop", "room.end"):
        assert observer.refusal(command) == "not_permitted", command
    assert observer.refusal("chat.send", text="hello") == "not_permitted"
    assert observer.ask("negotiate", sdp=OFFER)["published"] == []


def test_nobody_comes_in_without_a_good_token(server, room, enter):
    foreign = server.token(room="elsewhere")
    good = server.token(room=room, role="observer", kind="lesson")
    cases = {
        "token_missing": "", "token_malformed": "a.b", "token_signature": sign(server.claims(room), b"not our secret"),
        "token_expired": sign(server.claims(room, exp=1_700_000_000), server.secret), "token_other_room": foreign,
        "not_open": good,
    }
    for code, token in cases.items():
        client = enter(joins=False, token=good)
        client.send_text(json.dumps({"id": 1, "do": "join", "token": token}))
        assert client.reply(1)["error"]["code"] == code
        assert client.wait_closed() == 1000
    client = enter(joins=False, token=good)
    assert client.refusal("ping") == "join_first"
    assert client.wait_closed() == 1000


def test_who_says_nothing_is_not_waited_for(enter):
    silent = enter(joins=False)
    assert silent.wait_closed(seconds=8) == 4003
    assert silent.messages == []


def test_a_socket_without_the_subprotocol_or_of_another_site_is_not_opened(server, room):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    ours = {"Sec-WebSocket-Protocol": "consilium.v1"}
    for path, headers, status, code in (
        ("socket", {}, 400, "subprotocol_required"),
        ("socket", {"Sec-WebSocket-Protocol": "consilium.v9"}, 400, "subprotocol_required"),
        ("socket", {**ours, "Origin": "http://elsewhere.example"}, 403, "foreign_origin"),
        ("plug", ours, 404, "not_found"),
    ):
        answer = request(f"{server.url}/v1/rooms/{room}/{path}", headers={**upgrade, **headers}, timeout=10)
        assert answer.status == status, (path, headers, answer)
        assert json.loads(answer.body)["error"]["code"] == code


def test_the_server_reads_what_the_schema_allows(enter):
    """Whatever a good example is answered, it is never that it could not be read."""
    unreadable = {"bad_message", "bad_field", "too_long", "too_many_streams", "unknown_command", "id_missing"}
    client = enter()
    for name in sorted(names("command") - {"leave", "room.end"}) + ["room.end"]:
        for example in DEFINITIONS["command." + name]["examples"]:
            fields = {key: value for key, value in example.items() if key not in ("id", "do")}
            if name == "room.end":
                client.send(name, **fields)
                client.wait_for(event="room.ended")
                break
            try:
                client.ask(name, **fields)
            except Refused as refused:
                assert refused.code not in unreadable, f"{example}: {refused}"


def test_the_server_refuses_what_the_schema_forbids_and_goes_on(enter):
    client = enter()
    for number, message in enumerate(BAD_MESSAGES + BAD_BUT_VALID):
        numbered = message["id"] == 7
        if numbered:
            message = message | {"id": 10_000 + number}
        before = len(client.messages)
        client.send_text(json.dumps(message))
        if numbered:
            answer = client.reply(10_000 + number)
        else:
            answer = until(lambda: client.messages[before:], 10, f"an answer to {message}")[0]
            assert answer["re"] is None, f"{message}: {answer}"
        assert answer["error"]["code"] in ("bad_field", "too_long", "bad_message", "too_many_streams"), (message, answer)
    for text, code in (("", "bad_message"), ("[]", "bad_message"), ("{\"id\":1", "bad_message"), ("7", "bad_message"),
                       ("{\"id\":1}", "bad_message"), ("{\"do\":7}", "bad_message"), ("{\"do\":\"ping\"}", "id_missing"),
                       ("{\"id\":20000,\"do\":\"fly\"}", "unknown_command"), ("[" * 60_000, "bad_message"),
                       (json.dumps({"id": 20001, "do": "chat.send", "text": "x" * 70_000}), "too_long")):
        before = len(client.messages)
        client.send_text(text)
        answer = until(lambda: client.messages[before:], 10, f"an answer to {text[:40]}")[0]
        assert answer["error"]["code"] == code, (text[:80], answer)
    assert client.ask("ping")["now"] > 0
    assert client.close_code is None


def test_what_is_too_large_or_not_text_ends_the_connection(enter):
    large = enter()
    large.send_text("x" * (256 * 1024 + 1))
    assert large.wait_closed() == 1009
    binary = enter()
    binary.send_text(b"\x00\x01")
    assert binary.wait_closed() == 1008


def test_too_many_commands_at_once_are_refused_and_forgiven(enter):
    client = enter()
    sent = [client.send("hand.lower") for _ in range(400)]
    answers = [client.reply(number) for number in sent]
    refused = [answer for answer in answers if "error" in answer]
    assert refused and {answer["error"]["code"] for answer in refused} == {"too_fast"}
    assert len(answers) - len(refused) >= 120
    until(lambda: client.refusal("hand.lower") is None, 5, "being heard again")
