"""Somebody at a browser of their own, and whatever that browser has to complain about."""

import re
from collections import Counter
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, WebSocket, expect

from tests.browser.demo import PASSWORD

REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (\d{3})")


class Visitor:
    """A profile with one page, and more by `open_page`.

    Chromium writes each 4xx and 5xx into the console: those that a test `expects` are no fault,
    everything else there is, and so are an exception nobody caught, what the content security
    policy stopped, and a request to any other host.
    """

    def __init__(self, browser: Browser, base_url: str, **options: object) -> None:
        chosen = {"base_url": base_url, "locale": "en-GB", **options}
        self.context = browser.new_context(**chosen)  # type: ignore[arg-type]
        self.context.set_default_timeout(30_000)
        self.context.on("console", self._on_console)
        self.context.on("weberror", lambda error: self.faults.append(str(error.error)))
        self.context.on("request", self._on_request)
        self.context.on("page", lambda page: page.on("websocket", self._on_websocket))
        self.faults: list[str] = []
        self.expected: Counter[str] = Counter()
        self._host = urlsplit(base_url).netloc
        self._refused: Counter[str] = Counter()
        self._forgiven: tuple[str, ...] = ()
        self.page = self.open_page()

    def open_page(self) -> Page:
        return self.context.new_page()

    def expects(self, *statuses: int) -> None:
        """What the server is about to answer, each as often as it is named."""
        self.expected.update(map(str, statuses))

    def forgives(self, *complaints: str) -> None:
        """What the browser says of a server that is away, however often it tries."""
        self._forgiven += complaints

    def log_in(self, email: str, password: str = PASSWORD) -> None:
        self.page.goto("/log-in")
        self.page.get_by_label("Email or username").fill(email)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("heading", name="Your messages")).to_be_visible()

    def open_mailed_link(self, subject: str, email: str) -> None:
        """Out of the development mailbox, by a click."""
        self.page.goto("/dev/mailbox")
        heading = self.page.get_by_role("heading", name=subject, exact=True)
        mails = self.page.locator(".mail").filter(has_text=email).filter(has=heading)
        mails.first.locator(".text a").click()

    def leave(self) -> None:
        """Closes the browser.

        Raises:
            AssertionError: it had something to complain about.
        """
        self.context.close()
        complaints = [
            fault for fault in self.faults if not any(text in fault for text in self._forgiven)
        ]
        assert not complaints, complaints
        assert self._refused == self.expected, (self._refused, self.expected)

    def _on_console(self, message: ConsoleMessage) -> None:
        if refused := REFUSED.match(message.text):
            self._refused[refused[1]] += 1
        elif message.type in ("error", "warning"):
            self.faults.append(message.text)

    def _on_request(self, request: Request) -> None:
        self._check(request.url)

    def _on_websocket(self, websocket: WebSocket) -> None:
        self._check(websocket.url)

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "data" and parts.netloc != self._host:
            self.faults.append(f"a request to {url}")
