"""The server that other programs talk to, and hostile ones: our own, or one that already runs."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest
from harness import ROOT, Server

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(ROOT / "Tests" / "Browser")]

from clients import Target  # noqa: E402


def running_elsewhere():
    """CONSILIUM_URL and CONSILIUM_TOKEN_COMMAND name a server that is not ours to start."""
    command = shlex.split(os.environ["CONSILIUM_TOKEN_COMMAND"])

    def mint(room, **claims):
        options = [word for name, value in {"room": room, **claims}.items() for word in (f"--{name}", value)]
        return subprocess.run([*command, *options], check=True, capture_output=True, text=True).stdout.strip()

    return Target(
        url=os.environ["CONSILIUM_URL"],
        media_port=int(os.environ.get("CONSILIUM_MEDIA_PORT", "7882")),
        secret_file=pathlib.Path(os.environ.get("CONSILIUM_SECRET_FILE", ROOT / ".state" / "token-secret")),
        mint=mint,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if "CONSILIUM_URL" in os.environ:
        yield running_elsewhere()
        return
    ours = Server(tmp_path_factory.mktemp("server")).start()
    yield Target(
        url=ours.url, media_port=ours.media_port, secret_file=ours.settings["access.secretFile"], mint=ours.token
    )
    status, seconds = ours.stop()
    assert status == 0 and seconds < 5, f"SIGTERM: exit {status} after {seconds:.1f} s\n{ours.log()[-3000:]}"
