"""What every endpoint has: its operations, who asks, and one place where errors become answers."""

import functools
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_token_auth.accounts import Client, IssuedToken, Login, Parts
from asgi_token_auth.addresses import TrustedProxies
from asgi_token_auth.bearer import parse_bearer, read_authorization
from asgi_token_auth.endpoints.bodies import BadBody, read_json
from asgi_token_auth.endpoints.errors import NO_STORE, Refused, error_response
from asgi_token_auth.exceptions import TokenAuthError, TokenRefused
from asgi_token_auth.verification import Verifier

E = TypeVar("E", bound="EndpointGroup")


class EndpointGroup:
    """Endpoints on the accounts of one TokenAuth."""

    def __init__(self, parts: Parts, verifier: Verifier) -> None:
        self._parts = parts
        self._verifier = verifier
        self._proxies = TrustedProxies(parts.settings.trusted_proxies)

    async def _body(self, request: Request) -> dict[str, Any]:
        return await read_json(request, self._parts.settings.maximum_body_bytes)

    async def _login(self, request: Request) -> Login:
        header = read_authorization(request.scope["headers"])
        verified = await self._verifier.verify(parse_bearer(header))
        return Login(verified.user, verified.token)

    def _client(self, request: Request) -> Client:
        """Who asks, as far as it can be told: forwarded headers are believed of known proxies."""
        peer = request.client.host if request.client else None
        forwarded = request.headers.getlist("x-forwarded-for")
        return Client(
            user_agent=request.headers.get("user-agent"),
            address=self._proxies.client_address(peer, forwarded),
            device=_device(request),
            request=request,
        )


Handler = Callable[[E, Request], Awaitable[Response]]


def refusing_by(refuse: Callable[[Refused], Response]) -> Callable[[Handler[E]], Handler[E]]:
    """Makes every error of a handler the answer that `refuse` has for it."""

    def decorate(handle: Handler[E]) -> Handler[E]:
        @functools.wraps(handle)
        async def answer(self: E, request: Request) -> Response:
            with self._parts.telemetry.operation(handle.__name__) as outcome:
                try:
                    return await handle(self, request)
                except (BadBody, TokenAuthError) as error:
                    response = refuse(error)
                    outcome.error, outcome.status = error.code, response.status_code
                    return response

        return answer

    return decorate


def endpoint(handle: Handler[E]) -> Handler[E]:
    """Makes every error of a handler the answer that the contract has for it."""
    return refusing_by(error_response)(handle)


def _device(request: Request) -> str | None:
    """The token that comes with a request which needs none. Whatever else it is, is nothing."""
    try:
        return parse_bearer(read_authorization(request.scope["headers"])).decode("ascii")
    except TokenRefused:
        return None


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


def iso(milliseconds: int) -> str:
    """RFC 3339, in UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(value: Any) -> Any:
    """A column's value as JSON has it; what JSON has no word for, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, int | float | str | bool | dict | list | None) else str(value)
