"""The browser: the system's Chromium, or Playwright's own."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.async_api import Playwright as AsyncPlaywright
from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_GET = (
    "no Chromium: install your system's chromium, set TEST_CHROMIUM to one,"
    " or run `python -m playwright install chromium`"
)
# Nothing of the browser's own leaves the machine.
SILENCE = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # small in containers
]


class NoChromium(Exception):
    """There is none; the message says how to get it."""


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser without a window.

    Raises:
        NoChromium: there is none.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(playwright), args=SILENCE)
        with browser:
            yield browser


def executable(playwright: Playwright | AsyncPlaywright) -> str:
    """Where Chromium is.

    Raises:
        NoChromium: nowhere.
    """
    own = playwright.chromium.executable_path
    candidates = [os.environ.get("TEST_CHROMIUM"), *map(shutil.which, NAMES)]
    for path in [*candidates, own if Path(own).exists() else None]:
        if path:
            return path
    raise NoChromium(HOW_TO_GET)
