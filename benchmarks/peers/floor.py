"""The floor: a dictionary of verified tokens in a pure ASGI middleware. Nothing that looks at the
header can be much faster."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.stacks import Stack, owner, plain_app

LABEL = "a dictionary of tokens"


class Lookup:
    """Lets through whose header is in the dictionary."""

    def __init__(self, app: ASGIApp, users: Mapping[bytes, int]) -> None:
        self.app = app
        self._users = users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope["headers"]:
            if name == b"authorization" and value in self._users:
                await self.app({**scope, "user": self._users[value]}, receive, send)
                return
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def open_stacks(database: str, tokens: int) -> AsyncIterator[dict[str, Stack]]:
    """The stack by its label; the database stays empty."""
    # As long as a JWT: the dictionary hashes every byte.
    issued = [secrets.token_urlsafe(150) for _ in range(tokens)]
    users = {f"Bearer {token}".encode(): owner(number) for number, token in enumerate(issued)}
    yield {LABEL: Stack("floor", plain_app, Lookup(plain_app, users), issued)}
