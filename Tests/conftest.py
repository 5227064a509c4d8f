"""Fixtures for the tests that run real browsers and other programs against the built server."""

import os
import pathlib

import pytest
from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ROOT / "Sources" / "WebClient" / "pages"

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
