"""The protocol's schema and its words, against the sources and the session that is kept for tests."""

import json
import re

import jsonschema
import pytest
from harness import ROOT
from protocol import DEFINITIONS, PROTOCOL, SCHEMA, check, is_valid, names
from protocol_examples import BAD, BAD_MESSAGES, GOOD_MESSAGES

SOURCES = ROOT / "Sources"
ROOMS = SOURCES / "Rooms"
SIGNALLING = SOURCES / "Gateway" / "Signalling"
WORDS = (PROTOCOL / "consilium.v1.md").read_text()
KEPT = (ROOT / "Tests" / "RoomsTests" / "session-2026.ndjson").read_text().splitlines()


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
