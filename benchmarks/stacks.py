"""What is measured: an application with and without authentication, and tokens it takes.

All stacks serve the same route with the same body and do not use the user, so that the difference
between `guarded` and `bare` is the authentication, and nothing else.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/api/messages"
CONTENT = {"hello": "world"}
BODY = b'{"hello":"world"}'
LOGINS_PER_USER = 10

Kind = Literal["floor", "ours", "revocable", "irrevocable"]


@dataclasses.dataclass(frozen=True)
class LogIn:
    """An HTTP request that logs somebody in."""

    path: str
    content_type: str
    body: bytes


@dataclasses.dataclass(frozen=True)
class Stack:
    """An application guarded and bare.

    Args:
        kind: "revocable" if a token can be ended before its time, "irrevocable" if not.
        bare: the application without authentication.
        guarded: the same with it.
        tokens: Bearer tokens that `guarded` takes, the first of a user who has no other.
        log_ins: where the stack was opened for logging in: one request a user.
    """

    kind: Kind
    bare: ASGIApp
    guarded: ASGIApp
    tokens: Sequence[str]
    log_ins: Sequence[LogIn] = ()


def owner(token: int) -> int:
    """The number of the user whose token that is: ten each, but the first has one only, since
    some peers read all tokens of the user."""
    return 0 if token == 0 else 1 + (token - 1) // LOGINS_PER_USER


def owners(tokens: int) -> range:
    """The numbers of all users of that many tokens."""
    return range(owner(tokens - 1) + 1)


async def plain_app(scope: Scope, receive: Receive, send: Send) -> None:
    """The least an ASGI application can do."""
    length = (b"content-length", str(len(BODY)).encode())
    headers = [(b"content-type", b"application/json"), length]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def starlette_app(*middleware: Middleware) -> Starlette:
    """The route in Starlette."""

    async def messages(request: Request) -> JSONResponse:
        return JSONResponse(CONTENT)

    return Starlette(routes=[Route(PATH, messages)], middleware=middleware)
