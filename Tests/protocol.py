"""consilium.v1 for tests: its schema, and a client that checks every message in both directions against it."""

import contextlib
import json
import socket
import threading

import jsonschema
from harness import ROOT
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

PROTOCOL = ROOT / "Sources" / "WebClient" / "pages" / "protocol"
SCHEMA = json.loads((PROTOCOL / "consilium.v1.schema.json").read_text())
DEFINITIONS = SCHEMA["$defs"]
_validators = {}


def names(kind):
    """What the schema defines of a kind: `command`, `event`, `presence`, `notice`."""
    return {name.removeprefix(kind + ".") for name in DEFINITIONS if name.startswith(kind + ".")}


def check(definition, value):
    """Raises an AssertionError that names the place when the value is not as defined."""
    if definition not in _validators:
        _validators[definition] = jsonschema.Draft202012Validator(
            {"$ref": f"#/$defs/{definition}", "$defs": DEFINITIONS})
    fault = jsonschema.exceptions.best_match(_validators[definition].iter_errors(value))
    assert fault is None, f"{definition}: {fault.json_path}: {fault.message[:500]}\nin {json.dumps(value)[:2000]}"


def is_valid(definition, value):
    try:
        check(definition, value)
    except AssertionError:
        return False
    return True


def check_from_client(message):
    """One message of a client, against the definition of its command."""
    assert message.get("do") in names("command"), f"no such command: {message}"
    check("command." + message["do"], message)


def check_from_server(message):
    """One message of the server, against the narrowest definition that its kind names."""
    if "re" in message:
        check("refusal" if "error" in message else "reply", message)
        return
    for kind in ("event", "presence", "notice"):
        if kind in message:
            assert message[kind] in names(kind), f"no such {kind}: {message}"
            check(f"{kind}.{message[kind]}", message)
            return
    raise AssertionError(f"neither reply, event, presence nor notice: {message}")


def check_reply(command, ok):
    definition = DEFINITIONS["command." + command]["x-reply"]
    check("ok.waiting" if definition == "ok.join" and "waiting" in ok else definition, ok)


class Refused(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message = error["code"], error["message"]


class Client:
    """One connection to a room. Messages are kept in the order in which they came."""

    def __init__(self, server, room, token=None):
        self.token = token
        self.messages = []
        self.close_code = None
        self.participant = self.session = None
        self._faults = []
        self._next_id = 1
        self._changed = threading.Condition()
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(connect(
            f"{server.url.replace('http', 'ws', 1)}/v1/rooms/{room}/socket", subprotocols=["consilium.v1"],
            max_size=None, compression=None, open_timeout=10, close_timeout=5))
        assert self._socket.subprotocol == "consilium.v1"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        try:
            for text in self._socket:
                message = json.loads(text)
                with self._changed:
                    try:
                        check_from_server(message)
                    except AssertionError as fault:
                        self._faults.append(str(fault))
                    self.messages.append(message)
                    self._changed.notify_all()
        except ConnectionClosed:
            pass
        with self._changed:
            self.close_code = self._socket.protocol.close_code or 1006
            self._changed.notify_all()

    def _wait(self, condition, what, seconds=10):
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._faults or self.close_code, seconds)
            assert not self._faults, "\n".join(self._faults)
            value = condition()
            assert value, f"{what} did not come (closed: {self.close_code}); came: {json.dumps(self.messages)[-3000:]}"
            return value

    def send_text(self, text):
        self._socket.send(text)

    def send(self, do, **fields):
        """Sends a command without waiting, and says its id."""
        message = {"id": self._next_id, "do": do, **fields}
        self._next_id += 1
        check_from_client(message)
        self._socket.send(json.dumps(message))
        return message["id"]

    def point(self, **fields):
        message = {"do": "pointer", **fields}
        check_from_client(message)
        self._socket.send(json.dumps(message))

    def reply(self, number, seconds=10):
        return self._wait(
            lambda: next((m for m in self.messages if m.get("re", "") == number), None), f"a reply to {number}", seconds)

    def ask(self, do, **fields):
        """The `ok` of a command; raises Refused."""
        reply = self.reply(self.send(do, **fields))
        if "error" in reply:
            raise Refused(reply["error"])
        check_reply(do, reply["ok"])
        return reply["ok"]

    def refusal(self, do, **fields):
        """The code with which a command is refused, or None."""
        try:
            self.ask(do, **fields)
        except Refused as refused:
            return refused.code
        return None

    def join(self, token=None, **resume):
        self.token = token or self.token
        ok = self.ask("join", token=self.token, **({"resume": resume} if resume else {}))
        self.participant, self.session = ok["participant"], ok["session"]
        return ok

    def wait_for(self, seconds=10, **fields):
        """The first message with these fields."""
        return self._wait(
            lambda: next((m for m in self.messages if fields.items() <= _plain(m).items()), None), str(fields), seconds)

    def wait_closed(self, seconds=10):
        with self._changed:
            assert self._changed.wait_for(lambda: self.close_code, seconds), "the connection was not closed"
            assert not self._faults, "\n".join(self._faults)
            return self.close_code

    @property
    def events(self):
        with self._changed:
            return [message for message in self.messages if "event" in message]

    def break_off(self):
        """As a network does it: without a word of WebSocket."""
        with contextlib.suppress(OSError):
            self._socket.socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(10)

    def close(self):
        self._open.close()
        self._reader.join(10)
        assert not self._faults, "\n".join(self._faults)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _plain(message):
    """The fields that can be compared and kept in a set."""
    return {key: value for key, value in message.items() if not isinstance(value, (dict, list))}
