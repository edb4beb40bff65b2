"""Queries of the hot path: their SQL is made once, and goes to the driver as it is.

Compiling a select costs more than running it, and `databases` compiles at each call.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from databases.core import Connection
from sqlalchemy import Select

from asgi_token_auth.storage.dialects import Dialect

Row = dict[str, Any]
NATIVE = (int, str, float, uuid.UUID)


class CompiledSelect:
    """A select as constant SQL. Its values are named by `bindparam`s.

    Args:
        statement: what is selected; each column under a name of its own.
        dialect: which database it is for.
    """

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect.sql)
        self._text = str(compiled)
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._fixed = {k: v for k, v in compiled.params.items() if v is not None}
        self._dialect = dialect
        self._readers = [
            (str(column.key), _reader(column.type, dialect))
            for column in statement.selected_columns
        ]

    async def all(self, connection: Connection, values: Mapping[str, Any]) -> list[Row]:
        """The rows, each by its columns' names, with the values that the column types make."""
        given = {**self._fixed, **values}
        arguments = [given[name] for name in self._names]
        rows = await self._dialect.fetch(connection, self._text, arguments)
        return [self._read(row) for row in rows]

    def _read(self, row: Any) -> Row:
        return {
            name: value if reader is None or not isinstance(value, NATIVE) else reader(value)
            for (name, reader), value in zip(self._readers, row, strict=True)
        }


def _reader(column_type: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    """What makes a column's value of what the driver gives; None: it is that already."""
    implementation = column_type.dialect_impl(dialect.sql)
    reader: Callable[[Any], Any] | None = implementation.result_processor(dialect.sql, None)
    return reader
