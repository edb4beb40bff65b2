"""Reading the users of another application, a page at a time, from its own database."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import databases
from databases import DatabaseURL
from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.types import NullType

from asgi_token_auth.exceptions import DatabaseUnavailable, SettingsError
from asgi_token_auth.storage.dialects import Dialect, read_url

PAGE = 500


class UsersElsewhere:
    """A table of another database. Nothing is written there.

    Args:
        url: of the database.
        table: its name, with its schema if it has one.
        key: its primary key; rows come in this order.
        timeout: seconds that a page may take.

    Raises:
        SettingsError: there is no such database, or its driver is not installed.
    """

    def __init__(self, url: str, table: str, *, key: str, timeout: float) -> None:
        self._source, self._dialect = _open(url)
        quote = self._dialect.sql.identifier_preparer.quote_identifier
        self._table, self._key, self._timeout = table, key, timeout
        self._quoted = ".".join(quote(part) for part in table.split(".")), quote(key)
        self._first, self._last = 0, 0
        self._place: int | None = None

    @property
    def share_read(self) -> float | None:
        """How much of the table was read, 0 to 1, as far as its keys tell; None: they don't.

        Counting the rows would read all of a large table.
        """
        if self._place is None or self._last <= self._first:
            return None
        return (self._place - self._first) / (self._last - self._first)

    async def rows(self) -> AsyncGenerator[dict[str, Any], None]:
        """All rows, in the order of the key.

        Raises:
            SettingsError: there is no such table.
            DatabaseUnavailable: the database is down, or too slow.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._source.connect()
        except Exception as error:
            raise DatabaseUnavailable("the database of --from-url can't be reached") from error
        try:
            await self._look_at_the_ends()
            after = None
            while rows := await self._page(after):
                after = rows[-1][self._key]
                self._place = _place(after)
                for row in rows:
                    yield row
        except Exception as error:
            raise self._translated(error) from error
        finally:
            await self._source.disconnect()

    async def _look_at_the_ends(self) -> None:
        table, key = self._quoted
        rows: list[dict[str, Any]] = []
        for way in ("ASC", "DESC"):
            end = f"SELECT {key} FROM {table} ORDER BY {key} {way} LIMIT 1"  # noqa: S608
            rows += await self._fetch(text(end))
        if rows:
            self._first, self._last = (_place(row[self._key]) or 0 for row in rows)

    async def _page(self, after: Any) -> list[dict[str, Any]]:
        table, key = self._quoted
        where = "" if after is None else f"WHERE {key} > :after"
        query = text(f"SELECT * FROM {table} {where} ORDER BY {key} LIMIT {PAGE}")  # noqa: S608
        if after is not None:
            # Without a type: the server knows what its own key is.
            query = query.bindparams(bindparam("after", after, type_=NullType()))
        return await self._fetch(query)

    async def _fetch(self, query: TextClause) -> list[dict[str, Any]]:
        async with asyncio.timeout(self._timeout):
            rows = await self._source.fetch_all(query)
        return [dict(row._mapping) for row in rows]

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, KeyError) or self._dialect.is_refusal(error):
            reason = f"can't be read in the order of {self._key} ({type(error).__name__})"
            return SettingsError(f"--from-table: {self._table} {reason}")
        if isinstance(error, SettingsError):
            return error
        return DatabaseUnavailable("the database of --from-url is unavailable")


def _place(key: Any) -> int | None:
    """Where a key stands among all that there may be."""
    if isinstance(key, int):
        return key
    try:
        return uuid.UUID(str(key)).int
    except ValueError:
        return None


def _open(url: str) -> tuple[databases.Database, Dialect]:
    parsed, dialect = read_url(url)
    if dialect.name == "sqlite" and not Path(DatabaseURL(url).database).is_file():
        raise SettingsError("--from-url: there is no such file")  # SQLite would make an empty one
    try:
        return databases.Database(parsed), dialect
    except ImportError as error:
        needed = f"{dialect.driver}: pip install 'asgi_token_auth[{dialect.extra}]'"
        raise SettingsError(f"--from-url needs {needed}") from error
