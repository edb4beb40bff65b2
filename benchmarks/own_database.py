"""A database of a benchmark's own, which goes when the benchmark ends."""

import contextlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
from databases import DatabaseURL

POSTGRESQL = os.environ.get("BENCHMARK_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/test")
DIALECTS = ("sqlite", "postgresql")


@contextlib.asynccontextmanager
async def own_database(dialect: str) -> AsyncIterator[str]:
    """The URL of an empty database."""
    async with own_sqlite() if dialect == "sqlite" else own_postgresql() as url:
        yield url


@contextlib.asynccontextmanager
async def own_sqlite() -> AsyncIterator[str]:
    """A file in a directory of its own, where the system keeps temporary files."""
    with tempfile.TemporaryDirectory() as directory:
        yield f"sqlite:///{directory}/benchmark.db"


@contextlib.asynccontextmanager
async def own_postgresql() -> AsyncIterator[str]:
    """A new database on the server of BENCHMARK_POSTGRESQL_URL."""
    name = f"token_auth_benchmark_{uuid.uuid4().hex[:12]}"
    await _administer(f"CREATE DATABASE {name}")
    try:
        yield str(DatabaseURL(POSTGRESQL).replace(database=name))
    finally:
        await _administer(f"DROP DATABASE {name} WITH (FORCE)")


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


async def _administer(statement: str) -> None:
    connection = await asyncpg.connect(POSTGRESQL)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
