"""Queries on the revocations table: the feed that tells every process whom to forget.

A reader asks for what came after the last id that it saw a while ago: ids are given in order, but
committed out of order. How long a while is, `LATE_SECONDS` says: a unit of work whose COMMIT took
longer than that tells its news again before it answers.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sqlalchemy import Table, bindparam, select

from asgi_token_auth.clock import Clock, elapsed
from asgi_token_auth.storage.compiled import CompiledStatement, compiled_insert
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.dialects import Dialect

LATE_SECONDS = 1.0
KEPT_SECONDS = 3600.0  # how long news stay in the table


class Revocation(NamedTuple):
    """Forget what you know of this user, and of the user's tokens."""

    id: int
    user_id: Any
    created_at: int


class Revocations:
    """The revocations table.

    Args:
        table: made by `tables.revocations_table`.
        dialect: the database's.
        clock: the time now, aware.
    """

    def __init__(self, table: Table, dialect: Dialect, clock: Clock) -> None:
        self.table = table
        self._clock = clock
        self._listeners: list[Callable[[Any], None]] = []
        columns = table.c
        news = select(columns.id, columns.user_id, columns.created_at)
        since = news.where(columns.id >= bindparam("cursor")).order_by(columns.id)
        self._since = CompiledStatement(since.limit(bindparam("most")), dialect)
        self._last = CompiledStatement(news.order_by(columns.id.desc()).limit(1), dialect)
        self._insert = compiled_insert(table, ("user_id", "created_at"), dialect)

    def subscribe(self, listener: Callable[[Any], None]) -> None:
        """Calls `listener` with the id of each user whom this process changes."""
        self._listeners.append(listener)

    async def publish(self, session: Session) -> float:
        """Writes the unit of work's news, last before its COMMIT; when that began (`elapsed`)."""
        began = elapsed()
        now = int(self._clock().timestamp() * 1000)
        for user_id in session.forgotten:
            await session.run_compiled(self._insert, user_id=user_id, created_at=now)
        return began

    async def committed(self, session: Session, published_at: float) -> None:
        """Writes the news again, for as long as its COMMIT came too late for some reader."""
        while session.forgotten and elapsed() - published_at > LATE_SECONDS:
            published_at = await self.publish(session)

    def ended(self, forgotten: Iterable[Any]) -> None:
        """Tells this process, whatever became of the unit of work: to forget does no harm."""
        for user_id in forgotten:
            for listener in self._listeners:
                listener(user_id)

    async def since(self, session: Session, cursor: int, most: int) -> list[Revocation]:
        """The news from that id on, itself included, oldest first."""
        rows = await session.run_compiled(self._since, cursor=cursor, most=most)
        return [Revocation(**row) for row in rows]

    async def last(self, session: Session) -> Revocation | None:
        """The news with the highest id."""
        rows = await session.run_compiled(self._last)
        return Revocation(**rows[0]) if rows else None

    async def purge(self, session: Session, before: int, limit: int) -> int:
        """Deletes up to `limit` of the oldest news, written before then; how many.

        From the lowest id on and without a gap: a reader whose place is gone must find out.
        """
        columns = self.table.c
        oldest = select(columns.id, columns.created_at).order_by(columns.id).limit(limit)
        last = 0
        for row in await session.all(oldest):
            if row[1] >= before:
                break
            last = row[0]
        return await session.change(self.table.delete().where(columns.id <= last)) if last else 0
