"""Tokens in use by connections that stay open: each ends within the bound, also when idle."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from asgi_token_auth.clock import elapsed
from asgi_token_auth.exceptions import DatabaseUnavailable, TokenAuthError
from asgi_token_auth.verification.verified import HEADER

if TYPE_CHECKING:
    from asgi_token_auth.verification.verifier import Verifier

GRACE_SECONDS = 10.0
"""How long a live connection waits, silent, for a database that is away, before it is ended.

A restart of the database would else cut thousands of connections, which all come back at once.
"""
RETRY_SECONDS = 0.2


class LiveToken:
    """A token in use by an open connection.

    Args:
        verifier: knows whether it is good.
        token: the token as it came.
        ended: called once, with the reason, when the token is good no more.
    """

    def __init__(
        self,
        verifier: "Verifier",
        token: bytes,
        ended: Callable[[TokenAuthError], None],
    ) -> None:
        self._token = token
        self._header = HEADER + token
        self._verifier = verifier
        self._ended = ended
        self._checking: asyncio.Task[None] | None = None

    def is_known(self) -> bool:
        """Whether the token is known to be good, without asking anybody."""
        return self._verifier.known(self._header) is not None

    async def confirm(self) -> None:
        """Returns once the token is known to be good.

        Raises:
            InvalidToken: it is not.
            DatabaseUnavailable: nobody could tell for `GRACE_SECONDS`.
        """
        give_up_at = elapsed() + GRACE_SECONDS
        while True:
            try:
                await self._verifier.verify(self._token)
                return
            except DatabaseUnavailable:
                if elapsed() > give_up_at:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    def check(self) -> None:
        """Finds out beside the connection whether the token is still good."""
        if self._checking is None and not self.is_known():
            self._checking = asyncio.get_running_loop().create_task(self._check())

    def cancel(self) -> None:
        """The connection is over."""
        if self._checking is not None:
            self._checking.cancel()

    async def _check(self) -> None:
        try:
            await self.confirm()
        except TokenAuthError as error:
            self._ended(error)
        finally:
            self._checking = None


class LiveTokens:
    """The live tokens of a process, looked at by one task while there are any.

    Args:
        verifier: reads the feed, and knows what it said.
    """

    def __init__(self, verifier: "Verifier") -> None:
        self._verifier = verifier
        self._by_user: dict[Any, set[LiveToken]] = {}
        self._suspects: set[LiveToken] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def watching(
        self, token: bytes, user_id: Any, ended: Callable[[TokenAuthError], None]
    ) -> Iterator[LiveToken]:
        """Watches a token for as long as its connection is open."""
        live = LiveToken(self._verifier, token, ended)
        self._by_user.setdefault(user_id, set()).add(live)
        self._start()
        try:
            yield live
        finally:
            live.cancel()
            self._suspects.discard(live)
            of_user = self._by_user[user_id]
            of_user.discard(live)
            if not of_user:
                del self._by_user[user_id]

    def suspect(self, user_id: Any) -> None:
        """Something about the user changed: look at once."""
        if user_id in self._by_user:
            self._suspects |= self._by_user[user_id]
            self._wake.set()

    def suspect_all(self) -> None:
        """Anything may have changed."""
        self._suspects.update(*self._by_user.values())
        self._wake.set()

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait({task})

    def _start(self) -> None:
        loop, task = asyncio.get_running_loop(), self._task
        if task is None or task.done() or task.get_loop() is not loop:
            self._wake = asyncio.Event()
            self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        look_at = elapsed()
        while self._by_user:
            try:
                # Not wait_for: that of Python 3.11 may swallow a cancellation.
                async with asyncio.timeout(max(look_at - elapsed(), 0)):
                    await self._wake.wait()
            except TimeoutError:
                look_at = await self._verifier.catch_up()
                self.suspect_all()  # some may have expired
            self._wake.clear()
            suspects, self._suspects = self._suspects, set()
            for live in suspects:
                live.check()
