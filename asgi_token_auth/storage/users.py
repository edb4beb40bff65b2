"""Queries on the users table, whatever columns and keys the application gave it."""

import dataclasses
import re
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import Integer, Select, String, Table, Uuid, bindparam, select

from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.storage.compiled import CompiledStatement, Row
from asgi_token_auth.storage.database import ConstraintViolation, Session
from asgi_token_auth.storage.dialects import Dialect
from asgi_token_auth.storage.tables import OWN_USER_COLUMNS
from asgi_token_auth.storage.user_fields import (
    UserField,
    describe_field,
    fits,
    integer_limit,
    is_required,
)

UserId = int | str | uuid.UUID
NO_FIELDS: Mapping[str, Any] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """A user as the application sees one: what `request.user` is. Read-only, as all requests that
    come with the same token share it.

    Extra columns of the users table are attributes too (`user.name`). The password's hash is
    not here, so no template, log or answer can show it.

    Args:
        id: the key in the users table: `int`, `str` or `uuid.UUID`.
        email: the e-mail address, in its one spelling.
        username: the username.
        confirmed_at: when the account was confirmed, in milliseconds since the epoch; None: it
            waits for that.
        fields: the extra columns, by name.
    """

    id: Any
    email: str | None
    username: str | None
    confirmed_at: int | None
    fields: Mapping[str, Any] = dataclasses.field(default_factory=lambda: NO_FIELDS, repr=False)

    is_authenticated = True

    @property
    def display_name(self) -> str:
        """A name for people, which is the username or else the e-mail address."""
        return self.username or self.email or str(self.id)

    @property
    def identity(self) -> str:
        """A name for machines, which is the id as text."""
        return str(self.id)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in User.__slots__ or name not in self.fields:
            raise AttributeError(f"a user has no {name!r}")
        return self.fields[name]


@dataclasses.dataclass(frozen=True, slots=True)
class StoredUser:
    """A user with what only the account operations may see."""

    user: User
    hashed_password: str = dataclasses.field(repr=False)


