"""WebSockets: the token they come with, and their end with it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from conftest import Service, ServiceFactory
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_token_auth import TokenAuthMiddleware
from asgi_token_auth.clock import utc_now
from asgi_token_auth.exceptions import DatabaseUnavailable
from asgi_token_auth.storage import revocations
from asgi_token_auth.storage.database import Database
from asgi_token_auth.verification import feed, live

LAG = timedelta(seconds=0.3)
OPTIONS: dict[str, Any] = {"revocation_lag": LAG, "clock": utc_now}
UNAUTHORIZED, TRY_AGAIN_LATER = 3000, 1013


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "OVERLAP_SECONDS", 0.2)
    monkeypatch.setattr(revocations, "LATE_SECONDS", 0.1)


class Browser:
    """The client's end of a WebSocket, over ASGI."""

    def __init__(self, app: ASGIApp, **scope: Any) -> None:
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.scope = {
            "type": "websocket",
            "path": "/live",
            "raw_path": b"/live",
            "root_path": "",
            "query_string": b"",
            "headers": [],
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
            **scope,
        }
        self.sent.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(
            app(self.scope, self.sent.get, self.answers.put)  # type: ignore[arg-type]
        )

    def say(self, text: str) -> None:
        self.sent.put_nowait({"type": "websocket.receive", "text": text})

    async def hear(self, seconds: float = 5) -> Any:
        return await asyncio.wait_for(self.answers.get(), seconds)


class App:
    """An application that answers what it hears, and notes what it saw."""

    def __init__(self) -> None:
        self.scope: Any = None
        self.heard: list[str] = []
        self.ended_with: Any = None
        self.websocket: WebSocket | None = None

    async def serve(self, websocket: WebSocket) -> None:
        self.scope, self.websocket = websocket.scope, websocket
        await websocket.accept()
        try:
            while True:
                text = await websocket.receive_text()
                self.heard.append(text)
                await websocket.send_text(f"{websocket.user.display_name}: {text}")
        except WebSocketDisconnect as error:
            self.ended_with = error.code


Open = Callable[..., Awaitable[Browser]]


@contextlib.asynccontextmanager
async def opened(service: Service, app: Any, token: str) -> AsyncIterator[Browser]:
    """An accepted socket of a good token."""
    browser = Browser(guarded(service, app), headers=bearer(token))
    assert (await browser.hear())["type"] == "websocket.accept"
    browser.say("hello")
    assert (await browser.hear())["text"] == "ada@example.com: hello"
    yield browser
    browser.sent.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await asyncio.wait_for(browser.task, 10)


def guarded(service: Service, app: Any, **options: Any) -> ASGIApp:
    endpoint = app.serve if isinstance(app, App) else app
    own = Starlette(routes=[WebSocketRoute("/live", endpoint)])
    return TokenAuthMiddleware(own, auth=service.auth, **{"protect": ["/live"], **options})


