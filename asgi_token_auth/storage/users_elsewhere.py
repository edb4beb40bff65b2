"""Reading the users of another application, a page at a time, from its own database."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import databases
from databases import DatabaseURL
from sqlalchemy import bindparam, text
from sqlalchemy.types import NullType

from asgi_token_auth.exceptions import DatabaseUnavailable, SettingsError
from asgi_token_auth.storage.dialects import Dialect, read_url

PAGE = 500


async def read_users_table(
    url: str, table: str, *, key: str, timeout: float
) -> AsyncGenerator[dict[str, Any], None]:
    """All rows of a table, in the order of `key`, its primary key; `timeout` is a page's, in
    seconds. Nothing is written there.

    Raises:
        SettingsError: there is no such database, or it has no such table.
        DatabaseUnavailable: it is down, or too slow.
    """
    source, dialect = _open(url)
    try:
        async with asyncio.timeout(timeout):
            await source.connect()
    except Exception as error:
        raise DatabaseUnavailable("the database of --from-url can't be reached") from error
    try:
        after = None
        while rows := await _page(source, _sql(dialect, table, key, after), after, timeout):
            for row in rows:
                yield row
            after = rows[-1][key]
    except Exception as error:
        if isinstance(error, KeyError) or dialect.is_refusal(error):
            reason = f"{table} can't be read in the order of {key} ({type(error).__name__})"
            raise SettingsError(f"--from-table: {reason}") from error
        if isinstance(error, SettingsError):
            raise
        raise DatabaseUnavailable("the database of --from-url is unavailable") from error
    finally:
        await source.disconnect()


async def _page(
    source: databases.Database, sql: str, after: Any, timeout: float
) -> list[dict[str, Any]]:
    # Without a type: the server knows what its own key is.
    query = text(sql)
    if after is not None:
        query = query.bindparams(bindparam("after", after, type_=NullType()))
    async with asyncio.timeout(timeout):
        rows = await source.fetch_all(query)
    return [dict(row._mapping) for row in rows]


def _sql(dialect: Dialect, table: str, key: str, after: Any) -> str:
    quote = dialect.sql.identifier_preparer.quote_identifier
    name = ".".join(quote(part) for part in table.split("."))
    where = "" if after is None else f"WHERE {quote(key)} > :after"
    return f"SELECT * FROM {name} {where} ORDER BY {quote(key)} LIMIT {PAGE}"  # noqa: S608


def _open(url: str) -> tuple[databases.Database, Dialect]:
    parsed, dialect = read_url(url)
    if dialect.name == "sqlite" and not Path(DatabaseURL(url).database).is_file():
        raise SettingsError("--from-url: there is no such file")  # SQLite would make an empty one
    try:
        return databases.Database(parsed), dialect
    except ImportError as error:
        needed = f"{dialect.driver}: pip install 'asgi_token_auth[{dialect.extra}]'"
        raise SettingsError(f"--from-url needs {needed}") from error
