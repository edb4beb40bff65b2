"""Reading tokens from the database: one query for those that arrive together, none twice."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asgi_token_auth.clock import elapsed
from asgi_token_auth.exceptions import DatabaseUnavailable
from asgi_token_auth.storage.tokens import BATCHES, Token
from asgi_token_auth.storage.users import User

Found = tuple[Token, User]
Read = Callable[[Sequence[str]], Awaitable[dict[str, Found]]]

BATCH = BATCHES[-1]
QUERIES = 4  # at once, so that one that hangs does not hold up all


class Load:
    """A token that is being read; `started_at` is when its query began (`elapsed`)."""

    __slots__ = ("digest", "result", "started_at")

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.started_at: float | None = None
        self.result: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        # Read here once, or asyncio complains of errors nobody waited for.
        self.result.add_done_callback(lambda result: result.cancelled() or result.exception())


class TokenLoader:
    """Reads tokens by digest.

    Args:
        read: the query, for at most `BATCH` digests.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._loads: dict[str, Load] = {}
        self._waiting: deque[Load] = deque()
        self._queries = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, digest: str, since: float) -> tuple[float, Found | None]:
        """When the query began, which is not before `since` (`elapsed`), and what it found.

        Raises:
            DatabaseUnavailable: there is no knowing.
        """
        load = self._loads.get(digest)
        if load is None or (load.started_at is not None and load.started_at < since):
            load = self._loads[digest] = Load(digest)
            self._waiting.append(load)
            self._start()
        found = await asyncio.shield(load.result)
        return load.started_at or 0.0, found

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
        try:
            found = await self._read([load.digest for load in batch])
        except Exception as error:
            answer = error
            self._settle(batch, lambda load: load.result.set_exception(answer))
        except BaseException:  # stopped, with its event loop
            self._settle(batch, lambda load: load.result.set_exception(DatabaseUnavailable()))
            raise
        else:
            self._settle(batch, lambda load: load.result.set_result(found.get(load.digest)))

    def _settle(self, batch: list[Load], settle: Callable[[Load], Any]) -> None:
        for load in batch:
            if self._loads.get(load.digest) is load:
                del self._loads[load.digest]
            if not load.result.done():
                settle(load)
