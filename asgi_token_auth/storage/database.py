"""Connections and units of work: the one door to `databases`.

`databases.Transaction` is not used: it leaks its connection when a request is cancelled or a
COMMIT fails. Here a few workers, each with a connection of its own, take units of work from a
queue. So cancellation never reaches a driver, a burst waits in a bounded queue instead of
opening connections, SQLite has one writer, and each caller has a deadline.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import databases
from databases.core import Connection

from asgi_token_auth.exceptions import DatabaseUnavailable, SettingsError
from asgi_token_auth.storage.dialects import Dialect, read_url

logger = logging.getLogger("asgi_token_auth.storage")

T = TypeVar("T")
Work = Callable[["Session"], Awaitable[T]]

QUEUE_LIMIT = 1000
IDLE_SECONDS = 2.0
CLEANUP_SECONDS = 2.0
ATTEMPTS = 4
DRIVERS = ("asyncpg", "asyncmy", "aiomysql", "pymysql", "sqlite3", "aiosqlite")


class UniqueViolation(Exception):
    """A row with the same unique value stands already. `constraint` names or describes which."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class Session:
    """What a unit of work sees of its connection."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    async def one(self, statement: Any, values: dict[str, Any] | None = None) -> Any:
        """The first row, or None."""
        return await self._connection.fetch_one(statement, values)

    async def all(self, statement: Any, values: dict[str, Any] | None = None) -> list[Any]:
        """All rows."""
        return list(await self._connection.fetch_all(statement, values))

    async def locked(self, select: Any) -> Any:
        """The first row, locked until the unit ends (SQLite: its only writer holds the file)."""
        return await self.one(select.with_for_update() if self._dialect.row_lock else select)

    async def insert(self, statement: Any, values: dict[str, Any] | None = None) -> Any:
        """Inserts one row; the integer key the database gave it, if it gave one.

        Raises:
            UniqueViolation: the row is there already.
        """
        return await self._guarded(self._connection.execute(statement, values))

    async def change(self, statement: Any) -> int:
        """How many rows an UPDATE or DELETE changed.

        Raises:
            UniqueViolation: another row has the new value.
        """
        return await self._guarded(self._dialect.changed(self._connection, statement))

    async def run(self, statement: Any) -> None:
        """Runs a statement whose result does not matter."""
        await self._connection.execute(statement)

    async def _guarded(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except Exception as error:
            constraint = self._dialect.violated(error)
            if constraint is None:
                raise
            raise UniqueViolation(constraint) from error


class _Unit(Generic[T]):
    """One unit of work, waiting or at work."""

    def __init__(self, work: Work[T], *, writes: bool) -> None:
        self.work = work
        self.writes = writes
        self.result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # Read here once, or asyncio complains of errors nobody waited for.
        self.result.add_done_callback(lambda result: result.cancelled() or result.exception())
        self.worker: asyncio.Task[None] | None = None
        self.repeatable = True

    def fail(self, error: BaseException) -> None:
        """Answers with what went wrong, unless its caller has gone."""
        if not self.result.done():
            self.result.set_exception(error)


class _Workers:
    """Tasks which take units from one queue; they come with work and go when idle."""

    def __init__(self, database: "Database", limit: int) -> None:
        self._database = database
        self._limit = limit
        self._queue: asyncio.Queue[_Unit[Any]] = asyncio.Queue(QUEUE_LIMIT)
        self._unfinished: set[asyncio.Future[Any]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = 0

    def put(self, unit: _Unit[Any]) -> None:
        try:
            self._queue.put_nowait(unit)
        except asyncio.QueueFull:
            raise DatabaseUnavailable from None
        self._unfinished.add(unit.result)
        unit.result.add_done_callback(self._unfinished.discard)
        self._start_if_needed()

    def abandon(self, unit: _Unit[Any]) -> None:
        """Gives up a unit past its deadline; if it holds a worker, another takes that one's place."""
        unit.result.cancel()
        if unit.worker is not None:
            self._tasks.discard(unit.worker)
            unit.worker.cancel()
            self._start_if_needed()

    async def close(self) -> None:
        """Waits until all units are done, then lets the workers go."""
        if self._unfinished:
            await asyncio.wait(self._unfinished)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start_if_needed(self) -> None:
        if self._queue.qsize() > self._idle and len(self._tasks) < self._limit:
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

    async def _next(self) -> _Unit[Any] | None:
        if not self._queue.empty():
            return self._queue.get_nowait()
        if not self._database.holds_connections:
            return None
        self._idle += 1
        try:
            return await asyncio.wait_for(self._queue.get(), IDLE_SECONDS)
        except TimeoutError:
            return None
        finally:
            self._idle -= 1

    async def _serve(self, first: _Unit[Any]) -> None:
        """Serves units on one connection until there are none, or the connection is lost."""
        unit: _Unit[Any] | None = first
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
            with contextlib.suppress(Exception):
                await connection.__aexit__()

    async def _run(self, unit: _Unit[Any], connection: Connection) -> bool:
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

    def _failed(self, unit: _Unit[Any], error: Exception) -> bool:
        if not _is_of_database(error):
            unit.fail(error)
            return True
        sound = self._database.dialect.is_refusal(error)
        if sound or not unit.repeatable:
            logger.error("the database refused a statement: %s", type(error).__name__)
            unit.fail(_as_unavailable(error))
        else:
            # The connection died before COMMIT, so nothing was done: once more on a fresh one.
            unit.repeatable = False
            self._queue.put_nowait(unit)
        return sound


def _is_of_database(error: BaseException) -> bool:
    module = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError | EOFError) or module in DRIVERS


