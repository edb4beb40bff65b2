"""What a unit of work sees of its connection."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from databases.core import Connection

from asgi_token_auth.storage.compiled import CompiledStatement, Row
from asgi_token_auth.storage.dialects import Dialect

T = TypeVar("T")


class ConstraintViolation(Exception):
    """The table does not take the row, or does not let it go. `constraint` names or describes what
    stands in the way."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class UniqueViolation(ConstraintViolation):
    """A row with the same unique value stands already."""


class Session:
    """What a unit of work sees of its connection."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self.forgotten: set[Any] = set()
        self.told: list[Callable[[], None]] = []

    async def one(self, statement: Any, values: dict[str, Any] | None = None) -> Any:
        """The first row, or None."""
        return await self._connection.fetch_one(statement, values)

    async def all(self, statement: Any, values: dict[str, Any] | None = None) -> list[Any]:
        """All rows."""
        return list(await self._connection.fetch_all(statement, values))

    async def run_compiled(self, statement: CompiledStatement, **values: Any) -> list[Row]:
        """All rows of a statement whose SQL is made already.

        Raises:
            UniqueViolation: it inserts a row that is there already.
        """
        return await self._guarded(statement.run(self._connection, values))

    def forget(self, user_id: Any) -> None:
        """Something about the user or the user's tokens changes with this unit of work: every
        process is told with its COMMIT to forget what it knows of them."""
        self.forgotten.add(user_id)

    def after_commit(self, tell: Callable[[], None]) -> None:
        """Calls `tell` once this unit of work is committed, and never if it is not. It raises
        nothing and does not wait."""
        self.told.append(tell)

    async def free(self, select: Any) -> list[Any]:
        """The rows that no other transaction has locked, locked until the unit ends.

        Needs PostgreSQL, MariaDB 10.6 or MySQL 8; SQLite's only writer has the file to itself.
        """
        row_lock = self._dialect.row_lock
        return await self.all(select.with_for_update(skip_locked=True) if row_lock else select)

    async def insert(self, statement: Any, values: dict[str, Any] | None = None) -> Any:
        """Inserts one row; the integer key the database gave it, if it gave one.

        Raises:
            UniqueViolation: the row is there already.
        """
        return await self._guarded(self._connection.execute(statement, values))

    async def insert_many(self, statement: CompiledStatement, rows: list[Row]) -> None:
        """Inserts many rows by one statement.

        Raises:
            UniqueViolation: one of them is there already.
        """
        await self._guarded(statement.run_many(self._connection, rows))

    async def change(self, statement: Any) -> int:
        """How many rows an UPDATE or DELETE changed.

        Raises:
            UniqueViolation: another row has the new value.
        """
        return await self._guarded(self._dialect.changed(self._connection, statement))

    async def within_constraints(self, answer: Awaitable[T]) -> T:
        """What `answer` gives. For a table that is the application's: it may have constraints and
        triggers, and others refer to it, of which nobody here knows.

        Raises:
            ConstraintViolation: one of them refuses.
        """
        try:
            return await answer
        except Exception as error:
            constraint = self._dialect.constrained(error)
            if constraint is None:
                raise
            raise ConstraintViolation(constraint) from error

    async def delete_free(self, select: Any) -> int:
        """Deletes the rows whose primary key, alone, is selected, as far as nobody has them
        locked; how many.
        """
        values = [row[0] for row in await self.free(select)]
        if not values:
            return 0
        (key,) = select.selected_columns
        return await self._dialect.delete(self._connection, key, values)

    async def run(self, statement: Any) -> None:
        """Runs a statement whose result does not matter."""
        await self._connection.execute(statement)

    async def _guarded(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except Exception as error:
            constraint = self._dialect.violated(error)
            if constraint is None:
                raise
            raise UniqueViolation(constraint) from error
