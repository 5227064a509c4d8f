"""Encoders and players that are not ours: they publish by WHIP, play by WHEP, and the pictures are seen to change."""

import asyncio
import datetime
import pathlib
import re
import shutil
import subprocess
import threading
import time
from contextlib import asynccontextmanager

import av
import pytest
from clients import Player, Publisher, Resource, request
from harness import run_async
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from relay import Relay

GSTREAMER_PYTHON = "/usr/bin/python3"


@asynccontextmanager
async def running(*participants):
    """Stops them in the end, whatever happened, the last one first."""
    started = []
    try:
        for participant in participants:
            started.append(participant)
            await participant.start()
        yield participants if len(participants) > 1 else participants[0]
    finally:
        for participant in reversed(started):
            await participant.stop()


def test_aiortc_publishes_and_another_plays(server):
    async def scene():
        room = server.new_room()
        publisher = Publisher(f"{server.url}/whip/{room}/theatre", server.token(room, "device"))
        player = Player(f"{server.url}/whep/{room}/theatre", server.token(room, "observer"))
        async with running(publisher, player):
            await player.until(lambda one: one.steps() >= 4 and one.sound_frames > 50)
            assert player.loudness > 8, "the sound is silent"
            assert player.sizes == {(320, 240)}

    run_async(scene())


def test_a_player_that_waits_sees_a_publisher_that_comes_later(server):
    async def scene():
        room = server.new_room()
        player = Player(f"{server.url}/whep/{room}", server.token(room, "chair"))
        publisher = Publisher(f"{server.url}/whip/{room}/theatre", server.token(room, "device"))
        async with running(player, publisher):
            await player.until(lambda one: one.steps() >= 3)

    run_async(scene())


def test_a_named_stream_is_played_by_its_name(server):
    async def scene():
        room = server.new_room()
        field = Publisher(
            f"{server.url}/whip/{room}/theatre/field?role=surgicalField", server.token(room, "device"), audio=False
        )
        player = Player(f"{server.url}/whep/{room}/theatre/field", server.token(room, "observer"), kinds=["video"])
        async with running(field, player):
            await player.until(lambda one: one.steps() >= 3)

    run_async(scene())


def test_an_endpoint_that_left_is_gone_and_may_come_again(server):
    async def scene():
        room = server.new_room()
        token = server.token(room, "device")
        for _ in range(2):
            publisher = await Publisher(f"{server.url}/whip/{room}/theatre", token).start()
            location = publisher.resource.location
            await publisher.stop()
            assert request(location, "DELETE", token).status in (404, 410)

    run_async(scene())


def test_replayed_media_does_no_harm(server):
    """Every datagram of the publisher comes again, at once and late: the pictures still move, in order."""

    class Replaying(Relay):
        def to_server(self, data, client):
            super().to_server(data, client)
            self.loop.call_later(0.2, super().to_server, data, client)

    async def scene():
        room = server.new_room()
        async with Replaying(("127.0.0.1", server.media_port), host=host_address(), duplicate=100) as relay:
            publisher = Publisher(f"{server.url}/whip/{room}/theatre", server.token(room, "device"), audio=False)
            player = Player(f"{server.url}/whep/{room}/theatre", server.token(room, "observer"), kinds=["video"])
            try:
                await publisher.start(change_answer=lambda sdp: through(relay, sdp))
                await player.start()
                await player.until(lambda one: len(one.levels) > 120 and one.steps() >= 4)
            finally:
                await player.stop()
                await publisher.stop()
            # The brightness rises by one step or falls back to the lowest; a replayed picture would step backwards.
            levels = [level for level in player.levels if level > 30]
            steps = [round((level - 40) / 24) for level in levels]
            backwards = [pair for pair in zip(steps, steps[1:]) if pair[1] < pair[0] and pair[0] != 7]
            assert len(backwards) <= 1, backwards

    run_async(scene())


