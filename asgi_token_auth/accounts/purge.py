"""Expired tokens leave the database."""

from asgi_token_auth.accounts.parts import Parts
from asgi_token_auth.storage.revocations import KEPT_SECONDS

BATCH = 200


async def purge_batch(parts: Parts, limit: int = BATCH) -> int:
    """Deletes up to `limit` expired tokens; how many there were."""
    return await parts.database.write(
        lambda session: parts.tokens.purge_expired(session, parts.now(), limit)
    )


async def purge_news(parts: Parts, limit: int = BATCH) -> int:
    """Deletes up to `limit` news that every process has read or will never ask for; how many."""
    before = parts.now() - int(KEPT_SECONDS * 1000)
    return await parts.database.write(
        lambda session: parts.revocations.purge(session, before, limit)
    )


async def purge_expired(parts: Parts) -> int:
    """Deletes all expired tokens, in transactions short enough to be in nobody's way.

    Raises:
        DatabaseUnavailable: try again.
    """
    total = 0
    while purged := await purge_batch(parts):
        total += purged
    return total
