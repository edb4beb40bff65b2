"""Queries on the outbox table."""

import dataclasses
from typing import Any

from sqlalchemy import Table, select

from asgi_token_auth.storage.database import Session

QUEUED, SENT, DEAD = "queued", "sent", "dead"


@dataclasses.dataclass(frozen=True, slots=True)
class OutboxRow:
    """A mail to be sent; `payload` is sealed. Times in milliseconds since the epoch."""

    id: str
    kind: str
    recipient: str
    payload: str = dataclasses.field(repr=False)
    created_at: int
    expires_at: int | None = None
    attempts: int = 0


COLUMNS = tuple(field.name for field in dataclasses.fields(OutboxRow))


class OutboxRows:
    """The outbox table. A lease is `next_attempt_at` moved ahead: it ends by itself."""

    def __init__(self, table: Table) -> None:
        self.table = table

    async def insert(self, session: Session, row: OutboxRow) -> None:
        values = {name: getattr(row, name) for name in COLUMNS}
        values |= {"state": QUEUED, "next_attempt_at": row.created_at}
        await session.insert(self.table.insert().values(**values))

    async def due(self, session: Session, now: int, limit: int) -> list[OutboxRow]:
        """The mails whose turn it is, the longest waiting first."""
        columns = [self.table.c[name] for name in COLUMNS]
        statement = (
            select(*columns)
            .where(self.table.c.state == QUEUED, self.table.c.next_attempt_at <= now)
            .order_by(self.table.c.next_attempt_at)
            .limit(limit)
        )
        return [OutboxRow(**dict(row._mapping)) for row in await session.all(statement)]

    async def claim(
        self, session: Session, row: OutboxRow, owner: str, now: int, until: int
    ) -> bool:
        """Takes a mail until then; False: another sender was quicker."""
        due = self._queued(row.id) & (self.table.c.next_attempt_at <= now)
        claimed = self.table.update().where(due)
        return bool(
            await session.change(
                claimed.values(
                    lease_owner=owner, next_attempt_at=until, attempts=self.table.c.attempts + 1
                )
            )
        )

    async def finish(self, session: Session, row: OutboxRow, owner: str, **values: Any) -> bool:
        """Writes down how it went, if the mail is still this owner's."""
        mine = self._queued(row.id) & (self.table.c.lease_owner == owner)
        return bool(await session.change(self.table.update().where(mine).values(**values)))

    async def delete(self, session: Session, row_id: str) -> None:
        await session.run(self.table.delete().where(self.table.c.id == row_id))

    def _queued(self, row_id: str) -> Any:
        return (self.table.c.id == row_id) & (self.table.c.state == QUEUED)
