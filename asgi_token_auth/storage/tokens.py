"""Queries on the tokens table. A token is good while its row is there and not past its end; where
there is an idle lifetime, one that logs in is good only if it was used so long ago at the most."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Table, bindparam, func, select

from asgi_token_auth.storage.compiled import CompiledStatement, Row, compiled_insert
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.dialects import Dialect
from asgi_token_auth.storage.users import User, UserId, Users

Purpose = Literal["authentication", "confirmation", "email_change", "password_reset"]
AUTHENTICATION: Purpose = "authentication"
CONFIRMATION: Purpose = "confirmation"
EMAIL_CHANGE: Purpose = "email_change"
PASSWORD_RESET: Purpose = "password_reset"
MAILED: tuple[Purpose, ...] = (CONFIRMATION, EMAIL_CHANGE, PASSWORD_RESET)


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A token as the database has it: an access token, or one that was mailed. Times are in
    milliseconds since the epoch.

    Args:
        digest: SHA-256 of the token's secret, in hexadecimal; the session's id.
        purpose: `authentication`, `confirmation`, `email_change` or `password_reset`.
        user_id: whose.
        created_at: when it was issued.
        expires_at: when it ends by itself.
        sent_to: the address it was mailed to.
        last_used_at: when its use was last noted.
        user_agent: what the client that logged in calls itself.
        address: the IP address of that client.
        name: what its owner calls it.
    """

    digest: str
    purpose: Purpose
    user_id: Any
    created_at: int
    expires_at: int
    sent_to: str | None = None
    last_used_at: int | None = None
    user_agent: str | None = None
    address: str | None = None
    name: str | None = None


COLUMNS = tuple(field.name for field in dataclasses.fields(Token))


# A query has one of these numbers of digests, so that each has its SQL made and prepared once.
BATCHES = (1, 10, 100)
MOST_ADDRESSES = 20

REVIVAL_MILLISECONDS = 60_000
"""How much longer an idle token's row stays: a use that is just being noted brings it back."""


