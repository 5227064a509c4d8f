"""What the tests speak with: the server's address and tokens, WHIP and WHEP over HTTP, aiortc with moving pictures."""

import asyncio
import base64
import fractions
import hashlib
import hmac
import http.client
import itertools
import json
import pathlib
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack

rooms = (f"interop-{number}" for number in itertools.count(1))


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def error(self):
        """The error object of a refusal."""
        return json.loads(self.body)["error"]


def request(url, method="GET", token=None, body=None, content_type=None, headers=None, timeout=10):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    sent = dict(headers or {})
    if token:
        sent["Authorization"] = f"Bearer {token}"
    if content_type:
        sent["Content-Type"] = content_type
    if isinstance(body, str):
        body = body.encode()
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, sent)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def encode(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def sign(claims, secret, algorithm="HS256"):
    """A token made here, so that it may be as wrong as a test likes."""
    head = encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    message = f"{head}.{encode(json.dumps(claims).encode())}"
    signature = hmac.new(secret, message.encode(), hashlib.sha256).digest() if algorithm == "HS256" else b""
    return f"{message}.{encode(signature)}"


@dataclass
class Target:
    """The server under test."""

    url: str
    media_port: int
    secret_file: pathlib.Path
    mint: Callable

    @property
    def socket_url(self):
        return self.url.replace("http", "ws", 1) + "/v1/rooms/{room}/socket"

    def is_healthy(self):
        try:
            return request(f"{self.url}/healthz", timeout=5).status == 200
        except OSError:
            return False

    def token(self, room, role="chair", name="Test", kind="broadcast", **claims):
        return self.mint(room, role=role, name=name, kind=kind, **claims)

    def claims(self, room, **changes):
        claims = {"room": room, "sub": "tester", "name": "Test", "role": "chair", "exp": int(time.time()) + 600}
        return {**claims, **changes}

    @property
    def secret(self):
        return self.secret_file.read_text().strip().encode()

    def new_room(self):
        return next(rooms)


class Resource:
    """One WHIP or WHEP session."""

    def __init__(self, endpoint, token):
        self.endpoint = endpoint
        self.token = token
        self.location = None
        self.tag = None

    async def create(self, offer):
        answer = await asyncio.to_thread(
            request, self.endpoint, "POST", self.token, offer, "application/sdp", timeout=20
        )
        if answer.status == 201:
            self.location = urllib.parse.urljoin(self.endpoint, answer.headers["location"])
            self.tag = answer.headers.get("etag")
        return answer

    async def patch(self, fragment, **headers):
        return await asyncio.to_thread(
            request, self.location, "PATCH", self.token, fragment, "application/trickle-ice-sdpfrag",
            {name.replace("_", "-"): value for name, value in headers.items()},
        )

    async def delete(self):
        return await asyncio.to_thread(request, self.location, "DELETE", self.token)


class BlinkingVideo(VideoStreamTrack):
    """A grey picture whose brightness steps through eight values, so that a viewer can see it change."""

    def __init__(self, width=320, height=240, period=10):
        super().__init__()
        self.size = (width, height)
        self.period = period
        self.count = 0

    async def recv(self):
        timestamp, base = await self.next_timestamp()
        frame = av.VideoFrame(*self.size, "yuv420p")
        level = 40 + 24 * (self.count // self.period % 8)
        self.count += 1
        for plane, value in zip(frame.planes, (level, 128, 128)):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts, frame.time_base = timestamp, base
        return frame


class Tone(AudioStreamTrack):
    """A square wave of 400 Hz: 20 ms at a time, never silent."""

    rate = 48000

    async def recv(self):
        samples = self.rate // 50
        if not hasattr(self, "begun"):
            self.begun, self.position = time.monotonic(), 0
        else:
            self.position += samples
            await asyncio.sleep(max(0, self.begun + self.position / self.rate - time.monotonic()))
        frame = av.AudioFrame("s16", "mono", samples)
        wave = b"".join((8000 if n % 120 < 60 else -8000).to_bytes(2, "little", signed=True) for n in range(samples))
        frame.planes[0].update(wave)
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.position, fractions.Fraction(1, self.rate)
        return frame


def brightness(frame):
    """Of the middle of the picture."""
    plane = frame.reformat(format="yuv420p").planes[0]
    row = bytes(plane)[frame.height // 2 * plane.line_size :][: frame.width]
    return sum(row) // len(row)


class Publisher:
    """aiortc, sending a blinking picture and a tone by WHIP."""

    def __init__(self, endpoint, token, audio=True, width=320, height=240):
        self.resource = Resource(endpoint, token)
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peer.addTransceiver(BlinkingVideo(width, height), direction="sendonly")
        if audio:
            self.peer.addTransceiver(Tone(), direction="sendonly")

    async def offer(self):
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def start(self, change_offer=lambda sdp: sdp, change_answer=lambda sdp: sdp):
        answer = await self.resource.create(change_offer(await self.offer()))
        assert answer.status == 201, f"{answer.status}: {answer.text}"
        sdp = change_answer(answer.text)
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))
        return self

    async def stop(self):
        if self.resource.location:
            await self.resource.delete()
        await self.peer.close()


class Player:
    """aiortc, receiving by WHEP and remembering how bright the pictures were and how loud the sound."""

    def __init__(self, endpoint, token, kinds=("video", "audio")):
        self.resource = Resource(endpoint, token)
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in kinds:
            self.peer.addTransceiver(kind, direction="recvonly")
        self.levels = []
        self.sizes = set()
        self.loudness = 0
        self.sound_frames = 0
        self.tasks = []
        self.peer.on("track", lambda track: self.tasks.append(asyncio.ensure_future(self.watch(track))))

    async def watch(self, track):
        try:
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    self.levels.append(brightness(frame))
                    self.sizes.add((frame.width, frame.height))
                else:
                    self.sound_frames += 1
                    self.loudness = max(self.loudness, *(min(b, 255 - b) for b in bytes(frame.planes[0])[1::2]))
        except MediaStreamError:
            pass

    async def start(self, change_answer=lambda sdp: sdp):
        await self.peer.setLocalDescription(await self.peer.createOffer())
        answer = await self.resource.create(self.peer.localDescription.sdp)
        assert answer.status == 201, f"{answer.status}: {answer.text}"
        sdp = change_answer(answer.text)
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))
        return self

    def steps(self):
        """How many different brightnesses were seen; a still picture has one."""
        return len({level // 12 for level in self.levels})

    async def until(self, condition, seconds=20):
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, (
                f"after {seconds} s: {len(self.levels)} pictures in {self.steps()} steps, {self.sound_frames} sound frames, "
                f"connection {self.peer.connectionState}"
            )
            await asyncio.sleep(0.05)

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        if self.resource.location:
            await self.resource.delete()
        await self.peer.close()
