"""The protocol's schema and its words, against the sources and the session that is kept for tests."""

import json
import re

import jsonschema
import pytest
from harness import ROOT
from protocol import DEFINITIONS, PROTOCOL, SCHEMA, check, is_valid, names

SOURCES = ROOT / "Sources"
ROOMS = SOURCES / "Rooms"
SIGNALLING = SOURCES / "Gateway" / "Signalling"
WORDS = (PROTOCOL / "consilium.v1.md").read_text()
KEPT = (ROOT / "Tests" / "RoomsTests" / "session-2026.ndjson").read_text().splitlines()

LONG = "é" * 4001
PATCH = {"image": {"sop": "1.2", "frame": 1}}
# What no client may say, and the server refuses by form alone.
BAD = {
    "join": [{}, {"token": 7}, {"token": "a" * 4097}, {"token": "a", "resume": {}},
             {"token": "a", "resume": {"session": "b", "seq": -1}}, {"token": "a", "resume": {"session": "b", "seq": "1"}}],
    "leave": [{"id": "7"}],
    "negotiate": [{}, {"sdp": 7}, {"sdp": "v=0", "streams": {}}]
    + [{"sdp": "v=0", "streams": [{"mid": "0", "stream": "camera", "role": "camera", **fault}]}
       for fault in ({"mid": ""}, {"mid": "m" * 33}, {"stream": "a b"}, {"stream": "s" * 65}, {"role": "vista"},
                     {"label": "l" * 101}, {"label": None}, {"muted": "no"})]
    + [{"sdp": "v=0", "streams": [{"mid": str(n), "stream": f"s{n}", "role": "camera"} for n in range(17)]},
       {"sdp": "v=0", "streams": [{"mid": "0", "role": "camera"}]}],
    "stream.mute": [{}, {"stream": "../x", "muted": True}, {"stream": "camera"}, {"stream": "camera", "muted": 1}],
    "participant.mute": [{}, {"participant": "p 1"}, {"participant": "p1", "stream": ""}],
    "participant.remove": [{}, {"participant": 3}, {"participant": "p1", "reason": "r" * 201}],
    "lobby.admit": [{}, {"participant": None}],
    "lobby.reject": [{}, {"participant": "p1", "reason": 7}],
    "hand.raise": [{"id": -1}],
    "hand.lower": [{"participant": "p/1"}],
    "floor.take": [{"id": 1.5}],
    "floor.give": [{}, {"participant": ""}],
    "floor.release": [{"id": None}],
    "chat.send": [{}, {"text": 7}, {"text": ""}, {"text": " \n\t"}, {"text": LONG}],
    "spotlight.set": [{}, {"participant": "p1"}, {"stream": "camera"}, {"participant": "p1", "stream": "caméra"}],
    "spotlight.clear": [{"id": 2**53 + 1}],
    "recording.start": [{"title": 7}, {"title": "t" * 201}, {"title": None}],
    "recording.stop": [{"id": "x"}],
    "recording.consent": [{}, {"given": "yes"}, {"given": None}],
    "viewport.open": [{}, {"viewport": "main", "study": "1.2"}, {"viewport": "main", "study": "abc", "series": "1.2"},
                      {"viewport": "", "study": "1.2", "series": "1.2"},
                      {"viewport": "main", "study": "1.2", "series": "1" * 65}],
    "viewport.update": [{}, {"viewport": "main"}, {"patch": PATCH}]
    + [{"viewport": "main", "patch": fault}
       for fault in ({}, {"invert": None}, {"image": {"sop": "1.2", "frame": 0}}, {"image": {"sop": "x", "frame": 1}},
                     {"image": {"sop": "1.2"}}, {"area": {"left": 0, "top": 0, "right": 1e7, "bottom": 9}},
                     {"area": {"left": 0, "top": 0, "right": 9}}, {"orientation": {"rotation": 45, "flipHorizontal": False}},
                     {"orientation": {"rotation": 90}}, {"voi": {"center": 1, "width": 0, "function": "LINEAR"}},
                     {"voi": {"center": 1e9, "width": 1, "function": "LINEAR"}},
                     {"voi": {"center": 1, "width": 1, "function": "linear"}}, {"invert": 1}, {"focalPoint": [1, 2]},
                     {"viewUp": [1, 2, 3, 4]}, {"focalPoint": [1, 2, 1e7]}, {"parallelScale": 0})],
    "viewport.close": [{}, {"viewport": "v" * 65}],
    "pointer": [{}, {"viewport": "main", "sop": "1.2", "frame": 0, "x": 1, "y": 1},
                {"viewport": "main", "sop": "sop", "frame": 1, "x": 1, "y": 1},
                {"viewport": "main", "sop": "1.2", "frame": 1, "x": "1", "y": 1},
                {"viewport": "main", "sop": "1.2", "frame": 1, "x": 1, "y": 10000001}],
    "room.end": [{"reason": "r" * 201}],
    "ping": [{"id": True}],
}
BAD_MESSAGES = [{"id": 7, "do": command, **fields} for command, list_ in BAD.items() for fields in list_]
# Rules that only the words of the schema tell.
BAD_BUT_VALID = [
    {"id": 7, "do": "viewport.update", "viewport": "main", "patch": {"area": {"left": 5, "top": 0, "right": 5, "bottom": 9}}},
    {"id": 7, "do": "negotiate", "sdp": "v=0", "streams": [{"mid": "0", "stream": "a", "role": "camera"}] * 2},
]
GOOD_MESSAGES = [example for name in sorted(names("command")) for example in DEFINITIONS["command." + name]["examples"]]


def source(folder, file):
    return (folder / file).read_text()


