"""The tables of 0.1. Where `create_tables` made some of them before, what is missing is added."""

from typing import Any

from alembic import op
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
    inspect,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.schema import CreateTable

from asgi_token_auth.storage.migrations.adopting import add_missing, require_users

revision = "0001"
down_revision = None

MYSQL: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_engine": "InnoDB",
}


def upgrade() -> None:
    target = op.get_context().opts["target"]
    found = inspect(target.connection)
    users = target.users
    if not target.with_users:
        require_users(found, users)
    for table in _tables(users, target.user_id, with_users=target.with_users):
        if found.has_table(table.name):
            add_missing(found, table)
            continue
        op.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            op.create_index(str(index.name), table.name, [column.name for column in index.columns])


def _tables(users: Table, user_id: Any, *, with_users: bool) -> list[Table]:
    # Not storage.tables: that goes on, and this is what 0.1 had.
    metadata = MetaData()
    if with_users:
        _users(metadata)
    else:
        Table(users.name, metadata, Column("id", user_id, primary_key=True), schema=users.schema)
    reference = ForeignKey(f"{users.fullname}.id", ondelete="CASCADE")
    own = [
        _tokens(metadata, user_id, reference),
        _revocations(metadata, user_id),
        _events(metadata, user_id),
        _outbox(metadata),
    ]
    return [metadata.tables["users"], *own] if with_users else own


def _users(metadata: MetaData) -> Table:
    return Table(
        "users",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("email", String(320), unique=True),
        Column("username", String(64), unique=True),
        Column("hashed_password", Text, nullable=False),
        Column("confirmed_at", BigInteger),
        **MYSQL,
    )


def _tokens(metadata: MetaData, user_id: Any, reference: ForeignKey) -> Table:
    return Table(
        "tokens",
        metadata,
        Column("digest", String(64), primary_key=True),
        Column("purpose", String(16), nullable=False),
        Column("user_id", user_id, reference, nullable=False),
        Column("sent_to", String(320)),
        Column("created_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("last_used_at", BigInteger),
        Column("user_agent", String(256)),
        Column("address", String(64)),
        Column("name", String(64)),
        Index("ix_tokens_user_id", "user_id", "purpose"),
        Index("ix_tokens_expires_at", "expires_at"),
        **MYSQL,
    )


def _revocations(metadata: MetaData, user_id: Any) -> Table:
    return Table(
        "revocations",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("user_id", user_id, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        sqlite_autoincrement=True,
        **MYSQL,
    )


def _events(metadata: MetaData, user_id: Any) -> Table:
    return Table(
        "events",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("event", String(32), nullable=False),
        Column("user_id", user_id),
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


def _outbox(metadata: MetaData) -> Table:
    return Table(
        "outbox",
        metadata,
        Column("id", String(32), primary_key=True),
        Column("kind", String(32), nullable=False),
        Column("recipient", String(320), nullable=False),
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
