"""The tables. Times are whole milliseconds since the epoch: no dialect can misread those."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT

from asgi_token_auth.exceptions import SettingsError

# A case-insensitive collation would let 'a@x' and 'á@x ' be one user on MariaDB and two elsewhere.
MYSQL: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_engine": "InnoDB",
}
OWN_USER_COLUMNS = ("id", "email", "username", "hashed_password", "confirmed_at")
ADDRESS_CHARACTERS = 320  # RFC 3696, erratum 1690, rounded up
SESSION_NAME_CHARACTERS = 64


def users_table(
    metadata: MetaData | None = None, *extra: Column[Any], name: str = "users"
) -> Table:
    """The users table to take where the application has none, with any columns of its own.

    Args:
        metadata: the application's; by default a new one.
        extra: columns to add to `id` (integer), `email`, `username`, `hashed_password` and
            `confirmed_at`.
        name: the table's name in the database.
    """
    return Table(
        name,
        MetaData() if metadata is None else metadata,
        Column("id", Integer, primary_key=True),
        Column("email", String(ADDRESS_CHARACTERS), unique=True),
        Column("username", String(64), unique=True),
        Column("hashed_password", Text, nullable=False),
        Column("confirmed_at", BigInteger),
        *extra,
        **MYSQL,
    )


def check_users_table(table: object) -> Table:
    """The table, if it has what is needed.

    Raises:
        SettingsError: names every column that is missing or of a wrong type.
    """
    if not isinstance(table, Table):
        raise SettingsError("users must be a sqlalchemy.Table")
    missing = [name for name in ("id", "hashed_password", "confirmed_at") if name not in table.c]
    faults = [f"users needs a column {name!r}" for name in missing]
    if not {"email", "username"} & set(table.c.keys()):
        faults.append("users needs a column 'email' or 'username'")
    if not missing:
        faults += _type_faults(table)
    if faults:
        raise SettingsError(*faults)
    return table


def _type_faults(table: Table) -> list[str]:
    faults = []
    if list(table.primary_key) != [table.c.id]:
        faults.append("users must have 'id' as its primary key")
    if not isinstance(table.c.id.type, Integer | Uuid | String):
        faults.append("users.id must be an integer, a UUID or text")
    if not isinstance(table.c.confirmed_at.type, BigInteger):
        faults.append("users.confirmed_at must be a BigInteger (milliseconds since the epoch)")
    for name in ("email", "username"):
        if name in table.c and not _is_unique(table, name):
            faults.append(f"users.{name} must be unique")
    return faults


def _is_unique(table: Table, name: str) -> bool:
    from_column = table.c[name].unique
    constraints = any(
        [column.name for column in constraint.columns] == [name]  # type: ignore[attr-defined]
        for constraint in table.constraints
        if type(constraint).__name__ == "UniqueConstraint"
    )
    indexes = any(
        index.unique and [column.name for column in index.columns] == [name]
        for index in table.indexes
    )
    return bool(from_column or constraints or indexes)


def tokens_table(metadata: MetaData, users: Table) -> Table:
    """A row for each live token of any purpose; the row's end is the token's end."""
    return Table(
        "tokens",
        metadata,
        Column("digest", String(64), primary_key=True),
        Column("purpose", String(16), nullable=False),
        Column("user_id", _reference_type(users), _reference(users), nullable=False),
        Column("sent_to", String(ADDRESS_CHARACTERS)),
        Column("created_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("last_used_at", BigInteger),
        Column("user_agent", String(256)),
        Column("address", String(64)),
        Column("name", String(SESSION_NAME_CHARACTERS)),
        Index("ix_tokens_user_id", "user_id", "purpose"),
        Index("ix_tokens_expires_at", "expires_at"),
        **MYSQL,
    )


def revocations_table(metadata: MetaData, users: Table) -> Table:
    """A row for each change of a user or of a user's tokens: news for every process.

    Its `id` orders the news, so it is never given twice; users who are gone are news too, so it
    refers to none.
    """
    return Table(
        "revocations",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("user_id", _reference_type(users), nullable=False),
        Column("created_at", BigInteger, nullable=False),
        sqlite_autoincrement=True,
        **MYSQL,
    )


def events_table(metadata: MetaData, users: Table) -> Table:
    """A row for each event. It refers to no user: the trail of a deleted account stays."""
    return Table(
        "events",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("event", String(32), nullable=False),
        Column("user_id", _reference_type(users)),
        Column("created_at", BigInteger, nullable=False),
        Column("session", String(64)),
        Column("address", String(64)),
        Column("user_agent", String(256)),
        Column("detail", String(256)),
        Index("ix_events_user_id", "user_id", "id"),
        Index("ix_events_created_at", "created_at"),
        sqlite_autoincrement=True,
        **MYSQL,
    )


def outbox_table(metadata: MetaData) -> Table:
    """A row for each mail, written in the transaction of what it tells of."""
    return Table(
        "outbox",
        metadata,
        Column("id", String(32), primary_key=True),
        Column("kind", String(32), nullable=False),
        Column("recipient", String(ADDRESS_CHARACTERS), nullable=False),
        # MySQL's TEXT ends at 64 KiB: a sealed mail with its HTML may be longer.
        Column("payload", Text().with_variant(MEDIUMTEXT(), "mysql"), nullable=False),
        Column("state", String(8), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("next_attempt_at", BigInteger, nullable=False),
        Column("lease_owner", String(32)),
        Column("expires_at", BigInteger),
        Column("created_at", BigInteger, nullable=False),
        Column("sent_at", BigInteger),
        Column("last_error", String(200)),
        Index("ix_outbox_due", "state", "next_attempt_at"),
        Index("ix_outbox_recipient", "recipient", "created_at"),
        **MYSQL,
    )


def _reference_type(users: Table) -> Any:
    return users.c.id.type


def _reference(users: Table) -> ForeignKey:
    return ForeignKey(users.c.id, ondelete="CASCADE")
