"""A real server for tests: the built program with a configuration, state and ports of its own."""

import asyncio
import concurrent.futures
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ROOT / "Sources" / "WebClient" / "pages"


def programs():
    """Where the built programs are; tools/test says so, a debug build serves otherwise."""
    return pathlib.Path(os.environ.get("CONSILIUM_PROGRAMS", ROOT / ".build" / "debug")).resolve()


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


def free_media_port():
    """A number that is free for UDP and TCP alike."""
    for _ in range(50):
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no port is free for both UDP and TCP")


def until(condition, seconds=15, what="the condition", every=0.05):
    """Waits for a condition and returns what made it true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        threading.Event().wait(every)


def run_async(coroutine):
    """asyncio.run() in a thread of its own: Playwright, once started, keeps a loop running in the main one."""
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()


class Server:
    """`consilium serve` in a folder of its own. Kept state and recordings survive `kill` and `start`."""

    def __init__(self, folder, **settings):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.media_port = free_media_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.recordings = self.folder / "recordings"
        self.settings = {
            "server.port": self.port,
            "media.udpPort": self.media_port,
            "media.tcpPort": self.media_port,
            "state.directory": self.folder / "state",
            "access.secretFile": self.folder / "state" / "token-secret",
            "recordings.folder": self.recordings,
            **{name.replace("__", "."): value for name, value in settings.items()},
        }
        self.process = None
        self.log_path = self.folder / "server.log"

    def _options(self):
        options = ["--config", str(ROOT / "Config" / "consilium.yaml")]
        for name, value in self.settings.items():
            options += ["--set", f"{name}={value}"]
        return options

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [programs() / "consilium", "serve", *self._options()], stdout=log, stderr=log, cwd=self.folder
            )
        try:
            until(self._answers, 20, "the server's /healthz")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.log()[-4000:]}") from None
        return self

    def _answers(self):
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log()[-4000:]}"
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit status and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=20)
        return status, time.monotonic() - began

    def log(self):
        return self.log_path.read_text(errors="replace")

    def token(self, room, name="Dr Test", role="chair", kind="mdt", **options):
        words = [programs() / "consilium", "token", *self._options(), "--room", room, "--name", name, "--role", role,
                 "--kind", kind]
        for option, value in options.items():
            words += [f"--{option.replace('_', '-')}", str(value)]
        return subprocess.run(words, check=True, capture_output=True, text=True, cwd=self.folder).stdout.strip()

    def room_link(self, room, **claims):
        return f"{self.url}/room.html#room={room}&token={self.token(room, **claims)}"

    def request(self, method, path, body=None, token=None, headers=None):
        """Status, headers and body of an answer, whatever the status."""
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, dict(refusal.headers), refusal.read()

    def get(self, path, token=None):
        return self.request("GET", path, token=token)

    def json(self, path, token=None):
        status, _, body = self.get(path, token)
        assert status == 200, f"GET {path}: {status} {body[:400]!r}"
        return json.loads(body)