def _as_unavailable(error: BaseException) -> DatabaseUnavailable:
    unavailable = DatabaseUnavailable()
    unavailable.__cause__ = error
    return unavailable


class Database:
    """The application's database, opened on first use.

    Args:
        database: a URL, or a `databases.Database` the application already has. Units of work
            never join a transaction that the application has open: they have their own connection.
        connections: the most connections held at once.
        timeout: seconds until a unit of work is given up.

    Raises:
        SettingsError: the URL is not one that can be used.
    """

    def __init__(
        self, database: str | databases.Database, *, connections: int, timeout: float
    ) -> None:
        self._given = database if isinstance(database, databases.Database) else None
        text = str(database.url) if isinstance(database, databases.Database) else database
        self._url, self.dialect = read_url(text)
        self._connections = connections
        self._timeout = timeout
        self._database = self._open()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._start_workers()

    @property
    def holds_connections(self) -> bool:
        """Whether idle workers keep theirs for a while: not from a pool the application shares."""
        return self._given is None or self.dialect.single_writer

    async def connect(self) -> None:
        """Connects, if that is not done yet.

        Raises:
            DatabaseUnavailable: it can't be reached in time; the next call tries again.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._move_to(loop)
        if self._database.is_connected:
            return
        if self._connecting is None:
            self._connecting = loop.create_task(self._database.connect())
            self._connecting.add_done_callback(self._connected)
        await asyncio.wait({self._connecting}, timeout=self._timeout)
        if not self._database.is_connected:
            raise DatabaseUnavailable

    async def disconnect(self) -> None:
        """Finishes the work at hand, then closes what this object opened."""
        if self._loop is not asyncio.get_running_loop():
            return
        for workers in self._all_workers:
            await workers.close()
        self._start_workers()
        if self._database is not self._given and self._database.is_connected:
            await self._database.disconnect()

    async def read(self, work: Work[T]) -> T:
        """Runs `work` outside a transaction.

        Raises:
            DatabaseUnavailable: the database is down, or too slow.
        """
        return await self._submit(_Unit(work, writes=False))

    async def write(self, work: Work[T]) -> T:
        """Runs `work` in one transaction: all of it, or nothing. It may be run more than once.

        A caller that is cancelled does not cancel the work.

        Raises:
            DatabaseUnavailable: the database is down, or too slow.
            UniqueViolation: as `work` let it through.
        """
        return await self._submit(_Unit(work, writes=True))

    def write_later(self, work: Work[Any]) -> None:
        """Runs `work` in a transaction some time soon; nobody waits for it, nor learns how it went.

        Raises:
            DatabaseUnavailable: the queue is full.
        """
        self._writers.put(_Unit(work, writes=True))

    async def acquire(self) -> Connection:
        """A connection for the calling worker alone."""
        connection = self._database.connection()
        return await connection.__aenter__()

    async def perform(self, unit: _Unit[T], connection: Connection) -> T:
        """Runs a unit on a connection, again after a deadlock."""
        session = Session(connection, self.dialect)
        if not unit.writes:
            return await unit.work(session)
        for attempt in range(ATTEMPTS):
            try:
                return await self._transact(unit, connection, session)
            except Exception as error:
                if attempt == ATTEMPTS - 1 or not self.dialect.is_transient(error):
                    raise
            await asyncio.sleep(random.uniform(0, 0.02) * 2**attempt)
        raise AssertionError("unreachable")

    async def _transact(self, unit: _Unit[T], connection: Connection, session: Session) -> T:
        repeatable = unit.repeatable
        for statement in self.dialect.begin:
            await connection.execute(statement)
        try:
            result = await unit.work(session)
            unit.repeatable = False  # a COMMIT that fails may have been done
            await connection.execute("COMMIT")
        except BaseException as error:
            if not await self._roll_back(connection) and not _is_of_database(error):
                raise DatabaseUnavailable from error
            if self.dialect.is_transient(error):
                unit.repeatable = repeatable
            raise
        return result

    async def _roll_back(self, connection: Connection) -> bool:
        try:
            async with asyncio.timeout(CLEANUP_SECONDS):
                await connection.execute("ROLLBACK")
        except Exception:
            return False
        return True

    async def _submit(self, unit: _Unit[T]) -> T:
        await self.connect()
        workers = self._writers if unit.writes else self._readers
        workers.put(unit)
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(unit.result)
        except TimeoutError:
            workers.abandon(unit)
            raise DatabaseUnavailable from None

    def _connected(self, task: "asyncio.Task[None]") -> None:
        self._connecting = None
        if not task.cancelled() and (error := task.exception()):
            logger.error("can't connect to the database: %s", type(error).__name__)

    def _open(self) -> databases.Database:
        if self._given is not None:
            return self._given
        try:
            return databases.Database(self._url, **self.dialect.options(self._connections + 2))
        except ImportError as error:
            extra = self.dialect.extra
            raise SettingsError(
                f"database needs {self.dialect.driver}: pip install 'asgi_token_auth[{extra}]'"
            ) from error

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins anew in another event loop: pools and queues belong to the one that made them."""
        if self._loop is not None:
            self._database = self._open()
        self._loop, self._connecting = loop, None
        self._start_workers()

    def _start_workers(self) -> None:
        if self.dialect.single_writer:
            self._readers = _Workers(self, self._connections)
            self._writers = _Workers(self, 1)
            self._all_workers: tuple[_Workers, ...] = (self._writers, self._readers)
        else:
            self._readers = self._writers = _Workers(self, self._connections)
            self._all_workers = (self._readers,)
