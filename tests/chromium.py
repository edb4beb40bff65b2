"""A real Chromium, driven by Playwright, with what the pages in it do written down."""

import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from importlib.resources import files

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_GET = "no Chromium: install the package chromium, or set TEST_CHROMIUM to a path of it"
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]


def find_chromium() -> str:
    """Its path; a test that is without skips."""
    names = [os.environ["TEST_CHROMIUM"]] if "TEST_CHROMIUM" in os.environ else NAMES
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and os.environ.get("REQUIRE_SERVICES"):
        raise FileNotFoundError(HOW_TO_GET)
    if found is None:
        pytest.skip(HOW_TO_GET)
    return found


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser. As root it runs without a sandbox: what it shows are the tests' own pages."""
    options = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    path = find_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        await browser.close()


class Watched:
    """A page, with its complaints, and the requests that it made."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)
        page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, message: object) -> None:
        kind = getattr(message, "type", "")
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {getattr(message, 'text', '')}")


async def serve_swagger_ui(page: Page) -> None:
    """Swagger UI's files, which FastAPI's page has a content delivery network send, from a package
    that brings them."""

    async def fulfill(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        there = files("fastapi_swagger.resources") / name
        if there.is_file():
            await route.fulfill(
                body=there.read_bytes(), content_type=TYPES[name.rpartition(".")[2]]
            )
        else:
            await route.fulfill(status=204)

    await page.route(re.compile(r"^https://"), fulfill)


TYPES = {"js": "text/javascript", "css": "text/css"}
