"""Queries on the events table: what happened to an account, written with the change itself."""

import dataclasses
from typing import Any, Literal

from sqlalchemy import Table, bindparam, func, select

from asgi_token_auth.storage.compiled import CompiledStatement, compiled_insert
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.dialects import Dialect
from asgi_token_auth.storage.users import UserId

EventKind = Literal[
    "signed_up",
    "confirmed",
    "logged_in",
    "login_failed",
    "logged_out",
    "sessions_revoked",
    "password_changed",
    "password_reset_requested",
    "password_reset",
    "confirmation_requested",
    "email_change_requested",
    "email_changed",
    "address_claimed",
    "account_updated",
    "account_deleted",
    "throttled",
]
MOST_LISTED = 100
DETAIL_CHARACTERS = 256


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an account, or was tried. No field ever holds a secret, an
    e-mail address, or a name that somebody typed.

    Args:
        event: what; one of the names in docs/events.md.
        user_id: whose account; None: of nobody, an unknown name or address was given.
        created_at: when, in milliseconds since the epoch.
        session: the id of the token used, or of the one that was given out; None: neither.
        address: where from: the client's IP address, as far as it was known.
        user_agent: what the client calls itself.
        detail: of `login_failed` why; of `sessions_revoked` which (`others`, `all`, the id of
            one, or those beyond the `limit`); of `account_updated` the fields; of a request for a
            mail `not_mailed`, where none was sent; of `throttled` what was tried too often.
        id: the row's; None when the event is told as it happens.
    """

    event: EventKind
    user_id: Any
    created_at: int
    session: str | None = None
    address: str | None = None
    user_agent: str | None = None
    detail: str | None = None
    id: int | None = None


COLUMNS = tuple(field.name for field in dataclasses.fields(Event))
WRITTEN = tuple(name for name in COLUMNS if name != "id")


class EventRows:
    """The events table."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self.table = table
        self._insert = compiled_insert(table, WRITTEN, dialect)
        self._page = CompiledStatement(self._page_select(), dialect)

    async def insert(self, session: Session, event: Event) -> None:
        await session.run_compiled(self._insert, **{name: getattr(event, name) for name in WRITTEN})

    async def of_user(self, session: Session, user_id: UserId, before: int) -> list[Event]:
        """The user's events with ids below `before`, newest first, at most 100."""
        rows = await session.run_compiled(self._page, user_id=user_id, before=before)
        return [Event(**row) for row in rows]

    async def purge(self, session: Session, before: int, limit: int) -> int:
        """Deletes up to `limit` events from before then, the oldest first; how many there were."""
        columns = self.table.c
        old = select(columns.id).where(columns.created_at < before).order_by(columns.created_at)
        return await session.delete_free(old.limit(limit))

    def _page_select(self) -> Any:
        columns = self.table.c
        user_id = bindparam("user_id", type_=columns.user_id.type)
        # SQLite gives the id of a deleted user to the next one, and an application's own keys may
        # come again: nobody sees the trail of who had the id before.
        earlier = self.table.alias("earlier")
        former = (
            select(func.coalesce(func.max(earlier.c.id), 0))
            .where(earlier.c.user_id == user_id, earlier.c.event == "account_deleted")
            .scalar_subquery()
        )
        return (
            select(*(columns[name] for name in COLUMNS))
            .where(columns.user_id == user_id, columns.id < bindparam("before"))
            .where(columns.id > former)
            .order_by(columns.id.desc())
            .limit(MOST_LISTED)
        )
