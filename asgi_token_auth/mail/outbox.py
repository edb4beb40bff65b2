"""The outbox: mails are written with the change they tell of, and sent after it."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from asgi_token_auth.mail.envelope import Envelope
from asgi_token_auth.mail.messages import Message
from asgi_token_auth.storage.database import Database, Session
from asgi_token_auth.storage.outbox import OutboxRow, OutboxRows, State

PURGE_BATCH = 200
MAILS_IN_A_COOLDOWN = 2  # the first may be lost in a spam folder: one more, at once


class Outbox:
    """Puts mails in, and shows what became of them.

    Args:
        database: where the outbox table is.
        rows: its queries.
        envelope: seals what is put in.
        clock: the time now, aware.
        cooldown: how long a mailbox rests once it was sent two mails of a kind; None: never.
    """

    def __init__(
        self,
        database: Database,
        rows: OutboxRows,
        envelope: Envelope,
        *,
        clock: Callable[[], datetime],
        cooldown: timedelta | None,
    ) -> None:
        self._database = database
        self._rows = rows
        self._envelope = envelope
        self._clock = clock
        self._cooldown = cooldown

    async def put(
        self,
        session: Session,
        kind: str,
        recipient: str,
        message: Message,
        *,
        expires_at: int | None = None,
    ) -> None:
        """Adds a mail to the unit of work at hand; `expires_at` is when its token dies (ms)."""
        row = self._row(kind, recipient, message, expires_at)
        await self._rows.insert(session, row)

    async def put_and_discard(
        self, session: Session, kind: str, recipient: str, message: Message
    ) -> None:
        """The work of `put`, for a mail that nobody gets."""
        row = self._row(kind, recipient, message, None)
        await self._rows.insert(session, row)
        await self._rows.delete(session, row.id)

    async def rests(self, session: Session, kind: str, recipient: str) -> bool:
        """Whether the mailbox was sent enough of that kind for now: strangers can ask for more."""
        if self._cooldown is None:
            return False
        since = self._now() - int(self._cooldown / timedelta(milliseconds=1))
        return await self._rows.count(session, kind, recipient, since) >= MAILS_IN_A_COOLDOWN

    async def list(self, state: State | None = None, *, limit: int = 100) -> Sequence[OutboxRow]:
        """Mails in that state, or in any; the newest first.

        Raises:
            DatabaseUnavailable: try again.
        """
        return await self._database.read(lambda session: self._rows.list(session, state, limit))

    async def retry(self, ids: Sequence[str] | None = None) -> int:
        """Queues dead letters once more: those, or all; how many there were.

        Raises:
            DatabaseUnavailable: try again.
        """
        now = self._now()
        return await self._database.write(lambda session: self._rows.retry(session, ids, now))

    async def purge(self, *, sent: timedelta, dead: timedelta) -> int:
        """Deletes sent mails and dead letters whose last attempt is as long ago; how many.

        Raises:
            DatabaseUnavailable: try again.
        """
        total = 0
        while purged := await self.purge_batch(sent=sent, dead=dead):
            total += purged
        return total

    async def purge_batch(
        self, *, sent: timedelta, dead: timedelta, limit: int = PURGE_BATCH
    ) -> int:
        """Deletes up to `limit` of these."""
        before: dict[State, int] = {"sent": self._before(sent), "dead": self._before(dead)}
        return await self._database.write(lambda session: self._rows.purge(session, before, limit))

    def _row(
        self, kind: str, recipient: str, message: Message, expires_at: int | None
    ) -> OutboxRow:
        payload = self._envelope.seal(recipient, message)
        return OutboxRow(
            secrets.token_hex(16), kind, recipient, payload, self._now(), expires_at=expires_at
        )

    def _before(self, age: timedelta) -> int:
        # What still counts for a cooldown stays.
        return self._now() - int(max(age, self._cooldown or age) / timedelta(milliseconds=1))

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)
