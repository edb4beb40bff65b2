"""One browser and one demo for all of these tests, a user for each."""

import os
import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import NoChromium, running_chromium
from tests.browser.demo import Demo
from tests.browser.visitor import Visitor

Arrive = Callable[..., Visitor]

expect.set_options(timeout=20_000)  # of a busy machine


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Playwright's sync API keeps an event loop in this thread: no longer than these tests."""
    try:
        with running_chromium() as browser:
            yield browser
    except NoChromium as error:
        if os.environ.get("REQUIRE_SERVICES"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Demo]:
    """The demo in a process of its own."""
    running = Demo(tmp_path_factory.mktemp("demo"))
    running.start()
    yield running
    running.close()


@pytest.fixture
def arrive(browser: Browser, demo: Demo) -> Iterator[Arrive]:
    """Opens a browser of somebody's own; it must have nothing to complain about in the end."""
    visitors: list[Visitor] = []

    def open_visitor(**options: object) -> Visitor:
        visitors.append(Visitor(browser, demo.base_url, **options))
        return visitors[-1]

    yield open_visitor
    for visitor in visitors:
        visitor.leave()


@pytest.fixture
def ada(arrive: Arrive) -> Visitor:
    """A browser."""
    return arrive()


@pytest.fixture
def email(demo: Demo) -> str:
    """A confirmed user of the test's own, whose password is `PASSWORD`."""
    address = f"ada-{uuid.uuid4().hex[:8]}@example.com"
    demo.new_user(address)
    return address
