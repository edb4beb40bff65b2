"""Litestar with its own JWTAuth: signature and expiry, no look-up."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, get
from litestar.connection import ASGIConnection
from litestar.security.jwt import JWTAuth, Token

from asgi_token_auth.testing import SECRET_KEY
from benchmarks.stacks import CONTENT, PATH, Stack, owner

LABEL = "Litestar JWTAuth"


@dataclasses.dataclass
class Holder:
    """Who holds the token."""

    id: str


async def holder(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> Holder:
    """The user as the token has it."""
    return Holder(token.sub)


@get(PATH)
async def messages() -> dict[str, str]:
    """The route that is measured."""
    return CONTENT


@contextlib.asynccontextmanager
async def open_stacks(database: str, tokens: int) -> AsyncIterator[dict[str, Stack]]:
    """The stack by its label; the database stays empty."""
    auth = JWTAuth[Holder](retrieve_user_handler=holder, token_secret=SECRET_KEY)
    bare = Litestar([messages], openapi_config=None)
    guarded = Litestar([messages], openapi_config=None, on_app_init=[auth.on_app_init])
    issued = [
        auth.create_token(str(owner(number)), token_unique_jwt_id=f"{number:032}")
        for number in range(tokens)
    ]
    yield {LABEL: Stack("irrevocable", bare, guarded, issued)}