def test_pictures_move_with_loss(server):
    async def scene():
        room = server.new_room()
        async with Relay(("127.0.0.1", server.media_port), host=host_address(), loss=2, delay=20) as relay:
            publisher = Publisher(f"{server.url}/whip/{room}/theatre", server.token(room, "device"), width=640, height=360)
            player = Player(f"{server.url}/whep/{room}/theatre", server.token(room, "observer"))
            try:
                await publisher.start(change_answer=lambda sdp: through(relay, sdp))
                await player.start()
                await player.until(lambda one: one.steps() >= 5 and one.sound_frames > 50)
            finally:
                await player.stop()
                await publisher.stop()
            assert relay.status()["up"]["counters"]["lost"] > 0

    run_async(scene())


def host_address():
    """An address of this host that is not loopback: aiortc offers no loopback address, and tries only its own family."""
    import ifaddr

    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            if address.is_IPv4 and not address.ip.startswith("127."):
                return address.ip
    return "127.0.0.1"


def through(relay, answer):
    """The answer with the relay as the only candidate."""
    lines = [line for line in answer.split("\r\n") if not line.startswith("a=candidate:")]
    candidate = f"a=candidate:1 1 udp 2130706431 {relay.host} {relay.udp_port} typ host"
    position = next(index for index, line in enumerate(lines) if line.startswith("a=ice-ufrag:"))
    return "\r\n".join(lines[:position] + [candidate] + lines[position:])


