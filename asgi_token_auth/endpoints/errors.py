"""The one table from errors to HTTP answers."""

from typing import Any

from starlette.responses import JSONResponse, Response

from asgi_token_auth.bearer import challenge
from asgi_token_auth.endpoints.bodies import BadBody
from asgi_token_auth.exceptions import (
    BreachedPasswordsUnavailable,
    DatabaseUnavailable,
    HashingOverloaded,
    InvalidFields,
    InvalidToken,
    LoginRefused,
    MalformedCredentials,
    MissingToken,
    SessionNotFound,
    Throttled,
    TokenAuthError,
    TokenRefused,
    Unavailable,
)

NO_STORE = {"Cache-Control": "no-store"}

Refused = BadBody | TokenAuthError
"""How a request may end but for an answer."""

STATUS: dict[type[TokenAuthError], int] = {
    InvalidFields: 422,
    LoginRefused: 401,
    MissingToken: 401,
    InvalidToken: 401,
    MalformedCredentials: 400,
    SessionNotFound: 404,
    Throttled: 429,
    DatabaseUnavailable: 503,
    HashingOverloaded: 503,
    BreachedPasswordsUnavailable: 503,
}


def error_response(error: Refused) -> Response:
    """The answer to a request that ended in `error`."""
    if isinstance(error, BadBody):
        return base_error(error.status, error.message)
    status = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    return JSONResponse(_content(error), status, {**NO_STORE, **_headers(error)})


def base_error(status: int, message: str) -> Response:
    """The answer to a request that no operation was asked for."""
    return JSONResponse({"errors": {"base": message}}, status, NO_STORE)


def _content(error: TokenAuthError) -> dict[str, Any]:
    if isinstance(error, InvalidFields):
        return {"errors": error.errors}
    if isinstance(error, TokenRefused):
        return {"error": str(error)}
    return {"errors": {"base": str(error)}}


def _headers(error: TokenAuthError) -> dict[str, str]:
    if isinstance(error, TokenRefused):
        return {"WWW-Authenticate": challenge(error)}
    if isinstance(error, Throttled | Unavailable):
        return {"Retry-After": str(error.retry_after)}
    return {}
