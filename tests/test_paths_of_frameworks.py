"""What a framework's own router serves, in whatever spelling, a guard in front of it refuses."""

import asyncio
import itertools
from typing import Any

import pytest
from conftest import running_service
from fastapi import FastAPI
from litestar import Litestar, get
from quart import Quart
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi_token_auth.middleware import AnyASGIApp, TokenAuthMiddleware

ROOTS = ["", "/v1", "/v1/", "v1"]
BEGINNINGS = [
    "",
    "/",
    "/v1",
    "/v1/",
    "v1",
    "v1/",
    "/x/v1",
    "/x/v1/",
    "/v1x/v1/",
    "/xv1/",
    "/v1/v1/",
]
WHOLE_URLS = ["http://host", "http:", "x:", "http://host/", "//host", "?", "#"]


def applications() -> dict[str, AnyASGIApp]:
    """One of each framework, with the same route."""

    async def starlette(request: Request) -> PlainTextResponse:
        return PlainTextResponse("secret")

    @get("/api/messages")
    async def litestar() -> str:
        return "secret"

    fastapi, quart = FastAPI(), Quart(__name__)
    fastapi.add_api_route("/api/messages", lambda: "secret", methods=["GET"])
    quart.add_url_rule("/api/messages", view_func=lambda: "secret")
    return {
        "starlette": Starlette(routes=[Route("/api/messages", starlette)]),
        "fastapi": fastapi,
        "litestar": Litestar([litestar]),
        "quart": quart,
    }


async def status(app: AnyASGIApp, path: str, root: str) -> int:
    """The answer's status; 500 if it raises."""
    answered: list[Any] = []
    bodies = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        for body in bodies:
            return body
        return await asyncio.Future()  # Quart goes on reading

    async def send(message: Any) -> None:
        answered.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": root,
        "query_string": b"",
        "headers": [(b"host", b"test")],
        "client": ("203.0.113.1", 1),
        "server": ("test", 80),
        "extensions": {},
    }
    try:
        await app(scope, receive, send)
    except Exception:
        return 500
    return int(answered[0]["status"])


@pytest.mark.parametrize("name", applications())
async def test_no_spelling_gets_past_the_guard(sqlite_url: str, name: str) -> None:
    """Under a root path, too, which Litestar takes off wherever it finds it, and Quart within a
    segment; and with the whole URL in the request line, as RFC 9112 lets clients send it, of which
    Quart takes the path."""
    app = applications()[name]
    served = 0
    async with running_service(sqlite_url) as service:
        guards = (
            TokenAuthMiddleware(app, auth=service.auth, protect=["/api/messages"]),
            service.auth.wrap(app, mount="/auth", protect=["/api/messages"]),
        )
        for whole, beginning, rest in itertools.product(
            ["", *WHOLE_URLS], BEGINNINGS, ["/api/messages", "api/messages"]
        ):
            path = whole + beginning + rest
            for root in ROOTS:
                if await status(app, path, root) == 200:
                    served += 1
                    for guard in guards:
                        assert await status(guard, path, root) == 401, (path, root)

    assert served


@pytest.mark.parametrize("name", applications())
async def test_a_root_path_closes_nothing_that_is_open(sqlite_url: str, name: str) -> None:
    """Beside protected paths, with the root path in the path or not."""
    app = applications()[name]
    async with running_service(sqlite_url) as service:
        guard = TokenAuthMiddleware(app, auth=service.auth, protect=["/api/other", "/v1"])
        for path, root in (("/api/messages", ""), ("/v2/api/messages", "/v2")):
            assert await status(guard, path, root) == 200
