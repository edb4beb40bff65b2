"""Queries on the outbox table."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Table, and_, bindparam, func, or_, select

from asgi_token_auth.storage.compiled import CompiledStatement, compiled_insert
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.dialects import Dialect

State = Literal["queued", "sent", "dead"]


@dataclasses.dataclass(frozen=True, slots=True)
class OutboxRow:
    """A mail to be sent; `payload` is sealed. Times in milliseconds since the epoch.

    While `next_attempt_at` of a queued mail is ahead, it waits, or `lease_owner` is sending it.
    """

    id: str
    kind: str
    recipient: str
    payload: str = dataclasses.field(repr=False)
    created_at: int
    expires_at: int | None = None
    attempts: int = 0
    state: State = "queued"
    next_attempt_at: int | None = None
    sent_at: int | None = None
    last_error: str | None = None


COLUMNS = tuple(field.name for field in dataclasses.fields(OutboxRow))


class OutboxRows:
    """The outbox table. A lease is `next_attempt_at` moved ahead: it ends by itself."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self.table = table
        # SQL made once, both: a mail that is discarded must cost no more than one that is kept,
        # and a statement's SQL takes longer to make than to run.
        self._insert = compiled_insert(table, COLUMNS, dialect)
        one = table.delete().where(table.c.id == bindparam("row_id"))
        self._delete = CompiledStatement(one, dialect)
        self._select = select(*(table.c[name] for name in COLUMNS))

    async def insert(self, session: Session, row: OutboxRow) -> None:
        values = {name: getattr(row, name) for name in COLUMNS}
        await session.run_compiled(self._insert, **{**values, "next_attempt_at": row.created_at})

    async def next_due(self, session: Session) -> int | None:
        """When the first queued mail is due."""
        statement = select(self.table.c.next_attempt_at).where(self.table.c.state == "queued")
        row = await session.one(statement.order_by(self.table.c.next_attempt_at).limit(1))
        return None if row is None else int(row[0])

    async def claim(
        self, session: Session, owner: str, now: int, until: int, limit: int
    ) -> list[OutboxRow]:
        """Leases due mails until then, the longest waiting first, and passes by what another
        sender is just leasing."""
        due = (self.table.c.state == "queued") & (self.table.c.next_attempt_at <= now)
        order = self.table.c.next_attempt_at
        found = await session.free(self._select.where(due).order_by(order).limit(limit))
        rows = [_row(each) for each in found]
        if rows:
            mine = due & self.table.c.id.in_([row.id for row in rows])
            attempts = self.table.c.attempts + 1
            lease = {"lease_owner": owner, "next_attempt_at": until, "attempts": attempts}
            await session.change(self.table.update().where(mine).values(**lease))
        return [dataclasses.replace(row, attempts=row.attempts + 1) for row in rows]

    async def finish(self, session: Session, row: OutboxRow, owner: str, **values: Any) -> bool:
        """Writes down how it went, if the mail is still this owner's."""
        columns = self.table.c
        mine = (columns.id == row.id) & (columns.state == "queued") & (columns.lease_owner == owner)
        return bool(await session.change(self.table.update().where(mine).values(**values)))

    async def delete(self, session: Session, row_id: str) -> None:
        await session.run_compiled(self._delete, row_id=row_id)

    async def count(self, session: Session, kind: str, recipient: str, since: int) -> int:
        """Mails of that kind to that mailbox, written since then and not dead."""
        columns = self.table.c
        statement = select(func.count()).where(
            columns.recipient == recipient,
            columns.created_at > since,
            columns.kind == kind,
            columns.state != "dead",
        )
        return int((await session.one(statement))[0])

    async def list(self, session: Session, state: State | None, limit: int) -> list[OutboxRow]:
        statement = self._select.order_by(self.table.c.created_at.desc()).limit(limit)
        if state is not None:
            statement = statement.where(self.table.c.state == state)
        return [_row(each) for each in await session.all(statement)]

    async def retry(self, session: Session, ids: Sequence[str] | None, now: int) -> int:
        """Queues dead letters once more: those, or all."""
        dead = self.table.c.state == "dead"
        if ids is not None:
            dead = dead & self.table.c.id.in_(ids)
        again = {"state": "queued", "attempts": 0, "next_attempt_at": now, "lease_owner": None}
        return await session.change(self.table.update().where(dead).values(**again))

    async def purge(self, session: Session, before: Mapping[State, int], limit: int) -> int:
        """Deletes up to `limit` mails in these states, last tried before then."""
        columns = self.table.c
        old = or_(
            *(
                and_(columns.state == state, columns.next_attempt_at < moment)
                for state, moment in before.items()
            )
        )
        return await session.delete_free(select(columns.id).where(old).limit(limit))


def _row(row: Any) -> OutboxRow:
    return OutboxRow(**{name: row._mapping[name] for name in COLUMNS})
