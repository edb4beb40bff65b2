"""Reading tokens from the database: one query for those that arrive together, none twice."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asgi_token_auth.clock import elapsed
from asgi_token_auth.exceptions import DatabaseUnavailable
from asgi_token_auth.storage.tokens import BATCHES, Token
from asgi_token_auth.storage.users import User
from asgi_token_auth.verification.cache import CachedToken

Found = tuple[Token, User]
Read = Callable[[Sequence[str]], Awaitable[dict[str, Found]]]

BATCH = BATCHES[-1]
QUERIES = 4  # at once, so that one that hangs does not hold up all


class Load:
    """A token to be read.

    Args:
        key: the header it comes in.
        digest: under which its row is.
        user_id: whose it says it is.
        expires_at: when it says that it ends, in seconds since the epoch.

    `started_at` is when its query began (`elapsed`); `forgotten`, that something about the user
    changed since.
    """

    __slots__ = ("digest", "expires_at", "forgotten", "key", "result", "started_at", "user_id")

    def __init__(self, key: bytes, digest: str, user_id: Any, expires_at: float) -> None:
        self.key = key
        self.digest = digest
        self.user_id = user_id
        self.expires_at = expires_at
        self.started_at: float | None = None
        self.forgotten = False
        loop = asyncio.get_running_loop()
        self.result: asyncio.Future[CachedToken | None] = loop.create_future()
        # Read here once, or asyncio complains of errors nobody waited for.
        self.result.add_done_callback(lambda result: result.cancelled() or result.exception())


class TokenLoader:
    """Reads tokens.

    Args:
        read: the query, for at most `BATCH` digests.
        remember: called in the same turn of the event loop with what was read of a token that
            nothing was told about since; raises InvalidToken if that is not good.
    """

    def __init__(self, read: Read, remember: Callable[[Load, Found | None], CachedToken]) -> None:
        self._read = read
        self._remember = remember
        self._begin(None)

    async def load(self, wanted: Load, since: float) -> CachedToken | None:
        """What a query that begins no earlier than `since` (`elapsed`) finds; None: the user was
        forgotten meanwhile, so look again.

        Raises:
            InvalidToken: the token is not good.
            DatabaseUnavailable: there is no knowing.
        """
        if self._loop is not (loop := asyncio.get_running_loop()):
            self._begin(loop)
        load = self._loads.get(wanted.key)
        if load is None or (load.started_at is not None and load.started_at < since):
            load = self._loads[wanted.key] = wanted
            self._waiting.append(load)
            self._start()
        return await asyncio.shield(load.result)

    def forget(self, user_id: Any) -> None:
        """What is being read of the user is out of date."""
        for load in self._reading:
            if load.user_id == user_id:
                self._make_forgotten(load)

    def forget_all(self) -> None:
        """Whatever is being read may be out of date."""
        for load in self._reading:
            self._make_forgotten(load)

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begins anew in another event loop: what the last one left, nobody waits for."""
        self._loop = loop
        self._loads: dict[bytes, Load] = {}
        self._waiting: deque[Load] = deque()
        self._reading: set[Load] = set()
        self._queries = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def _make_forgotten(self, load: Load) -> None:
        load.forgotten = True
        self._remove(load)  # who comes now starts another query

    def _remove(self, load: Load) -> None:
        if self._loads.get(load.key) is load:
            del self._loads[load.key]

    def _start(self) -> None:
        # The first of a batch starts a query, which begins once this turn of the loop is over
        # and takes along all that have come by then.
        if len(self._waiting) % BATCH == 1 and self._queries < QUERIES:
            self._queries += 1
            task = asyncio.get_running_loop().create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._query(batch)
        finally:
            self._queries -= 1

    async def _query(self, batch: list[Load]) -> None:
        started = elapsed()
        for load in batch:
            load.started_at = started
        self._reading.update(batch)
        error: Exception = DatabaseUnavailable()
        found: dict[str, Found] | None = None
        try:
            found = await self._read([load.digest for load in batch])
        except Exception as failure:
            error = failure
        finally:
            for load in batch:
                self._reading.discard(load)
                self._remove(load)
                if found is None:
                    _fail(load, error)
                else:
                    self._settle(load, found.get(load.digest))

    def _settle(self, load: Load, found: Found | None) -> None:
        try:
            answer = None if load.forgotten else self._remember(load, found)
        except Exception as error:
            _fail(load, error)
        else:
            if not load.result.done():
                load.result.set_result(answer)


def _fail(load: Load, error: Exception) -> None:
    if not load.result.done():
        load.result.set_exception(error)
