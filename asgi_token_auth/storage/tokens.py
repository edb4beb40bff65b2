"""Queries on the tokens table. A token is good while its row is there and not past its end."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Table, bindparam, select

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
    """A row of the tokens table; times in milliseconds since the epoch."""

    digest: str
    purpose: Purpose
    user_id: Any
    created_at: int
    expires_at: int
    sent_to: str | None = None
    last_used_at: int | None = None
    user_agent: str | None = None
    address: str | None = None


COLUMNS = tuple(field.name for field in dataclasses.fields(Token))


# A query has one of these numbers of digests, so that each has its SQL made and prepared once.
BATCHES = (1, 10, 100)
MOST_ADDRESSES = 20


class Tokens:
    """The tokens table."""

    def __init__(self, table: Table, users: Users, dialect: Dialect) -> None:
        self.table = table
        self._users = users
        self._columns = [table.c[name].label(f"token_{name}") for name in COLUMNS]
        self._select = select(*self._columns)
        self._insert = compiled_insert(table, COLUMNS, dialect)
        self._dialect = dialect
        self._live: dict[int, CompiledStatement] = {}

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
        rows = await session.run_compiled(statement, now=now, **values)
        return {row["token_digest"]: (_from(row), self._users.user_from(row)) for row in rows}

    def _live_select(self, size: int) -> Any:
        users = self._users.table
        digests: list[Any] = [bindparam(f"digest_{number}") for number in range(size)]
        return (
            select(users, *self._columns)
            .join_from(self.table, users, self.table.c.user_id == users.c.id)
            .where(
                self.table.c.digest.in_(digests),
                self.table.c.purpose == AUTHENTICATION,
                self.table.c.expires_at > bindparam("now"),
                users.c.confirmed_at.is_not(None),
            )
        )

    async def of_user(self, session: Session, user_id: UserId, now: int) -> list[Token]:
        """The user's live authentication tokens, newest first."""
        statement = self._select.where(
            self.table.c.user_id == user_id,
            self.table.c.purpose == AUTHENTICATION,
            self.table.c.expires_at > now,
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

    async def touch(self, session: Session, digests: Sequence[str], now: int) -> None:
        """Notes that the tokens were used just now."""
        used = self.table.update().where(self.table.c.digest.in_(digests))
        await session.run(used.values(last_used_at=now))

    async def purge_expired(self, session: Session, now: int, limit: int) -> int:
        """Deletes up to `limit` expired tokens; how many there were."""
        # Two statements: MySQL takes no LIMIT in a subquery of IN.
        expired = select(self.table.c.digest).where(self.table.c.expires_at <= now).limit(limit)
        digests = [row[0] for row in await session.all(expired)]
        if not digests:
            return 0
        return await session.change(self.table.delete().where(self.table.c.digest.in_(digests)))

    def _is(
        self, digest: str, user_id: UserId, purposes: tuple[Purpose, ...], now: int
    ) -> tuple[Any, ...]:
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
