"""Everything that has no business here is refused with a reason, costs nothing, and harms nobody else."""

import asyncio
import http.client
import json
import os
import random
import re
import socket
import struct
import time

import pytest
from clients import Player, Publisher, request, sign
from harness import run_async
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

SEED = 20261124


@pytest.fixture(autouse=True)
def server_survives(server):
    """After each of these tests the server answers as before."""
    yield
    assert server.is_healthy()


def bad_tokens(server, room):
    claims = server.claims(room)
    good = sign(claims, server.secret)
    head, payload, signature = good.split(".")
    return {
        "none": None,
        "rubbish": "rubbish",
        "expired": sign({**claims, "exp": int(time.time()) - 3600}, server.secret),
        "foreign": sign(claims, b"another secret of another hospital"),
        "other room": sign({**claims, "room": "another-room"}, server.secret),
        "unsigned": sign(claims, b"", algorithm="none"),
        "cut": f"{head}.{payload}",
        "changed": f"{head}.{payload[:-2]}AA.{signature}",
        "without role": sign({key: value for key, value in claims.items() if key != "role"}, server.secret),
        "unknown role": sign({**claims, "role": "emperor"}, server.secret),
        "for ever": sign({**claims, "exp": 10**10}, server.secret),
    }


BAD_TOKENS = [
    "none", "rubbish", "expired", "foreign", "other room", "unsigned", "cut", "changed", "without role", "unknown role",
    "for ever",
]


# WebSocket


