"""What differs between SQLite, PostgreSQL and MariaDB/MySQL."""

import re
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from databases import DatabaseURL
from databases.core import Connection
from sqlalchemy.dialects.mysql import pymysql
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite import pysqlite

from asgi_token_auth.clock import elapsed
from asgi_token_auth.exceptions import SettingsError

SQLITE_BUSY_SECONDS = 5.0


class SQLiteConnection(sqlite3.Connection):
    """A connection with what a server needs switched on: SQLite forgets these each time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute(f"PRAGMA busy_timeout = {int(SQLITE_BUSY_SECONDS * 1000)}").close()
        self._switch_to_wal()
        self.execute("PRAGMA synchronous = NORMAL").close()
        self.execute("PRAGMA foreign_keys = ON").close()

    def _switch_to_wal(self) -> None:
        """Again while it is locked: of several that open a new file at once, one switches it, and
        for the others SQLite does not wait here, whatever busy_timeout says."""
        give_up_at = elapsed() + SQLITE_BUSY_SECONDS
        while True:
            try:
                self.execute("PRAGMA journal_mode = WAL").close()
                return
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or elapsed() > give_up_at:
                    raise
            time.sleep(0.005)  # in the connection's own thread


class Dialect:
    """PostgreSQL, and what the others share with it."""

    name = "postgresql"
    driver = "asyncpg"
    extra = "postgresql"
    begin: ClassVar[tuple[str, ...]] = ("BEGIN",)
    row_lock = True
    single_writer = False

    def __init__(self) -> None:
        self.sql = self._compiler()

    def _compiler(self) -> Any:
        """SQLAlchemy's dialect, with parameters as the driver wants them."""
        return PGDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]

    async def fetch(self, connection: Connection, text: str, values: Sequence[Any]) -> Any:
        """The rows of a query, straight from the driver."""
        return await connection.raw_connection.fetch(text, *values)

    async def execute_many(
        self, connection: Connection, text: str, rows: Sequence[Sequence[Any]]
    ) -> None:
        """Runs one statement for each of the rows."""
        await connection.raw_connection.executemany(text, rows)

    def drop(self, connection: Connection) -> None:
        """Ends a connection at once, and tells nobody."""
        connection.raw_connection.terminate()

    def options(self, connections: int) -> dict[str, Any]:
        """What to open a pool with."""
        return {"min_size": 1, "max_size": connections}

    async def changed(self, connection: Connection, statement: Any, values: Any = None) -> int:
        """Rows that an UPDATE or DELETE really changed.

        `databases` has three answers for this, all wrong: None, a stale row id, or a count.
        """
        return len(await connection.fetch_all(statement.returning(statement.table.c[0])))

    async def delete(self, connection: Connection, key: Any, values: Sequence[Any]) -> int:
        """Deletes the rows with these values of their primary key; how many there were."""
        return await self.changed(connection, key.table.delete().where(key.in_(values)))

    def violated(self, error: BaseException) -> str | None:
        """The unique constraint that `error` is a violation of: its name or its text."""
        if getattr(error, "sqlstate", None) == "23505":
            return str(getattr(error, "constraint_name", ""))
        return None

    def constrained(self, error: BaseException) -> str | None:
        """What refuses the values or the deletion of a row, a constraint or a trigger: its name or
        its text."""
        state = str(getattr(error, "sqlstate", None))
        if state[:2] != "23" and state != "P0001":  # RAISE EXCEPTION
            return None
        named = getattr(error, "constraint_name", None) or getattr(error, "column_name", None)
        return str(named or error)

    def is_schema_missing(self, error: BaseException) -> bool:
        """Whether a table or a column is not there."""
        return getattr(error, "sqlstate", None) in ("42P01", "42703")

    def is_transient(self, error: BaseException) -> bool:
        """Whether the same unit of work may succeed if run again: deadlock, serialization."""
        return getattr(error, "sqlstate", None) in ("40001", "40P01")

    def is_refusal(self, error: BaseException) -> bool:
        """Whether the server answered, so that the connection itself is sound."""
        state = getattr(error, "sqlstate", None)
        return isinstance(state, str) and state[:2] not in ("08", "53", "57", "58", "XX")


