"""FastAPI with a dependency that checks the token with PyJWT: signature and expiry, no look-up."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer

from asgi_token_auth.testing import SECRET_KEY
from benchmarks.peers.starlette_pyjwt import sign
from benchmarks.stacks import CONTENT, PATH, Stack

LABEL = "FastAPI + PyJWT"

bearer = OAuth2PasswordBearer(tokenUrl="/token")


async def current_user(token: Annotated[str, Depends(bearer)]) -> str:
    """Who holds the token."""
    try:
        claims = jwt.decode(
            token, SECRET_KEY, algorithms=["HS256"], options={"require": ["exp", "sub"]}
        )
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from error
    return str(claims["sub"])


def bare_app() -> FastAPI:
    """The route without authentication."""
    app = FastAPI()

    @app.get(PATH)
    async def messages() -> dict[str, str]:
        return CONTENT

    return app


@contextlib.asynccontextmanager
async def open_stacks(database: str, tokens: int) -> AsyncIterator[dict[str, Stack]]:
    """The stack by its label; the database stays empty."""
    guarded = FastAPI()

    @guarded.get(PATH)
    async def messages(user: Annotated[str, Depends(current_user)]) -> dict[str, str]:
        return CONTENT

    issued = [sign(number) for number in range(tokens)]
    yield {LABEL: Stack("irrevocable", bare_app(), guarded, issued)}
