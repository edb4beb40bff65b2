"""Connections and units of work: the one door to `databases`.

`databases.Transaction` is not used: it leaks its connection when a request is cancelled or a
COMMIT fails. Here workers with a connection each run units of work; SQLite has one writer, and
each caller has a deadline.
"""

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, TypeVar

import databases
from databases.core import Connection

from asgi_token_auth.exceptions import DatabaseUnavailable, SettingsError
from asgi_token_auth.storage.dialects import read_url
from asgi_token_auth.storage.session import ConstraintViolation, Session, UniqueViolation
from asgi_token_auth.storage.workers import Unit, Work, Workers, is_of_database

if TYPE_CHECKING:
    from asgi_token_auth.storage.revocations import Revocations

__all__ = ["ConstraintViolation", "Database", "Session", "UniqueViolation"]

logger = logging.getLogger("asgi_token_auth.storage")

T = TypeVar("T")

CLEANUP_SECONDS = 2.0
ATTEMPTS = 4


class Database:
    """The application's database, opened on first use.

    Args:
        database: a URL, or a `databases.Database` the application already has. Units of work
            never join a transaction that the application has open: they have their own connection.
        connections: the most connections held at once.
        timeout: seconds until a unit of work is given up.

    `revocations`, where it is set, is written with each unit of work that has something to tell.

    Raises:
        SettingsError: the URL is not one that can be used.
    """

    def __init__(
        self, database: str | databases.Database, *, connections: int, timeout: float
    ) -> None:
        self._given = database if isinstance(database, databases.Database) else None
        text = str(database.url) if isinstance(database, databases.Database) else database
        self.url, self.dialect = read_url(text)
        self._connections = connections
        self.timeout = timeout
        self.revocations: Revocations | None = None
        self._database = self._open()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._start_workers()

    @property
    def options(self) -> dict[str, Any]:
        """What the application opened its own `databases.Database` with."""
        return {} if self._given is None else self._given.options

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
            self._connecting = loop.create_task(self._connect())
            self._connecting.add_done_callback(self._connected)
        await asyncio.wait({self._connecting}, timeout=self.timeout)
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
            await self._close_pool()

    async def read(self, work: Work[T]) -> T:
        """Runs `work` outside a transaction.

        Raises:
            DatabaseUnavailable: the database is down, or too slow.
        """
        return await self._submit(Unit(work, writes=False))

    async def write(self, work: Work[T]) -> T:
        """Runs `work` in one transaction: all of it, or nothing. It may be run more than once.

        A caller that is cancelled does not cancel the work.

        Raises:
            DatabaseUnavailable: the database is down, or too slow.
            ConstraintViolation: as `work` let it through.
        """
        return await self._submit(Unit(work, writes=True))

    def write_later(self, work: Work[Any]) -> None:
        """Runs `work` in a transaction some time soon; nobody waits for it, nor learns how it went.

        Raises:
            DatabaseUnavailable: the queue is full.
        """
        self._writers.put(Unit(work, writes=True), self.timeout)

    async def acquire(self) -> Connection:
        """A connection for the calling worker alone."""
        connection = self._database.connection()
        return await connection.__aenter__()

    async def perform(self, unit: Unit[T], connection: Connection) -> T:
        """Runs a unit on a connection, again after a deadlock."""
        session = Session(connection, self.dialect)
        if not unit.writes:
            return await unit.work(session)
        for attempt in range(ATTEMPTS):
            try:
                result, published_at = await self._transact(unit, connection, session)
                break
            except Exception as error:
                if attempt == ATTEMPTS - 1 or not self.dialect.is_transient(error):
                    raise
            await asyncio.sleep(random.uniform(0, 0.02) * 2**attempt)
        for tell in session.told:
            tell()
        if self.revocations is not None:
            await self.revocations.committed(session, published_at)
        return result

    async def _transact(
        self, unit: Unit[T], connection: Connection, session: Session
    ) -> tuple[T, float]:
        """What the work gave, and when its news were written."""
        repeatable = unit.repeatable
        session.forgotten.clear()
        session.told.clear()
        for statement in self.dialect.begin:
            await connection.execute(statement)
        try:
            result = await unit.work(session)
            published_at = await self._publish(session)
            unit.repeatable = False  # a COMMIT that fails may have been done
            await connection.execute("COMMIT")
        except BaseException as error:
            unit.connection_is_sound = await self._roll_back(connection)
            own = isinstance(error, Exception) and not is_of_database(error)
            if own and not unit.connection_is_sound:
                raise DatabaseUnavailable from error
            if self.dialect.is_transient(error):
                unit.repeatable = repeatable
            raise
        finally:
            if self.revocations is not None:
                self.revocations.ended(session.forgotten)
        return result, published_at

    async def _publish(self, session: Session) -> float:
        return 0.0 if self.revocations is None else await self.revocations.publish(session)

    async def _roll_back(self, connection: Connection) -> bool:
        try:
            async with asyncio.timeout(CLEANUP_SECONDS):
                await connection.execute("ROLLBACK")
        except Exception:
            return False
        return True

    async def _submit(self, unit: Unit[T]) -> T:
        await self.connect()
        workers = self._writers if unit.writes else self._readers
        workers.put(unit, self.timeout)
        return await asyncio.shield(unit.result)

    async def _close_pool(self) -> None:
        try:
            async with asyncio.timeout(CLEANUP_SECONDS):
                await self._database.disconnect()
        except TimeoutError:
            # No goodbye gets through. Cancelled, the pool has dropped its connections.
            logger.warning("the database's connections are closed without a goodbye")
            self._database = self._open()

    async def _connect(self) -> None:
        # A try that a network swallowed is not waited for when it is back: TCP asks again only
        # after as long as it was away.
        async with asyncio.timeout(self.timeout):
            await self._database.connect()

    def _connected(self, task: "asyncio.Task[None]") -> None:
        self._connecting = None
        if not task.cancelled() and (error := task.exception()):
            logger.error("can't connect to the database: %s", type(error).__name__)

    def _open(self) -> databases.Database:
        if self._given is not None and not self.dialect.single_writer:
            return self._given
        # SQLite has no pool to share, and a connection of the application's knows no foreign keys.
        options = {**self.dialect.options(self._connections + 2), **self.options}
        try:
            return databases.Database(self.url, **options)
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
            self._readers = Workers(self, self._connections)
            self._writers = Workers(self, 1)
            self._all_workers: tuple[Workers, ...] = (self._writers, self._readers)
        else:
            self._readers = self._writers = Workers(self, self._connections)
            self._all_workers = (self._readers,)
