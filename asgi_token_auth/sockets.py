"""WebSockets: their token, and their end with it."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from asgi_token_auth.bearer import (
    SUBPROTOCOL,
    parse_bearer,
    read_authorization,
    take_subprotocol,
)
from asgi_token_auth.exceptions import (
    MalformedCredentials,
    MissingToken,
    TokenAuthError,
    TokenRefused,
)
from asgi_token_auth.verification import LiveToken

UNAUTHORIZED = 3000  # the IANA registry of WebSocket close codes
TRY_AGAIN_LATER = 1013
CLOSE_SECONDS = 5.0
PROTOCOL_HEADER = b"sec-websocket-protocol"


def read_token(scope: Scope) -> tuple[bytes, Scope]:
    """The token of a WebSocket's handshake, and the scope without it among the subprotocols.

    Raises:
        MissingToken: there is none.
        MalformedCredentials: there are several, or what there is is no token.
    """
    offered, rest = take_subprotocol(scope.get("subprotocols", ()))
    try:
        token = parse_bearer(read_authorization(scope["headers"]))
    except MissingToken:
        if offered is None:
            raise
        return offered, _without_token(scope, rest)
    if offered is not None:
        raise MalformedCredentials("More than one token")
    return token, scope


def _without_token(scope: Scope, rest: list[str]) -> Scope:
    """What an application does not see, it can't echo."""
    headers = [header for header in scope["headers"] if header[0].lower() != PROTOCOL_HEADER]
    if rest:
        value = ", ".join(rest).encode("utf-8", "surrogateescape")  # as it came, if it is no text
        headers.append((PROTOCOL_HEADER, value))
    return {**scope, "headers": headers, "subprotocols": rest}


class Disconnected(OSError):
    """The socket was ended with its token, so nothing can be sent (as ASGI 2.4 has it)."""


class LiveSocket:
    """A WebSocket which lives no longer than its token.

    A message passes only while the token is known to be good. When it is good no more, the client
    is sent a close, and the application is told that the client has gone.

    Args:
        receive, send: the server's.
        by_subprotocol: whether the client offered its token there, and expects an answer.
    """

    def __init__(self, receive: Receive, send: Send, *, by_subprotocol: bool) -> None:
        self._receive = receive
        self._send = send
        self._by_subprotocol = by_subprotocol
        self._live: LiveToken | None = None
        self._waiting: asyncio.Timeout | None = None
        self._connected = False
        self._held: Message | None = None
        self._code: int | None = None
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    async def run(self, app: Callable[..., Any], scope: Scope, live: LiveToken) -> None:
        """Serves the socket until the application is done with it."""
        self._live = live
        try:
            await app(scope, self.receive, self.send)
        except Disconnected:
            pass  # it had nothing more to do
        finally:
            self._closed = True
            if self._closing is not None:
                await asyncio.wait({self._closing}, timeout=CLOSE_SECONDS)

    def end(self, reason: TokenAuthError) -> None:
        """Closes the socket: the token is good no more, or nobody can tell."""
        if self._code is not None:
            return
        self._code = UNAUTHORIZED if isinstance(reason, TokenRefused) else TRY_AGAIN_LATER
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())
        if not self._closed:
            self._closing = asyncio.get_running_loop().create_task(self._close(str(reason)))

    async def receive(self) -> Message:
        """The next message, or the client's going away."""
        if not self._connected:
            self._connected = True
            return await self._receive()  # websocket.connect, whatever comes after it
        if self._code is None:
            # No time is set: `end` does, and so wakes an application that waits here.
            waiting = self._waiting = asyncio.timeout(None)
            try:
                async with waiting:
                    if (message := await self._checked_message()) is not None:
                        return message
            except TimeoutError:
                if self._code is None:
                    raise
            finally:
                if self._waiting is waiting:  # another may wait by the time that this is cancelled
                    self._waiting = None
        return {"type": "websocket.disconnect", "code": self._code, "reason": ""}

    async def send(self, message: Message) -> None:
        """Sends a message.

        Raises:
            Disconnected: the socket was ended.
        """
        if not await self._may_pass(message, "websocket.send"):
            if message["type"] == "websocket.send":
                raise Disconnected
            return  # an application that accepts or closes by now has done all it can
        if message["type"] == "websocket.close":
            self._closed = True
        elif message["type"] == "websocket.accept" and self._by_subprotocol:
            # Browsers drop a connection none of whose subprotocols was accepted.
            message = {**message, "subprotocol": message.get("subprotocol") or SUBPROTOCOL}
        await self._send(message)

    async def _checked_message(self) -> Message | None:
        # Kept until the token is known to be good: whoever waits here may be cancelled.
        if self._held is None:
            self._held = await self._receive()
        passes = await self._may_pass(self._held, "websocket.receive")
        message, self._held = self._held, None
        return message if passes else None

    async def _may_pass(self, message: Message, kind: str) -> bool:
        live = self._live
        if self._code is None and message["type"] == kind and live and not live.is_known():
            try:
                await live.confirm()
            except TokenAuthError as error:
                self.end(error)
        return self._code is None

    async def _close(self, reason: str) -> None:
        with contextlib.suppress(Exception):  # the client may be gone, or just going
            await self._send({"type": "websocket.close", "code": self._code, "reason": reason})
