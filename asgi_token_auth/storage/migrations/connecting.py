"""A connection for migrations alone: units of work have a deadline, an index may take an hour.

The drivers are those that `databases` uses, by SQLAlchemy's async engine.
"""

import asyncio
import contextlib
import getpass
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

from databases import DatabaseURL
from sqlalchemy import URL, Connection, NullPool, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from asgi_token_auth.exceptions import DatabaseUnavailable, SettingsError
from asgi_token_auth.storage.dialects import SQLiteConnection
from asgi_token_auth.storage.schema import LOCK_KEY

POLL_SECONDS = 0.2
SQLITE_WAIT_SECONDS = 600
TLS = {"true": True, "false": False}
# Requests queue behind a change that waits for its lock: rather fail, and be tried again.
PATIENCE = {
    "postgresql": ("SET lock_timeout = '5s'", "SET statement_timeout = 0"),
    "mysql": ("SET SESSION lock_wait_timeout = 5",),
    "sqlite": (),
}
# Tried again and again, never waited for: CREATE INDEX CONCURRENTLY waits for every statement
# under way, so also for one that waits until it is done.
TRY_LOCK = {
    "postgresql": f"SELECT pg_try_advisory_lock({LOCK_KEY})",
    "mysql": "SELECT GET_LOCK(CONCAT('asgi_token_auth.', MD5(DATABASE())), 0)",
}
OF_A_POOL = {"min_size", "max_size", "minsize", "maxsize", "pool_recycle", "max_queries", "loop"}
OF_A_POOL |= {"max_inactive_connection_lifetime", "setup", "init", "reset", "connect"}


class PatientSQLiteConnection(SQLiteConnection):
    """One that waits until another process has migrated."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute(f"PRAGMA busy_timeout = {SQLITE_WAIT_SECONDS * 1000}").close()


@contextlib.asynccontextmanager
async def connected(
    url: DatabaseURL, options: dict[str, Any], name: str
) -> AsyncIterator[AsyncConnection]:
    """A connection of its own.

    Args:
        options: of the `databases.Database`; those of its pool are left out.
        name: the dialect's.

    Raises:
        SettingsError: the driver is not installed.
        DatabaseUnavailable: it can't be had.
    """
    try:
        engine = _sqlite(url) if name == "sqlite" else _server(url, options, name)
    except ImportError as error:  # the application's own Database may have another driver
        raise SettingsError(f"migrations need: pip install 'asgi_token_auth[{name}]'") from error
    async with contextlib.AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(engine.connect())
        except Exception as error:
            raise DatabaseUnavailable from error
        yield connection


async def lock(connection: AsyncConnection, name: str) -> None:
    """Waits until nobody else migrates; the connection's end lets the next one."""
    for statement in PATIENCE[name]:
        await connection.exec_driver_sql(statement)
    await connection.commit()
    while name in TRY_LOCK:
        locked = (await connection.exec_driver_sql(TRY_LOCK[name])).scalar()
        await connection.commit()
        if locked:
            break
        await asyncio.sleep(POLL_SECONDS)


def _sqlite(url: DatabaseURL) -> AsyncEngine:
    # As `databases` names the file.
    file = url.database + ("?" + urlencode(url.options) if url.options else "")
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=file),
        connect_args={"factory": PatientSQLiteConnection, "isolation_level": None},
        poolclass=NullPool,
    )
    event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _begin_immediate(connection: Connection) -> None:
    # Python's own BEGIN comes with the first INSERT: tables would be made outside of it.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _server(url: DatabaseURL, options: dict[str, Any], name: str) -> AsyncEngine:
    driver = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}[name]
    arguments = {key: value for key, value in options.items() if key not in OF_A_POOL}
    if tls := url.options.get("ssl"):
        arguments.setdefault("ssl", TLS.get(tls.lower(), tls))
    if socket := url.options.get("unix_socket"):
        arguments.setdefault("unix_socket", socket)
    if name == "mysql":
        # Or asyncmy prints the server's opinion on how Alembic names a primary key.
        arguments.setdefault("init_command", "SET SESSION max_error_count = 0")
    address = URL.create(
        driver,
        username=url.username or (getpass.getuser() if name == "mysql" else None),
        password=url.password,
        host=url.hostname,
        port=url.port,
        database=url.database,
    )
    return create_async_engine(address, connect_args=arguments, poolclass=NullPool)
