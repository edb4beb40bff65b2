"""A real Chromium, driven by Playwright beside a server in the same loop, with what its pages do
written down."""

import contextlib
import os
import re
from collections.abc import AsyncIterator
from importlib.resources import files

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, Route, async_playwright, expect

from tests.browser.chromium import SILENCE, NoChromium, executable

TYPES = {"js": "text/javascript", "css": "text/css"}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

expect.set_options(timeout=20_000)  # of a busy machine


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window. A test that finds none is skipped."""
    async with async_playwright() as playwright:
        try:
            path = executable(playwright)
        except NoChromium as error:
            if os.environ.get("REQUIRE_SERVICES"):
                raise
            pytest.skip(str(error))
        browser = await playwright.chromium.launch(executable_path=path, args=SILENCE)
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

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")


async def serve_swagger_ui(page: Page) -> None:
    """Swagger UI's files, which FastAPI's page has a content delivery network send, from a package
    that brings them."""

    async def fulfill(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        there = files("fastapi_swagger.resources") / name
        kind = TYPES.get(name.rpartition(".")[2])
        if kind and there.is_file():
            await route.fulfill(body=there.read_bytes(), content_type=kind)
        else:
            await route.fulfill(status=204)

    await page.route(re.compile(r"^https://"), fulfill)


async def check_for_everyone(page: Page) -> None:
    """No fault that axe knows, in light and dark, and no need to scroll sideways on a phone."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        results = await Axe().run(page, options=RULES)
        assert results.violations_count == 0, results.generate_report()
    for width in (360, 320):
        await page.set_viewport_size({"width": width, "height": 640})
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
