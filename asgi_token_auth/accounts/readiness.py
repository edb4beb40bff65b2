"""Whether requests would be served now."""

import asyncio
import dataclasses

from asgi_token_auth.accounts.parts import Parts
from asgi_token_auth.exceptions import DatabaseUnavailable

NOBODYS = ""  # no digest is empty


@dataclasses.dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a process can serve; true if all of it holds.

    Args:
        database: it answers what each request asks, within `database_timeout`.
        hashing: one more password may wait to be hashed.
    """

    database: bool
    hashing: bool

    def __bool__(self) -> bool:
        return self.database and self.hashing


async def readiness(parts: Parts) -> Readiness:
    """How it is now. Nothing is raised: what can't be told is not ready."""
    return Readiness(database=await _database_answers(parts), hashing=parts.passwords.has_room)


async def _database_answers(parts: Parts) -> bool:
    # The guard's own query, so that tables which are not there, and rights that are not granted,
    # show before a request meets them.
    now = parts.now()
    try:
        async with asyncio.timeout(parts.database.timeout):
            await parts.database.read(lambda s: parts.tokens.with_users(s, [NOBODYS], now))
    except (DatabaseUnavailable, TimeoutError):
        return False
    return True