class Users:
    """The users table.

    Args:
        table: checked by `tables.check_users_table`.
        dialect: the database's.
        writable: the extra columns that clients may set; by default those of text with no
            default of their own and no foreign key (a role or a flag is the application's to set).
    """

    def __init__(
        self, table: Table, dialect: Dialect, writable: Sequence[str] | None = None
    ) -> None:
        self.table = table
        self.has_email = "email" in table.c
        self.has_username = "username" in table.c
        self.extra = [name for name in table.c.keys() if name not in OWN_USER_COLUMNS]  # noqa: SIM118
        self.writable = self._writable(writable)
        keys = [name for name in ("id", "email", "username") if name in table.c]
        self._by = {name: CompiledStatement(self._where(name), dialect) for name in keys}
        by_id = self._where("id")
        locked = by_id.with_for_update() if dialect.row_lock else by_id
        self._locked = CompiledStatement(locked, dialect)

    @property
    def fields(self) -> list[UserField]:
        """What the application's own columns hold, for those who tell clients of it."""
        extra = (self.table.c[name] for name in self.extra)
        return [describe_field(column, column.name in self.writable) for column in extra]

    @property
    def id_field(self) -> UserField:
        """What the keys are."""
        return describe_field(self.table.c.id, writable=False)

    def parse_id(self, given: object) -> UserId | None:
        """The key as the table has it, from a number or its text; None: no user can have it."""
        column = self.table.c.id.type
        if isinstance(column, Integer):
            return _parse_integer(given, integer_limit(column))
        if not isinstance(given, str):
            return None
        if isinstance(column, Uuid):
            return _parse_uuid(given, as_uuid=column.as_uuid)
        return str(given) if fits(column, given) else None

    def nobody(self, email: str) -> User:
        """A stand-in for the user that is not there: no row has its id, by any likelihood."""
        column = self.table.c.id.type
        user_id: UserId = -1
        if isinstance(column, Uuid):
            user_id = uuid.UUID(int=0) if column.as_uuid else str(uuid.UUID(int=0))
        elif isinstance(column, String):
            user_id = ""
        return User(user_id, email, None, None)

    async def by_id(self, session: Session, user_id: UserId) -> StoredUser | None:
        return self._read(await session.run_compiled(self._by["id"], id=user_id))

    async def by_login(
        self, session: Session, *, email: str | None = None, username: str | None = None
    ) -> StoredUser | None:
        if email is not None and self.has_email:
            return self._read(await session.run_compiled(self._by["email"], email=email))
        if username is not None and self.has_username:
            return self._read(await session.run_compiled(self._by["username"], username=username))
        return None

    async def locked(self, session: Session, user_id: UserId) -> StoredUser | None:
        """The user, whom no other unit of work changes until this one ends."""
        return self._read(await session.run_compiled(self._locked, id=user_id))

    async def insert(self, session: Session, values: Mapping[str, Any]) -> User:
        """A new user.

        Raises:
            UniqueViolation: the e-mail address or username is another's.
        """
        row = self.new_row(values)
        key = await session.insert(self.table.insert().values(**row))
        stored = await self.by_id(session, row.get("id", key))
        return cast(StoredUser, stored).user  # inserted a statement ago, in this transaction

    def new_row(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a new user's columns, with those that nobody gave but Python makes."""
        return {**self._new_key(), **self._made("default"), **values}

    async def update(self, session: Session, user_id: UserId, values: Mapping[str, Any]) -> int:
        """Changes a user; how many rows were changed.

        Raises:
            UniqueViolation: the e-mail address or username is another's.
        """
        row = {**self._made("onupdate"), **values}
        if set(values) != {"hashed_password"}:  # an upgraded hash is nothing that anybody sees
            session.forget(user_id)
        statement = self.table.update().where(self.table.c.id == user_id).values(**row)
        return await session.change(statement)

    async def delete(self, session: Session, user_id: UserId) -> int:
        """Deletes a user; how many rows there were."""
        session.forget(user_id)
        return await session.change(self.table.delete().where(self.table.c.id == user_id))

    def violated_field(self, violation: ConstraintViolation) -> str:
        """Which field of the request stands in the way."""
        names = sorted(self.table.c.keys(), key=len, reverse=True)  # 'username' before 'name'
        words = (rf"(?<![^\W_]){re.escape(name)}(?![^\W_])" for name in names)  # no 'id' in 'valid'
        found = (re.search(word, violation.constraint) for word in words)
        return next((match[0] for match in found if match), "base")

    def user_from(self, values: Mapping[str, Any]) -> User:
        """A user from the values of all columns, each under its name."""
        return User(
            id=values["id"],
            email=values["email"] if self.has_email else None,
            username=values["username"] if self.has_username else None,
            confirmed_at=values["confirmed_at"],
            # Read only: one user is shared by all requests that are served meanwhile.
            fields=MappingProxyType({name: values[name] for name in self.extra})
            if self.extra
            else NO_FIELDS,
        )

    def field_faults(self, values: Mapping[str, Any], *, new: bool) -> dict[str, str]:
        """What is wrong with the extra columns: missing, of a wrong type, or too long."""
        faults = {}
        for name in self.writable:
            fault = self._field_fault(name, values, new=new)
            if fault:
                faults[name] = fault
        return faults

    def _field_fault(self, name: str, values: Mapping[str, Any], *, new: bool) -> str | None:
        column = self.table.c[name]
        value = values.get(name)
        if value is None:
            # At sign-up null is a field left out, for which a default may stand in.
            missing = is_required(column) if new else name in values and not column.nullable
            return "can't be blank" if missing else None
        return None if fits(column.type, value) else "invalid"

    def _where(self, name: str) -> Select[Any]:
        column = self.table.c[name]
        return select(self.table).where(column == bindparam(name, type_=column.type))

    def _read(self, rows: list[Row]) -> StoredUser | None:
        return StoredUser(self.user_from(rows[0]), rows[0]["hashed_password"]) if rows else None

    def _made(self, when: str) -> dict[str, Any]:
        """What the columns' Python functions and constants make; `databases` leaves them out."""
        makers = ((column.name, getattr(column, when)) for column in self.table.c)
        return {name: _value(maker) for name, maker in makers if hasattr(maker, "arg")}

    def _new_key(self) -> dict[str, Any]:
        column = self.table.c.id
        if isinstance(column.type, Integer) or column.default is not None:
            return {}
        key = uuid.uuid4()
        return {"id": key if isinstance(column.type, Uuid) and column.type.as_uuid else str(key)}

    def _writable(self, given: Sequence[str] | None) -> tuple[str, ...]:
        if given is None:
            columns = (self.table.c[name] for name in self.extra)
            return tuple(column.name for column in columns if _is_plain_text(column))
        unknown = [name for name in given if name not in self.extra]
        if unknown:
            raise SettingsError(
                f"user_fields names {unknown[0]!r}, which is no extra column of users"
            )
        return tuple(given)


def _is_plain_text(column: Any) -> bool:
    has_default = column.default is not None or column.server_default is not None
    return isinstance(column.type, String) and not has_default and not column.foreign_keys


def _value(maker: Any) -> Any:
    return maker.arg(None) if maker.is_callable else maker.arg


def _parse_integer(given: object, limit: int) -> int | None:
    if type(given) is str and given.isascii() and given.isdigit() and len(given) < 20:
        given = int(given)
    return given if type(given) is int and 0 < given < limit else None


def _parse_uuid(given: str, *, as_uuid: bool) -> uuid.UUID | str | None:
    try:
        key = uuid.UUID(given)
    except ValueError:
        return None
    return key if as_uuid else str(key)
