"""Tables that are there already: of `create_tables`, of an older version, or of somebody else."""

from typing import Any

from alembic import op
from sqlalchemy import Column, Index, Inspector, Table, text

from asgi_token_auth.exceptions import MigrationFailed
from asgi_token_auth.storage.migrations.connecting import PATIENCE

# Of this table alone: another in the same database may have an index of the same name.
INVALID = text(
    "SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " WHERE i.indrelid = to_regclass(:table) AND c.relname = :name AND NOT i.indisvalid"
)


def require_users(found: Inspector, users: Table) -> None:
    """The application's own table comes first: the others refer to it.

    Raises:
        MigrationFailed: it is not there.
    """
    if not found.has_table(users.name, schema=users.schema):
        raise MigrationFailed(
            f"the table {users.fullname!r} is not there: it is the application's, make it first"
        )


def add_missing(found: Inspector, table: Table) -> None:
    """Adds the columns and indexes that the table has not.

    Raises:
        MigrationFailed: it has not what every version of it had: it is another's.
    """
    is_there = found.has_table(table.name)  # else it is made before, where all is written down
    there = {column["name"] for column in found.get_columns(table.name)} if is_there else set()
    missing = [column for column in table.columns if column.name not in there]
    for column in missing:
        if column.unique or not column.nullable:
            raise MigrationFailed(
                f"there is a table {table.name!r} without a column {column.name!r}:"
                " it is not this library's"
            )
    for column in missing:
        added: Column[Any] = Column(column.name, column.type)
        op.add_column(table.name, added)
    indexes = {index["name"] for index in found.get_indexes(table.name)} if is_there else set()
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        add_index(found, index, is_there=index.name in indexes)


def add_index(found: Inspector, index: Index, *, is_there: bool) -> None:
    """Adds an index to a table that is in use: reads and writes go on.

    PostgreSQL must be told so, and leaves half an index if it is interrupted. MariaDB does it by
    itself; SQLite has one writer, whatever it does.
    """
    assert index.table is not None  # noqa: S101  # for mypy
    name, table = str(index.name), index.table.name
    columns = [column.name for column in index.columns]
    if found.dialect.name != "postgresql":
        if not is_there:
            op.create_index(name, table, columns)
        return
    bind: Any = found.bind
    is_half = bind.execute(INVALID, {"table": table, "name": name}).first() is not None
    if is_there and not is_half:
        return
    with op.get_context().autocommit_block():
        # It waits for all that is under way, however long, and nobody waits for it.
        op.execute("SET lock_timeout = 0")
        if is_half:
            op.drop_index(name, table, postgresql_concurrently=True)
        op.create_index(name, table, columns, postgresql_concurrently=True)
        op.execute(PATIENCE["postgresql"][0])
