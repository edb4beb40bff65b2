"""Statements of the hot paths: their SQL is made once, and goes to the driver as it is.

Compiling a statement costs more than running it, and `databases` compiles at each call.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from databases.core import Connection
from sqlalchemy import Delete, Insert, Select, Table, bindparam

from asgi_token_auth.storage.dialects import Dialect

Row = dict[str, Any]
Convert = Callable[[Any], Any]
NATIVE = (int, str, float, uuid.UUID)


class CompiledStatement:
    """A select, insert or delete as constant SQL. Its values are named by `bindparam`s.

    Args:
        statement: if it selects, then each column under a name of its own.
        dialect: which database it is for.
    """

    def __init__(self, statement: Select[Any] | Insert | Delete, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect.sql)
        self._text = str(compiled)
        self._dialect = dialect
        self._fixed = {k: v for k, v in compiled.params.items() if v is not None}
        names = compiled.positiontup or ()
        self._values = [(name, _writer(compiled.binds[name].type, dialect)) for name in names]
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        self._readers = [(str(column.key), _reader(column.type, dialect)) for column in columns]

    async def run(self, connection: Connection, values: Mapping[str, Any]) -> list[Row]:
        """The rows, each by its columns' names, with the values that the column types make."""
        rows = await self._dialect.fetch(connection, self._text, self._arguments(values))
        return [self._read(row) for row in rows]

    async def run_many(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Runs an insert once for each row, in few trips to the server."""
        arguments = [self._arguments(row) for row in rows]
        await self._dialect.execute_many(connection, self._text, arguments)

    def _arguments(self, values: Mapping[str, Any]) -> list[Any]:
        given = {**self._fixed, **values}
        return [
            given[name] if write is None or given[name] is None else write(given[name])
            for name, write in self._values
        ]

    def _read(self, row: Any) -> Row:
        return {
            name: value if read is None or not isinstance(value, NATIVE) else read(value)
            for (name, read), value in zip(self._readers, row, strict=True)
        }


def compiled_insert(table: Table, columns: tuple[str, ...], dialect: Dialect) -> CompiledStatement:
    """An insert of one row with values for these columns."""
    values: dict[str, Any] = {name: bindparam(name, type_=table.c[name].type) for name in columns}
    return CompiledStatement(table.insert().values(values).inline(), dialect)


def _reader(column_type: Any, dialect: Dialect) -> Convert | None:
    """What makes a column's value of what the driver gives; None: it is that already."""
    read: Convert | None = column_type.dialect_impl(dialect.sql).result_processor(dialect.sql, None)
    return read


def _writer(column_type: Any, dialect: Dialect) -> Convert | None:
    """What makes what the driver takes of a column's value; None: it is that already."""
    write: Convert | None = column_type.dialect_impl(dialect.sql).bind_processor(dialect.sql)
    return write