class SQLite(Dialect):
    name = "sqlite"
    driver = "aiosqlite"
    extra = "sqlite"
    # A deferred BEGIN that reads, then writes, fails at once when another has written.
    begin = ("BEGIN IMMEDIATE",)
    row_lock = False
    single_writer = True

    def _compiler(self) -> Any:
        return pysqlite.dialect(paramstyle="qmark")

    async def fetch(self, connection: Connection, text: str, values: Sequence[Any]) -> Any:
        # One hop to the connection's thread and back, where a cursor takes three.
        return await connection.raw_connection.execute_fetchall(text, values)

    async def execute_many(
        self, connection: Connection, text: str, rows: Sequence[Sequence[Any]]
    ) -> None:
        async with connection.raw_connection.executemany(text, rows):
            pass

    def drop(self, connection: Connection) -> None:
        pass  # a file's connection is closed when it is given back

    def options(self, connections: int) -> dict[str, Any]:
        return {"factory": SQLiteConnection, "timeout": SQLITE_BUSY_SECONDS}

    async def changed(self, connection: Connection, statement: Any, values: Any = None) -> int:
        await connection.execute(statement)
        return int(await connection.fetch_val("SELECT changes()"))

    def violated(self, error: BaseException) -> str | None:
        name = getattr(error, "sqlite_errorname", "")
        return str(error) if name in _SQLITE_UNIQUE else None

    def constrained(self, error: BaseException) -> str | None:
        name = str(getattr(error, "sqlite_errorname", ""))
        return str(error) if name.startswith("SQLITE_CONSTRAINT") else None

    def is_schema_missing(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.OperationalError) and bool(
            _SQLITE_MISSING.search(str(error))
        )

    def is_transient(self, error: BaseException) -> bool:
        return False

    def is_refusal(self, error: BaseException) -> bool:
        name = str(getattr(error, "sqlite_errorname", ""))
        return isinstance(error, sqlite3.Error) and name.startswith(
            ("SQLITE_CONSTRAINT", "SQLITE_ERROR", "SQLITE_MISMATCH")
        )


_SQLITE_MISSING = re.compile(r"^no such (?:table|column): |^table \S+ has no column named ")
_SQLITE_UNIQUE = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")


class MySQL(Dialect):
    """MariaDB and MySQL."""

    name = "mysql"
    driver = "asyncmy"
    extra = "mysql"
    # REPEATABLE READ locks gaps: two sign-ups side by side would deadlock.
    begin = ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION")

    def drop(self, connection: Connection) -> None:
        connection.raw_connection.close()

    def _compiler(self) -> Any:
        return pymysql.dialect(paramstyle="format")

    async def fetch(self, connection: Connection, text: str, values: Sequence[Any]) -> Any:
        async with connection.raw_connection.cursor() as cursor:
            await cursor.execute(text, values)
            return await cursor.fetchall()

    async def execute_many(
        self, connection: Connection, text: str, rows: Sequence[Sequence[Any]]
    ) -> None:
        async with connection.raw_connection.cursor() as cursor:
            await cursor.executemany(text, rows)

    async def changed(self, connection: Connection, statement: Any, values: Any = None) -> int:
        await connection.execute(statement)
        return int(await connection.fetch_val("SELECT ROW_COUNT()"))

    async def delete(self, connection: Connection, key: Any, values: Sequence[Any]) -> int:
        # One by one: given several, MariaDB would rather read all rows of a small table, and wait
        # for each that somebody has locked.
        text = str(key.table.delete().where(key == "").compile(dialect=self.sql))
        async with connection.raw_connection.cursor() as cursor:
            return int(await cursor.executemany(text, [(value,) for value in values]) or 0)

    def violated(self, error: BaseException) -> str | None:
        return str(error.args[1]) if _mysql_code(error) == 1062 else None

    def constrained(self, error: BaseException) -> str | None:
        return str(error.args[1]) if _mysql_code(error) in _MYSQL_CONSTRAINTS else None

    def is_schema_missing(self, error: BaseException) -> bool:
        return _mysql_code(error) in (1146, 1054)

    def is_transient(self, error: BaseException) -> bool:
        return _mysql_code(error) in (1205, 1213, 1020)

    def is_refusal(self, error: BaseException) -> bool:
        code = _mysql_code(error)
        if code in _MYSQL_CHECKS:
            return True
        return code is not None and 1000 <= code < 2000 and code not in (1040, 1053, 1077, 1079)


_MYSQL_CHECKS = (3819, 4025)  # on MySQL and on MariaDB
# NOT NULL, a foreign key from elsewhere and to elsewhere, SIGNAL in a trigger
_MYSQL_CONSTRAINTS = (1048, 1451, 1452, 1644, *_MYSQL_CHECKS)


def _mysql_code(error: BaseException) -> int | None:
    code = error.args[0] if len(error.args) > 1 else None
    return code if type(code) is int else None


DIALECTS = {"sqlite": SQLite, "postgresql": Dialect, "mysql": MySQL}
ALIASES = {"postgres": "postgresql", "mariadb": "mysql"}


def read_url(text: str) -> tuple[DatabaseURL, Dialect]:
    """The URL with the driver this library is tested with, and its dialect.

    Raises:
        SettingsError: not a database URL, an unknown database, or SQLite in memory.
    """
    try:
        url = DatabaseURL(text)
        name = ALIASES.get(url.dialect, url.dialect)
        dialect = DIALECTS[name]()
    except Exception as error:
        # The URL may hold a password: neither it nor the error's text is repeated.
        raise SettingsError("database must be a URL of sqlite, postgresql or mysql") from error
    if name == "sqlite" and (not url.database or ":memory:" in text or "mode=memory" in text):
        raise SettingsError(
            "database must be a file, sqlite:///app.db with three slashes:"
            " SQLite in memory is empty for each connection"
        )
    scheme = "mysql+asyncmy" if name == "mysql" else name
    rest = text.partition("://")[2]
    return DatabaseURL(f"{scheme}://{rest}"), dialect
