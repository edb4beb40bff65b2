"""Databases to measure on, made for one run and gone after it."""

import contextlib
import os
import secrets
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from databases import Database, DatabaseURL

CONNECT_SECONDS = 3.0
DIALECTS = ("sqlite", "postgresql")
VARIABLE = "BENCHMARK_POSTGRESQL_URL"  # what --postgresql sets


MYSQL_VARIABLE = "BENCHMARK_MYSQL_URL"


def mysql_url() -> str:
    """The MariaDB or MySQL server that databases are made on."""
    return os.environ.get(MYSQL_VARIABLE, "mysql://root@127.0.0.1:3306/test")


def postgresql_url() -> str:
    """The server that databases are made on."""
    return os.environ.get(VARIABLE, "postgresql://postgres@127.0.0.1:5432/test")


async def reachable(postgresql: str) -> list[str]:
    """The kinds of database there are: SQLite, and PostgreSQL if it answers at that URL."""
    try:
        connection = await asyncpg.connect(postgresql, timeout=CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        print(f"PostgreSQL is left out, it does not answer ({type(error).__name__}): --postgresql")
        return ["sqlite"]
    await connection.close()
    return ["sqlite", "postgresql"]


async def mysql_is_reachable() -> bool:
    """Whether MariaDB or MySQL answers, and its driver is there."""
    try:
        async with _mysql():
            return True
    except Exception as error:
        print(f"MariaDB is left out, it does not answer ({type(error).__name__}): {MYSQL_VARIABLE}")
        return False


def _mysql() -> Database:
    url = mysql_url().replace("mysql://", "mysql+asyncmy://")
    return Database(url, min_size=1, max_size=1)


@contextlib.asynccontextmanager
async def _new_mysql_database(name: str) -> AsyncIterator[str]:
    async with _mysql() as server:
        await server.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(mysql_url())._replace(path=f"/{name}").geturl()
        finally:
            await server.execute(f"DROP DATABASE {name}")


@contextlib.asynccontextmanager
async def new_database(kind: str, postgresql: str | None = None) -> AsyncIterator[str]:
    """The URL of an empty database: an SQLite file, one on the server at `postgresql`, or, for
    "mysql", one on MariaDB."""
    postgresql = postgresql or postgresql_url()
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/bench.db"
            # Kept in the file: the peers that leave SQLite's journal alone write as fast as ours.
            with contextlib.closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            yield f"sqlite:///{path}"
        return
    name = f"bench_{secrets.token_hex(6)}"
    if kind == "mysql":
        async with _new_mysql_database(name) as url:
            yield url
        return
    connection = await asyncpg.connect(postgresql)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(postgresql)._replace(path=f"/{name}").geturl()
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


def with_driver(url: str) -> str:
    """The URL as SQLAlchemy's asyncio extension wants it."""
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
    scheme, separator, rest = url.partition("://")
    return driver[scheme] + separator + rest


async def size_on_disk(url: str) -> int:
    """The bytes that the database takes."""
    if url.startswith("sqlite"):
        return _file_bytes(Path(DatabaseURL(url).database))
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT pg_database_size(current_database())"))
    finally:
        await connection.close()


def _file_bytes(path: Path) -> int:
    """With the log beside it."""
    return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))
