"""Starting and stopping with the server: around applications with a lifespan of their own, and
around those that know of none."""

import logging
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from asgi_token_auth.auth import TokenAuth

logger = logging.getLogger("asgi_token_auth")


async def with_lifespan(
    app: ASGIApp, auth: "TokenAuth", scope: Scope, receive: Receive, send: Send
) -> None:
    """Runs `app` under the server's lifespan, between our own start and stop."""
    exchange = _Exchange(auth, receive, send)
    try:
        await app(scope, exchange.receive, exchange.send)
    except Exception:
        # Django raises on a lifespan: an application need not know of it. But one that had
        # started, or failed in starting, is not to be passed over.
        if exchange.answered:
            raise
        logger.debug("the application serves no lifespan")
    await exchange.finish()


class _Exchange:
    """The messages between server and application, with ours put in."""

    def __init__(self, auth: "TokenAuth", receive: Receive, send: Send) -> None:
        self._auth = auth
        self._receive = receive
        self._send = send
        self._received: list[str] = []
        self.answered: list[str] = []

    async def receive(self) -> Message:
        message = await self._receive()
        self._received.append(message["type"])
        return message

    async def send(self, message: Any) -> None:
        self.answered.append(message["type"])
        if message["type"] == "lifespan.startup.complete":
            await self._auth.startup()  # last: the application may just have created the tables
        if message["type"].startswith("lifespan.shutdown"):
            await self._auth.shutdown()
        await self._send(message)

    async def finish(self) -> None:
        """What the application left unsaid."""
        if not self._received:
            await self.receive()
        if not self.answered:
            await self.send({"type": "lifespan.startup.complete"})
        if "lifespan.startup.complete" not in self.answered or self._has_stopped():
            return
        if "lifespan.shutdown" not in self._received:
            await self.receive()
        await self.send({"type": "lifespan.shutdown.complete"})

    def _has_stopped(self) -> bool:
        return any(answer.startswith("lifespan.shutdown") for answer in self.answered)
