"""A few tasks, each with a connection of its own, that take units of work from one queue.

Cancellation of a request never reaches a driver, and a burst waits here instead of opening
connections.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from databases.core import Connection

from asgi_token_auth.exceptions import DatabaseUnavailable
from asgi_token_auth.storage.session import Session

if TYPE_CHECKING:
    from asgi_token_auth.storage.database import Database

logger = logging.getLogger("asgi_token_auth.storage")

T = TypeVar("T")
Work = Callable[[Session], Awaitable[T]]

QUEUE_LIMIT = 1000
IDLE_SECONDS = 2.0
RELEASE_SECONDS = 2.0
FAREWELL_SECONDS = 5.0  # for a ROLLBACK and a release that both come to nothing
MISSING = " (a table or a column is missing: asgi-token-auth create-tables or migrate makes it)"
DRIVERS = ("asyncpg", "asyncmy", "aiomysql", "pymysql", "sqlite3", "aiosqlite")


class Unit(Generic[T]):
    """One unit of work, waiting or at work."""

    def __init__(self, work: Work[T], *, writes: bool) -> None:
        self.work = work
        self.writes = writes
        self.result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # Read here once, or asyncio complains of errors nobody waited for.
        self.result.add_done_callback(lambda result: result.cancelled() or result.exception())
        self.worker: asyncio.Task[None] | None = None
        self.repeatable = True
        self.connection_is_sound = True

    def fail(self, error: BaseException) -> None:
        """Answers with what went wrong, unless its caller has gone."""
        if not self.result.done():
            self.result.set_exception(error)


class Workers:
    """Tasks which take units from one queue; they come with work and go when idle."""

    def __init__(self, database: "Database", limit: int) -> None:
        self._database = database
        self._limit = limit
        self._queue: asyncio.Queue[Unit[Any]] = asyncio.Queue(QUEUE_LIMIT)
        self._unfinished: set[asyncio.Future[Any]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._abandoned: set[asyncio.Task[None]] = set()
        self._idle = 0
        self._closed = False

    def put(self, unit: Unit[Any], timeout: float) -> None:
        """Queues a unit, to be given up after `timeout` seconds, whether anybody waits or not.

        Raises:
            DatabaseUnavailable: the queue is full.
        """
        try:
            self._queue.put_nowait(unit)
        except asyncio.QueueFull:
            raise DatabaseUnavailable from None
        deadline = asyncio.get_running_loop().call_later(timeout, self.abandon, unit)
        unit.result.add_done_callback(lambda result: deadline.cancel())
        self._unfinished.add(unit.result)
        unit.result.add_done_callback(self._unfinished.discard)
        self._start_if_needed()

    def abandon(self, unit: Unit[Any]) -> None:
        """Gives up a unit past its deadline; if a worker is on it, another takes its place."""
        unit.fail(DatabaseUnavailable())
        if unit.worker is not None:
            self._tasks.discard(unit.worker)
            self._abandoned.add(unit.worker)
            unit.worker.add_done_callback(self._abandoned.discard)
            unit.worker.cancel()
            self._start_if_needed()

    async def close(self) -> None:
        """Waits until all units are done, then lets the workers go: not for one that can't even
        give its connection back, because the network is silent."""
        if self._unfinished:
            await asyncio.wait(self._unfinished)
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if tasks := self._tasks | self._abandoned:
            await asyncio.wait(tasks, timeout=FAREWELL_SECONDS)

    def _start_if_needed(self) -> None:
        wanted = self._queue.qsize() > self._idle and len(self._tasks) < self._limit
        if wanted and not self._closed:
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.warning("a database worker ended: %s", type(error).__name__)
        self._start_if_needed()

    async def _work(self) -> None:
        while (unit := await self._next()) is not None:
            await self._serve(unit)

    async def _next(self) -> Unit[Any] | None:
        if asyncio.current_task() not in self._tasks:
            return None  # given up, and its driver swallowed the cancellation
        if not self._queue.empty():
            return self._queue.get_nowait()
        if not self._database.holds_connections:
            return None
        self._idle += 1
        try:
            # Not wait_for: that of Python 3.11 may swallow a cancellation.
            async with asyncio.timeout(IDLE_SECONDS):
                return await self._queue.get()
        except TimeoutError:
            return None
        finally:
            self._idle -= 1

    async def _serve(self, first: Unit[Any]) -> None:
        """Serves units on one connection until there are none, or the connection is lost."""
        unit: Unit[Any] | None = first
        first.worker = asyncio.current_task()
        try:
            connection = await self._database.acquire()
        except BaseException as error:
            first.fail(_as_unavailable(error))
            first.worker = None
            raise
        try:
            while unit is not None and await self._run(unit, connection):
                unit = await self._next()
        finally:
            await self._release(connection)

    async def _release(self, connection: Connection) -> None:
        """Gives the connection back: within a time, since the driver first tells the server to
        cancel what is under way, and a silent network would keep its place in the pool for good."""
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await connection.__aexit__()
        except TimeoutError:
            with contextlib.suppress(Exception):
                self._database.dialect.drop(connection)
        except Exception as error:
            logger.info("a connection can't be given back: %s", type(error).__name__)

    async def _run(self, unit: Unit[Any], connection: Connection) -> bool:
        """Runs a unit; whether the connection is still good."""
        if unit.result.done():
            return True
        unit.worker = asyncio.current_task()
        try:
            result = await self._database.perform(unit, connection)
        except Exception as error:
            return self._failed(unit, error)
        except BaseException:
            unit.fail(DatabaseUnavailable())
            raise
        finally:
            unit.worker = None
        if not unit.result.done():
            unit.result.set_result(result)
        return True

    def _failed(self, unit: Unit[Any], error: Exception) -> bool:
        if not is_of_database(error):
            unit.fail(error)
            return unit.connection_is_sound
        sound = unit.connection_is_sound and self._database.dialect.is_refusal(error)
        if sound or not unit.repeatable or self._queue.full():
            hint = MISSING if self._database.dialect.is_schema_missing(error) else ""
            logger.error("the database refused a statement: %s%s", type(error).__name__, hint)
            unit.fail(_as_unavailable(error))
        else:
            # The connection died before COMMIT, so nothing was done: once more on a fresh one.
            unit.repeatable, unit.connection_is_sound = False, True
            self._queue.put_nowait(unit)
        return sound


def is_of_database(error: BaseException) -> bool:
    module = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError | EOFError) or module in DRIVERS


def _as_unavailable(error: BaseException) -> DatabaseUnavailable:
    unavailable = DatabaseUnavailable()
    unavailable.__cause__ = error
    return unavailable
