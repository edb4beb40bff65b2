"""Queries of an import: who is there already, and many new rows at once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Integer, literal, select

from asgi_token_auth.storage.compiled import Row, compiled_insert
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.dialects import Dialect
from asgi_token_auth.storage.user_fields import is_required, read_value
from asgi_token_auth.storage.users import Users

BLANK, INVALID, UNKNOWN = "can't be blank", "invalid", "has no column in the users table"
NAMES = ("id", "email", "username")


class ImportedUsers:
    """The users table, as an import sees it."""

    def __init__(self, users: Users, dialect: Dialect) -> None:
        self._users = users
        self._table = users.table
        self._dialect = dialect
        self.names = tuple(name for name in NAMES if name in self._table.c)

    def has(self, name: str) -> bool:
        """Whether the table has that column."""
        return name in self._table.c

    def read_extra(self, given: Mapping[str, Any], errors: dict[str, str]) -> Row:
        """The values for the application's own columns; writes down what is wrong with them."""
        row = {name: self._read(name, value, errors) for name, value in given.items()}
        for name in self._users.extra:
            if name not in row and is_required(self._table.c[name]):
                errors[name] = BLANK
        return row

    async def prepare(self, session: Session) -> None:
        """Before the queries of a batch. PostgreSQL would plan them for the empty table that it
        was at first, and read all of it for each batch: 200,000 users took five minutes."""
        if self._dialect.name == "postgresql":
            await session.run("SET LOCAL enable_seqscan = off")

    async def find(self, session: Session, name: str, values: Sequence[Any]) -> list[Row]:
        """The users whose `name` is one of the values, with what tells them apart."""
        if not values:
            return []
        told = (*self.names, "hashed_password")
        columns = [self._table.c[column] for column in told]
        column = self._table.c[name]
        # Each with its type: `databases` would give the driver a UUID as it is, which SQLite and
        # MariaDB do not take.
        typed = [literal(value, column.type) for value in values]
        rows = await session.all(select(*columns).where(column.in_(typed)))
        return [{name: row[place] for place, name in enumerate(told)} for row in rows]

    async def insert(self, session: Session, rows: Iterable[Row], *, keep_ids: bool) -> None:
        """New users.

        Raises:
            UniqueViolation: one of them is there already.
        """
        by_columns: dict[tuple[str, ...], list[Row]] = {}
        for given in rows:
            row = self._users.new_row(given)
            by_columns.setdefault(tuple(sorted(row)), []).append(row)
        for columns, alike in by_columns.items():
            statement = compiled_insert(self._table, columns, self._dialect)
            await session.insert_many(statement, alike)
        if keep_ids and isinstance(self._table.c.id.type, Integer):
            await self._pass_by_kept_ids(session)

    async def _pass_by_kept_ids(self, session: Session) -> None:
        """PostgreSQL's sequence knows nothing of keys that it did not give."""
        if self._dialect.name == "postgresql":
            prepare = self._dialect.sql.identifier_preparer
            table = prepare.format_table(self._table)
            name = table.replace("'", "''")
            await session.run(
                f"SELECT setval(s, m) FROM (SELECT (SELECT max(id) FROM {table}) AS m,"  # noqa: S608
                f" CAST(pg_get_serial_sequence('{name}', 'id') AS regclass) AS s) AS keys"
                " WHERE s IS NOT NULL AND m > COALESCE(pg_sequence_last_value(s), 0)"
            )

    def _read(self, name: str, value: Any, errors: dict[str, str]) -> Any:
        if name not in self._users.extra:
            errors[name] = UNKNOWN
            return None
        column = self._table.c[name]
        if value is None:
            if not column.nullable:
                errors[name] = BLANK
            return None
        try:
            return read_value(column.type, value)
        except ValueError:
            errors[name] = INVALID
            return None