def bearer(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {token}".encode())]


def offered(*protocols: str) -> dict[str, Any]:
    header = (b"sec-websocket-protocol", ", ".join(protocols).encode())
    return {"subprotocols": list(protocols), "headers": [header, (b"x-other", b"1")]}


async def closed(browser: Browser) -> int:
    """The code that the client is sent, whatever it hears before."""
    while (answer := await browser.hear())["type"] != "websocket.close":
        pass
    return int(answer["code"])


async def test_a_revoked_token_closes_its_socket_at_once_here(service: Service) -> None:
    """Idle as it is; the application hears of it as if the client had gone."""
    token = (await service.new_user())["token"]
    app = App()
    async with opened(service, app, token) as browser:
        await service.call("DELETE", "/api/sessions", token=token)
        began = time.monotonic()

        assert await closed(browser) == UNAUTHORIZED
        await asyncio.wait_for(browser.task, 5)

        assert time.monotonic() - began < 1
        assert app.ended_with == UNAUTHORIZED
        with pytest.raises((WebSocketDisconnect, RuntimeError)):
            await app.websocket.send_text("more")  # type: ignore[union-attr]


async def test_a_socket_is_closed_in_every_process_within_the_bound(
    start_service: ServiceFactory,
) -> None:
    """Without any traffic but itself; other sockets of other tokens stay."""
    here = await start_service(**OPTIONS)
    there = await start_service(**OPTIONS, send_mail=False)
    token, other = (await here.new_user())["token"], (await here.log_in()).json()["token"]
    async with (
        opened(there, App(), token) as browser,
        opened(there, App(), other) as staying,
    ):
        await asyncio.sleep(2 * LAG.total_seconds())
        await here.call("DELETE", "/api/sessions", token=token)
        answered = time.monotonic()

        assert await closed(browser) == UNAUTHORIZED

        assert time.monotonic() - answered < LAG.total_seconds() + 0.1
        await asyncio.sleep(2 * LAG.total_seconds())
        staying.say("still here")
        assert (await staying.hear())["text"].endswith("still here")


async def test_an_expired_token_closes_its_socket(start_service: ServiceFactory) -> None:
    """Nobody has to revoke it."""
    service = await start_service(**OPTIONS, token_lifetime=timedelta(seconds=2))
    token = (await service.new_user())["token"]
    async with opened(service, App(), token) as browser:
        assert await closed(browser) == UNAUTHORIZED


async def test_without_a_lag_sockets_are_looked_at_too(start_service: ServiceFactory) -> None:
    """Each second, and at each message."""
    options = {**OPTIONS, "revocation_lag": timedelta(0)}
    here, there = await start_service(**options), await start_service(**options, send_mail=False)
    idle, busy = (await here.new_user())["token"], (await here.log_in()).json()["token"]
    app = App()
    async with opened(there, App(), idle) as browser, opened(there, app, busy) as talking:
        await here.call("DELETE", "/api/sessions?scope=all", token=idle)
        talking.say("too late")

        assert await closed(talking) == UNAUTHORIZED
        assert await closed(browser) == UNAUTHORIZED
        assert app.heard == ["hello"]


async def test_while_nobody_can_tell_nothing_passes(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that comes back in time costs no connection: thousands would return at once."""
    service = await start_service(**OPTIONS)
    token = (await service.new_user())["token"]
    app = App()
    async with opened(service, app, token) as browser:
        with monkeypatch.context() as patch:
            patch.setattr(Database, "read", _down)
            await asyncio.sleep(2 * LAG.total_seconds())
            browser.say("are you there?")
            await asyncio.sleep(0.5)
            assert app.heard == ["hello"]

        assert (await browser.hear())["text"].endswith("are you there?")


async def test_a_database_that_stays_away_closes_sockets(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the code that says to come back later: the token may be as good as ever."""
    service = await start_service(**OPTIONS)
    token = (await service.new_user())["token"]
    monkeypatch.setattr(live, "GRACE_SECONDS", 0.5)
    async with opened(service, App(), token) as browser:
        with monkeypatch.context() as patch:
            patch.setattr(Database, "read", _down)
            assert await closed(browser) == TRY_AGAIN_LATER


async def _down(self: Database, work: Any) -> Any:
    raise DatabaseUnavailable


async def test_a_socket_that_nobody_reads_is_closed_too(service: Service) -> None:
    """The close must not wait for the application, nor for a send that waits for the client."""
    token = (await service.new_user())["token"]
    full, told = asyncio.Event(), asyncio.Event()

    async def app(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("x")
        await full.wait()
        with pytest.raises(WebSocketDisconnect):
            await websocket.send_text("x")
        told.set()

    browser = Browser(guarded(service, app), headers=bearer(token))
    assert (await browser.hear())["type"] == "websocket.accept"
    await browser.hear()
    await service.auth.forget(1)  # no end: the token stands
    await service.call("DELETE", "/api/sessions", token=token)

    assert await closed(browser) == UNAUTHORIZED
    full.set()
    await asyncio.wait_for(told.wait(), 5)
    await browser.task


async def test_a_token_that_ends_during_the_handshake_opens_nothing(service: Service) -> None:
    """An application that takes its time to accept."""
    token = (await service.new_user())["token"]
    go_on = asyncio.Event()

    async def app(websocket: WebSocket) -> None:
        await go_on.wait()
        await websocket.accept()
        with pytest.raises(WebSocketDisconnect):
            await websocket.receive_text()

    browser = Browser(guarded(service, app), headers=bearer(token))
    await asyncio.sleep(0.05)
    await service.call("DELETE", "/api/sessions", token=token)
    assert (await browser.hear())["type"] == "websocket.close"
    go_on.set()
    await asyncio.wait_for(browser.task, 5)
    assert browser.answers.empty()


async def test_an_application_that_closes_is_left_alone(service: Service) -> None:
    """Its own code reaches the client, once."""
    token = (await service.new_user())["token"]

    async def app(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000)
        await service.call("DELETE", "/api/sessions", token=token)
        await asyncio.sleep(0.2)

    browser = Browser(guarded(service, app), headers=bearer(token))
    await browser.task
    assert [(await browser.hear())["type"], (await browser.hear())["code"]] == [
        "websocket.accept",
        4000,
    ]
    assert browser.answers.empty()


async def test_browsers_offer_the_token_as_a_subprotocol(service: Service) -> None:
    """It is taken and never echoed; the application sees what else was offered."""
    token = (await service.new_user())["token"]
    app = App()

    browser = Browser(guarded(service, app), **offered("bearer", token))

    # Chromium drops a connection none of whose subprotocols was accepted.
    assert (await browser.hear())["subprotocol"] == "bearer"
    assert app.scope["subprotocols"] == []
    assert token.encode() not in b"".join(value for _, value in app.scope["headers"])
    assert (b"x-other", b"1") in app.scope["headers"]
    browser.sent.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await browser.task


async def test_the_applications_own_subprotocol_goes_first(service: Service) -> None:
    """One of those that it sees."""
    token = (await service.new_user())["token"]
    seen: list[Any] = []

    async def app(websocket: WebSocket) -> None:
        seen.extend((websocket.scope["subprotocols"], dict(websocket.scope["headers"])))
        await websocket.accept(subprotocol="chat.v2")
        await websocket.close()

    browser = Browser(guarded(service, app), **offered("chat.v1", "bearer", token, "chat.v2"))

    assert (await browser.hear())["subprotocol"] == "chat.v2"
    await browser.task
    assert seen[0] == ["chat.v1", "chat.v2"]
    assert seen[1][b"sec-websocket-protocol"] == b"chat.v1, chat.v2"


@pytest.mark.parametrize(
    ("protocols", "header", "status"),
    [
        ((), False, 401),
        (("chat",), False, 401),
        (("bearer",), False, 400),
        (("bearer", "wrong"), False, 401),
        (("bearer", "\u2603"), False, 401),
        (("bearer", "TOKEN"), True, 400),
        (("TOKEN", "bearer"), False, 400),
    ],
)
async def test_other_handshakes_are_refused(
    service: Service, protocols: tuple[str, ...], header: bool, status: int
) -> None:
    """With a real answer, before anything is accepted."""
    token = (await service.new_user())["token"]
    names = [name.replace("TOKEN", token) for name in protocols]
    headers = bearer(token) if header else []

    browser = Browser(guarded(service, App()), subprotocols=names, headers=headers)

    answer = await browser.hear()
    assert (answer["type"], answer["status"]) == ("websocket.http.response.start", status)
    await browser.task


async def test_where_a_token_is_optional_one_that_comes_ends_its_socket(service: Service) -> None:
    """Without one, the anonymous user may stay for ever."""
    token = (await service.new_user())["token"]
    app = guarded(service, App(), protect=[], optional=["/live"])
    anonymous, known = Browser(app), Browser(app, headers=bearer(token))
    for browser in (anonymous, known):
        assert (await browser.hear())["type"] == "websocket.accept"

    await service.call("DELETE", "/api/sessions", token=token)

    assert await closed(known) == UNAUTHORIZED
    anonymous.say("hello")
    assert (await anonymous.hear())["text"] == ": hello"
    anonymous.sent.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await anonymous.task


async def test_a_thousand_sockets_cost_one_task(service: Service) -> None:
    """And all of a user's are closed when the user is gone."""
    token = (await service.new_user())["token"]
    app = guarded(service, App())
    before = len(asyncio.all_tasks())
    browsers = [Browser(app, headers=bearer(token)) for _ in range(1000)]
    for browser in browsers:
        assert (await browser.hear())["type"] == "websocket.accept"
    async with asyncio.timeout(10):  # at first, while the feed vouches for nothing, each asks
        while len(asyncio.all_tasks()) > before + 1000 + 8:  # noqa: ASYNC110  their own, and a few
            await asyncio.sleep(0.05)

    await service.call("DELETE", "/api/account", {"password": "secret"}, token)

    assert {await closed(browser) for browser in browsers} == {UNAUTHORIZED}
    await asyncio.gather(*(browser.task for browser in browsers))
    assert not service.auth.verifier.live._by_user
