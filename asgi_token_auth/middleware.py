"""TokenAuthMiddleware: the guard on every request. Nothing slow lives here."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.authentication import AuthCredentials, UnauthenticatedUser
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_token_auth.bearer import challenge, read_bearer
from asgi_token_auth.exceptions import (
    DatabaseUnavailable,
    MalformedCredentials,
    MissingToken,
    TokenAuthError,
    TokenRefused,
)
from asgi_token_auth.lifespan import with_lifespan
from asgi_token_auth.paths import PathPrefixes, normal_form, route_paths
from asgi_token_auth.verification import VerifiedToken

if TYPE_CHECKING:
    from asgi_token_auth.auth import TokenAuth


class Credentials(AuthCredentials):
    """`request.auth` of a logged-in user: Starlette's scopes, and the token's row."""

    def __init__(self, verified: VerifiedToken) -> None:
        super().__init__(["authenticated"])
        self.token = verified.token


class TokenAuthMiddleware:
    """Lets requests under protected prefixes through with a good Bearer token only, and puts the
    user into the scope, where `request.user` finds it.

    Args:
        app: the application to guard.
        auth: the TokenAuth that issued the tokens.
        protect: path prefixes that need a token, on HTTP and WebSocket.
        public: path prefixes under those that need none.
        optional: path prefixes where a token is looked at if there is one.

    Raises:
        SettingsError: a prefix is no absolute path in normal form.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        auth: "TokenAuth",
        protect: Sequence[str],
        public: Sequence[str] = (),
        optional: Sequence[str] = (),
    ) -> None:
        self.app = app
        self._auth = auth
        self._protect = PathPrefixes("protect", protect)
        self._public = PathPrefixes("public", public)
        self._optional = PathPrefixes("optional", optional)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await with_lifespan(self.app, self._auth, scope, receive, send)
            return
        try:
            verified = await self._verified(scope)
        except TokenRefused as refusal:
            await refuse(scope, receive, send, refusal)
            return
        except DatabaseUnavailable as error:
            await refuse(scope, receive, send, error)
            return
        await self.app(authenticated(scope, verified), receive, send)

    async def _verified(self, scope: Scope) -> VerifiedToken | None:
        paths = route_paths(scope)
        required = self._is_required(scope, paths)
        if not required and not any(map(self._optional.covers, paths)):
            return None
        try:
            token = read_bearer(scope["headers"])
        except MissingToken:
            if required and not _is_preflight(scope):
                raise
            return None
        return await self._auth.verifier.verify(token)

    def _is_required(self, scope: Scope, paths: tuple[str, ...]) -> bool:
        if not any(map(self._protect.could_cover, paths)):
            return False
        # Only a path that every router reads alike may be public.
        path = paths[0]
        trailing = "/" if path.endswith("/") and path != "/" else ""
        plain = normal_form(path) + trailing == path
        excepted = self._public.covers(path) or self._optional.covers(path)
        return not (plain and excepted)


def authenticated(scope: Scope, verified: VerifiedToken | None) -> Scope:
    """A copy of the scope with the user, or with the anonymous one: never with what an outer
    middleware or a client may have put there."""
    if verified is None:
        return {**scope, "user": UnauthenticatedUser(), "auth": AuthCredentials()}
    return {**scope, "user": verified.user, "auth": Credentials(verified)}


async def refuse(scope: Scope, receive: Receive, send: Send, error: TokenAuthError) -> None:
    """Answers a request, or a WebSocket's handshake, that goes no further."""
    status, headers, body = _refusal(error)
    if scope["type"] == "http":
        await _respond(send, "http.response", status, headers, body)
    elif scope["type"] == "websocket":
        await receive()  # websocket.connect: some servers want it read before an answer
        if "websocket.http.response" in scope.get("extensions", {}):
            await _respond(send, "websocket.http.response", status, headers, body)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": ""})


def _refusal(error: TokenAuthError) -> tuple[int, list[tuple[bytes, bytes]], dict[str, Any]]:
    if isinstance(error, TokenRefused):
        status = 400 if isinstance(error, MalformedCredentials) else 401
        header = (b"www-authenticate", challenge(error).encode("latin-1"))
        return status, [header], {"error": str(error)}
    return 503, [(b"retry-after", b"1")], {"errors": {"base": str(error)}}


async def _respond(
    send: Send, kind: str, status: int, headers: list[tuple[bytes, bytes]], content: dict[str, Any]
) -> None:
    body = json.dumps(content).encode()
    length = (b"content-length", str(len(body)).encode())
    fixed = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), length]
    await send({"type": f"{kind}.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": f"{kind}.body", "body": body})


def _is_preflight(scope: Scope) -> bool:
    """A CORS preflight carries no credentials, by the Fetch standard."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    names = {name.lower() for name, _ in scope["headers"]}
    return {b"origin", b"access-control-request-method"} <= names
