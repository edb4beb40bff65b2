"""What every endpoint has: its operations, who asks, and one place where errors become answers."""

import functools
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_token_auth.accounts import Client, IssuedToken, Login, Parts
from asgi_token_auth.bearer import parse_bearer, read_authorization
from asgi_token_auth.endpoints.bodies import BadBody, read_json
from asgi_token_auth.endpoints.errors import NO_STORE, base_error, error_response
from asgi_token_auth.exceptions import TokenAuthError
from asgi_token_auth.verification import Verifier

E = TypeVar("E", bound="EndpointGroup")


class EndpointGroup:
    """Endpoints on the accounts of one TokenAuth."""

    def __init__(self, parts: Parts, verifier: Verifier) -> None:
        self._parts = parts
        self._verifier = verifier

    async def _body(self, request: Request) -> dict[str, Any]:
        return await read_json(request, self._parts.settings.maximum_body_bytes)

    async def _login(self, request: Request) -> Login:
        header = read_authorization(request.scope["headers"])
        verified = await self._verifier.verify(parse_bearer(header))
        return Login(verified.user, verified.token)


def endpoint(
    handle: Callable[[E, Request], Awaitable[Response]],
) -> Callable[[E, Request], Awaitable[Response]]:
    """Makes every error of a handler the answer that the contract has for it."""

    @functools.wraps(handle)
    async def answer(self: E, request: Request) -> Response:
        try:
            return await handle(self, request)
        except BadBody as error:
            return base_error(error.status, error.message)
        except TokenAuthError as error:
            return error_response(error)

    return answer


def client_of(request: Request) -> Client:
    """Who asks, as far as it can be told without believing forwarded headers."""
    return Client(
        user_agent=request.headers.get("user-agent"),
        address=request.client.host if request.client else None,
        request=request,
    )


def ok() -> Response:
    """It is done."""
    return JSONResponse("ok", headers=NO_STORE)


def token_reply(issued: IssuedToken) -> Response:
    """The token, as phoenix_token_auth and as OAuth 2 clients (RFC 6749, 5.1) look for it."""
    content = {
        "token": issued.token,
        "access_token": issued.token,
        "token_type": "bearer",
        "expires_in": issued.expires_in,
        "id": as_json(issued.user.id),
    }
    return JSONResponse(content, headers=NO_STORE)


def as_json(value: Any) -> Any:
    """A column's value as JSON has it; what JSON has no word for, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, int | float | str | bool | dict | list | None) else str(value)