class Tokens:
    """The tokens table.

    Args:
        table: made by `tables.tokens_table`.
        users: whose tokens they are.
        dialect: the database's.
        idle: milliseconds after which a token that was not used is dead; None: none is.
    """

    def __init__(
        self, table: Table, users: Users, dialect: Dialect, idle: int | None = None
    ) -> None:
        self.table = table
        self._users = users
        self._idle = idle
        self._last_used = func.coalesce(table.c.last_used_at, table.c.created_at)
        self._columns = [table.c[name].label(f"token_{name}") for name in COLUMNS]
        self._select = select(*self._columns)
        self._insert = compiled_insert(table, COLUMNS, dialect)
        self._dialect = dialect
        self._live: dict[int, CompiledStatement] = {}
        self._recent = CompiledStatement(self._recent_select(), dialect)

    async def insert(self, session: Session, token: Token) -> None:
        values = {name: getattr(token, name) for name in COLUMNS}
        await session.run_compiled(self._insert, **values)

    async def find(
        self,
        session: Session,
        digest: str,
        user_id: UserId,
        purposes: tuple[Purpose, ...],
        now: int,
    ) -> Token | None:
        """A live token of the user."""
        condition = self._is(digest, user_id, purposes, now)
        return _token(await session.one(self._select.where(*condition)))

    async def consume(
        self,
        session: Session,
        digest: str,
        user_id: UserId,
        purposes: tuple[Purpose, ...],
        now: int,
    ) -> Token | None:
        """Uses a live token up; None: it is none, or another was quicker.

        The one DELETE decides who was first, not the SELECT before it.
        """
        token = await self.find(session, digest, user_id, purposes, now)
        if token is None:
            return None
        condition = self._is(digest, user_id, purposes, now)
        won = await session.change(self.table.delete().where(*condition))
        return token if won else None

    async def with_users(
        self, session: Session, digests: Sequence[str], now: int
    ) -> dict[str, tuple[Token, User]]:
        """The live authentication tokens among at most 100, by digest, with their confirmed
        users, in one query."""
        size = next(size for size in BATCHES if size >= len(digests))
        padded = [*digests, *[digests[0]] * (size - len(digests))]
        values = {f"digest_{number}": digest for number, digest in enumerate(padded)}
        statement = self._live.get(size)
        if statement is None:
            statement = CompiledStatement(self._live_select(size), self._dialect)
            self._live[size] = statement
        rows = await session.run_compiled(
            statement, now=now, used_after=self._used_after(now), **values
        )
        return {row["token_digest"]: (_from(row), self._users.user_from(row)) for row in rows}

    def _live_select(self, size: int) -> Any:
        users = self._users.table
        digests: list[Any] = [bindparam(f"digest_{number}") for number in range(size)]
        return (
            select(users, *self._columns)
            .join_from(self.table, users, self.table.c.user_id == users.c.id)
            .where(
                self.table.c.digest.in_(digests),
                *self._are_live(bindparam("now"), bindparam("used_after")),
                users.c.confirmed_at.is_not(None),
            )
        )

    async def of_user(self, session: Session, user_id: UserId, now: int) -> list[Token]:
        """The user's live authentication tokens, newest first."""
        statement = self._select.where(
            self.table.c.user_id == user_id, *self._are_live(now, self._used_after(now))
        ).order_by(self.table.c.created_at.desc(), self.table.c.digest)
        return [token for row in await session.all(statement) if (token := _token(row))]

    async def addresses(self, session: Session, user_id: UserId, now: int) -> list[str]:
        """The addresses that the user's newest live authentication tokens were given to."""
        statement = select(self.table.c.address).where(
            self.table.c.user_id == user_id,
            self.table.c.purpose == AUTHENTICATION,
            self.table.c.expires_at > now,
            self.table.c.address.is_not(None),
        )
        newest = statement.order_by(self.table.c.created_at.desc()).limit(MOST_ADDRESSES)
        return [row[0] for row in await session.all(newest)]

    async def revoke(
        self,
        session: Session,
        user_id: UserId,
        purposes: tuple[Purpose, ...],
        *,
        only: str | None = None,
        but: str | None = None,
    ) -> int:
        """Ends the user's tokens of those purposes: all, `only` one, or all `but` one."""
        condition = [self.table.c.user_id == user_id, self.table.c.purpose.in_(purposes)]
        if only is not None:
            condition.append(self.table.c.digest == only)
        if but is not None:
            condition.append(self.table.c.digest != but)
        if AUTHENTICATION in purposes:
            # Also where nothing is left to end: whoever was quicker may not have told it yet.
            session.forget(user_id)
        return await session.change(self.table.delete().where(*condition))

    async def rename(
        self, session: Session, user_id: UserId, digest: str, name: str, now: int
    ) -> bool:
        """Names a live authentication token of the user; False: there is none."""
        condition = (self.table.c.digest == digest, self.table.c.user_id == user_id)
        live = self._are_live(now, self._used_after(now))
        # Looked for first: a name that stays as it is changes no row on MySQL.
        if await session.one(self._select.where(*condition, *live)) is None:
            return False
        session.forget(user_id)  # the application sees the name too: `request.auth.token.name`
        await session.run(self.table.update().where(*condition).values(name=name))
        return True

    async def keep_recent(
        self, session: Session, user_id: UserId, but: str, most: int, now: int
    ) -> int:
        """Ends the user's authentication tokens but `but` and, of the rest, the `most` used last;
        how many ended. Those that expired are left to the purge: none is spared in a live one's
        place.

        The caller holds the user's row, or two logins would each spare what the other ends.
        """
        rows = await session.run_compiled(
            self._recent, user_id=user_id, but=but, most=most + 1, now=now
        )
        if len(rows) <= most:
            return 0
        kept = [but, *(row["digest"] for row in rows[:most])]
        session.forget(user_id)
        columns = self.table.c
        return await session.change(
            self.table.delete().where(
                columns.user_id == user_id,
                columns.purpose == AUTHENTICATION,
                columns.expires_at > now,
                columns.digest.not_in(kept),
            )
        )

    def _recent_select(self) -> Any:
        columns = self.table.c
        return (
            select(columns.digest)
            .where(
                columns.user_id == bindparam("user_id", type_=columns.user_id.type),
                columns.purpose == AUTHENTICATION,
                columns.expires_at > bindparam("now"),
                columns.digest != bindparam("but"),
            )
            .order_by(self._last_used.desc(), columns.created_at.desc(), columns.digest)
            .limit(bindparam("most"))
        )

    async def touch(self, session: Session, digests: Sequence[str], now: int) -> None:
        """Notes that the tokens were used just now."""
        used = self.table.update().where(self.table.c.digest.in_(digests))
        await session.run(used.values(last_used_at=now))

    async def purge_expired(self, session: Session, now: int, limit: int) -> int:
        """Deletes up to `limit` expired tokens; how many there were."""
        columns = self.table.c
        expired = select(columns.digest).where(columns.expires_at <= now)
        return await session.delete_free(expired.order_by(columns.expires_at).limit(limit))

    async def purge_idle(
        self, session: Session, now: int, after: str, limit: int
    ) -> tuple[int, str]:
        """Deletes those that are dead by disuse among the next `limit` rows after the digest
        `after`: how many, and the digest to go on after; "" once there are no more.

        A walk along the primary key: an index on the time of last use would make each note of a
        use dearer, and without one a search reads the whole table.
        """
        if self._idle is None:
            return 0, ""
        columns, used_after = self.table.c, self._used_after(now) - REVIVAL_MILLISECONDS
        is_idle = (columns.purpose == AUTHENTICATION, self._last_used <= used_after)
        rows = await session.all(
            select(columns.digest, self._last_used, columns.purpose)
            .where(columns.digest > after)
            .order_by(columns.digest)
            .limit(limit)
        )
        idle = [row[0] for row in rows if row[2] == AUTHENTICATION and row[1] <= used_after]
        still = select(columns.digest).where(columns.digest.in_(idle), *is_idle)
        purged = await session.delete_free(still) if idle else 0
        return purged, rows[-1][0] if len(rows) == limit else ""

    def _used_after(self, now: int) -> int:
        return -1 if self._idle is None else now - self._idle

    def _are_live(self, now: Any, used_after: Any) -> tuple[Any, ...]:
        columns = self.table.c
        live = (columns.purpose == AUTHENTICATION, columns.expires_at > now)
        return live if self._idle is None else (*live, self._last_used > used_after)

    def _is(
        self, digest: str, user_id: UserId, purposes: tuple[Purpose, ...], now: int
    ) -> tuple[Any, ...]:
        # Idle or not: mailed tokens have no use but one, and whoever shows another uses it.
        columns = self.table.c
        return (
            columns.digest == digest,
            columns.user_id == user_id,
            columns.purpose.in_(purposes),
            columns.expires_at > now,
        )


def _token(row: Any) -> Token | None:
    return None if row is None else _from(row._mapping)


def _from(row: Row) -> Token:
    return Token(**{name: row[f"token_{name}"] for name in COLUMNS})