def swift_cases(text, enumeration):
    """The cases of an enumeration of words without values of their own."""
    body = re.search(rf"enum {enumeration}: String[^{{]*{{(.*?)\n?\s*}}", text, re.DOTALL).group(1)
    lines = re.findall(r"^\s*case ([\w, ]+)$", body, re.MULTILINE) or re.findall(r"case ([\w, ]+)", body)
    return [name.strip() for line in lines for name in line.split(",")]


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    for reference in re.findall(r'"#/\$defs/([^"]+)"', text):
        assert reference in DEFINITIONS, f"nothing is defined as {reference}"
    for name in DEFINITIONS:
        assert f'"#/$defs/{name}"' in text or name.startswith("ok."), f"{name} is not used"


def test_the_kept_session_is_valid_to_the_last_event_and_its_state():
    for line in KEPT[:-1]:
        event = json.loads(line)
        check("event." + event["event"], event)
        assert is_valid("serverMessage", event)
    check("RoomState", json.loads(KEPT[-1]))


def test_an_event_of_another_form_is_not_valid():
    event = json.loads(KEPT[0])
    assert is_valid("event", event)
    for fault in ({"v": 2}, {"seq": 0}, {"t": -1}, {"kind": "party"}, {"by": "Dr Test"}, {"extra": 1}):
        assert not is_valid("event", event | fault), fault
    for missing in event:
        assert not is_valid("event", {key: value for key, value in event.items() if key != missing}), missing


def test_commands_of_the_schema_are_those_of_the_sources():
    rooms = re.search(r"names: Set<String> = \[(.*?)\]", source(ROOMS, "RoomCommand.swift"), re.DOTALL).group(1)
    room_commands = set(re.findall(r'"([a-z.]+)"', rooms))
    read = set(re.findall(r'case "([a-z.]+)"', source(ROOMS, "RoomCommand.swift")))
    assert room_commands == read
    signalling = set(re.findall(r'case "([a-z.]+)":', source(SIGNALLING, "ClientMessage.swift")))
    assert names("command") == room_commands | signalling


def test_events_of_the_schema_are_those_of_the_sources_and_of_the_page():
    events = set(re.findall(r'case \w+ = "([a-z.]+)"', source(ROOMS, "RoomEvent.swift")))
    assert names("event") == events
    twin = source(SOURCES / "WebClient" / "pages" / "shared", "room-state.js")
    assert names("event") == set(re.findall(r'^  "([a-z.]+)"[(:]', twin, re.MULTILINE))


@pytest.mark.parametrize("definition, folder, file, enumeration", [
    ("roomKind", ROOMS, "Roles.swift", "RoomKind"), ("role", ROOMS, "Roles.swift", "Role"),
    ("permission", ROOMS, "Roles.swift", "Permission"), ("mediaKind", ROOMS, "RoomState.swift", "MediaKind"),
    ("streamRole", ROOMS, "RoomState.swift", "StreamRole"),
])
def test_lists_of_words_are_those_of_the_sources(definition, folder, file, enumeration):
    assert DEFINITIONS[definition]["enum"] == swift_cases(source(folder, file), enumeration)


def test_notices_and_presence_of_the_schema_are_those_that_the_server_makes():
    made = "".join(path.read_text() for path in (SOURCES / "Gateway").rglob("*.swift"))
    notices = set(re.findall(r'notice\("([a-z.]+)"\)', made)) | set(re.findall(r'"notice":"([a-z.]+)"', made))
    assert names("notice") == notices
    assert names("presence") == set(re.findall(r'field\("presence", "([a-z]+)"\)', made))


def test_every_command_has_good_examples_and_bad_ones():
    assert set(BAD) == names("command")
    for message in GOOD_MESSAGES:
        check("clientMessage", message)
        check("command." + message["do"], message)


@pytest.mark.parametrize("message", BAD_MESSAGES, ids=lambda message: json.dumps(message)[:60])
def test_a_bad_example_is_not_valid(message):
    assert not is_valid("command." + message["do"], message)
    assert not is_valid("clientMessage", message)


def test_only_a_pointer_may_come_without_a_number_and_none_with_other_fields():
    for message in GOOD_MESSAGES:
        bare = {key: value for key, value in message.items() if key != "id"}
        assert is_valid("clientMessage", bare) == (message["do"] == "pointer"), message["do"]
        assert not is_valid("clientMessage", message | {"more": 1})


def test_the_words_name_every_message_and_every_code():
    for kind in ("command", "event", "presence", "notice"):
        for name in names(kind):
            assert f"`{name}`" in WORDS, f"{kind} {name} is not in consilium.v1.md"
    codes = set()
    for path in [*ROOMS.glob("*.swift"), *SIGNALLING.glob("*.swift")]:
        codes |= set(re.findall(r'Refusal\(\s*"(\w+)"|code: "(\w+)"|refuse\("(\w+)"', path.read_text()))
    codes = {code for group in codes for code in group if code}
    faults = source(SOURCES / "Gateway" / "Access", "AccessToken.swift")
    codes |= set(re.findall(r'case \w+ = "(token_\w+)"', faults))
    codes |= set(re.findall(r'case \.\w+: "(\w+)"$', source(SOURCES / "WireFormats" / "SDP", "SDPError.swift"), re.MULTILINE))
    for path in (SOURCES / "MediaEngine" / "Worker").glob("*.swift"):
        codes |= set(re.findall(r'status: \.\w+, code: "(\w+)"', path.read_text()))
    # Only WHIP and WHEP are answered with these.
    codes -= {"too_many_devices", "conflict"}
    assert len(codes) > 50
    assert not [code for code in sorted(codes) if f"`{code}`" not in WORDS]
