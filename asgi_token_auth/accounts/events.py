"""The audit trail: every event goes through here, into the table and on to who wants to know.

What an operation did is written in its own transaction: no deed without its event, no event
without its deed. Hooks, log and counters hear of it after the COMMIT, and at most once, since a
process may die in between: the table is what counts.
"""

import contextlib
import json
import logging
from datetime import timedelta
from functools import partial
from typing import Any

from asgi_token_auth.accounts.client import Client
from asgi_token_auth.accounts.hooks import Hooks
from asgi_token_auth.clock import Clock
from asgi_token_auth.exceptions import DatabaseUnavailable
from asgi_token_auth.storage.database import Database, Session
from asgi_token_auth.storage.events import DETAIL_CHARACTERS, Event, EventKind, EventRows
from asgi_token_auth.storage.users import UserId
from asgi_token_auth.telemetry import Telemetry

logger = logging.getLogger("asgi_token_auth.events")

ALARMING: tuple[EventKind, ...] = ("login_failed", "throttled")
HIGHEST_ID = 2**63 - 1


class Events:
    """Records what happens to accounts, and tells it.

    Args:
        database: where the events table is.
        rows: its queries.
        hooks: the application's own functions.
        telemetry: counts.
        clock: the time now, aware.
    """

    def __init__(
        self,
        database: Database,
        rows: EventRows,
        hooks: Hooks,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        self._database = database
        self._rows = rows
        self._hooks = hooks
        self._telemetry = telemetry
        self._clock = clock

    async def record(
        self,
        session: Session,
        kind: EventKind,
        user_id: UserId | None,
        client: Client,
        *,
        token: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Writes an event with the unit of work at hand, and tells it once that is committed.

        Args:
            user_id: whose; None: nobody's. It is written all the same, so that an unknown address
                costs what a known one does.
            token: the digest of the token used or issued.
            detail: see `Event`; never anything that was typed.
        """
        event = self._event(kind, user_id, client, token, detail)
        await self._rows.insert(session, event)
        session.after_commit(partial(self._tell, event))

    def refused(
        self, user_id: UserId | None, client: Client, *, token: str | None = None, detail: str
    ) -> None:
        """A password was wrong, or not enough: told at once, and written some time soon.

        Nobody waits for it, so its time tells nothing; a database with too much to do loses the
        row, not the log.
        """
        event = self._event("login_failed", user_id, client, token, detail)
        self._tell(event)
        try:
            self._database.write_later(lambda session: self._rows.insert(session, event))
        except DatabaseUnavailable:
            logger.warning("an event is not recorded: the database is busy")

    def throttled(self, action: str, client: Client) -> None:
        """Something was tried too often: told, but not written. Whoever is throttled must not be
        able to fill the table."""
        self._tell(self._event("throttled", None, client, None, action))

    async def list(self, user_id: UserId, before: int | None = None) -> list[Event]:
        """A user's events, newest first, at most 100; `before` an id, those older than that.

        Raises:
            DatabaseUnavailable: try again.
        """
        below = HIGHEST_ID if before is None else max(0, min(before, HIGHEST_ID))
        return await self._database.read(
            lambda session: self._rows.of_user(session, user_id, below)
        )

    async def purge_batch(self, lifetime: timedelta | None, limit: int) -> int:
        """Deletes up to `limit` events older than that; how many there were."""
        if lifetime is None:
            return 0
        before = self._now() - int(lifetime / timedelta(milliseconds=1))
        return await self._database.write(lambda session: self._rows.purge(session, before, limit))

    async def stop(self) -> None:
        """Tells the hooks what they were not told yet, within a bound."""
        await self._hooks.drain()

    def _event(
        self,
        kind: EventKind,
        user_id: UserId | None,
        client: Client,
        token: str | None,
        detail: str | None,
    ) -> Event:
        return Event(
            kind,
            user_id,
            self._now(),
            session=token,
            address=client.noted_address,
            user_agent=client.noted_user_agent,
            detail=detail and detail[:DETAIL_CHARACTERS],
        )

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)

    def _tell(self, event: Event) -> None:
        """Never raises: the deed is done, and its request is not to fail because the
        application's own filter of logs, or meter, does."""
        for tell in (_log, self._count, self._hooks.put):
            try:
                tell(event)
            except Exception as error:
                with contextlib.suppress(Exception):
                    logger.error("an event is told in part only: %s", type(error).__name__)

    def _count(self, event: Event) -> None:
        self._telemetry.count(event.event)


def _log(event: Event) -> None:
    level = logging.WARNING if event.event in ALARMING else logging.INFO
    if logger.isEnabledFor(level):
        logger.log(level, "%s", _line(event), extra=_fields(event))


def _fields(event: Event) -> dict[str, Any]:
    names = ("event", "user_id", "session", "address", "user_agent", "detail")
    return {name: getattr(event, name) for name in names}


def _line(event: Event) -> str:
    """One line: JSON escapes what could begin another, or steer a terminal."""
    fields = {name: value for name, value in _fields(event).items() if value is not None}
    del fields["event"]
    return " ".join(
        [event.event, *(f"{name}={json.dumps(str(value))}" for name, value in fields.items())]
    )