# FFmpeg


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """FFmpeg makes itself one on P-224, which current TLS libraries refuse; so it is given one."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "encoder")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30)).sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


class FFmpegPublisher:
    """FFmpeg's WHIP muxer with H.264 from x264, the picture blinking."""

    def __init__(self, endpoint, token, certificate, flags=None):
        self.endpoint, self.token, self.certificate, self.flags = endpoint, token, certificate, flags
        self.stopping = threading.Event()
        self.failure = None
        self.frames = 0
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        options = {
            "authorization": self.token,
            "cert_file": str(self.certificate / "certificate.pem"),
            "key_file": str(self.certificate / "key.pem"),
        }
        if self.flags:
            options["whip_flags"] = self.flags
        try:
            with av.open(self.endpoint, "w", format="whip", options=options) as output:
                stream = output.add_stream("libx264", rate=25)
                stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
                stream.codec_context.options = {
                    "profile": "baseline", "preset": "ultrafast", "tune": "zerolatency", "g": "25", "bf": "0",
                }
                begun = time.monotonic()
                while not self.stopping.is_set():
                    frame = av.VideoFrame(640, 360, "yuv420p")
                    level = 40 + 24 * (self.frames // 10 % 8)
                    for plane, value in zip(frame.planes, (level, 128, 128)):
                        plane.update(bytes([value]) * plane.buffer_size)
                    frame.pts = self.frames
                    self.frames += 1
                    for packet in stream.encode(frame):
                        output.mux(packet)
                    self.stopping.wait(max(0, begun + self.frames / 25 - time.monotonic()))
        except Exception as error:  # the test reports it
            self.failure = error

    async def start(self):
        self.thread.start()
        deadline = time.monotonic() + 15
        while self.frames < 10:
            assert self.failure is None, f"FFmpeg: {self.failure}"
            assert time.monotonic() < deadline, "FFmpeg did not begin to send"
            await asyncio.sleep(0.05)

    async def stop(self):
        self.stopping.set()
        await asyncio.to_thread(self.thread.join, 10)


@pytest.mark.skipif("whip" not in av.formats_available, reason="this FFmpeg has no WHIP muxer")
@pytest.mark.parametrize("flags", [None, "dtls_active"])
def test_ffmpeg_publishes_h264(server, certificate, flags):
    async def scene():
        room = server.new_room()
        publisher = FFmpegPublisher(f"{server.url}/whip/{room}/encoder", server.token(room, "device"), certificate, flags)
        player = Player(f"{server.url}/whep/{room}/encoder", server.token(room, "observer"), kinds=["video"])
        async with running(publisher, player):
            await player.until(lambda one: one.steps() >= 4 and one.sizes == {(640, 360)})
        assert publisher.failure is None, publisher.failure

    run_async(scene())


# GStreamer


def has_gstreamer():
    probe = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import Gst; Gst.init(None); " \
        "assert Gst.ElementFactory.find('x264enc') and Gst.ElementFactory.find('nicesrc')"
    return shutil.which(GSTREAMER_PYTHON) and subprocess.run(
        [GSTREAMER_PYTHON, "-c", probe], capture_output=True
    ).returncode == 0


class GStreamerPublisher:
    def __init__(self, endpoint, token):
        script = pathlib.Path(__file__).with_name("gstreamer_publisher.py")
        self.command = [GSTREAMER_PYTHON, str(script), endpoint, token]
        self.process = None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        line = await asyncio.wait_for(self.process.stdout.readline(), 20)
        assert line == b"publishing\n", (line, (await self.process.stderr.read())[-2000:].decode())

    async def stop(self):
        if self.process and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()


@pytest.mark.skipif(not has_gstreamer(), reason="no GStreamer with x264 and libnice")
def test_gstreamer_publishes_h264(server):
    """GStreamer has an RSA certificate and splits its ClientHello."""

    async def scene():
        room = server.new_room()
        publisher = GStreamerPublisher(f"{server.url}/whip/{room}/encoder", server.token(room, "device"))
        player = Player(f"{server.url}/whep/{room}/encoder", server.token(room, "observer"), kinds=["video"])
        async with running(publisher, player):
            await player.until(lambda one: len(one.levels) > 50 and len(set(one.levels)) > 3)

    run_async(scene())


# Chromium

PLAY = """
async ([endpoint, token]) => {
    const peer = new RTCPeerConnection();
    peer.addTransceiver('video', {direction: 'recvonly'});
    const video = Object.assign(document.createElement('video'), {muted: true, autoplay: true, playsInline: true});
    document.body.append(video);
    peer.ontrack = event => { video.srcObject = new MediaStream([event.track]); };
    await peer.setLocalDescription();
    await new Promise(done => {
        if (peer.iceGatheringState === 'complete') done();
        peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && done();
        setTimeout(done, 2000);
    });
    const answer = await fetch(endpoint, {
        method: 'POST', body: peer.localDescription.sdp,
        headers: {'Content-Type': 'application/sdp', 'Authorization': `Bearer ${token}`},
    });
    if (answer.status !== 201) return {error: `${answer.status} ${await answer.text()}`};
    await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()});
    const canvas = Object.assign(document.createElement('canvas'), {width: 16, height: 16});
    const context = canvas.getContext('2d', {willReadFrequently: true});
    const levels = new Set();
    const end = performance.now() + 20000;
    while (performance.now() < end && levels.size < 4) {
        await new Promise(done => setTimeout(done, 100));
        if (!video.videoWidth) continue;
        context.drawImage(video, 0, 0, 16, 16);
        levels.add(Math.round(context.getImageData(8, 8, 1, 1).data[1] / 12));
    }
    const found = {levels: levels.size, width: video.videoWidth, height: video.videoHeight};
    peer.close();
    return found;
}
"""


@pytest.mark.skipif("whip" not in av.formats_available, reason="this FFmpeg has no WHIP muxer")
def test_chromium_sees_what_ffmpeg_publishes(server, certificate, browser):
    room = server.new_room()
    endpoint = f"{server.url}/whip/{room}/encoder"
    publisher = FFmpegPublisher(endpoint, server.token(room, "device"), certificate)
    run_async(publisher.start())
    try:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{server.url}/")
        seen = page.evaluate(PLAY, [f"{server.url}/whep/{room}/encoder", server.token(room, "observer")])
        context.close()
    finally:
        run_async(publisher.stop())
    assert "error" not in seen, seen
    assert seen["levels"] >= 4 and (seen["width"], seen["height"]) == (640, 360), seen


# The protocol


@pytest.fixture(scope="module")
def sample_offer():
    async def make():
        publisher = Publisher("http://unused", "")
        try:
            return await publisher.offer()
        finally:
            await publisher.peer.close()

    return run_async(make())


def test_whip_resources_keep_to_the_rfc(server, sample_offer):
    async def scene():
        room = server.new_room()
        token = server.token(room, "device")
        endpoint = f"{server.url}/whip/{room}/theatre"
        assert request(endpoint, "GET", token).status in (200, 204)
        assert request(endpoint, "GET", token).body == b""
        resource = Resource(endpoint, token)
        answer = await resource.create(sample_offer)
        assert answer.status == 201, answer.text
        assert answer.headers["content-type"].startswith("application/sdp")
        assert resource.tag and resource.tag.startswith('"')
        sections = re.findall(r"^m=(\w+) (\d+)", answer.text, re.M)
        assert [kind for kind, _ in sections] == re.findall(r"^m=(\w+)", sample_offer, re.M)
        assert all(port != "0" for _, port in sections)
        assert "a=setup:passive" in answer.text and "a=ice-lite" in answer.text

        candidates = "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" \
            "a=candidate:1 1 udp 2130706431 192.0.2.77 40000 typ host\r\na=end-of-candidates\r\n"
        same = candidates.format(
            ufrag=re.search("a=ice-ufrag:(.*)\r", sample_offer)[1], pwd=re.search("a=ice-pwd:(.*)\r", sample_offer)[1]
        )
        fresh = candidates.format(ufrag="fresh", pwd="0123456789abcdefghijklmn")
        assert (await resource.patch(same)).status == 428
        assert (await resource.patch(same, If_Match='"another"')).status == 412
        assert (await resource.patch(same, If_Match=resource.tag)).status == 204
        restarted = await resource.patch(fresh, If_Match="*")
        assert restarted.status == 200, restarted.text
        assert restarted.headers["etag"] != resource.tag
        assert re.search("a=ice-ufrag:(.*)\r", restarted.text)[1] != re.search("a=ice-ufrag:(.*)\r", answer.text)[1]
        assert (await resource.patch("rubbish", If_Match="*")).status == 400
        assert (await resource.delete()).status == 200
        assert (await resource.delete()).status in (404, 410)

    run_async(scene())


@pytest.mark.parametrize(
    "change, statuses",
    [
        (lambda sdp: re.sub("a=fingerprint:.*\r\n", "", sdp), (400, 406, 422)),
        (lambda sdp: re.sub("a=ice-ufrag:.*\r\n", "", sdp), (400, 406, 422)),
        (lambda sdp: re.sub("a=group:BUNDLE.*\r\n", "", sdp), (400, 406, 422)),
        (lambda sdp: re.sub("a=rtcp-mux\r\n", "", sdp), (400, 406, 422)),
        (lambda sdp: sdp.replace("VP8", "XP8").replace("H264", "X264").replace("opus", "sopu"), (406, 422)),
        (lambda sdp: re.sub("(m=video .*)\r", r"\1 200\r", sdp), (400, 406, 422)),
        (lambda sdp: "v=0\r\nrubbish", (400,)),
        (lambda sdp: "", (400,)),
        (lambda sdp: "\x00" * 1000, (400,)),
        (lambda sdp: sdp + "a=x:" + "y" * 3_000_000 + "\r\n", (400, 413)),
    ],
    ids=["fingerprint", "ufrag", "bundle", "rtcp-mux", "codecs", "payload-type", "rubbish", "empty", "zeros", "huge"],
)
def test_offers_that_cannot_be_served_are_refused_with_a_reason(server, sample_offer, change, statuses):
    room = server.new_room()
    try:
        answer = request(
            f"{server.url}/whip/{room}/theatre", "POST", server.token(room, "device"), change(sample_offer),
            "application/sdp",
        )
    except (BrokenPipeError, ConnectionResetError):
        assert len(change(sample_offer)) > 1_000_000, "the connection was cut without an answer"
        return
    assert answer.status in statuses, answer.text
    assert answer.error["code"] and answer.error["message"]


def test_other_content_types_are_refused(server, sample_offer):
    room = server.new_room()
    token = server.token(room, "device")
    answer = request(f"{server.url}/whip/{room}/theatre", "POST", token, sample_offer, "text/plain")
    assert answer.status == 415, answer.text
