"""The demo's own table, beside those of the accounts in the same database."""

import time
import uuid
from types import TracebackType
from typing import Any, Self

from databases import Database

CREATE = (
    "CREATE TABLE IF NOT EXISTS messages (id VARCHAR(32) PRIMARY KEY, user_id VARCHAR(64) NOT NULL,"
    " text TEXT NOT NULL, created_at BIGINT NOT NULL)"
)
INSERT = (
    "INSERT INTO messages (id, user_id, text, created_at)"
    " VALUES (:id, :user_id, :text, :created_at)"
)
SELECT = (
    "SELECT id, text, created_at FROM messages WHERE user_id = :user_id"
    " ORDER BY created_at DESC LIMIT 100"
)
DELETE = "DELETE FROM messages WHERE user_id = :user_id"


class Messages:
    """Everyone's messages."""

    def __init__(self, database_url: str) -> None:
        url = database_url.replace("mysql://", "mysql+asyncmy://")
        self._database = Database(url)
        self._suffix = " CHARACTER SET utf8mb4" if url.startswith("mysql") else ""

    async def __aenter__(self) -> Self:
        await self._database.connect()
        await self._database.execute(CREATE + self._suffix)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._database.disconnect()

    async def of(self, user_id: str) -> list[dict[str, Any]]:
        """The user's own, newest first."""
        rows = await self._database.fetch_all(SELECT, {"user_id": user_id})
        return [dict(row._mapping) for row in rows]

    async def add(self, user_id: str, text: str) -> dict[str, Any]:
        """Keeps a message; times are in milliseconds since the epoch."""
        message = {"id": uuid.uuid4().hex, "text": text, "created_at": int(time.time() * 1000)}
        await self._database.execute(INSERT, {**message, "user_id": user_id})
        return message

    async def delete(self, user_id: str) -> None:
        """Forgets all of a user's messages."""
        await self._database.execute(DELETE, {"user_id": user_id})
