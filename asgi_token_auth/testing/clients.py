"""An application as its clients see it, in the test's own event loop, with no server between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_token_auth.middleware import AnyASGIApp
from asgi_token_auth.testing.people import NewUser


@contextlib.asynccontextmanager
async def running(app: AnyASGIApp) -> AsyncIterator[ASGIApp]:
    """`app` between its startup and its shutdown, which httpx.ASGITransport leaves out; what is
    given has the state of its lifespan.

    Raises:
        RuntimeError: it says that it can't start or stop; or what it raises itself.
    """
    lifespan = _Lifespan(app)
    try:
        await lifespan.tell("startup")
        try:
            yield lifespan.serve
        finally:
            await lifespan.tell("shutdown")
    finally:
        await lifespan.end()


def client_of(
    app: AnyASGIApp, user: NewUser | None = None, *, base_url: str = "http://testserver"
) -> httpx.AsyncClient:
    """A client of an application, in the same event loop.

    Args:
        app: the application; its lifespan is `running`'s to run.
        user: who sends the requests; None: nobody who is logged in.
        base_url: what paths are relative to.
    """
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url=base_url,
        headers=user.headers if user else None,
    )


class _Lifespan:
    """The server's side of the lifespan protocol."""

    def __init__(self, app: AnyASGIApp) -> None:
        self._app = app
        self._state: dict[str, Any] = {}
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self._state}
        # A task of its own: what the application enters and leaves there, it does in one task.
        self._task = asyncio.ensure_future(self._run(scope))

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; a copy of the state, as servers give it."""
        await self._app({**scope, "state": dict(self._state)}, receive, send)

    async def tell(self, phase: str) -> None:
        """Waits until the application has done it; one that has returned knows no lifespan."""
        self._told.put_nowait({"type": f"lifespan.{phase}"})
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            self._task.result()
        elif answer.result()["type"] == f"lifespan.{phase}.failed":
            reason = answer.result().get("message") or "it does not say why"
            raise RuntimeError(f"the application failed at {phase}: {reason}")

    async def end(self) -> None:
        """Leaves nothing running, whatever the test did."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, scope: Scope) -> None:
        await self._app(scope, self._told.get, self._answers.put)
