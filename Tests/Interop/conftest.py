"""A built server with a configuration of its own, for tests with other programs and with hostile ones."""

import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(ROOT / "Tests" / "Browser")]

from clients import Server  # noqa: E402


def programs():
    """Where the built programs are: CONSILIUM_PROGRAMS, else the release build, else the debug build."""
    given = os.environ.get("CONSILIUM_PROGRAMS")
    for folder in [pathlib.Path(given)] if given else [ROOT / ".build" / "release", ROOT / ".build" / "debug"]:
        if (folder / "consilium").exists():
            return folder
    pytest.exit("There is no built server: swift build -c release --product consilium", returncode=2)


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


CONFIGURATION = """\
server:
  address: 127.0.0.1
  port: {http}
  tls: "off"
access:
  secretFile: {folder}/token-secret
state:
  directory: {folder}/state
media:
  address: 0.0.0.0
  udpPort: {udp}
  tcpPort: {tcp}
imaging:
  folder: ""
recordings:
  folder: {folder}/recordings
"""


def start(folder):
    """Starts a server in that folder; answers with what the tests need to know of it and the process."""
    ports = {
        "http": free_port(socket.SOCK_STREAM),
        "udp": free_port(socket.SOCK_DGRAM),
        "tcp": free_port(socket.SOCK_STREAM),
    }
    configuration = folder / "consilium.yaml"
    configuration.write_text(CONFIGURATION.format(folder=folder, **ports))
    program = programs() / "consilium"
    log = open(folder / "server.log", "wb")
    process = subprocess.Popen(
        [program, "serve", "--config", configuration], cwd=folder, stdout=log, stderr=subprocess.STDOUT
    )
    server = Server(
        url=f"http://127.0.0.1:{ports['http']}",
        token_command=[str(program), "token", "--config", str(configuration)],
        udp_port=ports["udp"],
        tcp_port=ports["tcp"],
        secret_file=folder / "token-secret",
        log=folder / "server.log",
    )
    deadline = time.monotonic() + 20
    while not server.is_healthy():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"the server did not start:\n{(folder / 'server.log').read_text()[-3000:]}")
        time.sleep(0.05)
    return server, process


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The server under test; CONSILIUM_URL and CONSILIUM_TOKEN_COMMAND name one that already runs."""
    if "CONSILIUM_URL" in os.environ:
        yield Server(
            url=os.environ["CONSILIUM_URL"],
            token_command=shlex.split(os.environ["CONSILIUM_TOKEN_COMMAND"]),
            udp_port=int(os.environ.get("CONSILIUM_UDP_PORT", "7882")),
            tcp_port=int(os.environ.get("CONSILIUM_TCP_PORT", "7882")),
            secret_file=pathlib.Path(os.environ.get("CONSILIUM_SECRET_FILE", ROOT / ".state" / "token-secret")),
        )
        return
    server, process = start(tmp_path_factory.mktemp("server"))
    yield server
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(timeout=5) == 0, "the server did not end properly"
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail("the server did not end within 5 s of SIGTERM")