class Socket:
    def __init__(self, server, room):
        self.connection = connect(
            server.socket_url.format(room=room), subprotocols=["consilium.v1"], open_timeout=5, max_size=1 << 22
        )

    def __enter__(self):
        self.socket = self.connection.__enter__()
        return self

    def __exit__(self, *reason):
        self.connection.__exit__(*reason)

    def send(self, message):
        self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def reply(self, number, seconds=5):
        """The reply to that id; events and notices in between are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            message = json.loads(self.socket.recv(timeout=max(0.01, deadline - time.monotonic())))
            if message.get("re") == number:
                return message

    def join(self, token):
        self.send({"id": 1, "do": "join", "token": token})
        return self.reply(1)

    def is_closed(self, seconds=10):
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                self.socket.recv(timeout=max(0.01, deadline - time.monotonic()))
        except ConnectionClosed:
            return True
        except TimeoutError:
            return False
        return False


def test_the_right_token_opens_the_door(server):
    """Otherwise the refusals below would prove nothing."""
    room = server.new_room()
    with Socket(server, room) as one:
        joined = one.join(sign(server.claims(room), server.secret))
        assert "ok" in joined, joined
        assert joined["ok"]["room"] == room


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_no_socket_without_the_right_token(server, kind):
    room = server.new_room()
    token = bad_tokens(server, room)[kind]
    with Socket(server, room) as one:
        one.send({"id": 1, "do": "join", **({"token": token} if token else {})})
        try:
            answer = one.reply(1)
        except ConnectionClosed as closed:
            assert closed.rcvd and closed.rcvd.reason, "closed without a reason"
            return
        assert answer["error"]["code"] and answer["error"]["message"], answer
        assert token is None or token not in json.dumps(answer), "the refusal repeats the token"


@pytest.mark.parametrize(
    "first",
    [
        "rubbish", "", "[]", "null", '"join"', "{}", '{"id":1}', '{"do":"join"}', '{"id":"x","do":"join"}',
        '{"id":1,"do":7}', '{"id":1,"do":"chat.send","text":"hello"}', '{"id":1,"do":"join","token":7}',
        '{"id":1,"do":"join","token":' + "[" * 20000, '{"id":1e400,"do":"join"}', "\ufeff{}",
        '{"id":1,"do":"join","token":"' + "a" * 200_000 + '"}', b"\x00\x01\x02\xff", b"{}",
    ],
    ids=range(18),
)
def test_a_bad_first_message_is_answered_or_ends_the_connection(server, first):
    with Socket(server, server.new_room()) as one:
        one.send(first)
        try:
            answer = json.loads(one.socket.recv(timeout=7))
            assert "error" in answer and answer["error"]["code"], answer
        except ConnectionClosed as closed:
            assert closed.rcvd is None or closed.rcvd.code != 1000


def test_who_does_not_join_is_sent_away(server):
    with Socket(server, server.new_room()) as one:
        assert one.is_closed(10)


@pytest.mark.parametrize(
    "message, fault",
    [
        ({"id": 2, "do": "room.destroy"}, "unknown"),
        ({"id": 2, "do": "chat.send"}, "no text"),
        ({"id": 2, "do": "chat.send", "text": "x" * 100_000}, "oversized text"),
        ({"id": 2, "do": "chat.send", "text": {"x": 1}}, "a kind of text"),
        ({"id": 2, "do": "participant.remove", "participant": "nobody"}, "nobody"),
        ({"id": 2, "do": "negotiate", "sdp": "v=0\r\nrubbish", "streams": []}, "malformed SDP"),
        ({"id": 2, "do": "negotiate", "sdp": 7, "streams": []}, "no SDP"),
        ({"id": 2, "do": "viewport.update", "viewport": "main", "patch": {"voi": {"center": "wide"}}}, "a bad patch"),
        ({"id": 2, "do": "recording.stop"}, "nothing to stop"),
    ],
)
def test_bad_commands_are_refused_and_the_room_goes_on(server, message, fault):
    room = server.new_room()
    with Socket(server, room) as one:
        assert "ok" in one.join(sign(server.claims(room), server.secret))
        one.send(message)
        answer = one.reply(2)
        assert answer["error"]["code"] and answer["error"]["message"], (fault, answer)
        one.send({"id": 3, "do": "ping"})
        assert "ok" in one.reply(3)


def test_oversized_and_malformed_messages_of_a_member_do_not_reach_others(server):
    room = server.new_room()
    with Socket(server, room) as good:
        assert "ok" in good.join(sign(server.claims(room, sub="good"), server.secret))
        for hostile in ["x" * 3_000_000, "{" * 100_000, '{"id":2,"do":"ping"' + " " * 2_000_000 + "}", b"\xff" * 70_000]:
            try:
                with Socket(server, room) as bad:
                    assert "ok" in bad.join(sign(server.claims(room, sub="bad"), server.secret))
                    bad.send(hostile)
                    bad.is_closed(2)
            except (ConnectionClosed, OSError):
                pass
        good.send({"id": 9, "do": "ping"})
        assert "ok" in good.reply(9)


def test_roles_bound_what_a_member_may_do(server):
    room = server.new_room()
    with Socket(server, room) as chair, Socket(server, room) as observer:
        assert "ok" in chair.join(sign(server.claims(room, sub="chair"), server.secret))
        joined = observer.join(sign(server.claims(room, sub="observer", role="observer"), server.secret))
        assert "ok" in joined, joined
        for command in [
            {"do": "room.end"}, {"do": "recording.start"}, {"do": "participant.mute", "participant": "p1"},
            {"do": "lobby.admit", "participant": "p1"}, {"do": "floor.give", "participant": "p1"},
        ]:
            observer.send({"id": 5, **command})
            assert "error" in observer.reply(5), command
        chair.send({"id": 6, "do": "ping"})
        assert "ok" in chair.reply(6)


def test_other_protocols_and_origins_get_no_socket(server):
    url = server.socket_url.format(room="r")
    with pytest.raises((InvalidHandshake, ConnectionClosed, OSError)):
        with connect(url, subprotocols=["something.else"], open_timeout=5) as one:
            one.recv(timeout=6)
    with pytest.raises((InvalidHandshake, ConnectionClosed, OSError)):
        with connect(url, subprotocols=["consilium.v1"], origin="https://evil.example", open_timeout=5) as one:
            one.recv(timeout=6)


# HTTP


@pytest.mark.parametrize("kind", BAD_TOKENS)
@pytest.mark.parametrize("path", ["/whip/{room}/theatre", "/whep/{room}", "/v1/rooms/{room}/statistics"])
def test_no_http_without_the_right_token(server, path, kind):
    room = server.new_room()
    token = bad_tokens(server, room)[kind]
    method = "GET" if path.startswith("/v1") else "POST"
    answer = request(f"{server.url}{path.format(room=room)}", method, token, "v=0\r\n" if method == "POST" else None,
                     "application/sdp" if method == "POST" else None)
    assert answer.status in (401, 403), (answer.status, answer.text)
    assert answer.error["code"] and answer.error["message"]
    assert token is None or token not in answer.text


def test_an_observer_may_not_publish(server):
    room = server.new_room()
    token = sign(server.claims(room, role="observer"), server.secret)
    answer = request(f"{server.url}/whip/{room}/theatre", "POST", token, "v=0\r\n", "application/sdp")
    assert answer.status == 403, answer.text


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/room.html%00.png",
     "/v1/recordings/..%2f..%2fetc/passwd", "/v1/recordings/x/tracks/..%2f..%2f..%2fetc%2fpasswd", "/\\..\\x"],
)
def test_paths_do_not_leave_their_folder(server, path):
    token = sign(server.claims("*"), server.secret)
    try:
        answer = request(server.url + path, token=token)
    except http.client.RemoteDisconnected:
        return  # a zero byte in the path ends the connection
    assert answer.status in (400, 401, 403, 404), answer.status
    assert b"root:" not in answer.body


@pytest.mark.parametrize(
    "raw",
    [
        b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /" + b"a" * 100_000,
        b"POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nZZZ\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n", b"\r\n" * 5000, b"\x00" * 5000,
    ],
    ids=range(9),
)
def test_broken_http_is_refused(server, raw):
    host, port = re.match(r"http://(.*):(\d+)", server.url).groups()
    with socket.create_connection((host, int(port)), timeout=3) as one:
        try:
            one.sendall(raw)
            answer = one.recv(4096)
        except OSError:
            return
        assert b" 200 " not in answer.split(b"\r\n")[0], answer[:200]


# Media


def test_random_bytes_on_every_port_harm_nobody(server):
    print("seed", SEED)
    source = random.Random(SEED)
    # First bytes of every kind of datagram, so that each reader gets its share.
    firsts = [0x00, 0x01, 0x14, 0x16, 0x17, 0x19, 0x40, 0x80, 0x90, 0xB0, 0xFF]

    def packets(count):
        for _ in range(count):
            size = source.choice([0, 1, 3, 11, 12, 13, 20, 100, 1200, 1500])
            body = bytearray(source.randbytes(size))
            if body:
                body[0] = source.choice(firsts)
            yield bytes(body)

    async def scene():
        room = server.new_room()
        publisher = Publisher(f"{server.url}/whip/{room}/theatre", server.token(room, "device"), audio=False)
        player = Player(f"{server.url}/whep/{room}/theatre", server.token(room, "observer"), kinds=["video"])
        try:
            await publisher.start()
            await player.start()
            await player.until(lambda one: one.levels)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                for body in packets(5000):
                    datagrams.sendto(body, ("127.0.0.1", server.media_port))
            pages = int(server.url.rsplit(":", 1)[1])
            for port in (server.media_port, pages):
                for body in packets(60):
                    with socket.create_connection(("127.0.0.1", port), timeout=3) as stream:
                        try:
                            stream.sendall(body)
                            # With the framing of RFC 4571 as well, so that what is inside gets read.
                            stream.sendall(struct.pack(">H", len(body)) + body)
                        except OSError:
                            pass
            before = len(player.levels)
            player.levels.clear()
            await player.until(lambda one: one.steps() >= 3)
            assert before > 0
        finally:
            await player.stop()
            await publisher.stop()

    run_async(scene())


def stun_request(ufrag, generator):
    """A binding request that would be checked by its USERNAME, with an integrity made of nothing."""
    username = f"{ufrag}:abcd".encode()
    attributes = struct.pack(">HH", 0x0006, len(username)) + username + b"\0" * (-len(username) % 4)
    attributes += struct.pack(">HHI", 0x0024, 4, 1853824767)
    attributes += struct.pack(">HHQ", 0x802A, 8, generator.getrandbits(64))
    attributes += struct.pack(">HH", 0x0008, 20) + generator.randbytes(20)
    attributes += struct.pack(">HHI", 0x8028, 4, generator.getrandbits(32))
    return struct.pack(">HHI", 0x0001, len(attributes), 0x2112A442) + generator.randbytes(12) + attributes


def test_ten_thousand_stun_requests_with_a_wrong_fragment_amplify_nothing(server):
    print("seed", SEED)
    generator = random.Random(SEED)
    sent = received = 0
    sizes = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setblocking(False)
        for number in range(10_000):
            message = stun_request(f"w{number:05d}", generator)
            sizes.add(len(message))
            one.sendto(message, ("127.0.0.1", server.media_port))
            sent += len(message)
            received += drain(one, max(sizes))
        end = time.monotonic() + 1
        while time.monotonic() < end:
            received += drain(one, max(sizes))
            time.sleep(0.01)
    assert received <= sent, f"{received} bytes came back for {sent}"


def drain(one, largest):
    total = 0
    while True:
        try:
            answer = one.recv(4096)
        except BlockingIOError:
            return total
        assert len(answer) <= largest, f"an answer of {len(answer)} bytes to a request of {largest}"
        total += len(answer)


def test_a_wrong_fingerprint_is_never_connected(server):
    async def scene():
        room = server.new_room()
        publisher = Publisher(f"{server.url}/whip/{room}/theatre", server.token(room, "device"))

        def falsify(sdp):
            # sha-384 and sha-512 would still be right.
            sdp = re.sub("a=fingerprint:sha-(384|512) .*\r\n", "", sdp)
            false = ":".join(f"{byte:02X}" for byte in os.urandom(32))
            return re.sub("a=fingerprint:sha-256 .*\r\n", f"a=fingerprint:sha-256 {false}\r\n", sdp)

        try:
            await publisher.start(change_offer=falsify)
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline and publisher.peer.connectionState not in ("failed", "closed"):
                await asyncio.sleep(0.1)
            answer = await asyncio.to_thread(
                request, f"{server.url}/v1/rooms/{room}/statistics", token=sign(server.claims(room), server.secret)
            )
            assert not re.search(r'"packets": ?[1-9]', answer.text), answer.text
            player = Player(f"{server.url}/whep/{room}/theatre", server.token(room, "observer"), kinds=["video"])
            try:
                await player.start()
            except AssertionError as refused:
                assert "404" in str(refused) or "40" in str(refused)
            else:
                await asyncio.sleep(3)
                assert not player.levels, "media of a peer with a wrong fingerprint was forwarded"
            finally:
                await player.stop()
        finally:
            await publisher.stop()

    run_async(scene())


def test_slow_connections_do_not_keep_others_out(server):
    host, port = re.match(r"http://(.*):(\d+)", server.url).groups()
    held = [socket.create_connection((host, int(port)), timeout=3) for _ in range(100)]
    try:
        for one in held:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert server.is_healthy()
        media = [socket.create_connection(("127.0.0.1", server.media_port), timeout=3) for _ in range(50)]
        held += media
        for one in media:
            one.sendall(b"\x05")
        assert server.is_healthy()
    finally:
        for one in held:
            one.close()
