"""Fixtures for the tests that run real browsers and other programs against the built server."""

import os
import subprocess

import pytest
from harness import Server, programs
from playwright.sync_api import sync_playwright

# A microphone and a camera that need nobody to press a button.
CHROMIUM_FLAGS = [
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--no-sandbox",
    "--mute-audio",
]


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def launch(playwright):
    """A function that starts Chromium; everything it started is closed at the end."""
    started = []

    def start(*flags):
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CONSILIUM_CHROMIUM", "/usr/bin/chromium"), args=[*CHROMIUM_FLAGS, *flags]
        )
        started.append(browser)
        return browser

    yield start
    for browser in started:
        browser.close()


@pytest.fixture(scope="session")
def browser(launch):
    return launch()


@pytest.fixture(scope="session")
def demo_studies(tmp_path_factory):
    """A folder of DICOM studies made by the project's own tool."""
    folder = tmp_path_factory.mktemp("dicom")
    subprocess.run([programs() / "make-demo-data", "--into", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, demo_studies):
    """A server with the demo studies, one for each file of tests."""
    # Browsers that encode pictures in software leave it little of the machine: it would defend itself as it should.
    unmoved = {"media__refuseCamerasAtPercent": 0, "media__thinCamerasAtPercent": 0}
    running = Server(tmp_path_factory.mktemp("server"), imaging__folder=demo_studies, **unmoved).start()
    yield running
    if running.process.poll() is None:
        status, seconds = running.stop()
        assert status == 0 and seconds < 5, f"SIGTERM: exit {status} after {seconds:.1f} s\n{running.log()[-3000:]}"
