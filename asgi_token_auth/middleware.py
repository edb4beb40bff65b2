"""TokenAuthMiddleware: the guard on every request. Nothing slow lives here."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.authentication import AuthCredentials, UnauthenticatedUser
from starlette.types import Receive, Scope, Send

from asgi_token_auth.bearer import challenge, parse_bearer, read_authorization
from asgi_token_auth.exceptions import (
    DatabaseUnavailable,
    MalformedCredentials,
    MissingToken,
    TokenAuthError,
    TokenRefused,
)
from asgi_token_auth.lifespan import with_lifespan
from asgi_token_auth.paths import GuardedPaths, Need, roots_of
from asgi_token_auth.sockets import LiveSocket, read_token

if TYPE_CHECKING:
    from asgi_token_auth.auth import TokenAuth

# Starlette, Litestar, Quart and asgiref each have their own types for scope and messages, and
# none takes another's.
AnyASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


class NoCredentials(AuthCredentials):
    """`request.auth` of the anonymous user: one object for all, so nothing of it can be changed."""

    scopes = ()  # type: ignore[assignment]

    def __init__(self) -> None:
        pass


ANONYMOUS = UnauthenticatedUser()
NO_CREDENTIALS = NoCredentials()


class TokenAuthMiddleware:
    """Lets requests under protected prefixes through with a good Bearer token only, and puts the
    user into the scope, where `request.user` finds it.

    A WebSocket is closed when its token is revoked or expires; while nobody can tell, nothing
    passes.

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
        app: AnyASGIApp,
        *,
        auth: "TokenAuth",
        protect: Sequence[str],
        public: Sequence[str] = (),
        optional: Sequence[str] = (),
    ) -> None:
        self.app = app
        self._auth = auth
        self._verifier = auth.verifier
        self._known = auth.verifier.known
        self._endpoints = app  # a guard by itself has none
        self._need = self._paths(protect, public, optional).need

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, WebSocket or lifespan (ASGI 3)."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        need = self._need(scope)
        if need == "nothing":
            await self.app(anonymous(scope), receive, send)
            return
        if need == "endpoint":
            await self._endpoints(scope, receive, send)
            return
        try:
            header = read_authorization(scope["headers"])
            verified = self._known(header) or await self._verifier.verify(parse_bearer(header))
        except (TokenRefused, DatabaseUnavailable) as error:
            if not _may_go_without(need, scope, error):
                await refuse(scope, receive, send, error)
                return
            scope = anonymous(scope)
        else:
            scope = {**scope, "user": verified.user, "auth": verified}
        await self.app(scope, receive, send)

    def _paths(
        self, protect: Sequence[str], public: Sequence[str], optional: Sequence[str]
    ) -> GuardedPaths:
        return GuardedPaths(protect, public, optional, app_roots=roots_of(self.app))

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await with_lifespan(self.app, self._auth, scope, receive, send)
        elif (need := self._need(scope)) == "nothing":
            await self.app(anonymous(scope), receive, send)
        else:
            await self._websocket(need, scope, receive, send)

    async def _websocket(self, need: Need, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            token, own = read_token(scope)
            verified = await self._verifier.verify(token)
        except (TokenRefused, DatabaseUnavailable) as error:
            if _may_go_without(need, scope, error):
                await self.app(anonymous(scope), receive, send)
            else:
                await refuse(scope, receive, send, error)
            return
        socket = LiveSocket(receive, send, by_subprotocol=own is not scope)
        own = {**own, "user": verified.user, "auth": verified}
        with self._verifier.live.watching(token, verified.user.id, socket.end) as live:
            await socket.run(self.app, own, live)


def anonymous(scope: Scope) -> Scope:
    """A copy of the scope with the anonymous user: never with one that an outer middleware or a
    client may have put there."""
    return {**scope, "user": ANONYMOUS, "auth": NO_CREDENTIALS}


def _may_go_without(need: Need, scope: Scope, error: TokenAuthError) -> bool:
    """Whether a request without a token may pass: where it is optional; and a CORS preflight,
    which carries no credentials, by the Fetch standard."""
    if not isinstance(error, MissingToken):
        return False
    if need == "optional":
        return True
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    names = {name.lower() for name, _ in scope["headers"]}
    return {b"origin", b"access-control-request-method"} <= names


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
