"""Starlette's AuthenticationMiddleware with joserfc: signature and expiry, no look-up."""

import contextlib
import time
from collections.abc import AsyncIterator

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    SimpleUser,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from asgi_token_auth.testing import SECRET_KEY
from benchmarks.stacks import Stack, owner, starlette_app

LABEL = "Starlette + joserfc"
KEY = OctKey.import_key(SECRET_KEY)
CLAIMS = jwt.JWTClaimsRegistry(exp={"essential": True}, sub={"essential": True})
LIFETIME_SECONDS = 86_400


class Backend(AuthenticationBackend):
    """Takes whoever holds a token that we signed."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationError("no token")
        try:
            claims = jwt.decode(token, KEY, algorithms=["HS256"]).claims
            CLAIMS.validate(claims)
        except JoseError as error:
            raise AuthenticationError("invalid token") from error
        return AuthCredentials(["authenticated"]), SimpleUser(claims["sub"])


@contextlib.asynccontextmanager
async def open_stacks(database: str, tokens: int) -> AsyncIterator[dict[str, Stack]]:
    """The stack by its label; the database stays empty."""
    guarded = starlette_app(Middleware(AuthenticationMiddleware, backend=Backend()))
    issued = [_sign(number) for number in range(tokens)]
    yield {LABEL: Stack("irrevocable", starlette_app(), guarded, issued)}


def _sign(number: int) -> str:
    expires = int(time.time()) + LIFETIME_SECONDS
    claims = {"sub": str(owner(number)), "exp": expires, "jti": f"{number:032}"}
    return jwt.encode({"alg": "HS256"}, claims, KEY)
