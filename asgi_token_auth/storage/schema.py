"""Creating the tables, for applications that keep no migrations of their own."""

from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.schema import CreateIndex, CreateTable

from asgi_token_auth.storage.database import Database, Session
from asgi_token_auth.storage.dialects import Dialect
from asgi_token_auth.storage.user_keys import FIND_KEY, FoundType, found_type, key_of

# Processes that start together would create the tables together: PostgreSQL fails one of them.
LOCK_KEY = 7036874417766
BEFORE = {
    "postgresql": f"SELECT pg_advisory_xact_lock({LOCK_KEY})",
    # Or asyncmy prints the server's opinion on each table that is there already.
    "mysql": "SET SESSION max_error_count = 0",
}
AFTER = {"mysql": "SET SESSION max_error_count = DEFAULT"}
INDEX_EXISTS = {
    "mysql": "SELECT COUNT(*) FROM information_schema.statistics WHERE"
    " table_schema = DATABASE() AND table_name = :table AND index_name = :name",
    "postgresql": "SELECT COUNT(*) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid"
    " WHERE i.indrelid = to_regclass(:table) AND c.relname = :name",
    "sqlite": "SELECT COUNT(*) FROM sqlite_master WHERE"
    " type = 'index' AND tbl_name = :table AND name = :name",
}


async def create_tables(database: Database, users: Table, own: list[Table]) -> None:
    """Creates the tables and indexes that are not there; changes none that are.

    Args:
        users: what the others refer to.
        own: the others.

    Raises:
        DatabaseUnavailable: the database is down, or refuses.
    """

    async def create(session: Session) -> None:
        if database.dialect.name in BEFORE:
            await session.run(BEFORE[database.dialect.name])
        key = await _found_key(session, users, database.dialect)
        for table in (users, *(own if key is None else _referring(users, own, key))):
            await _create(session, table, database.dialect)
        if database.dialect.name in AFTER:
            await session.run(AFTER[database.dialect.name])

    await database.write(create)


async def _found_key(session: Session, users: Table, dialect: Dialect) -> FoundType | None:
    if dialect.name not in FIND_KEY:
        return None
    row = await session.one(FIND_KEY[dialect.name], key_of(users))
    return found_type(row) if row else None


def _referring(users: Table, own: list[Table], key: FoundType) -> list[Table]:
    """Copies of the tables whose references to users are of that type."""
    metadata = MetaData()
    users.to_metadata(metadata)
    copies = [table.to_metadata(metadata) for table in own]
    for table in copies:
        if "user_id" in table.c:
            table.c.user_id.type = key
    return copies


async def _create(session: Session, table: Table, dialect: Dialect) -> None:
    await session.run(_sql(CreateTable(table, if_not_exists=True), dialect))
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        found = await session.one(
            INDEX_EXISTS[dialect.name], {"table": table.name, "name": str(index.name)}
        )
        if not found[0]:
            await session.run(_sql(CreateIndex(index), dialect))


def _sql(statement: Any, dialect: Dialect) -> str:
    return str(statement.compile(dialect=dialect.sql)).strip()
